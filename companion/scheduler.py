"""THE list of recurring jobs, and the heartbeat that takes them; the only file that imports apscheduler.

APScheduler is the heartbeat and nothing else: one interval job in memory that rings every ``beat`` seconds. What is due
stands in the database, so any number of processes may run this. One task waits for a ring and does a round:

1. beat: a small write that shows other processes, and readiness, that this one lives (``pulse``);
2. nudges: their step, again while it says so; its last word is when to ring by itself, if that is before the next beat;
3. old tombstones: once a day a step, and in each round after it while there is more.

The wait is bounded on the monotonic clock. When no ring came for two beats, APScheduler's own timer stands still: it reckons
on the wall clock, and one that was set back an hour stops even an interval job for that hour (agronholm/apscheduler#794).
Then the round is done all the same and the job is armed anew.
"""

import asyncio
import contextlib
import os
from datetime import UTC, datetime
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler  # pyright: ignore[reportMissingTypeStubs]
from apscheduler.triggers.interval import IntervalTrigger  # pyright: ignore[reportMissingTypeStubs]

from .core import beats, ids
from .core.actors import System
from .core.clock import Clock
from .core.db import Database
from .core.lines import Lines
from .logs import jobs as diaries
from .nudges import bell, jobs
from .settings import Settings

JOB = "heartbeat"
GRACE = 10.0
_CHECKPOINT = 60
_SOON = 0.05
_JUMP = 5.0


class Scheduler:
    """The recurring jobs of one process. ``post`` is the door out."""

    def __init__(self, settings: Settings, db: Database, post: jobs.Sender, clock: Clock, lines: Lines) -> None:
        self._db = db
        self._post = post
        self._clock = clock
        self._lines = lines
        self._beat = settings.nudge_beat
        self._loop = asyncio.get_running_loop()
        self._ring = asyncio.Event()
        self._stopping = False
        self._worker = jobs.Worker(f"{os.getpid()}-{ids.request_id()}", settings.nudge_lease, lines, lambda: self._stopping)
        self._heart: Any = AsyncIOScheduler(timezone=UTC)
        self._running: asyncio.Task[None] | None = None
        self._last = clock.monotonic()
        self._purge_at = self._last
        self._clocks = (clock.now(), clock.monotonic())
        self._beats = 0

    def start(self) -> None:
        """Beat from now on."""
        options = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        self._heart.add_job(self._ring_bell, self._every_beat(), id=JOB, **options)
        self._heart.start()
        bell.DUE.listen(self.wake)
        self.wake()
        self._running = self._loop.create_task(self._run())

    def wake(self) -> None:
        """Do a round now instead of at the next beat; may be called from another thread."""
        self._loop.call_soon_threadsafe(self._ring.set)

    def pulse(self) -> float:
        """Seconds, monotonic, since the last beat that reached the disk."""
        return self._clock.monotonic() - self._last

    async def stop(self) -> None:
        """Claim nothing more, let what flies land for up to ``GRACE`` seconds, settle, give back the rest."""
        self._stopping = True
        bell.DUE.leave(self.wake)
        self.wake()
        if self._running is not None:
            done, _ = await asyncio.wait([self._running], timeout=GRACE)
            if not done:
                self._running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._running
            self._running = None
            self._heart.shutdown(wait=False)

    def _every_beat(self) -> Any:
        seconds: Any = self._beat  # declared int, but a timedelta is made of it
        return IntervalTrigger(seconds=seconds, timezone=UTC)

    async def _ring_bell(self) -> None:
        self.wake()

    async def _run(self) -> None:
        """Rounds until stopped; what goes wrong in one is told and the next comes all the same."""
        wait = self._beat
        while not self._stopping:
            await self._until_rung(wait)
            try:
                wait = await self._round()
            except Exception as error:  # noqa: BLE001 - whatever failed, the heart goes on beating
                self._lines.failure("beat-failed", error)
                wait = self._beat

    async def _until_rung(self, wait: float) -> None:
        """A ring, the time a step asked for (``wait``), or two beats without a ring: then the job is armed anew."""
        early = wait < self._beat
        try:
            async with asyncio.timeout(wait if early else self._beat * 2):
                await self._ring.wait()
        except TimeoutError:
            if not early:
                self._lines.write("warning", "heartbeat-rearmed")
                self._heart.reschedule_job(JOB, trigger=self._every_beat())
        self._ring.clear()

    async def _round(self) -> float:
        """One round; seconds until the next is wanted."""
        if self._stopping:
            return self._beat
        await self._show_life()
        following = jobs.Next(True, None)
        while following.more:
            following = await jobs.step(self._db, self._post, self._clock, self._worker)
            self._last = self._clock.monotonic()
        return _SOON if await self._purge() else self._seconds_until(following.at)

    async def _purge(self) -> bool:
        """Old tombstones leave the feeds; whether there are more."""
        now = self._clock.monotonic()
        if self._stopping or now < self._purge_at:
            return False
        self._purge_at = now + diaries.AFTER_TROUBLE
        more = await diaries.step(self._db)
        self._purge_at = now if more else now + diaries.EVERY
        return more

    async def _show_life(self) -> None:
        await self._db.write(System(JOB), beats.beat, JOB)
        wall, ran = self._clocks
        self._clocks = now, self._last = self._clock.now(), self._clock.monotonic()
        drift = (now - wall).total_seconds() - (self._last - ran)
        if abs(drift) > _JUMP:
            self._lines.write("warning", "clock-jump", seconds=round(drift, 1))
        self._beats += 1
        if self._beats % _CHECKPOINT == 0:
            await self._db.checkpoint()

    def _seconds_until(self, at: datetime | None) -> float:
        if at is None:
            return self._beat
        return min(max((at - self._clock.now()).total_seconds(), _SOON), self._beat)
