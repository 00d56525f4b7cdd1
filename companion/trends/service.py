"""Daily series and the sobriety ledger of one patient, each from the kinds the caller may see. Writes nothing."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import msgspec

from companion_sdk import wire
from companion_sdk.clinical.days import local_day
from companion_sdk.clinical.sobriety import CheckIn, summary

from ..consent import gate
from ..consent.gate import Grant
from ..core.actors import Actor
from ..core.db import Tx
from ..core.errors import Invalid
from ..logs import service as logs
from ..logs.service import Answer
from ..people import service as people
from . import rules

LAST_DAYS = 90
LONGEST = 3 * 366
EARLIEST = date(1900, 1, 1)
"""No entry lies before it, and the days before its ranges can still be counted."""
_KINDS = frozenset(kind for kind, _ in rules.SERIES.values())


class TrendsAsked(msgspec.Struct, frozen=True):
    """Local days, both inclusive; without them the last 90 days. No series named: all that may be seen."""

    first: date | None = None
    last: date | None = None
    series: tuple[str, ...] = ()


def trends(tx: Tx, actor: Actor, patient: str, asked: TrendsAsked) -> wire.Trends:
    """Daily series of what the caller may see; a series from a kind that is not consented is not there."""
    wanted = asked.series or tuple(rules.SERIES)
    kinds = frozenset(rules.SERIES[name][0] for name in wanted)
    grant = gate.to_read(tx, actor, patient, "trends:read", "trends", kinds)
    last = asked.last or _today(tx, grant)
    if last < EARLIEST:
        raise Invalid(("/to", "out-of-range"))
    first = asked.first or last - timedelta(days=LAST_DAYS - 1)
    if not 0 <= (last - first).days < LONGEST:
        raise Invalid(("/from", "out-of-range"))
    early = first - timedelta(days=max(rules.WINDOWS) - 1)
    entries = {kind: logs.answers(tx, grant, kind, early, last) for kind in kinds & grant.categories}
    return wire.Trends(
        from_=first,
        to=last,
        series={
            name: rules.series(_values(entries[rules.SERIES[name][0]], rules.SERIES[name][1]), first, last)
            for name in wanted
            if rules.SERIES[name][0] in entries
        },
    )


def _values(entries: Sequence[Answer], field: str) -> Iterator[tuple[date, float]]:
    for log in entries:
        value = getattr(log.body, field)
        if value is not None:
            yield log.day, float(value)


def _today(tx: Tx, grant: Grant) -> date:
    return local_day(tx.now, people.patient_of(tx, grant.patient).profile.zone)


def sobriety(tx: Tx, actor: Actor, patient: str, substance: str | None, on: date | None) -> wire.SobrietySummary:
    """The sobriety ledger of one substance, or of any use, on a local date (today)."""
    grant = gate.to_read(tx, actor, patient, "trends:read", "sobriety", frozenset(("sobriety",)))
    day = on or _today(tx, grant)
    check_ins = [
        CheckIn(log.day, log.zone, log.body)
        for log in logs.answers(tx, grant, "sobriety", None, None)
        if isinstance(log.body, wire.Sobriety)
    ]
    return summary(check_ins, day, substance)
