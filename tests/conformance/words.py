"""How a device of another maker speaks sync: plain JSON, no SDK."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
from conformance.backends import NOON, Person

ZONE = "America/New_York"
LOGS = "/v1/patients/me/logs"
SYNC = "/v1/patients/me/sync"
PLAN = "/v1/patients/me/safety-plan"


def at(hour: float = 0, **later: float) -> datetime:
    """An instant of the last day, or around it: hours after noon of 2 March 2026."""
    return NOON + timedelta(hours=hour, **later)


def entry(when: datetime | str | None = None, zone: str = ZONE, **body: Any) -> dict[str, Any]:
    """A ``LogIn``; a mood unless told otherwise."""
    moment = at(-1) if when is None else when
    stamp = moment if isinstance(moment, str) else moment.isoformat()
    return {"at": stamp, "zone": zone, "body": body or {"kind": "mood", "mood": 4}}


def mood(value: int = 4, when: datetime | str | None = None, **more: Any) -> dict[str, Any]:
    """A mood."""
    return entry(when, kind="mood", mood=value, **more)


def note(text: str = "words", when: datetime | None = None) -> dict[str, Any]:
    """A note."""
    return entry(when, kind="note", text=text)


def plan(*texts: str, when: datetime | None = None) -> dict[str, Any]:
    """A crisis plan as a push carries it."""
    return entry(when, kind="safety_plan", sections=[{"title": "Call", "text": text} for text in texts])


def new() -> str:
    """A fresh id."""
    return str(uuid4())


def where(log: str) -> str:
    """The path of one entry."""
    return f"{LOGS}/{log}"


@dataclass
class Phone:
    """A device that numbers its operations and sends them when told."""

    person: Person
    device: str = field(default_factory=new)
    n: int = 0

    def op(self, log: dict[str, Any] | None, id: str | None = None, base: int = 0, **odd: Any) -> dict[str, Any]:
        """The next operation."""
        self.n += 1
        return {"n": self.n, "op": new(), "id": id or new(), "base": base, "log": log, **odd}

    async def try_(self, *ops: dict[str, Any], sent_at: datetime | str = NOON, **more: Any) -> httpx2.Response:
        """A push, however it ends."""
        stamp = sent_at if isinstance(sent_at, str) else sent_at.isoformat()
        body = {"device": self.device, "sent_at": stamp, "ops": [*ops]}
        return await self.person.post(f"{SYNC}/push", body, **more)

    async def push(self, *ops: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A push that must be read."""
        answer = await self.try_(*ops, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def one(self, op: dict[str, Any], **more: Any) -> dict[str, Any]:
        """What became of one operation."""
        return (await self.push(op, **more))["results"][0]

    async def record(self, log: dict[str, Any], id: str | None = None, base: int = 0) -> dict[str, Any]:
        """One entry that must be stored: its result with its id."""
        op = self.op(log, id, base)
        result = await self.one(op)
        assert result["outcome"] == "applied", result
        return {**result, "id": op["id"]}


async def pull(person: Person, cursor: str | None = None, limit: int = 500, base: str = SYNC) -> dict[str, Any]:
    """One page of changes."""
    query = f"?limit={limit}" + (f"&cursor={cursor}" if cursor else "")
    answer = await person.get(f"{base}/pull{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def walk(person: Person, cursor: str | None = None, limit: int = 500, base: str = SYNC) -> list[dict[str, Any]]:
    """Every change after a cursor, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        page = await pull(person, cursor, limit, base)
        found += page["changes"]
        cursor = page["cursor"]
        if not page["more"]:
            return found


def outcomes(pushed: dict[str, Any]) -> list[str]:
    """The outcomes of a push, in order."""
    return [result["outcome"] for result in pushed["results"]]


def word(answer: httpx2.Response) -> str:
    """The word of a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["type"].removeprefix("/problems/")


def faults(answer: httpx2.Response | dict[str, Any]) -> list[tuple[str, str]]:
    """Pointers and codes of a refusal."""
    problem = answer if isinstance(answer, dict) else answer.json()
    return [(fault["pointer"], fault["code"]) for fault in problem["errors"]]


def same_id() -> dict[str, str]:
    """The header that makes two answers comparable byte by byte."""
    return {"X-Request-Id": str(uuid4())}


def told(answer: httpx2.Response) -> dict[str, str]:
    """The headers that belong to the answer and not to the day or the wire."""
    return {name: value for name, value in answer.headers.items() if name not in ("date", "connection", "server")}


def plan_id(person: Person) -> str:
    """Where a person's crisis plan stands."""
    from companion_sdk.wire import safety_plan_id

    return str(safety_plan_id(UUID(str(person.id))))
