"""What is decided about one due nudge, and where quiet hours end: nothing early, nothing late, nothing at night."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.nudges.rules import Decision, Due, Wait, decide, next_due, occurrences, quiet_until
from companion_sdk import wire

NEW_YORK, LOS_ANGELES = "America/New_York", "America/Los_Angeles"


def plan(*times: str, **changes: Any) -> wire.PlanIn:
    whole = {"about": "mood", "times": list(times), "window_minutes": 60, "channels": ["email"], **changes}
    return msgspec.convert(whole, wire.PlanIn)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def quiet(from_: str, to: str) -> wire.QuietHours:
    return wire.QuietHours(from_=from_, to=to)


INSTANT = st.integers(0, 4 * 365 * 1440).map(lambda minutes: at("2024-01-01") + timedelta(minutes=minutes, seconds=7))
NEAR_A_CHANGE = st.sampled_from(
    ["2026-03-08T07:00", "2026-11-01T06:00", "2026-03-29T01:00", "2026-04-23T22:00", "2026-10-03T15:30"]
).flatmap(lambda text: st.integers(-2000, 2000).map(lambda minutes: at(text) + timedelta(minutes=minutes)))
SOME_INSTANT = INSTANT | NEAR_A_CHANGE
ZONE = st.sampled_from(
    [NEW_YORK, "America/Nuuk", "Africa/Cairo", "Australia/Lord_Howe", "Europe/London", "Asia/Kathmandu", "UTC"]
)
TIME_OF_DAY = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))
QUIET = st.builds(quiet, TIME_OF_DAY, TIME_OF_DAY)


# Quiet hours.


@pytest.mark.parametrize(
    ("hours", "zone", "now", "ends", "why"),
    [
        (("22:00", "07:00"), NEW_YORK, "2026-05-02T01:59:59", None, "one second before"),
        (("22:00", "07:00"), NEW_YORK, "2026-05-02T02:00", "2026-05-02T11:00", "over midnight, before it"),
        (("22:00", "07:00"), NEW_YORK, "2026-05-02T05:00", "2026-05-02T11:00", "over midnight, after it"),
        (("22:00", "07:00"), NEW_YORK, "2026-05-02T11:00", None, "the end is not quiet"),
        (("13:00", "14:30"), NEW_YORK, "2026-05-02T17:12:34.5", "2026-05-02T18:30", "inside one day"),
        (("13:00", "13:00"), NEW_YORK, "2026-05-02T17:00", None, "equal times: no quiet hours"),
        (("00:00", "23:59"), "UTC", "2026-05-02T23:59", None, "the one minute left"),
        (("22:00", "07:00"), NEW_YORK, "2026-03-08T04:00", "2026-03-08T11:00", "the short night"),
        (("22:00", "07:00"), NEW_YORK, "2026-11-01T04:00", "2026-11-01T12:00", "the long night"),
        (("22:00", "02:30"), NEW_YORK, "2026-03-08T06:10", "2026-03-08T07:00", "02:30 is skipped: 03:00 ends them"),
        (("22:00", "02:30"), NEW_YORK, "2026-03-08T06:59:59.75", "2026-03-08T07:00", "to the second, whatever asks"),
        (("01:30", "03:00"), NEW_YORK, "2026-11-01T05:45", "2026-11-01T06:00", "set back out of them"),
        (("01:30", "03:00"), NEW_YORK, "2026-11-01T06:10", None, "between them, on the second pass"),
        (("01:30", "03:00"), NEW_YORK, "2026-11-01T06:30", "2026-11-01T08:00", "the second pass is quiet again"),
        (("00:30", "01:30"), NEW_YORK, "2026-11-01T05:15", "2026-11-01T05:30", "ends on the first pass"),
        (("00:30", "01:30"), NEW_YORK, "2026-11-01T06:15", "2026-11-01T06:30", "and again on the second"),
        (("23:00", "08:00"), "Pacific/Apia", "2011-12-30T09:30", "2011-12-30T18:00", "over a date that never was"),
    ],
)
def test_quiet_hours_are_what_the_wall_clock_says(hours: tuple[str, str], zone: str, now: str, ends: str | None, why: str):
    assert quiet_until(quiet(*hours), zone, at(now)) == (None if ends is None else at(ends)), why


def is_quiet(hours: wire.QuietHours, zone: str, instant: datetime) -> bool:
    wall, start, end = f"{instant.astimezone(ZoneInfo(zone)):%H:%M}", hours.from_, hours.to
    return start <= wall < end if start <= end else (wall >= start or wall < end)


@settings(max_examples=2000, deadline=None)
@given(QUIET, ZONE, SOME_INSTANT)
def test_quiet_hours_end_where_watching_the_clock_says(hours: wire.QuietHours, zone: str, now: datetime):
    now = now.replace(second=0, microsecond=0)
    watched = now
    while is_quiet(hours, zone, watched):
        watched += timedelta(minutes=1)
    assert quiet_until(hours, zone, now) == (None if watched == now else watched)


# The decision.

NOON = at("2026-05-02T12:00")


def due(**changes: Any) -> Due:
    """A nudge that would be sent at noon."""
    whole = Due(
        due_at=NOON,
        window_end=NOON + timedelta(hours=1),
        plan_exists=True,
        consent=True,
        quiet=None,
        skip_if_logged=True,
        logged=False,
        zone="UTC",
        last_sent_at=None,
        gap_minutes=None,
        endpoints=1,
    )
    return msgspec.structs.replace(whole, **changes)


def test_a_nudge_that_nothing_speaks_against_is_sent():
    assert decide(due(), NOON) == Decision("send", "due")
    assert decide(due(), NOON + timedelta(minutes=59, seconds=59)) == Decision("send", "due")


def test_the_first_reason_that_holds_decides():
    """Everything at once, then one reason taken away after the other."""
    everything = due(
        plan_exists=False,
        consent=False,
        logged=True,
        window_end=NOON,
        quiet=quiet("11:00", "13:00"),
        last_sent_at=NOON - timedelta(minutes=59),
        gap_minutes=60,
        endpoints=0,
    )
    seen: list[Decision | Wait] = [decide(everything, NOON)]
    for cure in (
        {"plan_exists": True},
        {"consent": True},
        {"logged": False},
        {"window_end": NOON + timedelta(hours=1)},
        {"window_end": NOON + timedelta(hours=1, minutes=1)},
        {"quiet": None},
        {"last_sent_at": NOON - timedelta(minutes=60)},
        {"endpoints": 1},
    ):
        everything = msgspec.structs.replace(everything, **cure)
        seen.append(decide(everything, NOON))
    assert seen == [
        Decision("suppressed", "plan-gone"),
        Decision("suppressed", "consent-gone"),
        Decision("withheld", "already-logged"),
        Decision("expired", "window-closed"),
        Decision("suppressed", "quiet-hours"),
        Wait(at("2026-05-02T13:00")),
        Decision("suppressed", "min-gap"),
        Decision("failed", "no-endpoint"),
        Decision("send", "due"),
    ]


def test_ana_already_logged_but_wants_the_nudge_anyway():
    assert decide(due(logged=True, skip_if_logged=False), NOON) == Decision("send", "due")


def test_half_a_gap_is_no_gap():
    assert decide(due(last_sent_at=NOON), NOON) == Decision("send", "due")
    assert decide(due(gap_minutes=60), NOON) == Decision("send", "due")
    assert decide(due(last_sent_at=NOON, gap_minutes=0), NOON) == Decision("send", "due")


def test_a_clock_that_was_set_back_sends_nothing_early():
    assert decide(due(), NOON - timedelta(seconds=1)) == Wait(NOON)


def test_quiet_hours_are_those_of_the_patient_s_zone():
    night = quiet("22:00", "07:00")
    late = due(quiet=night, zone=NEW_YORK, window_end=NOON + timedelta(days=1))
    assert decide(late, at("2026-05-03T02:30")) == Wait(at("2026-05-03T11:00"))
    assert decide(late, at("2026-05-02T22:30")) == Decision("send", "due")


DUE = st.builds(
    lambda at_, window, **rest: due(due_at=at_, window_end=at_ + timedelta(minutes=window), **rest),
    SOME_INSTANT,
    st.integers(1, 1440),
    quiet=st.none() | QUIET,
    zone=ZONE,
    logged=st.integers(0, 9).map(lambda roll: roll == 0),
    plan_exists=st.integers(0, 9).map(bool),
    gap_minutes=st.none() | st.integers(0, 720),
    endpoints=st.integers(0, 5),
)


@settings(max_examples=2000, deadline=None)
@given(DUE, st.integers(-120, 1600), st.none() | st.integers(0, 1000))
def test_never_sent_early_late_or_in_quiet_hours(one: Due, late: int, sent_before: int | None):
    """Followed as the service would: a nudge that waits is decided again when its wait is over."""
    now = one.due_at + timedelta(minutes=late)
    if sent_before is not None:
        one = msgspec.structs.replace(one, last_sent_at=now - timedelta(minutes=sent_before))
    decided = decide(one, now)
    for _ in range(2):  # at most: until due, then until quiet hours end
        if isinstance(decided, Wait):
            assert now < decided.until < one.window_end
            now = decided.until
            decided = decide(one, now)
    assert isinstance(decided, Decision)
    if decided.state == "send":
        assert one.due_at <= now < one.window_end
        assert one.quiet is None or not is_quiet(one.quiet, one.zone, now)
        assert one.plan_exists
        assert not one.logged
        assert one.endpoints > 0
        assert (
            one.last_sent_at is None
            or one.gap_minutes is None
            or now - one.last_sent_at >= timedelta(minutes=one.gap_minutes)
        )


# Ana travels: the pure rule and the decision together.


def test_ana_moves_west_just_after_a_nudge_and_gets_no_second_one_that_day():
    """T3: the slot comes again three hours later and the minimum gap of 12 hours keeps it back; the next day's goes."""
    daily = plan("09:00")
    sent = next_due(daily, NEW_YORK, at("2026-03-12T10:00"))
    assert sent == at("2026-03-12T13:00")
    again = next_due(daily, LOS_ANGELES, at("2026-03-12T13:30"))
    assert again == at("2026-03-12T16:00")
    kept_back = due(due_at=again, window_end=again + timedelta(hours=1), last_sent_at=sent, gap_minutes=720)
    assert decide(kept_back, again) == Decision("suppressed", "min-gap")
    following = next_due(daily, LOS_ANGELES, again)
    assert following == at("2026-03-13T16:00")
    kept = due(due_at=following, window_end=following + timedelta(hours=1), last_sent_at=sent, gap_minutes=720)
    assert decide(kept, following) == Decision("send", "due")


def test_ana_moves_east_past_a_slot_whose_window_is_still_open():
    """T4: at 14:00 UTC 09:00 in New York is an hour gone, its window of four hours is not: it is due at once."""
    daily, moved = plan("09:00", window_minutes=240), at("2026-03-12T14:00")
    assert next_due(daily, LOS_ANGELES, at("2026-03-11T12:00")) == at("2026-03-11T16:00")
    open_still = [one for one in occurrences(daily, NEW_YORK, moved - timedelta(hours=4), moved) if one.window_end > moved]
    assert [(one.due, one.window_end) for one in open_still] == [(at("2026-03-12T13:00"), at("2026-03-12T17:00"))]
    assert decide(due(due_at=open_still[0].due, window_end=open_still[0].window_end), moved) == Decision("send", "due")
    assert next_due(daily, NEW_YORK, moved) == at("2026-03-13T13:00")
