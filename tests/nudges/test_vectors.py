"""The vectors of local time end to end: a plan, a clock that moves, and what came to the receiver when."""

from datetime import UTC, datetime, timedelta

import pytest
from support.cast import Person
from support.clocks import ManualClock
from support.nudging import Desk, ledger, plan, put_hook, put_plan
from support.receivers import Hook

VECTORS = {
    "gap, New York": ("America/New_York", "02:30", "2026-03-07T12:00", ["2026-03-08T07:30", "2026-03-09T06:30"]),
    "overlap, New York": ("America/New_York", "01:30", "2026-10-31T12:00", ["2026-11-01T05:30", "2026-11-02T06:30"]),
    "half-hour gap, Lord Howe": (
        "Australia/Lord_Howe",
        "02:15",
        "2026-10-02T20:00",
        ["2026-10-03T15:45", "2026-10-04T15:15"],
    ),
    "midnight gap, Cairo": ("Africa/Cairo", "00:30", "2026-04-23T12:00", ["2026-04-23T22:30", "2026-04-24T21:30"]),
    "midnight gap, Santiago": ("America/Santiago", "00:15", "2026-09-05T12:00", ["2026-09-06T04:15", "2026-09-07T03:15"]),
    "a day that never was, Apia": ("Pacific/Apia", "08:00", "2011-12-29T00:00", ["2011-12-29T18:00", "2011-12-30T18:00"]),
    "overlap, London": ("Europe/London", "01:30", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
    "gap over midnight, Nuuk": ("America/Nuuk", "23:30", "2026-03-28T12:00", ["2026-03-29T01:30", "2026-03-30T00:30"]),
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(params=VECTORS)
def vector(request: pytest.FixtureRequest) -> tuple[str, str, str, list[str]]:
    return VECTORS[request.param]


@pytest.fixture
def clock(vector: tuple[str, str, str, list[str]]) -> ManualClock:
    return ManualClock(at(vector[2]))


async def test_it_goes_out_then_and_only_then(
    vector: tuple[str, str, str, list[str]], ana: Person, desk: Desk, hook: Hook
) -> None:
    zone, slot, _, due = vector
    await put_hook(ana, hook)
    await ana.patch("/v1/me", {"zone": zone})
    await put_plan(ana, plan(slot, window_minutes=5))
    end = at(due[-1]) + timedelta(hours=1)
    while desk.clock.now() < end:
        await desk.run()
        desk.clock.advance(minutes=15)
    sent = [nudge["deliveries"][0]["at"] for nudge in await ledger(ana, "?state=sent")]
    assert sent == [f"{one}:00Z" for one in due]
    assert len(hook.received) == len(due)
    assert await ledger(ana, "?state=expired") == []
