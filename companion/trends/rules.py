"""Daily series of a person's answers: what each day says and means over past days. Pure: no clock, no database.

A day without an answer is never filled in: it has no point in any list, and how many there are is told.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from companion_sdk import wire

SERIES: dict[str, tuple[str, str]] = {
    "mood": ("mood", "mood"),
    "energy": ("mood", "energy"),
    "anxiety": ("mood", "anxiety"),
    "irritability": ("mood", "irritability"),
    "sleep_hours": ("mood", "sleep_hours"),
    "craving": ("sobriety", "craving"),
    "craving_peak": ("sobriety", "craving_peak"),
    "urge": ("coping", "urge_before"),
}
"""Name of a series to the kind of entry and the field its values come from."""

WINDOWS = (7, 28)
"""Lengths in days of the windows that ``means`` is given for; what a caller reads before its range: the longest."""

ENOUGH = 14
"""Answered days below which nothing is said about what is usual for this person (a project default)."""


def daily(values: Iterable[tuple[date, float]]) -> list[wire.Point]:
    """One point for each answered day, oldest first: the mean of its ``n`` values, given in any order."""
    found: dict[date, list[float]] = {}
    for day, value in values:
        found.setdefault(day, []).append(value)
    return [wire.Point(day=day, n=len(found[day]), value=_mean(found[day])) for day in sorted(found)]


def rolling(points: Sequence[wire.Point], days: int) -> list[wire.Mean]:
    """For each answered day the mean over the answered days among the ``days`` days that end with it.

    Each answered day weighs the same, however many values it has. ``points`` are those of ``daily``: one a day, oldest
    first.

    Raises:
        ValueError: when ``days`` is less than 1.
    """
    if days < 1:
        raise ValueError("a window has at least one day")
    answered = [point.day for point in points]
    values = [point.value for point in points]
    means: list[wire.Mean] = []
    for end, day in enumerate(answered, start=1):
        first = bisect_right(answered, day - timedelta(days=days), hi=end)
        means.append(wire.Mean(day=day, value=_mean(values[first:end])))
    return means


def _mean(values: Sequence[float]) -> float:
    """The mean of a few bounded values; ``statistics.fmean`` costs ten times as much and says the same to 15 digits."""
    return sum(values) / len(values)


def missing(points: Iterable[wire.Point], from_: date, to: date) -> wire.Missing:
    """Days of ``from_`` to ``to``, both inclusive, without a point, and their share of all days.

    Raises:
        ValueError: when ``to`` lies before ``from_``.
    """
    days = (to - from_).days + 1
    if days < 1:
        raise ValueError("a range ends before it begins")
    silent = days - len({point.day for point in points if from_ <= point.day <= to})
    return wire.Missing(days=silent, share=silent / days)


def series(values: Iterable[tuple[date, float]], from_: date, to: date) -> wire.Series:
    """One question from ``from_`` to ``to``, both inclusive.

    ``values`` should begin ``max(WINDOWS) - 1`` days earlier: earlier answers count in the means of the first days and
    nowhere else; later ones are ignored. ``not_yet`` is ``not_enough_answers`` below ``ENOUGH`` answered days in the
    range, else ``not_computed``; smoothing, baseline, alarms and drift are empty either way.

    Raises:
        ValueError: when ``to`` lies before ``from_``.
    """
    known = daily(values)
    points = [point for point in known if from_ <= point.day <= to]
    means = {str(days): [mean for mean in rolling(known, days) if from_ <= mean.day <= to] for days in WINDOWS}
    return wire.Series(
        points=points,
        smooth=[],
        baseline=None,
        alarms=[],
        drift=None,
        means=means,
        missing=missing(points, from_, to),
        not_yet=["not_enough_answers" if len(points) < ENOUGH else "not_computed"],
    )
