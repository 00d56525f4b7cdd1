"""A phone that numbers its operations, over plain HTTP: what tests of sync send and look at."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2

from .cast import ZONE, Person, monday

Json = dict[str, Any]


def note(text: str = "a note", at: datetime | None = None) -> Json:
    """A diary entry as an operation carries it."""
    return {"at": (at or monday()).isoformat(), "zone": ZONE, "body": {"kind": "note", "text": text}}


def mood(value: int = 3, at: datetime | None = None, **more: Any) -> Json:
    return {"at": (at or monday()).isoformat(), "zone": ZONE, "body": {"kind": "mood", "mood": value, **more}}


@dataclass
class Phone:
    """One device of somebody's; ``n`` is the last number it gave."""

    person: Person
    id: UUID = field(default_factory=uuid4)
    n: int = 0
    patient: str = "me"

    def op(self, log: Json | None, log_id: UUID | str | None = None, base: int = 0) -> Json:
        """The next operation."""
        self.n += 1
        return {"n": self.n, "op": str(uuid4()), "id": str(log_id or uuid4()), "base": base, "log": log}

    def frame(self, *ops: Json, sent_at: datetime | None = None) -> Json:
        return {"device": str(self.id), "sent_at": (sent_at or monday()).isoformat(), "ops": list(ops)}

    async def send(self, *ops: Json, sent_at: datetime | None = None) -> httpx2.Response:
        return await self.person.post(f"/v1/patients/{self.patient}/sync/push", self.frame(*ops, sent_at=sent_at))

    async def push(self, *ops: Json, sent_at: datetime | None = None) -> list[Json]:
        """What became of each; fails the test if the push is refused."""
        answer = await self.send(*ops, sent_at=sent_at)
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    async def write(self, log: Json, log_id: UUID | None = None, base: int = 0) -> tuple[UUID, Json]:
        """One entry, applied; its id and result."""
        op = self.op(log, log_id, base)
        (result,) = await self.push(op)
        assert result["outcome"] == "applied", result
        return UUID(op["id"]), result

    async def delete(self, log_id: UUID, base: int = 1) -> Json:
        (result,) = await self.push(self.op(None, log_id, base))
        assert result["outcome"] == "applied", result
        return result

    async def asks(self, cursor: str | None = None, limit: int | None = None) -> httpx2.Response:
        """One page, however it is answered."""
        params = {"cursor": cursor, "limit": limit}
        given = {name: value for name, value in params.items() if value is not None}
        return await self.person.get(f"/v1/patients/{self.patient}/sync/pull", params=given)

    async def pull(self, cursor: str | None = None, limit: int | None = None) -> Json:
        answer = await self.asks(cursor, limit)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def walk(self, cursor: str | None = None, limit: int = 500) -> tuple[list[Json], str]:
        """Every change from a cursor on, and the cursor at the end."""
        changes: list[Json] = []
        more = True
        while more:
            page = await self.pull(cursor, limit)
            changes += page["changes"]
            cursor, more = page["cursor"], page["more"]
        assert cursor is not None
        return changes, cursor

    async def digest(self, through: int | None = None) -> Json:
        params = {} if through is None else {"through": through}
        answer = await self.person.get(f"/v1/patients/{self.patient}/sync/digest", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()
