"""When a plan is due on the patient's own wall clock, against fixed vectors and against another library."""

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import pytest
import whenever
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.nudges.rules import next_due, occurrences, quiet_until
from companion_sdk import wire

whenever.reset_tzpath(())  # both libraries read the pinned tzdata, as the service does

NEW_YORK, LOS_ANGELES = "America/New_York", "America/Los_Angeles"
CASES, FULL_CASES = 4_000, 100_000
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
PLACES = sorted(available_timezones() - {"localtime", "posixrules", "Factory"})


def plan(*times: str, **changes: Any) -> wire.PlanIn:
    whole = {"about": "mood", "times": list(times), "window_minutes": 60, "channels": ["email"], **changes}
    return msgspec.convert(whole, wire.PlanIn)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def quiet(from_: str, to: str) -> wire.QuietHours:
    return wire.QuietHours(from_=from_, to=to)


LOCAL_TIME = [
    (1, NEW_YORK, "02:30", "2026-03-07T12:00", ["2026-03-08T07:30", "2026-03-09T06:30"], "gap: 03:30"),
    (2, NEW_YORK, "01:30", "2026-10-31T12:00", ["2026-11-01T05:30", "2026-11-02T06:30"], "overlap: the first only"),
    (3, NEW_YORK, "09:00", "2026-03-07T15:00", ["2026-03-08T13:00", "2026-03-09T13:00"], "23 hours"),
    (5, "Australia/Lord_Howe", "02:15", "2026-10-02T20:00", ["2026-10-03T15:45", "2026-10-04T15:15"], "30-minute gap"),
    (7, "Africa/Cairo", "00:30", "2026-04-23T12:00", ["2026-04-23T22:30", "2026-04-24T21:30"], "gap at midnight"),
    (9, "Europe/London", "01:30", "2026-03-28T12:00", ["2026-03-29T01:30", "2026-03-30T00:30"], "gap"),
    (10, "Europe/London", "01:30", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"], "overlap"),
    (12, "Asia/Kolkata", "21:30", "2026-11-24T16:30", ["2026-11-25T16:00"], "+5:30, today's slot has passed"),
    (13, "Asia/Kathmandu", "07:00", "2026-11-24T00:00", ["2026-11-24T01:15"], "+5:45"),
    (14, "America/Phoenix", "20:00", "2026-03-08T01:00", ["2026-03-08T03:00", "2026-03-09T03:00"], "no clock change"),
    (16, "Pacific/Chatham", "03:00", "2026-09-26T00:00", ["2026-09-26T14:15", "2026-09-27T13:15"], "+12:45, gap"),
    (17, "America/Santiago", "00:15", "2026-09-05T12:00", ["2026-09-06T04:15", "2026-09-07T03:15"], "gap at midnight"),
    (
        20,
        "Pacific/Apia",
        "08:00",
        "2011-12-29T00:00",
        ["2011-12-29T18:00", "2011-12-30T18:00"],
        "a date that never was",
    ),
    (21, "America/Nuuk", "23:30", "2026-03-28T12:00", ["2026-03-29T01:30", "2026-03-30T00:30"], "gap over midnight"),
    (23, "Pacific/Kiritimati", "08:00", "2026-11-24T12:00", ["2026-11-24T18:00"], "+14"),
    (24, "Pacific/Pago_Pago", "08:00", "2026-11-24T12:00", ["2026-11-24T19:00"], "-11"),
]


@pytest.mark.parametrize(("row", "zone", "slot", "now", "due", "why"), LOCAL_TIME, ids=lambda value: str(value)[:20])
def test_a_daily_plan_in_local_time(row: int, zone: str, slot: str, now: str, due: list[str], why: str):
    after = at(now)
    for expected in due:
        after = next_due(plan(slot), zone, after)
        assert after == at(expected), f"row {row}: {why}"


def test_chosen_days_over_a_clock_change():
    """Row 11: Monday, Wednesday, Friday at 08:00 in Berlin over the weekend of the spring change."""
    chosen = plan("08:00", days=["mon", "wed", "fri"])
    found = list(occurrences(chosen, "Europe/Berlin", at("2026-03-27T10:00"), at("2026-04-03T06:00")))
    assert [one.due for one in found] == [at("2026-03-30T06:00"), at("2026-04-01T06:00"), at("2026-04-03T06:00")]


def test_the_date_apia_skipped_gives_nothing_and_its_neighbours_give_once():
    slots = plan("00:00", "08:00", "23:59")
    found = list(occurrences(slots, "Pacific/Apia", at("2011-12-29T10:00"), at("2012-01-01")))
    assert [(str(one.date), one.slot) for one in found] == [
        *[("2011-12-29", slot) for slot in ("08:00", "23:59")],
        *[("2011-12-31", slot) for slot in ("00:00", "08:00", "23:59")],
        *[("2012-01-01", slot) for slot in ("00:00", "08:00")],
    ]
    assert not list(occurrences(plan("08:00", start="2011-12-30", until="2011-12-30"), "Pacific/Apia", at("2011-12-01")))


def test_ana_moves_west_in_the_middle_of_a_week():
    """T1: 09:00 in New York until Wednesday 18:00 UTC, then 09:00 in Los Angeles."""
    daily = plan("09:00")
    assert next_due(daily, NEW_YORK, at("2026-03-11T10:00")) == at("2026-03-11T13:00")
    assert next_due(daily, LOS_ANGELES, at("2026-03-11T18:00")) == at("2026-03-12T16:00")


def test_the_key_holds_the_zone():
    """T6: the same slot and date in another zone is another occurrence."""
    keys = {next(occurrences(plan("09:00"), zone, at("2026-03-11T10:00"), key="p")).key for zone in (NEW_YORK, LOS_ANGELES)}
    assert keys == {"p|09:00|2026-03-11|America/New_York", "p|09:00|2026-03-11|America/Los_Angeles"}


def test_due_is_strictly_after_and_until_is_included():
    daily = plan("12:00")
    noon = at("2026-05-01T12:00")
    assert next_due(daily, "UTC", noon) == noon + timedelta(days=1)
    assert next_due(daily, "UTC", noon - timedelta(microseconds=1)) == noon
    assert [one.due for one in occurrences(daily, "UTC", noon - timedelta(days=1), noon)] == [noon]
    assert not list(occurrences(daily, "UTC", noon - timedelta(days=1), noon - timedelta(microseconds=1)))


def test_start_and_until_are_local_dates_both_included():
    limited = plan("23:30", start="2026-05-10", until="2026-05-12")
    found = list(occurrences(limited, NEW_YORK, at("2026-01-01")))
    assert [str(one.date) for one in found] == ["2026-05-10", "2026-05-11", "2026-05-12"]
    assert found[-1].due == at("2026-05-13T03:30")
    assert next_due(limited, NEW_YORK, found[-1].due) is None


def test_a_plan_that_is_over_or_lies_beyond_the_calendar_is_never_due():
    now = at("2026-05-01")
    assert next_due(plan("12:00", until="2026-04-30"), "UTC", now) is None
    assert next_due(plan("12:00", start="2026-06-02", until="2026-06-01"), "UTC", now) is None
    assert next_due(plan("12:00", start="2026-06-02", until="2026-06-02", days=["mon"]), "UTC", now) is None
    assert next_due(plan("23:59", start="9999-12-31"), "Pacific/Pago_Pago", now) is None
    assert next_due(plan("12:00", start="0001-01-01"), "UTC", now) == at("2026-05-01T12:00")
    assert next_due(plan("12:00", start="2900-01-01"), "UTC", now) == at("2900-01-01T12:00")


def test_the_answer_is_utc_and_the_zone_may_be_a_zoneinfo():
    answer = next_due(plan("09:00"), ZoneInfo(NEW_YORK), datetime(2026, 3, 11, 6, tzinfo=ZoneInfo(NEW_YORK)))
    assert answer == at("2026-03-11T13:00")
    assert answer.tzinfo is UTC


def test_what_cannot_be_reckoned_is_refused():
    with pytest.raises(ValueError, match="no such time zone"):
        next_due(plan("09:00"), "Mars/Olympus", at("2026-01-01"))
    with pytest.raises(ValueError, match="offset"):
        next_due(plan("09:00"), "UTC", at("2026-01-01").replace(tzinfo=None))


def test_two_slots_that_a_clock_change_puts_on_one_instant_are_one_nudge():
    together = plan("02:30", "03:30", "03:30", "01:00")
    found = list(occurrences(together, NEW_YORK, at("2026-03-08T05:00"), at("2026-03-09T07:30")))
    assert [(one.slot, one.due) for one in found] == [
        ("01:00", at("2026-03-08T06:00")),
        ("02:30", at("2026-03-08T07:30")),
        ("01:00", at("2026-03-09T05:00")),
        ("02:30", at("2026-03-09T06:30")),
        ("03:30", at("2026-03-09T07:30")),
    ]
    over_midnight = occurrences(plan("00:30", "23:30"), "America/Nuuk", at("2026-03-28T12:00"), at("2026-03-29T12:00"))
    assert [(one.slot, str(one.date), one.due) for one in over_midnight] == [("23:30", "2026-03-28", at("2026-03-29T01:30"))]


def test_a_slot_moved_over_midnight_still_comes_in_order():
    found = occurrences(plan("00:05", "23:30"), "America/Nuuk", at("2026-03-28T12:00"), at("2026-03-29T12:00"))
    assert [(one.slot, one.due) for one in found] == [
        ("00:05", at("2026-03-29T01:05")),
        ("23:30", at("2026-03-29T01:30")),
    ]


# The same rule by another library: every slot of every date near the instant, by "compatible" disambiguation.


def elsewhere(day: date, slot: time, zone: str) -> whenever.ZonedDateTime:
    plain = whenever.PlainDateTime(day.year, day.month, day.day, slot.hour, slot.minute)
    return plain.assume_tz(zone, disambiguation="compatible")


def next_due_by_looking(of: wire.PlanIn, zone: str, after: datetime) -> datetime | None:
    around = max(after.date(), of.start or after.date())
    found: list[datetime] = []
    for step in range(-3, 11):
        day = around + timedelta(days=step)
        inside = (of.start or day) <= day <= (of.until or day)
        if not inside or (of.days is not None and WEEKDAYS[day.weekday()] not in of.days):
            continue
        if elsewhere(day, time(12), zone).date() != whenever.Date(day.year, day.month, day.day):
            continue
        for slot in of.times:
            instant = elsewhere(day, time.fromisoformat(slot), zone).to_instant()
            found.append(datetime.fromtimestamp(instant.timestamp(), UTC))
    return min((one for one in found if one > after), default=None)


def clock_changes(zone: str, cache: dict[str, list[datetime]]) -> list[datetime]:
    """Hours of 1990–2040 in which the zone's offset changes."""
    if zone not in cache:
        where, day = ZoneInfo(zone), timedelta(days=1)
        days = [datetime(1990, 1, 1, tzinfo=UTC) + day * step for step in range(366 * 50)]
        offsets = [one.astimezone(where).utcoffset() for one in days]
        cache[zone] = [one for one, (now, then) in zip(days, pairwise(offsets), strict=False) if now != then]
    return cache[zone]


def some_plan(random: Random, around: date) -> wire.PlanIn:
    hours = random.choice([range(24), range(4), (23, 0)])
    times = [f"{random.choice(hours):02}:{random.choice([0, 15, 30, 59]):02}" for _ in range(random.randint(1, 4))]
    changes: dict[str, Any] = {}
    if random.random() < 0.4:
        changes["days"] = random.sample(WEEKDAYS, random.randint(1, 6))
    if random.random() < 0.3:
        changes["start"] = around + timedelta(days=random.randint(-3, 5))
    if random.random() < 0.3:
        changes["until"] = around + timedelta(days=random.randint(-1, 8))
    return plan(*times, **changes)


def test_next_due_agrees_with_another_library(request: pytest.FixtureRequest, say):
    full = bool(request.config.getoption("--full", default=False))
    count = FULL_CASES if full else CASES
    random = Random(20260308)
    places = PLACES if full else random.sample(PLACES, 60)
    cache: dict[str, list[datetime]] = {}
    near = never = 0
    for _ in range(count):
        zone = random.choice([NEW_YORK, "Pacific/Apia", "America/Nuuk", "Africa/Cairo", *random.choices(places, k=6)])
        changes = clock_changes(zone, cache)
        if changes and random.random() < 0.7:
            after = random.choice(changes) + timedelta(minutes=random.randint(-2 * 1440, 2 * 1440))
            near += 1
        else:
            after = datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randint(0, 50 * 365 * 86400))
        made = some_plan(random, after.date())
        expected = next_due_by_looking(made, zone, after)
        never += expected is None
        assert next_due(made, zone, after) == expected, (zone, made, after)
    say(f"next_due: {count:,} random cases equal to whenever, {near:,} near a clock change, {never:,} never due")
    assert near > count / 4


# Jitter, and walking in steps.

PLAN_TIMES = st.lists(st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)), min_size=1, max_size=4)
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


def test_jitter_is_the_same_for_whoever_asks():
    """C6: minutes = SHA-256("p|20:00|2026-05-01") mod 31, read big-endian from its first 8 bytes."""
    jittered = plan("20:00", jitter_minutes=30)
    minutes = int.from_bytes(hashlib.sha256(b"p|20:00|2026-05-01").digest()[:8], "big") % 31
    first = next(occurrences(jittered, "UTC", at("2026-05-01"), key="p"))
    assert first.due == at("2026-05-01T20:00") + timedelta(minutes=minutes)
    assert first.window_end == at("2026-05-01T21:00")
    assert first.key == "p|20:00|2026-05-01|UTC"


def test_jitter_spreads_over_all_its_minutes_and_only_those():
    jittered = plan("20:00", jitter_minutes=9)
    found = occurrences(jittered, "UTC", at("2026-01-01"), at("2027-01-01"), key="p")
    assert {one.due.minute for one in found} == set(range(10))


def test_without_jitter_the_plan_s_name_moves_nothing():
    for key in ("", "p", "q"):
        assert next(occurrences(plan("20:00"), "UTC", at("2026-05-01"), key=key)).due == at("2026-05-01T20:00")


def test_jitter_wider_than_the_window_leaves_its_last_minute():
    wide = plan("20:00", jitter_minutes=720, window_minutes=5)
    found = list(occurrences(wide, "UTC", at("2026-01-01"), at("2026-03-01"), key="p"))
    assert {one.due.minute for one in found} == set(range(5))
    narrow = plan("20:00", jitter_minutes=720, window_minutes=1)
    assert next_due(narrow, "UTC", at("2026-01-01")) == at("2026-01-01T20:00")


@settings(max_examples=300, deadline=None)
@given(PLAN_TIMES, st.integers(1, 1440), st.integers(0, 720), st.none() | QUIET, ZONE, SOME_INSTANT)
def test_jitter_stays_inside_the_window_and_out_of_quiet_hours(
    times: list[str], window: int, jitter: int, hours: wire.QuietHours | None, zone: str, after: datetime
):
    plain = plan(*times, window_minutes=window)
    jittered = msgspec.structs.replace(plain, jitter_minutes=jitter, quiet=hours)
    until = after + timedelta(days=3)
    margin = timedelta(minutes=jitter)
    slots = {one.key: one for one in occurrences(plain, zone, after - margin, until, key="p")}
    found = list(occurrences(jittered, zone, after, until, key="p"))
    for one in found:
        slot = slots[one.key]
        assert slot.due <= one.due <= slot.due + margin
        assert one.due < one.window_end == slot.window_end
        assert one.due == slot.due or hours is None or quiet_until(hours, zone, one.due) is None
    assert {key for key, one in slots.items() if after < one.due <= until - margin} <= {one.key for one in found}


@settings(max_examples=300, deadline=None)
@given(PLAN_TIMES, st.integers(0, 720), ZONE, SOME_INSTANT, st.lists(st.integers(0, 4000), max_size=4))
def test_walking_in_steps_finds_each_occurrence_once_and_in_order(
    times: list[str], jitter: int, zone: str, after: datetime, steps: list[int]
):
    made, end = plan(*times, window_minutes=1440, jitter_minutes=jitter), after + timedelta(minutes=4000)
    whole = list(occurrences(made, zone, after, end, key="p"))
    marks = [after, *(after + timedelta(minutes=minutes) for minutes in sorted(steps)), end]
    assert [one for start, stop in pairwise(marks) for one in occurrences(made, zone, start, stop, key="p")] == whole
    assert [one.due for one in whole] == sorted(one.due for one in whole)
    assert len({one.key for one in whole}) == len(whole)
    by_asking_again: list[datetime] = []
    while (step := next_due(made, zone, by_asking_again[-1] if by_asking_again else after)) is not None and step <= end:
        by_asking_again.append(step)
    unnamed = [one.due for one in occurrences(made, zone, after, end)]
    assert by_asking_again == sorted(set(unnamed))
