"""Appending to a diary: a new revision or a tombstone, in the patient's order. Decides nothing and asks nobody who may."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from companion_sdk import wire
from companion_sdk.clinical.days import local_day
from companion_sdk.wire.kinds import as_stored

from ..consent.gate import Grant
from ..core import audit, zones
from ..core.clock import micros
from ..core.db import Tx
from . import store
from .bell import CHANGED
from .events import LogRecorded

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
_LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
_NAME_BASED = 5


class Window(msgspec.Struct, frozen=True):
    """When things may have happened, both inclusive."""

    first: datetime
    last: datetime


def window(now: datetime, sent_at: datetime | None = None) -> Window:
    """From 2000 to a day from now; a phone whose own clock said ``sent_at`` is refused nothing for that clock."""
    if sent_at is None:
        return Window(EARLIEST, now + AHEAD)
    return Window(EARLIEST if sent_at >= EARLIEST else _LONG_AGO, max(now, sent_at) + AHEAD)


def faults(entry: wire.LogIn, when: Window) -> list[tuple[str, str]]:
    """What is wrong with an entry that decodes: a zone that does not exist, an instant outside the window."""
    found: list[tuple[str, str]] = []
    if not zones.exists(entry.zone):
        found.append(("/zone", "unknown-zone"))
    found += [(pointer, "out-of-range") for pointer, at in _instants(entry) if not when.first <= at <= when.last]
    return found


def _instants(entry: wire.LogIn) -> Iterator[tuple[str, datetime]]:
    yield "/at", entry.at
    if isinstance(entry.body, wire.Sobriety):
        for place, use in enumerate(entry.body.uses):
            if use.at is not None:
                yield f"/body/uses/{place}/at", use.at


def misplaced(patient: UUID, log_id: UUID, kind: str) -> bool:
    """Whether a crisis plan stands elsewhere than at its one id, or something else stands there."""
    if kind != "safety_plan" and log_id.version != _NAME_BASED:
        return False
    return (kind == "safety_plan") != (log_id == wire.safety_plan_id(patient))


def same(before: wire.Log, entry: wire.LogIn) -> bool:
    """Whether a stored entry says just this."""
    return (
        before.at == entry.at
        and before.zone == entry.zone
        and before.source == entry.source
        and before.body is not None
        and _fields(before.body) == _fields(entry.body)
    )


def _fields(body: wire.Body) -> list[object]:
    """A body as values that compare: a list that was sent empty equals one that was left out."""
    values = [wire.kind_of(body), *(getattr(body, name) for name in body.__struct_fields__)]
    return [tuple(value) if isinstance(value, list) else value for value in values]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def append(
    tx: Tx, grant: Grant, chain: audit.Chain, log_id: UUID, entry: wire.LogIn, before: wire.Log | None, skew: int
) -> wire.Log:
    """A new entry, or the next revision of ``before``; ``skew`` in microseconds. ``tell`` once the chain is saved."""
    revision = 1
    if before is not None:
        revision = before.revision + 1
        store.retire(tx, grant, micros(before.at), log_id, before.revision)
    new = store.Entry(
        id=log_id,
        at=micros(entry.at),
        revision=revision,
        kind=wire.kind_of(entry.body),
        zone=entry.zone,
        day=local_day(entry.at, entry.zone),
        source=entry.source,
        author=grant.actor,
        recorded=micros(tx.now),
        skew=skew,
        deleted=False,
        body=as_stored(entry.body),
    )
    return store.add(tx, grant, chain, new)


def bury(tx: Tx, grant: Grant, chain: audit.Chain, before: wire.Log, skew: int = 0) -> wire.Log:
    """A tombstone on ``before``: its history stays. ``tell`` once the chain is saved."""
    store.retire(tx, grant, micros(before.at), before.id, before.revision)
    tombstone = store.Entry(
        id=before.id,
        at=micros(before.at),
        revision=before.revision + 1,
        kind=before.kind,
        zone=before.zone,
        day=before.day,
        source=before.source,
        author=grant.actor,
        recorded=micros(tx.now),
        skew=skew,
        deleted=True,
        body=None,
    )
    return store.add(tx, grant, chain, tombstone)


def tell(tx: Tx, grant: Grant, changes: Sequence[tuple[wire.Log, wire.Log | None]]) -> None:
    """What follows from (entry, what stood before): events inside the unit, a ring after it.

    Of many entries of a kind on a day one is told, and after it that one went away: whoever hears of it looks at the day.
    """
    events: dict[tuple[bool, str, date], LogRecorded] = {}
    for log, before in changes:
        told = LogRecorded(grant.patient, log.id, log.revision, log.kind, log.day, log.deleted)
        events.setdefault((log.deleted, log.kind, log.day), told)
        if before is not None and before.day != log.day:
            moved = LogRecorded(grant.patient, log.id, log.revision, log.kind, before.day, True)
            events.setdefault((True, log.kind, before.day), moved)
    for deleted in (False, True):
        for key, event in events.items():
            if key[0] == deleted:
                tx.emit(event)
    if changes:
        patient = grant.patient
        tx.after_commit(lambda: CHANGED.ring(patient))
