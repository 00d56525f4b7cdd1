"""The sobriety ledger: what a list of check-ins says about one local date; knows no clock and no storage.

Two ways of counting stand side by side on purpose (a self-report proves little, and silence proves nothing): over the
days that were reported, and with every day without a report taken as a day of use.
"""

from collections.abc import Iterable
from datetime import date, datetime

import msgspec

from companion_sdk import wire

from .days import days_between, local_day


class CheckIn(msgspec.Struct, frozen=True):
    """One live sobriety entry: its own local ``day``, the ``zone`` it was written in, and what it says."""

    day: date
    zone: str
    body: wire.Sobriety


class _Ledger(msgspec.Struct, frozen=True):
    """Days as proleptic ordinals: with any check-in, with a counted use, and confirmed sober."""

    answered: set[int]
    used: set[int]
    confirmed: set[int]


def sobriety_days(last_use: datetime, now: datetime, zone: str) -> int:
    """Local calendar days from the last use until now, never hours divided by 24 and never negative."""
    return max(0, days_between(local_day(last_use, zone), local_day(now, zone)))


def summary(check_ins: Iterable[CheckIn], on: date, substance: str | None = None) -> wire.SobrietySummary:
    """What is known on the local date ``on``, of one ``substance`` or (without) of any use. Order does not matter.

    Check-ins of a day after ``on`` are ignored, and so are uses on a day after it; a use recalled later for a day up to
    ``on`` counts, since the ledger says what is known now. What a day is:

    - A *use* counts on its own local day: the date of ``uses[].at`` in the entry's zone, else the entry's day. With
      ``substance`` only uses of that substance count.
    - A day is *confirmed* when it has a check-in with ``sober`` true and no counted use: any use wins its day. A day
      with only a not-sober check-in about another substance is neither confirmed nor used.
    - ``start`` is the first day with a check-in or a counted use.

    Fields of the answer:

    - ``days_since_use``: days from the last day of use, or from ``start`` when none is known, to ``on``; null without
      entries. ``confirmed`` of these days, after that first one and up to ``on``, are confirmed; ``unknown`` are not.
      Always ``confirmed + unknown == days_since_use``.
    - ``longest``: the longest run of consecutive confirmed days; a day without an answer ends a run, since nobody knows
      what happened on it. ``total_confirmed``: confirmed days ever. A use on a later day lowers neither.
    - ``percent_abstinent``: ``reported`` = 100 × confirmed / (confirmed + use days), null without either;
      ``missing_as_use`` = 100 × confirmed / all days from ``start`` to ``on``, 0.0 without any.
    - ``check_in_streak``: consecutive days with a check-in, sober or not, up to ``on``, or up to the day before while
      ``on`` has none yet.
    - ``last_use``: the last day of use. ``lapses``: episodes, that is runs of adjacent days of use.
    - ``excused``: 0 and ``tested``: null, until planned pauses and drug tests are recorded.
    """
    ledger = _read(check_ins, on, substance)
    today = on.toordinal()
    last_use = max(ledger.used, default=None)
    start = min(ledger.answered | ledger.used, default=None)
    since = start if last_use is None else last_use
    days_since_use = None if since is None else today - since
    confirmed = 0 if since is None else sum(day > since for day in ledger.confirmed)
    return wire.SobrietySummary(
        substance=substance,
        on=on,
        days_since_use=days_since_use,
        confirmed=confirmed,
        unknown=(days_since_use or 0) - confirmed,
        longest=max(_runs(ledger.confirmed), default=0),
        total_confirmed=len(ledger.confirmed),
        percent_abstinent=wire.PercentAbstinent(
            reported=_percent(len(ledger.confirmed), len(ledger.confirmed) + len(ledger.used)),
            missing_as_use=_percent(len(ledger.confirmed), 0 if start is None else today - start + 1) or 0.0,
        ),
        check_in_streak=_streak(ledger.answered, today),
        last_use=None if last_use is None else date.fromordinal(last_use),
        lapses=len(_runs(ledger.used)),
        excused=0,
        tested=None,
    )


def _read(check_ins: Iterable[CheckIn], on: date, substance: str | None) -> _Ledger:
    answered: set[int] = set()
    sober: set[int] = set()
    used: set[int] = set()
    for entry in check_ins:
        if entry.day <= on:
            answered.add(entry.day.toordinal())
            if entry.body.sober:
                sober.add(entry.day.toordinal())
        for use in entry.body.uses:
            day = entry.day if use.at is None else local_day(use.at, entry.zone)
            if day <= on and substance in (None, use.substance):
                used.add(day.toordinal())
    return _Ledger(answered, used, sober - used)


def _runs(days: set[int]) -> list[int]:
    """Lengths of the maximal runs of adjacent days."""
    lengths: list[int] = []
    for first in days:
        if first - 1 not in days:
            end = first
            while end in days:
                end += 1
            lengths.append(end - first)
    return lengths


def _streak(answered: set[int], today: int) -> int:
    last = today if today in answered else today - 1
    day = last
    while day in answered:
        day -= 1
    return last - day


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
