"""Daily series: what each day says, means over answered days, and how many days said nothing."""

from datetime import date, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.trends.rules import ENOUGH, SERIES, WINDOWS, daily, missing, rolling, series
from companion_sdk import wire

FIRST = date(2026, 2, 1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def values(**answers: float) -> list[tuple[date, float]]:
    return [(day(int(name[1:])), value) for name, value in answers.items()]


def test_a_day_is_the_mean_of_its_answers():
    points = daily([(day(2), 4), (day(1), 2), (day(2), 5), (day(2), 3)])
    assert points == [wire.Point(day=day(1), n=1, value=2.0), wire.Point(day=day(2), n=3, value=4.0)]


def test_no_answers_no_points():
    assert daily([]) == []
    assert rolling([], 7) == []


def test_a_mean_is_over_the_answered_days_of_its_window_and_stands_only_on_answered_days():
    means = rolling(daily(values(d1=1, d2=3, d8=8, d9=2, d30=5)), 7)
    assert means == [
        wire.Mean(day=day(1), value=1.0),
        wire.Mean(day=day(2), value=2.0),
        wire.Mean(day=day(8), value=5.5),  # days 2 to 8: 3 and 8
        wire.Mean(day=day(9), value=5.0),  # days 3 to 9: 8 and 2
        wire.Mean(day=day(30), value=5.0),
    ]


def test_each_day_weighs_the_same_however_often_ana_answered():
    assert rolling(daily([(day(1), 1), (day(2), 5), (day(2), 5), (day(2), 5)]), 7)[-1].value == 3.0


def test_a_window_without_days_is_refused():
    with pytest.raises(ValueError, match="at least one day"):
        rolling([], 0)


@pytest.mark.parametrize(
    ("answered", "from_", "to", "days", "share"),
    [
        ([1, 2, 3], 1, 3, 0, 0.0),
        ([1, 3], 1, 4, 2, 0.5),
        ([], 1, 10, 10, 1.0),
        ([1, 9], 2, 5, 4, 1.0),
        ([5], 5, 5, 0, 0.0),
    ],
)
def test_missing_days_and_their_share(answered: list[int], from_: int, to: int, days: int, share: float):
    points = daily((day(number), 3) for number in answered)
    assert missing(points, day(from_), day(to)) == wire.Missing(days=days, share=share)


def test_a_range_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="ends before it begins"):
        series([], day(2), day(1))


def test_answers_before_the_range_count_in_its_first_means_and_nowhere_else():
    seen = series(values(d1=1, d5=2, d8=3, d10=5, d11=1), day(8), day(10))
    assert [point.day for point in seen.points] == [day(8), day(10)]
    assert seen.means["7"] == [wire.Mean(day=day(8), value=2.5), wire.Mean(day=day(10), value=10 / 3)]
    assert seen.means["28"] == [wire.Mean(day=day(8), value=2.0), wire.Mean(day=day(10), value=2.75)]
    assert seen.missing == wire.Missing(days=1, share=1 / 3)


def test_what_is_not_computed_is_empty_and_says_so():
    seen = series([(day(number), 3) for number in range(1, ENOUGH + 1)], day(1), day(90))
    assert (seen.smooth, seen.baseline, seen.alarms, seen.drift) == ([], None, [], None)
    assert seen.not_yet == ["not_computed"]
    assert set(seen.means) == {"7", "28"}


@pytest.mark.parametrize(("answers", "word"), [(0, "not_enough_answers"), (13, "not_enough_answers"), (14, "not_computed")])
def test_fourteen_answered_days_are_enough(answers: int, word: str):
    twice_a_day = [(day(number), value) for number in range(1, answers + 1) for value in (2, 4)]
    assert series([(day(-20), 5), *twice_a_day], day(1), day(40)).not_yet == [word]


def test_a_silent_range_travels_as_json():
    sent = msgspec.json.decode(msgspec.json.encode(series([], day(1), day(4))))
    assert sent["points"] == sent["smooth"] == sent["alarms"] == sent["means"]["7"] == []
    assert (sent["baseline"], sent["drift"]) == (None, None)
    assert sent["missing"] == {"days": 4, "share": 1.0}


@pytest.mark.parametrize("name", SERIES)
def test_every_series_reads_a_number_that_the_contract_has(name: str):
    kind, field = SERIES[name]
    found = {item.name: item.type for item in msgspec.structs.fields(wire.KINDS[kind])}
    numbers = msgspec.json.decode(b"[1, 2]", type=list[found[field]])
    assert numbers == [1, 2]


def test_the_names_of_the_series():
    assert list(SERIES) == [
        *("mood", "energy", "anxiety", "irritability", "sleep_hours"),
        *("craving", "craving_peak", "urge"),
    ]


ANSWERS = st.lists(st.tuples(st.integers(1, 80).map(day), st.integers(0, 10) | st.floats(0, 24)), max_size=120)


@settings(max_examples=300, deadline=None)
@given(ANSWERS, st.integers(1, 80), st.integers(0, 40), st.sampled_from(WINDOWS))
def test_means_agree_with_looking_at_every_day(answers: list[tuple[date, float]], first: int, length: int, window: int):
    from_, to = day(first), day(first + length)
    seen = series(answers, from_, to)
    expected: list[tuple[date, float]] = []
    for back in range(length + 1):
        here = from_ + timedelta(days=back)
        means = []
        for number in range(window):
            one = [value for on, value in answers if on == here - timedelta(days=number)]
            if one:
                means.append(sum(one) / len(one))
            elif number == 0:
                break
        if means:
            expected.append((here, sum(means) / len(means)))
    assert [mean.day for mean in seen.means[str(window)]] == [on for on, _ in expected] == [p.day for p in seen.points]
    assert [mean.value for mean in seen.means[str(window)]] == pytest.approx([value for _, value in expected])
    assert len(seen.points) + seen.missing.days == length + 1
