"""One step of the recurring job that sends nudges. Any number of processes may take steps at the same time.

1. Look (one read): does a plan want rows, is a row due? Most beats end here.
2. Make rows for plans that want some.
3. Claim up to ``CLAIM`` due rows and decide each, in one unit; what is not to be sent rests or waits from then on.
4. Send the others outside any unit, at most ``IN_FLIGHT`` at once. A slot is free again once its outcome is on disk, so a
   worker that is killed leaves at most ``IN_FLIGHT`` nudges that went out and are not written down: the most that can go out
   twice. A send begins only in the first half of the lease and is cut off well before its end.
5. Settle in groups of ``GROUP`` or what came in ``PAUSE`` seconds; only while the lease and the attempt still stand.

What a step returns tells its loop whether to take another at once, and else when the next row is to be looked at.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from companion_sdk import wire

from ..core.actors import System
from ..core.clock import Clock, instant, micros
from ..core.db import Database
from ..core.errors import Problem
from ..core.lines import Lines
from ..post.message import Message, Outcome
from . import due, making

JOB = System("nudges")
CLAIM = 64
EXTEND = 200
IN_FLIGHT = 64
GROUP = 16
PAUSE = 0.1
LONGEST = 10.0
_RETRY = 0.2
FURTHEST = timedelta(days=1)
"""No step asks to be called later than that: when a row is looked at again is bound by no seal."""


class Sender(Protocol):
    """The door out (``post.office.Post``)."""

    async def send(self, address: wire.EndpointIn, message: Message, seconds: float) -> Outcome: ...


class Worker(msgspec.Struct, frozen=True):
    """Who takes steps: its name in the rows, its lease in seconds, where it says what happened, whether it is to stop."""

    owner: str
    lease: float
    lines: Lines
    stopping: Callable[[], bool] = lambda: False


class Next(msgspec.Struct, frozen=True):
    """What the loop does next: another step at once (``more``), else one at ``at`` if anything waits."""

    more: bool
    at: datetime | None


async def step(db: Database, post: Sender, clock: Clock, worker: Worker) -> Next:
    """Take one step; the numbers are those of the module's docstring."""
    to_do = await db.read(JOB, due.to_do)
    now, latest = micros(clock.now()), micros(clock.now() + FURTHEST)
    extended = await db.write(JOB, making.extend, EXTEND) if to_do.extend else 0
    is_due = to_do.next_at is not None and to_do.next_at <= now
    looked = await _send_due(db, post, clock, worker) if is_due else 0
    following = None if to_do.next_at is None else instant(max(now, min(to_do.next_at, latest)))
    return Next(bool(extended or looked) and not worker.stopping(), following)


async def _send_due(db: Database, post: Sender, clock: Clock, worker: Worker) -> int:
    """Steps 3–5; how many rows were looked at."""
    begun = clock.monotonic()
    claimed = await db.write(JOB, due.claim, worker.owner, worker.lease, CLAIM)
    for nudge in claimed.broken:
        worker.lines.write("error", "nudge-unreadable", nudge=nudge)
    if claimed.sends:
        round_ = _Round(db, post, clock, worker, begun)
        await round_.run(claimed.sends)
    return claimed.looked


class _Round:
    """The sends of one claim."""

    def __init__(self, db: Database, post: Sender, clock: Clock, worker: Worker, begun: float) -> None:
        self._db = db
        self._post = post
        self._clock = clock
        self._worker = worker
        self._begun = begun
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._outcomes: asyncio.Queue[due.Done | None] = asyncio.Queue()

    async def run(self, sends: Sequence[due.Send]) -> None:
        async with asyncio.TaskGroup() as tasks:
            settling = tasks.create_task(self._settle_all())
            sending = [tasks.create_task(self._send(one)) for one in sends]
            await asyncio.wait(sending)
            self._outcomes.put_nowait(None)
            await settling

    async def _send(self, one: due.Send) -> None:
        await self._slots.acquire()
        outcome: Outcome | None = None
        if self._may_begin():
            seconds = min(LONGEST, self._worker.lease * 0.4)
            try:
                outcome = await self._post.send(one.address, one.message, seconds)
            except Exception as error:  # noqa: BLE001 - a bug in one send must not tear down the others that are in flight
                self._worker.lines.failure("send-failed", error, nudge=one.nudge_id)
                outcome = Outcome("temporary", "internal")
        self._outcomes.put_nowait(due.Done(one, outcome, self._clock.now()))

    def _may_begin(self) -> bool:
        young = self._clock.monotonic() - self._begun < self._worker.lease / 2
        return young and not self._worker.stopping()

    async def _settle_all(self) -> None:
        """Step 5, until every send has an outcome that is on disk."""
        ended = False
        while not ended:
            first = await self._outcomes.get()
            if first is None:
                return
            group, ended = await self._gather(first)
            await self._settle(group)
            for _ in group:
                self._slots.release()

    async def _gather(self, first: due.Done) -> tuple[list[due.Done], bool]:
        group = [first]
        try:
            async with asyncio.timeout(PAUSE):
                while len(group) < GROUP:
                    one = await self._outcomes.get()
                    if one is None:
                        return group, True
                    group.append(one)
        except TimeoutError:
            pass
        return group, False

    async def _settle(self, group: list[due.Done]) -> None:
        """Write a group down; a database that is busy is asked again, as long as the leases last."""
        while True:
            try:
                settled = await self._db.write(JOB, due.settle, self._worker.owner, group)
                break
            except Problem as problem:
                if self._clock.monotonic() - self._begun > self._worker.lease:
                    self._worker.lines.failure("settle-failed", problem, nudges=len(group))
                    return
                await asyncio.sleep(_RETRY)
            except Exception as error:  # noqa: BLE001 - the other groups in flight must still be written down
                self._worker.lines.failure("settle-failed", error, nudges=len(group))
                return
        self._tell(settled)

    def _tell(self, settled: due.Settled) -> None:
        for endpoint in settled.off:
            self._worker.lines.write("warning", "endpoint-off", endpoint=endpoint)
        for nudge in settled.fenced:
            self._worker.lines.write("warning", "nudge-fenced", nudge=nudge)
