"""The sobriety ledger, against fixed vectors and against a second, dumb implementation that walks every day."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from companion_sdk import wire
from companion_sdk.clinical.days import local_day
from companion_sdk.clinical.sobriety import CheckIn, sobriety_days, summary

FIRST = date(2026, 1, 1)
NEW_YORK = "America/New_York"
SHARED = Path(__file__).parents[2].parent / "shared" / "clinical"

LAST_USE = [
    ("2026-03-01T04:30:00+00:00", "2026-03-02T04:30:00+00:00", NEW_YORK, 1, "23:30 local on both days"),
    ("2026-03-01T05:30:00+00:00", "2026-03-02T04:30:00+00:00", NEW_YORK, 0, "00:30 to 23:30 of one local day"),
    ("2026-03-07T20:00:00+00:00", "2026-03-09T14:00:00+00:00", NEW_YORK, 2, "the spring change lies between"),
    ("2026-10-31T20:00:00+00:00", "2026-11-02T14:00:00+00:00", NEW_YORK, 2, "the autumn change lies between"),
    ("2026-01-01T10:30:00+00:00", "2026-01-01T11:30:00+00:00", "Pacific/Auckland", 1, "midnight within one hour"),
    ("2024-02-28T12:00:00+00:00", "2024-03-01T12:00:00+00:00", "UTC", 2, "leap day"),
    ("2026-03-02T12:00:00+00:00", "2026-03-01T12:00:00+00:00", "UTC", 0, "a clock that ran ahead: never negative"),
]

# days of use, days with a report, last day; longest run, percent of reported days, percent with missing as use
ABSTINENCE = [
    ([], range(1, 31), 30, 30, 100.0, 100.0),
    ([10], range(1, 31), 30, 20, 96.666667, 96.666667),
    ([10, 11, 25], [*range(1, 5), *range(7, 20), *range(21, 31)], 30, 8, 88.888889, 80.0),
    ([1], [1], 7, 0, 0.0, 0.0),
    ([], [], 7, 0, None, 0.0),
]


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def sober(number: int, zone: str = "UTC") -> CheckIn:
    return CheckIn(day(number), zone, wire.Sobriety(sober=True))


def used(number: int, *substances: str) -> CheckIn:
    uses = [wire.Use(substance=substance) for substance in substances or ("alcohol",)]
    return CheckIn(day(number), "UTC", wire.Sobriety(sober=False, uses=uses))


def recalled(on: int, at: datetime, zone: str = "UTC", substance: str = "alcohol") -> CheckIn:
    return CheckIn(day(on), zone, wire.Sobriety(sober=True, uses=[wire.Use(substance=substance, at=at)]))


@pytest.mark.parametrize(("last_use", "now", "zone", "days", "why"), LAST_USE)
def test_days_since_the_last_use(last_use: str, now: str, zone: str, days: int, why: str):
    assert sobriety_days(datetime.fromisoformat(last_use), datetime.fromisoformat(now), zone) == days, why


def check_published(use: list[int], reported: list[int], end: int, longest: int, percent: float | None, all_days: float):
    entries = [used(number) if number in use else sober(number) for number in reported]
    seen = summary(entries, day(end))
    assert seen.longest == longest
    assert seen.percent_abstinent.reported == (None if percent is None else pytest.approx(percent, abs=5e-7))
    assert seen.percent_abstinent.missing_as_use == pytest.approx(all_days, abs=5e-7)


@pytest.mark.parametrize(("use", "reported", "end", "longest", "percent", "all_days"), ABSTINENCE)
def test_the_published_vectors(
    use: list[int], reported: list[int], end: int, longest: int, percent: float | None, all_days: float
):
    check_published(use, list(reported), end, longest, percent, all_days)


def test_the_shared_files_say_the_same():
    if not SHARED.is_dir():
        pytest.skip("the shared vectors are not beside this repository")
    for case in json.loads((SHARED / "trend_vectors.json").read_text())["abstinence"]:
        given, out = case["inp"], case["out"]
        streak, percent, missing = out["longest_streak_confirmed"], out["pda_reported"], out["pda_missing_as_use"]
        check_published(given["use"], given["reported"], given["end"], streak, percent, missing)
    for case in json.loads((SHARED / "domain_vectors.json").read_text())["sobriety_days"]:
        last_use, now = (datetime.fromisoformat(case[name]) for name in ("last_use_utc", "now_utc"))
        assert sobriety_days(last_use, now, case["tz"]) == case["days"], case["note"]


def test_nothing_was_ever_said():
    seen = summary([], FIRST)
    assert (seen.days_since_use, seen.confirmed, seen.unknown, seen.longest) == (None, 0, 0, 0)
    assert (seen.last_use, seen.lapses, seen.check_in_streak, seen.total_confirmed) == (None, 0, 0, 0)
    assert (seen.percent_abstinent.reported, seen.percent_abstinent.missing_as_use) == (None, 0.0)
    assert (seen.excused, seen.tested, seen.substance, seen.on) == (0, None, None, FIRST)


def test_a_lapse_keeps_the_longest_run():
    seen = summary([*map(sober, range(1, 41)), used(41), sober(42), sober(43)], day(43))
    assert (seen.longest, seen.total_confirmed, seen.days_since_use, seen.confirmed, seen.unknown) == (40, 42, 2, 2, 0)
    assert (seen.last_use, seen.lapses) == (day(41), 1)


def test_a_silent_day_is_unknown_and_ends_the_run():
    seen = summary([sober(1), sober(2), sober(4), sober(5), sober(6)], day(8))
    assert (seen.longest, seen.days_since_use, seen.confirmed, seen.unknown) == (3, 7, 4, 3)
    assert seen.percent_abstinent == wire.PercentAbstinent(reported=100.0, missing_as_use=62.5)


def test_any_use_on_a_day_wins_that_day_whatever_was_said_before_or_after():
    for entries in ([sober(1), used(1)], [used(1), sober(1)], [sober(1), used(1), sober(1)]):
        seen = summary(entries, day(1))
        assert (seen.total_confirmed, seen.last_use, seen.days_since_use) == (0, day(1), 0)


def test_adjacent_days_of_use_are_one_lapse():
    seen = summary([used(1), used(2), sober(3), used(4), used(6), used(7), used(8)], day(9))
    assert seen.lapses == 3


def test_a_silent_day_between_two_days_of_use_is_not_taken_for_use():
    assert summary([used(1), used(3)], day(3)).lapses == 2


def test_each_substance_has_its_own_ledger():
    entries = [sober(1), used(2, "cannabis"), sober(3), used(4, "alcohol", "cannabis"), sober(5)]
    alcohol, cannabis = summary(entries, day(5), "alcohol"), summary(entries, day(5), "cannabis")
    assert (alcohol.substance, alcohol.last_use, alcohol.lapses) == ("alcohol", day(4), 1)
    assert (cannabis.last_use, cannabis.lapses) == (day(4), 2)
    gambling = summary(entries, day(5), "gambling")
    assert (gambling.last_use, gambling.days_since_use, gambling.confirmed, gambling.unknown) == (None, 4, 2, 2)


def test_a_day_with_only_a_report_of_another_substance_is_unknown():
    seen = summary([sober(1), used(2, "cannabis"), sober(3)], day(3), "alcohol")
    assert (seen.longest, seen.total_confirmed, seen.unknown) == (1, 2, 1)
    assert seen.check_in_streak == 3
    assert seen.percent_abstinent.reported == 100.0


def test_a_use_counts_on_its_own_local_day():
    after_midnight_utc = datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert summary([recalled(5, after_midnight_utc, NEW_YORK)], day(5)).last_use == day(1)
    assert summary([recalled(5, after_midnight_utc, "UTC")], day(5)).last_use == day(2)


def test_a_recalled_use_before_the_first_check_in_moves_the_start():
    seen = summary([recalled(5, datetime(2026, 1, 2, 12, tzinfo=UTC))], day(6))
    assert (seen.days_since_use, seen.confirmed, seen.unknown) == (4, 1, 3)
    assert seen.percent_abstinent == wire.PercentAbstinent(reported=50.0, missing_as_use=20.0)


def test_what_happens_after_the_day_asked_for_is_not_known_on_it():
    entries = [*map(sober, range(1, 6)), used(6), sober(7)]
    assert summary(entries, day(5)) == summary(entries[:5], day(5))
    later_use = recalled(5, datetime(2026, 1, 6, 1, tzinfo=UTC))
    assert summary([*entries[:4], later_use], day(5)) == summary(entries[:5], day(5))


@pytest.mark.parametrize("sent_in_utc", [False, True])
@pytest.mark.parametrize(("second", "streak"), [("2026-03-03T21:00:00-05:00", 2), ("2026-03-02T21:00:00-05:00", 1)])
def test_two_check_ins_in_new_york(second: str, streak: int, sent_in_utc: bool):
    """Monday 08:00 and Tuesday 21:00 are two days; Monday 08:00 and 21:00 are one, though 21:00 is Tuesday in UTC."""
    instants = [datetime.fromisoformat(text) for text in ("2026-03-02T08:00:00-05:00", second)]
    if sent_in_utc:
        instants = [at.astimezone(UTC) for at in instants]
    days = [local_day(at, NEW_YORK) for at in instants]
    entries = [CheckIn(on, NEW_YORK, wire.Sobriety(sober=True)) for on in days]
    assert summary(entries, days[-1]).check_in_streak == streak


@pytest.mark.parametrize(
    ("answered", "on", "streak"),
    [([1, 2, 3], 3, 3), ([1, 2, 3], 4, 3), ([1, 2, 3], 5, 0), ([1, 3], 3, 1), ([1, 2, 4], 4, 1), ([3], 2, 0)],
)
def test_the_streak_of_check_ins_waits_for_today(answered: list[int], on: int, streak: int):
    assert summary([sober(number) for number in answered], day(on)).check_in_streak == streak


def test_a_check_in_that_tells_of_a_use_counts_for_the_streak():
    assert summary([sober(1), used(2), sober(3)], day(3)).check_in_streak == 3


class Known(NamedTuple):
    """What one day is, found by reading every entry again for every day."""

    on: date
    answered: bool
    use: bool
    confirmed: bool


def dumb_days(entries: list[CheckIn], on: date, substance: str | None) -> list[Known]:
    found: list[Known] = []
    one = FIRST - timedelta(days=60)
    while one <= on:
        answered = use = says_sober = False
        for entry in entries:
            answered = answered or entry.day == one
            says_sober = says_sober or (entry.day == one and entry.body.sober)
            for item in entry.body.uses:
                own = entry.day if item.at is None else local_day(item.at, entry.zone)
                use = use or (own == one and (substance is None or item.substance == substance))
        found.append(Known(one, answered, use, says_sober and not use))
        one += timedelta(days=1)
    while found and not (found[0].answered or found[0].use):
        found.pop(0)
    return found


def dumb(entries: list[CheckIn], on: date, substance: str | None) -> wire.SobrietySummary:
    days = dumb_days(entries, on, substance)
    longest = run = total = lapses = use_days = 0
    before = False
    for known in days:
        run = run + 1 if known.confirmed else 0
        longest = max(longest, run)
        total += known.confirmed
        use_days += known.use
        lapses += known.use and not before
        before = known.use
    last_use = next((known.on for known in reversed(days) if known.use), None)
    anchor = last_use or (days[0].on if days else None)
    since = [known for known in days if anchor is not None and known.on > anchor]
    answers = [known.answered for known in days]
    if answers and not answers[-1]:
        answers.pop()
    streak = answers[::-1].index(False) if False in answers else len(answers)
    return wire.SobrietySummary(
        substance=substance,
        on=on,
        days_since_use=None if anchor is None else len(since),
        confirmed=sum(known.confirmed for known in since),
        unknown=sum(not known.confirmed for known in since),
        longest=longest,
        total_confirmed=total,
        percent_abstinent=wire.PercentAbstinent(
            reported=None if total + use_days == 0 else 100 * total / (total + use_days),
            missing_as_use=0.0 if not days else 100 * total / len(days),
        ),
        check_in_streak=streak,
        last_use=last_use,
        lapses=lapses,
        excused=0,
        tested=None,
    )


SUBSTANCE = st.sampled_from(["alcohol", "cannabis", "gambling"])
ZONE = st.sampled_from([NEW_YORK, "UTC", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Pago_Pago"])


@st.composite
def check_in(draw: st.DrawFn) -> CheckIn:
    number = draw(st.integers(1, 40))
    is_sober = draw(st.booleans())
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    at = st.one_of(st.none(), st.integers(-48, 24 * 42).map(lambda hours: noon + timedelta(hours=hours)))
    use = st.builds(wire.Use, substance=SUBSTANCE, at=at)
    uses = draw(st.lists(use, min_size=0 if is_sober else 1, max_size=0 if is_sober and draw(st.booleans()) else 3))
    return CheckIn(day(number), draw(ZONE), wire.Sobriety(sober=is_sober, uses=uses))


HISTORY = st.lists(check_in(), max_size=40)
ON = st.integers(1, 45).map(day)
MANY = settings(max_examples=300, deadline=None)


@MANY
@given(HISTORY, ON, st.none() | SUBSTANCE)
def test_it_agrees_with_the_dumb_one(entries: list[CheckIn], on: date, substance: str | None):
    assert summary(entries, on, substance) == dumb(entries, on, substance)


@MANY
@given(HISTORY, ON, st.none() | SUBSTANCE, st.randoms(use_true_random=False))
def test_the_order_of_entries_is_irrelevant(entries: list[CheckIn], on: date, substance: str | None, random):
    shuffled = entries.copy()
    random.shuffle(shuffled)
    assert summary(shuffled, on, substance) == summary(entries, on, substance)


@MANY
@given(HISTORY, ON, st.none() | SUBSTANCE)
def test_the_parts_always_add_up(entries: list[CheckIn], on: date, substance: str | None):
    seen = summary(entries, on, substance)
    assert (seen.days_since_use or 0) == seen.confirmed + seen.unknown
    assert 0 <= seen.confirmed <= seen.total_confirmed
    assert seen.longest <= seen.total_confirmed
    assert seen.percent_abstinent.missing_as_use <= (seen.percent_abstinent.reported or 0.0) <= 100
    if seen.last_use is not None:
        assert seen.days_since_use == (on - seen.last_use).days


@MANY
@given(HISTORY, st.integers(1, 10), st.none() | st.just("alcohol"))
def test_a_use_on_a_later_day_takes_nothing_back(entries: list[CheckIn], later: int, substance: str | None):
    before = summary(entries, day(60), substance)
    lapsed = [*entries, used(60 + later)]
    after = summary(lapsed, day(60 + later), substance)
    assert (after.longest, after.total_confirmed) == (before.longest, before.total_confirmed)
    assert after.days_since_use == 0


@MANY
@given(st.integers(1, 20), st.integers(1, 30), st.data())
def test_a_use_put_onto_a_day_inside_a_run_splits_it_and_deleting_it_restores_it(first: int, length: int, data):
    """One long run with a shorter one before it, so that what is restored is exactly what was taken."""
    run = [sober(number) for number in range(first + 2, first + 2 + length)]
    history = [sober(first), *run]
    inside = data.draw(st.integers(first + 2, first + 1 + length))
    use = data.draw(
        st.sampled_from([used(inside), recalled(first + 60, datetime(2026, 1, 1, 9, tzinfo=UTC) + (day(inside) - FIRST))])
    )
    assume(length > 1)
    on = day(first + 60)
    before = summary(history, on)
    history.insert(data.draw(st.integers(0, len(history))), use)
    after = summary(history, on)
    history.remove(use)
    recalled_day = use.day == on  # the entry that tells of it is itself a sober check-in of the last day
    left, right = inside - first - 2, first + 1 + length - inside
    assert before.longest == length
    assert after.longest == max(left, right, 1)
    assert after.total_confirmed == before.total_confirmed - 1 + recalled_day
    assert (after.last_use, after.lapses) == (day(inside), 1)
    assert summary(history, on) == before


def test_a_use_recalled_later_counts_for_the_day_it_was_on():
    entries = [sober(1), sober(2), sober(3), recalled(9, datetime(day(2).year, day(2).month, day(2).day, 12, tzinfo=UTC))]
    seen = summary(entries, day(3))
    assert (seen.last_use, seen.total_confirmed, seen.longest) == (day(2), 2, 1)
