"""The diary of the fake service: record, correct, delete, read, list; and the crisis plan, which is an entry too.

The answers are those of the service's own diary, to the word.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import msgspec
from msgspec import Meta

from companion_sdk import wire
from companion_sdk.clinical.days import local_day
from companion_sdk.clinical.redflags import flags
from companion_sdk.wire.kinds import KindName, as_stored

from . import _cursors, _gate
from ._exchange import Said, answer
from ._gate import Grant, Unit
from ._refusals import Refused, invalid, not_found
from ._signing import zone_exists

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
_SKEWED = timedelta(minutes=5)


class Condition(msgspec.Struct, frozen=True):
    """What a PUT's headers ask for: the revision it corrects (None: none named), or only to create."""

    revision: int | None = None
    create_only: bool = False


def _condition(unit: Unit) -> Condition:
    none = unit.heard.header("if-none-match")
    if none is not None and none.strip() != "*":
        unit.heard.revision("if-none-match")
    return Condition(unit.heard.revision("if-match"), none is not None and none.strip() == "*")


# writing


def put(unit: Unit, patient: str, log: str) -> Said:
    """Store one diary entry; the same id again with the same body is the same entry."""
    entry = unit.heard.read(wire.LogIn)
    condition = _condition(unit)
    unit.heard.no_query()
    unit.actor.known()
    unit.site.check(entry)
    if found := faults(entry, unit.now, unit.now):
        raise invalid(*found)
    return _stored(unit, _gate.to_write_diary(unit, patient), UUID(log), entry, condition)


def put_plan(unit: Unit, patient: str) -> Said:
    """Store the patient's crisis plan, with the conditions of any entry; it happens now, where the patient lives."""
    plan = unit.heard.read(wire.SafetyPlan)
    condition = _condition(unit)
    unit.heard.no_query()
    grant = _gate.to_write_diary(unit, patient)
    log_id = wire.safety_plan_id(grant.patient)
    before = unit.feed(grant.patient).current(log_id)
    entry = wire.LogIn(at=unit.now, zone=unit.world.people[grant.patient].zone, body=plan)
    if before is not None and before.body == plan:
        entry = wire.LogIn(at=before.at, zone=before.zone, body=plan, source=before.source)
    return _stored(unit, grant, log_id, entry, condition)


def _stored(unit: Unit, grant: Grant, log_id: UUID, entry: wire.LogIn, condition: Condition) -> Said:
    before = unit.feed(grant.patient).current(log_id)
    try:
        stored = _put(unit, grant, log_id, entry, condition)
    except Refused as refused:
        raise as_shown(unit, grant, refused) from None
    shown = msgspec.structs.replace(stored, crisis=help_now(unit, grant)) if flags(entry.body) else stored
    return answer(shown, 201 if before is None else 200, etag=etag(stored))


def _put(unit: Unit, grant: Grant, log_id: UUID, entry: wire.LogIn, condition: Condition) -> wire.Log:
    before = unit.feed(grant.patient).current(log_id)
    if before is None:
        if condition.revision is not None:
            raise Refused("revision-mismatch", "There is no entry with this id to correct")
        if misplaced(grant.patient, log_id, entry):
            raise invalid(("/body/kind", "one-per-patient"))
        return append(unit, grant, log_id, entry, _ahead(unit, entry))
    if before.deleted:
        raise Refused("gone")
    if same(before, entry):
        return before
    if condition.create_only:
        raise _mismatch(before)
    if before.kind != wire.kind_of(entry.body):
        raise Refused("conflict", "An entry keeps its kind; delete it and make another")
    if condition.revision is None:
        raise Refused("revision-required", headers=(("ETag", etag(before)),))
    if condition.revision != before.revision:
        raise _mismatch(before)
    return append(unit, grant, log_id, entry, _ahead(unit, entry))


def _ahead(unit: Unit, entry: wire.LogIn) -> timedelta:
    return max(entry.at - unit.now, timedelta(0))


def etag(log: wire.Log) -> str:
    """The entity tag of a revision."""
    return f'"{log.revision}"'


def _mismatch(current: wire.Log) -> Refused:
    return Refused("revision-mismatch", headers=(("ETag", etag(current)),), current=current)


def as_shown(unit: Unit, grant: Grant, refused: Refused) -> Refused:
    """The refusal with the stored entry only for whom may read it."""
    if refused.current is None or unit.actor.role != "app":
        return refused
    if "logs:read" not in (unit.actor.scopes or ()):
        return Refused(refused.word, refused.detail, headers=refused.headers)
    _gate.shown(unit, grant)
    return refused


def help_now(unit: Unit, grant: Grant) -> wire.Crisis:
    """The help that goes with a red flag, with the address of the person's own plan where there is one."""
    plan = unit.feed(grant.patient).current(wire.safety_plan_id(grant.patient))
    has_plan = plan is not None and isinstance(plan.body, wire.SafetyPlan) and len(plan.body.sections) > 0
    return unit.site.crisis(unit.world.people[grant.patient].language, grant.patient if has_plan else None)


def delete(unit: Unit, patient: str, log: str) -> Said:
    """Put a tombstone on an entry; its history stays. Again is the same."""
    revision = unit.heard.revision("if-match")
    unit.heard.no_query()
    grant = _gate.to_write_diary(unit, patient)
    before = unit.feed(grant.patient).current(UUID(log))
    if before is None:
        raise not_found()
    if before.deleted:
        return Said(204)
    if revision is not None and revision != before.revision:
        raise as_shown(unit, grant, _mismatch(before))
    if before.kind in wire.GUARDED:
        raise Refused("conflict", "A crisis plan is emptied, not deleted")
    bury(unit, grant, before)
    return Said(204)


# what a push shares


def faults(entry: wire.LogIn, now: datetime, sent_at: datetime) -> list[tuple[str, str]]:
    """What is wrong with an entry that decodes: its zone, or when it is said to have happened."""
    first = _EARLIEST if sent_at >= _EARLIEST else _LONG_AGO
    last = max(now, sent_at) + _AHEAD
    found = [] if zone_exists(entry.zone) else [("/zone", "unknown-zone")]
    return found + [(pointer, "out-of-range") for pointer, at in _instants(entry) if not first <= at <= last]


def _instants(entry: wire.LogIn) -> Iterator[tuple[str, datetime]]:
    yield "/at", entry.at
    if isinstance(entry.body, wire.Sobriety):
        for place, use in enumerate(entry.body.uses):
            if use.at is not None:
                yield f"/body/uses/{place}/at", use.at


def misplaced(patient: UUID, log_id: UUID, entry: wire.LogIn) -> bool:
    """Whether a crisis plan stands elsewhere than at its one id, or something else stands there."""
    return (wire.kind_of(entry.body) == "safety_plan") != (log_id == wire.safety_plan_id(patient))


def same(before: wire.Log, entry: wire.LogIn) -> bool:
    """Whether a stored entry says just this."""
    envelope = (before.at, before.zone, before.source) == (entry.at, entry.zone, entry.source)
    return envelope and before.body is not None and _fields(before.body) == _fields(entry.body)


def _fields(body: wire.Body) -> dict[str, object]:
    """A body as values that compare: a list that was sent empty equals one that was left out."""
    values: dict[str, object] = msgspec.to_builtins(as_stored(body))
    return {name: value for name, value in values.items() if value != []}


def append(unit: Unit, grant: Grant, log_id: UUID, entry: wire.LogIn, skew: timedelta) -> wire.Log:
    """A new entry, or the next revision of what stands there."""
    feed = unit.feed(grant.patient)
    before = feed.current(log_id)
    return feed.add(
        wire.Log(
            id=log_id,
            patient_id=grant.patient,
            kind=wire.kind_of(entry.body),
            at=entry.at.astimezone(UTC),
            zone=entry.zone,
            day=local_day(entry.at, entry.zone),
            source=entry.source,
            revision=1 if before is None else before.revision + 1,
            seq=feed.next(),
            recorded_at=unit.now,
            deleted=False,
            skewed=abs(skew) > _SKEWED,
            author_id=grant.actor,
            body=as_stored(entry.body),
        )
    )


def bury(unit: Unit, grant: Grant, before: wire.Log, skew: timedelta = timedelta(0)) -> wire.Log:
    """A tombstone on ``before``: its history stays."""
    feed = unit.feed(grant.patient)
    return feed.add(
        msgspec.structs.replace(
            before,
            revision=before.revision + 1,
            seq=feed.next(),
            recorded_at=unit.now,
            deleted=True,
            skewed=abs(skew) > _SKEWED,
            author_id=grant.actor,
            body=None,
        )
    )


# reading


def get(unit: Unit, patient: str, log: str) -> Said:
    """One live entry; 304 with the right If-None-Match."""
    unit.heard.no_query()
    grant = _gate.to_find(unit, patient)
    found = unit.feed(grant.patient).current(UUID(log))
    if found is None or found.kind not in grant.categories:
        raise not_found()
    if found.deleted:
        raise Refused("gone")
    _gate.shown(unit, grant, (found.kind,))
    return _tagged(unit, found)


def get_plan(unit: Unit, patient: str) -> Said:
    """The patient's crisis plan."""
    unit.heard.no_query()
    grant = _gate.to_find(unit, patient)
    found = unit.feed(grant.patient).current(wire.safety_plan_id(grant.patient))
    if found is None or found.kind not in grant.categories:
        raise not_found()
    _gate.shown(unit, grant, (found.kind,))
    return _tagged(unit, found)


def _tagged(unit: Unit, found: wire.Log) -> Said:
    asked, tag = unit.heard.header("if-none-match") or "", etag(found)
    if asked == "*" or tag in [part.strip().removeprefix("W/") for part in asked.split(",")]:
        return Said(304, {"etag": tag})
    return answer(found, etag=tag)


def history(unit: Unit, patient: str, log: str) -> Said:
    """Every revision of one entry, oldest first, also of a deleted one."""
    unit.heard.no_query()
    grant = _gate.to_find(unit, patient)
    revisions = unit.feed(grant.patient).histories.get(UUID(log))
    if not revisions or revisions[0].kind not in grant.categories:
        raise not_found()
    _gate.shown(unit, grant, (revisions[0].kind,))
    return answer(wire.LogHistory(items=revisions))


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a list of entries may be narrowed to; days are local and inclusive."""

    kind: KindName | None = None
    first: date | None = msgspec.field(name="from", default=None)
    last: date | None = msgspec.field(name="to", default=None)
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    cursor: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


def page(unit: Unit, patient: str) -> Said:
    """Live entries, newest first by ``at`` then id; of a kind that is not consented there are none."""
    query = unit.heard.query(LogQuery)
    grant = _gate.to_find(unit, patient)
    categories = grant.categories if query.kind is None else grant.categories & {query.kind}
    if categories:
        _gate.shown(unit, grant, categories)
    scope = f"logs|{grant.patient}|{query.kind}|{query.first}|{query.last}"
    before: tuple[int, bytes] | None = None
    if query.cursor is not None:
        before = _cursors.read(unit, scope, query.cursor, tuple[int, bytes])
    found = [log for log in _newest_first(unit, grant, categories, query) if before is None or _position(log) < before]
    items = found[: query.limit]
    following = _cursors.write(unit, scope, *_position(items[-1])) if len(found) > query.limit else None
    said = answer(wire.LogPage(items=items, next=following))
    if following is None:
        return said
    kept = [(name, value) for name, value in parse_qsl(unit.heard.query_string) if name != "cursor"]
    address = f"{unit.heard.path}?{urlencode([*kept, ('cursor', following)])}"
    return msgspec.structs.replace(said, headers={**said.headers, "link": f'<{address}>; rel="next"'})


def _newest_first(unit: Unit, grant: Grant, categories: frozenset[str], query: LogQuery) -> list[wire.Log]:
    first, last = query.first or date.min, query.last or date.max
    live = [
        log
        for log in unit.feed(grant.patient).newest.values()
        if not log.deleted and log.kind in categories and first <= log.day <= last
    ]
    return sorted(live, key=_position, reverse=True)


def _position(log: wire.Log) -> tuple[int, bytes]:
    return (log.at - _EPOCH) // timedelta(microseconds=1), log.id.bytes
