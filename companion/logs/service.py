"""What may be done with a diary: record, correct, delete, read. The exact answers are DESIGN.md's "What the words mean"."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from companion_sdk import wire
from companion_sdk.clinical.redflags import flags

from ..consent import gate
from ..consent.gate import Grant
from ..core import audit, paging
from ..core.actors import Actor
from ..core.clock import micros
from ..core.db import Tx
from ..core.errors import Invalid, NotFound, Problem, Refusal
from ..people import service as people
from . import changing, store
from .store import Answer as Answer

_SLACK = timedelta(days=1, hours=15)


class Stored(msgspec.Struct, frozen=True):
    """An entry as stored by a PUT, whether it is new, and whether it raises a red flag; then what the answer needs."""

    log: wire.Log
    created: bool
    flagged: bool
    alarm: "Alarm | None" = None


class Alarm(msgspec.Struct, frozen=True):
    """Who is in danger: in which language to answer, and whether there is a crisis plan to open."""

    patient: UUID
    language: str
    has_plan: bool


class IfMatch(msgspec.Struct, frozen=True):
    """What a PUT's headers ask for: the revision it corrects (None: none named), or only to create."""

    revision: int | None = None
    create_only: bool = False


def record(
    tx: Tx, actor: Actor, patient: str, log_id: UUID, entry: wire.LogIn, condition: IfMatch = IfMatch()
) -> Stored | Refusal:
    """Store one diary entry; the same id again with the same body is the same entry."""
    actor.known()
    _check(tx, entry)
    grant = gate.to_write_diary(tx, actor, patient)
    return _put_or_refuse(tx, actor, grant, log_id, entry, condition)


def _put_or_refuse(
    tx: Tx, actor: Actor, grant: Grant, log_id: UUID, entry: wire.LogIn, condition: IfMatch
) -> Stored | Refusal:
    try:
        stored = put(tx, grant, log_id, entry, condition)
    except Problem as problem:
        if problem.current is None:
            raise
        return Refusal(as_shown(tx, actor, grant, problem))
    return msgspec.structs.replace(stored, alarm=alarm(tx, grant)) if stored.flagged else stored


def alarm(tx: Tx, grant: Grant) -> Alarm:
    """What an answer to a red flag needs to know of the person."""
    plan = store.current(tx, grant, wire.safety_plan_id(grant.patient))
    has_plan = plan is not None and isinstance(plan.body, wire.SafetyPlan) and len(plan.body.sections) > 0
    return Alarm(grant.patient, people.patient_of(tx, grant.patient).profile.language, has_plan)


def keep_plan(tx: Tx, actor: Actor, patient: str, plan: wire.SafetyPlan, condition: IfMatch = IfMatch()) -> Stored | Refusal:
    """Store the patient's crisis plan, with the conditions of any entry; it happens now, where the patient lives."""
    grant = gate.to_write_diary(tx, actor, patient)
    log_id = wire.safety_plan_id(grant.patient)
    audit.lock(tx, grant.patient)
    before = store.current(tx, grant, log_id)
    zone = people.patient_of(tx, grant.patient).profile.zone
    entry = wire.LogIn(at=tx.now, zone=zone, body=plan)
    if before is not None and before.body == plan:
        entry = wire.LogIn(at=before.at, zone=before.zone, body=plan, source=before.source)
    return _put_or_refuse(tx, actor, grant, log_id, entry, condition)


def plan_of(tx: Tx, actor: Actor, patient: str) -> wire.Log:
    """The patient's crisis plan."""
    grant = gate.to_find(tx, actor, patient, "logs:read")
    plan = store.current(tx, grant, wire.safety_plan_id(grant.patient))
    if plan is None or plan.kind not in grant.categories:
        raise NotFound
    gate.shown(tx, actor, grant, "safety-plan", (plan.kind,))
    return plan


def put(tx: Tx, grant: Grant, log_id: UUID, entry: wire.LogIn, condition: IfMatch) -> Stored:
    """As ``record``, for whoever holds a grant to write."""
    chain = audit.lock(tx, grant.patient)
    before = store.current(tx, grant, log_id)
    if before is None:
        if condition.revision is not None:
            raise Problem("revision-mismatch", "There is no entry with this id to correct")
        if changing.misplaced(grant.patient, log_id, wire.kind_of(entry.body)):
            raise Invalid(("/body/kind", "one-per-patient"))
        return _append(tx, grant, chain, log_id, entry, None)
    if before.deleted:
        raise Problem("gone")
    if changing.same(before, entry):
        return Stored(before, False, bool(flags(entry.body)))
    if condition.create_only:
        raise _mismatch(before)
    if before.kind != wire.kind_of(entry.body):
        raise Problem("conflict", "An entry keeps its kind; delete it and make another")
    if condition.revision is None:
        raise Problem("revision-required", headers=(("ETag", etag(before)),))
    if condition.revision != before.revision:
        raise _mismatch(before)
    return _append(tx, grant, chain, log_id, entry, before)


def _append(tx: Tx, grant: Grant, chain: audit.Chain, log_id: UUID, entry: wire.LogIn, before: wire.Log | None) -> Stored:
    ahead = max(micros(entry.at) - micros(tx.now), 0)
    log = changing.append(tx, grant, chain, log_id, entry, before, ahead)
    changing.tell(tx, grant, [(log, before)])
    return Stored(log, before is None, bool(flags(entry.body)))


def etag(log: wire.Log) -> str:
    """The entity tag of a revision (RFC 9110 §8.8.3)."""
    return f'"{log.revision}"'


def as_shown(tx: Tx, actor: Actor, grant: Grant, problem: Problem) -> Problem:
    """The refusal with the stored entry only for whom may read it; that an app was shown it is a disclosure."""
    if actor.role != "app" or not isinstance(problem.current, wire.Log):
        return problem
    if actor.scopes is None or "logs:read" not in actor.scopes:
        return Problem(problem.word, problem.detail, headers=problem.headers)
    gate.disclose(tx, actor, grant.patient, "entry", frozenset((problem.current.kind,)))
    return problem


def _mismatch(current: wire.Log) -> Problem:
    return Problem("revision-mismatch", headers=(("ETag", etag(current)),), current=current)


def _check(tx: Tx, entry: wire.LogIn) -> None:
    if found := changing.faults(entry, changing.window(tx.now)):
        raise Invalid(*found)


def delete(tx: Tx, actor: Actor, patient: str, log_id: UUID, revision: int | None = None) -> Refusal | None:
    """Put a tombstone on an entry; its history stays. Again is the same."""
    grant = gate.to_write_diary(tx, actor, patient)
    chain = audit.lock(tx, grant.patient)
    before = store.current(tx, grant, log_id)
    if before is None:
        raise NotFound
    if before.deleted:
        return None
    if revision is not None and revision != before.revision:
        return Refusal(as_shown(tx, actor, grant, _mismatch(before)))
    if before.kind in wire.GUARDED:
        raise Problem("conflict", "A crisis plan is emptied, not deleted")
    changing.tell(tx, grant, [(changing.bury(tx, grant, chain, before), before)])
    return None


def get(tx: Tx, actor: Actor, patient: str, log_id: UUID) -> wire.Log:
    """One live entry."""
    grant = gate.to_find(tx, actor, patient, "logs:read")
    log = store.current(tx, grant, log_id)
    if log is None or log.kind not in grant.categories:
        raise NotFound
    if log.deleted:
        raise Problem("gone")
    gate.shown(tx, actor, grant, "entry", (log.kind,))
    return log


def history(tx: Tx, actor: Actor, patient: str, log_id: UUID) -> wire.LogHistory:
    """Every revision of one entry, oldest first, also of a deleted one."""
    grant = gate.to_find(tx, actor, patient, "logs:read")
    revisions = store.history(tx, grant, log_id)
    if not revisions or revisions[0].kind not in grant.categories:
        raise NotFound
    gate.shown(tx, actor, grant, "history", (revisions[0].kind,))
    return wire.LogHistory(items=revisions)


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of entries may be narrowed to; days are local and inclusive."""

    kind: str | None = None
    first: date | None = None
    last: date | None = None
    limit: int = 100
    cursor: str | None = None


def page(tx: Tx, actor: Actor, patient: str, query: PageQuery) -> wire.LogPage:
    """Live entries, newest first by ``at`` then id; of a kind that is not consented there are none."""
    grant = gate.to_find(tx, actor, patient, "logs:read")
    if query.kind is not None:
        grant = grant.only((query.kind,))
    if grant.categories:
        gate.shown(tx, actor, grant, "entries", grant.categories)
    scope = f"logs|{grant.patient}|{query.kind}|{query.first}|{query.last}"
    before = (store.LAST, b"\xff" * 16)
    if query.cursor is not None:
        before = paging.read(tx, actor, scope, query.cursor, tuple[int, bytes])
    found = list(_matching(tx, grant, query, before))
    items = found[: query.limit]
    more = None
    if len(found) > query.limit:
        more = paging.write(tx, actor, scope, micros(items[-1].at), items[-1].id.bytes)
    return wire.LogPage(items=items, next=more)


def _matching(tx: Tx, grant: Grant, query: PageQuery, before: tuple[int, bytes]) -> Iterator[wire.Log]:
    """Up to one entry more than the page, of the kinds the grant covers."""
    wanted = query.limit + 1
    if grant.categories >= gate.ALL:
        yield from store.page(tx, grant, None, _span(query.first, query.last), before, wanted)
        return
    runs = [store.page(tx, grant, kind, _span(query.first, query.last), before, wanted) for kind in sorted(grant.categories)]
    newest = sorted((log for run in runs for log in run), key=lambda log: (log.at, log.id.bytes), reverse=True)
    yield from newest[:wanted]


def _span(first: date | None, last: date | None) -> store.Span:
    span = store.Span()
    if first is not None:
        midnight = datetime(first.year, first.month, first.day, tzinfo=UTC)
        since = micros(midnight - _SLACK) if first > changing.EARLIEST.date() else store.FIRST
        span = msgspec.structs.replace(span, first=first.isoformat(), since=since)
    if last is not None:
        span = msgspec.structs.replace(span, last=last.isoformat())
    return span


def answers(tx: Tx, grant: Grant, kind: str, first: date | None, last: date | None) -> list[store.Answer]:
    """Every live entry of a kind between two local days, newest first, for statistics; none outside the grant."""
    return store.answers(tx, grant, kind, _span(first, last)) if kind in grant.categories else []


def take_in(tx: Tx, actor: Actor, patient: UUID, entries: Sequence[tuple[UUID, wire.LogIn]]) -> int:
    """Store a run of imported entries (operator), all or none; how many are new. One that differs from what is stored is
    refused: an import never overwrites what a person wrote.
    """
    grant = gate.for_operator(tx, actor, patient)
    for _, entry in entries:
        _check(tx, entry)
    return sum(put(tx, grant, log_id, entry, IfMatch()).created for log_id, entry in entries)


def logged(tx: Tx, grant: Grant, kind: str, day: date) -> bool:
    """Whether a live entry of the kind exists for the patient's local day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return store.has_entry(tx, grant, kind, day, micros(midnight - _SLACK), micros(midnight + 2 * _SLACK))
