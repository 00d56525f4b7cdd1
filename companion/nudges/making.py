"""From plans to due rows: which occurrences stand in the ledger, and what a changed plan, zone or diary does to them.

A plan's rows reach ``AHEAD`` into the future; the plan's ``extend_at`` is the moment its next occurrence comes within reach,
so it also says up to where rows were made: a service that was down makes the rows it missed, and tells them as expired.
"""

from collections.abc import Container, Generator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from companion_sdk.wire import KINDS, PlanIn

from ..consent import gate
from ..consent.gate import Grant
from ..core.actors import Actor, System
from ..core.clock import instant, micros
from ..core.db import Tx
from ..core.errors import NotFound
from ..core.ids import uuid7
from ..core.vault import KeyMissing, SealBroken
from ..logs import service as logs
from ..logs.events import LogRecorded
from ..people import service as people
from ..people.events import ZoneChanged
from . import bell, ledger, store
from .ledger import Decided, NudgeRow
from .rules import Occurrence, occurrences

AHEAD = timedelta(hours=48)
_LOOK_BACK = timedelta(days=4)
_RUN = 500
_LATER = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)
POISON = (SealBroken, KeyMissing, NotFound, msgspec.MsgspecError, ValueError, LookupError, OverflowError)
"""What one broken row may raise. Never the database's own errors: after those the transaction may be gone."""


@contextmanager
def spared(tx: Tx) -> Generator[list[BaseException]]:
    """Undo what one broken row left and go on with the others; the list says what was wrong."""
    found: list[BaseException] = []
    try:
        with tx.nested():
            yield found
    except POISON as error:
        found.append(error)


def withheld_by(plan: PlanIn) -> str:
    """The kind of entry that makes the plan's nudge needless; empty where none does."""
    return plan.about if plan.skip_if_logged and plan.about in KINDS else ""


def as_system(tx: Tx, patient: UUID) -> Grant:
    """The grant under which reactions and jobs touch a patient's nudges."""
    return gate.for_operator(tx, people.resolve(tx, System("nudges")), patient)


# more rows for plans that stand


def extend(tx: Tx, actor: Actor, limit: int) -> int:
    """Make rows for up to ``limit`` plans that want some (job); how many were looked at."""
    if actor.role != "system":
        raise NotFound
    rows = store.to_extend(tx, micros(tx.now), limit)
    for row in rows:
        with spared(tx) as broken:
            grant = gate.for_operator(tx, actor, UUID(bytes=bytes(row[0])))
            _extend(tx, grant, store.read_plan(tx, grant, row), instant(row[8]))
        if broken:
            store.set_extend_at(tx, bytes(row[0]), bytes(row[1]), row[2], micros(tx.now + _LATER))
    return len(rows)


def _extend(tx: Tx, grant: Grant, plan: store.PlanRow, extend_at: datetime) -> None:
    """Rows for what came within reach since ``extend_at``, at most ``_RUN`` of them at once."""
    assert plan.body is not None
    zone = people.patient_of(tx, grant.patient).profile.zone
    next_at: int | None = None
    reached = max(extend_at + AHEAD, instant(plan.recorded_at)) - _MICROSECOND
    for made, found in enumerate(occurrences(plan.body.plan, zone, reached, key=str(plan.id))):
        if found.due > tx.now + AHEAD or made == _RUN:
            next_at = micros(found.due - AHEAD)
            break
        ledger.add(tx, grant, _row(tx, grant, plan, zone, found))
    store.set_extend_at(tx, grant.patient.bytes, plan.id.bytes, plan.revision, next_at)


def _row(tx: Tx, grant: Grant, plan: store.PlanRow, zone: str, found: Occurrence) -> NudgeRow:
    assert plan.body is not None
    return NudgeRow(
        patient=grant.patient,
        due_at=micros(found.due),
        id=uuid7(tx.now),
        plan_id=plan.id,
        plan_revision=plan.revision,
        slot=found.slot,
        day=found.date.isoformat(),
        zone=zone,
        kind=withheld_by(plan.body.plan),
        window_end=micros(found.window_end),
        state="pending",
        attempt=0,
        sent_at=None,
        next_try_at=micros(found.due),
        lease_owner=None,
        decisions=(Decided(micros(tx.now), "pending", "planned"),),
    )


# a plan or a zone is another one now


def replan(tx: Tx, grant: Grant, plan: store.PlanRow, zone: str, reason: str) -> None:
    """Bring the unclaimed rows of a plan in line with its current revision and the zone in force.

    1. What the plan wants now: its occurrences from now to ``AHEAD``, and of those that are past but within their window
       the ones that stand in the ledger, and (``zone-changed``, convention C4) the ones the move has jumped over.
    2. Unclaimed rows: kept and brought in line where still wanted, else ``superseded`` with ``reason``.
    3. A superseded row that is wanted again lives again; an occurrence without a row gets one.
    4. ``extend_at`` is where the next occurrence after that comes within reach.
    """
    now = micros(tx.now)
    standing = {row.occurrence: row for row in ledger.of_plan(tx, grant, plan.id, _since(tx.now))}
    wanted, next_at = _wanted(tx, plan, zone, standing, moved=reason == "zone-changed")
    for key, row in standing.items():
        found = wanted.pop(key, None)
        if is_unclaimed(row, now):
            after = row.decided(now, "superseded", reason) if found is None else _in_line(tx, plan, row, found, reason)
        elif row.state == "superseded" and found is not None:
            after = _in_line(tx, plan, row, found, "plan-restored")
        else:
            continue
        if after != row:
            ledger.save(tx, grant, row, after)
    for found in wanted.values():
        ledger.add(tx, grant, _row(tx, grant, plan, zone, found))
    store.set_extend_at(tx, grant.patient.bytes, plan.id.bytes, plan.revision, next_at)
    tx.after_commit(bell.DUE.ring)


def is_unclaimed(row: NudgeRow, now: int) -> bool:
    """Nobody is at work on it: pending, or leased by one whose lease ran out."""
    return row.state == "pending" or (row.state == "leased" and row.next_try_at is not None and row.next_try_at <= now)


def _since(now: datetime) -> str:
    return (now - _LOOK_BACK).date().isoformat()


def _wanted(
    tx: Tx, plan: store.PlanRow, zone: str, standing: Container[str], *, moved: bool
) -> tuple[dict[str, Occurrence], int | None]:
    if plan.body is None:
        return {}, None
    asked = plan.body.plan
    wanted: dict[str, Occurrence] = {}
    for found in occurrences(asked, zone, tx.now - timedelta(minutes=asked.window_minutes), key=str(plan.id)):
        if found.due > tx.now + AHEAD:
            return wanted, micros(found.due - AHEAD)
        jumped = moved and found.due > instant(plan.recorded_at)
        if found.window_end > tx.now and (found.due > tx.now or jumped or found.key in standing):
            wanted[found.key] = found
    return wanted, None


def _in_line(tx: Tx, plan: store.PlanRow, row: NudgeRow, found: Occurrence, reason: str) -> NudgeRow:
    """The row as the plan wants it now; the same row where nothing but the revision changed."""
    assert plan.body is not None
    due, end, kind = micros(found.due), micros(found.window_end), withheld_by(plan.body.plan)
    if (row.state, row.due_at, row.window_end, row.kind) == ("pending", due, end, kind):
        return msgspec.structs.replace(row, plan_revision=plan.revision)
    again = row.decided(micros(tx.now), "pending", reason, next_try_at=due)
    return msgspec.structs.replace(again, due_at=due, window_end=end, kind=kind, plan_revision=plan.revision, sent_at=None)


def on_zone(tx: Tx, event: ZoneChanged) -> None:
    """The patient is in another zone: every plan's unclaimed rows follow."""
    grant = as_system(tx, event.patient)
    zone = people.patient_of(tx, event.patient).profile.zone
    for plan in store.plans(tx, grant):
        replan(tx, grant, plan, zone, "zone-changed")


def drop(tx: Tx, grant: Grant, plan_id: UUID) -> None:
    """The plan is gone: its unclaimed rows rest, told as suppressed."""
    now = micros(tx.now)
    for row in ledger.of_plan(tx, grant, plan_id, _since(tx.now)):
        if is_unclaimed(row, now):
            ledger.save(tx, grant, row, row.decided(now, "suppressed", "plan-gone"))


# an entry of the diary makes a nudge needless


def on_log(tx: Tx, event: LogRecorded) -> None:
    """Withhold what is pending for the entry's day; after a deletion give back what is not yet due."""
    state, then = ("withheld", give_back) if event.deleted else ("pending", withhold)
    noon = datetime(event.day.year, event.day.month, event.day.day, 12, tzinfo=tx.now.tzinfo)
    since, until = micros(noon - timedelta(days=2)), micros(noon + timedelta(days=3))
    grant = as_system(tx, event.patient)
    for row in ledger.of_day(tx, grant, event.day.isoformat(), event.kind, state, since, until):
        with spared(tx):  # a nudge that does not open refuses no entry; the worker meets and tells it
            then(tx, grant, ledger.read(tx, grant, row), event.day)


def withhold(tx: Tx, grant: Grant, row: NudgeRow, day: date) -> None:
    """The person has done what the nudge is about."""
    ledger.save(tx, grant, row, row.decided(micros(tx.now), "withheld", "already-logged"))


def give_back(tx: Tx, grant: Grant, row: NudgeRow, day: date) -> None:
    """The entry is gone, no other stands in its place and the plan still stands: the nudge waits for its time again."""
    now = micros(tx.now)
    plan = store.plan(tx, grant, row.plan_id)
    if row.due_at > now and plan is not None and plan.body is not None and not logs.logged(tx, grant, row.kind, day):
        ledger.save(tx, grant, row, row.decided(now, "pending", "entry-deleted", next_try_at=row.due_at))
