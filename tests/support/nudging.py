"""What tests of nudges share: a worker whose steps the test takes, and what a person does with plans."""

from dataclasses import dataclass, field
from datetime import datetime
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

from companion.core.lines import Lines
from companion.nudges import jobs
from companion.post.office import Post
from companion.running import Running

from .cast import Person
from .clocks import ManualClock
from .receivers import Hook


@dataclass
class Desk:
    """What a worker needs, and a person's usual calls."""

    running: Running
    clock: ManualClock
    post: Post
    log: StringIO = field(default_factory=StringIO)
    lease: float = 60.0

    def worker(self, owner: str = "worker") -> jobs.Worker:
        return jobs.Worker(owner, self.lease, Lines(self.clock, "info", "json", self.log))

    async def step(self, owner: str = "worker") -> jobs.Next:
        return await jobs.step(self.running.db, self.post, self.clock, self.worker(owner))

    async def run(self) -> None:
        """Steps until there is nothing more to do now; a worker that never comes to rest fails the test."""
        for _ in range(100):
            if not (await self.step()).more:
                return
        raise AssertionError("there is always more to do")

    async def at(self, text: str) -> None:
        """Move the clock to an instant (UTC) and run."""
        self.clock.set(datetime.fromisoformat(text + "+00:00"))
        await self.run()


def plan(*times: str, **more: Any) -> dict[str, Any]:
    """A plan's body; about her mood, by webhook, for an hour, unless told otherwise."""
    return {"about": "mood", "times": list(times), "window_minutes": 60, "channels": ["webhook"], **more}


async def put_plan(person: Person, body: dict[str, Any], patient: UUID | str = "me", plan_id: UUID | None = None) -> Any:
    answer = await person.put(f"/v1/patients/{patient}/plans/{plan_id or uuid4()}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def put_hook(person: Person, hook: Hook, endpoint_id: UUID | None = None) -> str:
    endpoint = str(endpoint_id or uuid4())
    answer = await person.put(f"/v1/me/endpoints/{endpoint}", {"channel": "webhook", "url": hook.url, "secret": hook.secret})
    assert answer.status_code == 200, answer.text
    return endpoint


async def ledger(person: Person, query: str = "") -> list[dict[str, Any]]:
    """Her nudges, oldest due first."""
    answer = await person.get(f"/v1/patients/me/nudges{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"][::-1]


def states(nudges: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(due, state, reason) of each."""
    return [(nudge["due_at"], nudge["state"], nudge["reason"]) for nudge in nudges]
