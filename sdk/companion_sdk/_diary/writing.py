"""What a person does to the diary on this device: record, correct, delete, fix; each in one transaction. Knows no call.

Each is one more operation in the outbox, also on an entry that has not left this device.
"""

from datetime import datetime
from typing import NoReturn, cast
from uuid import UUID

import msgspec

from companion_sdk.errors import NoSuchEntry
from companion_sdk.wire import GUARDED, Body, LogIn, SafetyPlan, kind_of, safety_plan_id
from companion_sdk.wire.kinds import Source

from . import attention, outbox, said
from .reading import Found, Standing, standing
from .records import Device
from .store import Tx

UNKNOWN_PATIENT_PLAN = safety_plan_id(UUID(int=0))
"""Where a crisis plan waits until the first sync tells whose it is."""

_KIND = "/body/kind"


class Moment(msgspec.Struct, frozen=True):
    """When and where somebody writes, where they say nothing else; ``zone`` None: this device cannot tell."""

    now: datetime
    zone: str | None
    source: Source


def plan_id(device: Device) -> UUID:
    """Where the crisis plan of this file stands."""
    return UNKNOWN_PATIENT_PLAN if device.patient is None else safety_plan_id(device.patient)


def resolve(device: Device, id: UUID) -> UUID:
    """The id under which an entry stands now: a crisis plan's changed once, at the first sync."""
    return plan_id(device) if id == UNKNOWN_PATIENT_PLAN else id


def record(tx: Tx, when: Moment, body: Body, at: datetime | None, zone: str | None, id: UUID | None) -> Found:
    """A new entry, or a correction where the id exists."""
    device = tx.device()
    plan = plan_id(device)
    is_plan = isinstance(body, SafetyPlan)
    if id is not None and (resolve(device, id) == plan) != is_plan:
        raise said.refuse(_KIND, "one-per-patient")
    if id is None and not is_plan:
        return _keep(tx, when, tx.fresh(), Standing(None, None, None), _entry(when, body, at, zone), None)
    chosen = plan if is_plan else cast("UUID", id)
    stands = standing(tx, chosen)
    if stands.dead:
        raise NoSuchEntry("this entry was deleted: an id never lives again")
    found = stands.found(chosen)
    if found is None:
        return _keep(tx, when, chosen, stands, _entry(when, body, at, zone), None)
    return _change(tx, when, found, stands, body, when.now if is_plan and at is None else at, zone, when.source, None)


def correct(
    tx: Tx, when: Moment, id: UUID, body: Body | None, at: datetime | None, zone: str | None, seen: int | None
) -> Found:
    """Other words, another time or place; ``seen`` is the revision that the person had before them."""
    chosen = resolve(tx.device(), id)
    stands = standing(tx, chosen)
    found = stands.found(chosen)
    if found is None:
        raise NoSuchEntry("there is no entry with this id on this device, or it was deleted")
    return _change(tx, when, found, stands, body, at, zone, None, seen)


def delete(tx: Tx, id: UUID) -> None:
    """Delete an entry. Twice is fine, and so is an unknown id."""
    device = tx.device()
    chosen = resolve(device, id)
    if chosen == plan_id(device):
        raise ValueError("a crisis plan is emptied, not deleted: record SafetyPlan(sections=[])")
    stands = standing(tx, chosen)
    attention.discard(tx, chosen)
    row = stands.row
    stored = row is not None and not row.deleted
    if stands.dead or (stands.op is None and not stored):
        return
    if stands.op is not None and stands.op.held_for is not None:
        outbox.drop(tx, stands.op)
    outbox.add(tx, chosen, row.revision if row is not None and stored else 0, None)


def fix(tx: Tx, when: Moment, id: UUID, body: Body | None, at: datetime | None, zone: str | None) -> Found:
    """Send refused words again, in the form the person gives them now."""
    refused = attention.find(tx, id)
    if refused is None:
        raise NoSuchEntry("nothing needs attention on this entry any more")
    before = None if refused.log is None else said.read(refused.log)
    content = body if body is not None or before is None else said.body_of(before)
    if content is None:
        _unreadable()
    if before is None:
        entry = _entry(when, content, at, zone)
    else:
        source = cast("Source", before.source)
        entry = LogIn(at=at or before.at, zone=zone or before.zone, body=content, source=source)
    attention.discard(tx, id)
    if refused.reason == "gone":
        return _keep(tx, when, tx.fresh(), Standing(None, None, None), entry, None)
    seen = None if refused.current is None else msgspec.json.decode(refused.current, type=_Revision).revision
    return _keep(tx, when, id, standing(tx, id), entry, seen)


class _Revision(msgspec.Struct, frozen=True):
    revision: int


def _entry(when: Moment, body: Body, at: datetime | None, zone: str | None) -> LogIn:
    place = zone or when.zone or "UTC"  # an entry on a day that may be an hour off is better than words refused
    return LogIn(at=_aware(when.now if at is None else at), zone=place, body=body, source=when.source)


def _aware(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise ValueError("`at` needs an offset, for example datetime(2026, 11, 2, 20, 30, tzinfo=UTC)")
    return at


def _unreadable() -> NoReturn:
    raise ValueError("this has no content that this version can write back: say what it is to be")


def _change(
    tx: Tx,
    when: Moment,
    found: Found,
    stands: Standing,
    body: Body | None,
    at: datetime | None,
    zone: str | None,
    source: Source | None,
    seen: int | None,
) -> Found:
    before = said.read(found.kept)
    content = said.body_of(before) if body is None else body
    if content is None:
        _unreadable()
    if kind_of(content) != said.kind_in(before):
        raise said.refuse(_KIND, "another-kind")
    entry = LogIn(
        at=before.at if at is None else _aware(at),
        zone=zone or before.zone,
        body=content,
        source=source or cast("Source", before.source),
    )
    return _keep(tx, when, found.id, stands, entry, seen)


def _keep(tx: Tx, when: Moment, id: UUID, stands: Standing, entry: LogIn, seen: int | None) -> Found:
    """Put an entry into the outbox, unless what stands says just that."""
    entry, raw = said.checked(entry, when.now)
    found = stands.found(id)
    op, row, refused = stands.op, stands.row, stands.refused
    if found is not None and (op is not None or row is not None) and said.same(found.kept, raw):
        attention.discard(tx, id)
        return msgspec.structs.replace(found, state="kept" if op is not None else "sent")
    base = row.revision if row is not None and not row.deleted else 0
    if refused is not None and refused.reason == "conflict":
        base = refused.base
    elif seen is not None and kind_of(entry.body) in GUARDED:
        base = seen
    elif op is not None:
        base = op.base
    if op is not None and op.held_for is not None:
        outbox.drop(tx, op)
    outbox.add(tx, id, base, raw)
    attention.discard(tx, id)
    return Found(id, said.micros(entry.at), base, "kept", raw)
