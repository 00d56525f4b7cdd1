"""The heartbeat: it beats, it wakes early, it outlives a clock that was set back and a step that fails."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import apscheduler.schedulers.base
import apscheduler.triggers.interval
import httpx2
import pytest
from support.cast import gather
from support.clocks import ManualClock
from support.nudging import ledger, plan, put_hook, put_plan
from support.receivers import Hook

from companion.core.clock import SystemClock
from companion.nudges import jobs

JUST_BEFORE = datetime(2026, 3, 3, 1, 29, 59, tzinfo=UTC)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each step was done, on the machine's monotonic clock."""
    taken: list[float] = []
    step = jobs.step

    async def counted(*args: Any) -> jobs.Next:
        following = await step(*args)
        taken.append(SystemClock().monotonic())
        return following

    monkeypatch.setattr(jobs, "step", counted)
    return taken


async def test_it_beats_and_says_so(start: Any, steps: list[float]) -> None:
    service = await start(nudge_beat=0.05)
    await until(lambda: len(steps) >= 5)
    async with httpx2.AsyncClient(base_url=service.url) as http:
        ready = await http.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]["heartbeat"]) == (200, "ok")


async def test_readiness_is_red_when_the_heart_stands_still(start: Any, clock: ManualClock, steps: list[float]) -> None:
    service = await start(clock=clock, nudge_beat=1000)
    await until(lambda: len(steps) == 1)
    async with httpx2.AsyncClient(base_url=service.url) as http:
        assert (await http.get("/health/ready")).status_code == 200
        clock.advance(seconds=31)
        ready = await http.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]["heartbeat"]) == (503, "last beat 31 s ago")


async def test_without_a_scheduler_it_stays_ready_and_sends_nothing(start: Any, steps: list[float]) -> None:
    service = await start(scheduler=False, nudge_beat=0.05)
    async with httpx2.AsyncClient(base_url=service.url) as http:
        assert (await http.get("/health/ready")).status_code == 200
    await asyncio.sleep(0.2)
    assert steps == []


async def test_it_wakes_for_a_nudge_before_the_next_beat(start: Any, hook: Hook) -> None:
    """With a beat of an hour: the plan's ring plans the wait, the clock runs to 20:30, the nudge goes out."""

    class Running(SystemClock):
        ahead = JUST_BEFORE - SystemClock().now()

        def now(self) -> datetime:
            return super().now() + self.ahead

    service = await start(clock=Running(), nudge_beat=3600, egress_allow="127.0.0.1")
    async with httpx2.AsyncClient(base_url=service.url) as http:
        cast = await gather(service, http)
        await put_hook(cast.ana, hook)
        await put_plan(cast.ana, plan("20:30"))
        await until(lambda: len(hook.received) == 1)
        async with asyncio.timeout(10):
            while not (sent := await ledger(cast.ana, "?state=sent")):
                await asyncio.sleep(0.02)
        (nudge,) = sent
    sent_at = datetime.fromisoformat(nudge["deliveries"][0]["at"])
    assert timedelta(0) <= sent_at - (JUST_BEFORE + timedelta(seconds=1)) < timedelta(seconds=2)


async def test_a_wall_clock_set_back_an_hour_does_not_stop_it(
    start: Any, steps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """APScheduler's own timer then stands still for that hour; the wait on the monotonic clock does not."""
    log = StringIO()
    await start(log=log, nudge_beat=0.2)
    await until(lambda: len(steps) >= 2)

    class SetBack(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(hours=1)

    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", SetBack)
    monkeypatch.setattr(apscheduler.triggers.interval, "datetime", SetBack)
    stepped = SystemClock().monotonic()
    seen = len(steps)
    await until(lambda: len(steps) >= seen + 6)
    gaps = [after - before for before, after in zip([stepped, *steps[seen:]], steps[seen:], strict=False)]
    assert max(gaps) < 1.0, gaps
    assert log.getvalue().count("heartbeat-rearmed") == 1, "armed anew, APScheduler beats by itself again"


async def test_a_step_that_fails_does_not_stop_it(start: Any, steps: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    log = StringIO()
    service = await start(log=log, nudge_beat=0.05)
    read = type(service.db).read

    async def broken(*args: Any, **more: Any) -> Any:
        raise RuntimeError("Marigold")

    monkeypatch.setattr(type(service.db), "read", broken)
    await until(lambda: log.getvalue().count("beat-failed") >= 2)
    monkeypatch.setattr(type(service.db), "read", read)
    seen = len(steps)
    await until(lambda: len(steps) >= seen + 2)
    assert "Marigold" not in log.getvalue()


async def test_a_clock_jump_is_told(start: Any, clock: ManualClock, steps: list[float]) -> None:
    log = StringIO()
    await start(clock=clock, log=log, nudge_beat=0.05)
    await until(lambda: len(steps) >= 2)
    clock.step(hours=-1)
    await until(lambda: "clock-jump" in log.getvalue())
    assert "seconds=-3600.0" in log.getvalue()
    clock.advance(hours=1)
    seen = len(steps)
    await until(lambda: len(steps) >= seen + 3)
    assert log.getvalue().count("clock-jump") == 1, "time that passed is no jump"
