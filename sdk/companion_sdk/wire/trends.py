"""Daily series and the sobriety ledger as the service answers them."""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from .base import Reply


class Point(Reply, frozen=True):
    """One answered day: the mean of its ``n`` values."""

    day: date
    n: int
    value: float


class Mean(Reply, frozen=True):
    """The mean over the answered days of the window that ends on ``day``."""

    day: date
    value: float


class Baseline(Reply, frozen=True):
    """This person's usual: mean and spread of the first answered days."""

    from_: date = msgspec.field(name="from")
    to: date
    n: int
    mean: float
    sigma: float


class Alarm(Reply, frozen=True):
    """A change from this person's usual, seen ``on``, lasting ``since``."""

    on: date
    since: date
    direction: str
    n: int


class Drift(Reply, frozen=True):
    """Slow change a week, with its 95 % interval."""

    slope_per_week: float
    low: float
    high: float
    n: int
    p: float


class Missing(Reply, frozen=True):
    """Days of the range without an answer, and their share (0–1)."""

    days: int
    share: float


class Series(Reply, frozen=True):
    """One question over time. A day without an answer has no point in any list; ``not_yet`` says why a part is null."""

    points: Sequence[Point]
    smooth: Sequence[Mean]
    baseline: Baseline | None
    alarms: Sequence[Alarm]
    drift: Drift | None
    means: Mapping[str, Sequence[Mean]]
    missing: Missing
    not_yet: Sequence[str]


class Trends(Reply, frozen=True):
    from_: date = msgspec.field(name="from")
    to: date
    series: Mapping[str, Series]


class PercentAbstinent(Reply, frozen=True):
    """0–100; ``reported`` over the days with a report (null without one), ``missing_as_use`` over all days."""

    reported: float | None
    missing_as_use: float


class SobrietySummary(Reply, frozen=True):
    """The sobriety ledger of one substance (null: any use) on one local date.

    ``days_since_use`` counts local calendar days since the last known use, or since the first check-in when none is
    known; of these ``confirmed`` have a sober check-in and ``unknown`` have none. ``longest`` (consecutive confirmed
    days) and ``total_confirmed`` are kept for ever: a later use lowers neither. ``tested`` is null until drug tests are
    recorded.
    """

    substance: str | None
    on: date
    days_since_use: int | None
    confirmed: int
    unknown: int
    longest: int
    total_confirmed: int
    percent_abstinent: PercentAbstinent
    check_in_streak: int
    last_use: date | None
    lapses: int
    excused: int
    tested: int | None
