"""Sync, version 1, of the fake service: push, pull, digest and what a stream tells, by the rules of the contract."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from companion_sdk import wire
from companion_sdk.clinical.redflags import flags
from companion_sdk.wire.canonical import body_hash
from companion_sdk.wire.canonical import digest as digest_of
from companion_sdk.wire.frames import PushHead, ReadOp, read_push
from companion_sdk.wire.sync import MAX_CHANGES, MAX_PUSH_BYTES

from . import _cursors, _entries, _gate
from ._exchange import Said, StreamEnded, answer, strictly
from ._gate import Grant, Unit
from ._refusals import Refused
from ._world import Feed, Kept

_CONSUMED = frozenset({"applied", "rejected", "gone", "conflict"})


def push(unit: Unit, patient: str) -> Said:
    """Apply operations of a device, each exactly once, up to the first that cannot be placed."""
    head, ops = strictly(lambda: read_push(unit.heard.content(MAX_PUSH_BYTES)))
    unit.heard.no_query()
    grant = _gate.to_write_diary(unit, patient)
    desk = _Desk(unit, grant, head)
    results: list[wire.PushResult] = []
    flagged = False
    for op in ops:
        result = desk.take(op)
        results.append(result)
        if result.outcome not in _CONSUMED:
            break
        entry = None if op.asked is None else op.asked.log
        flagged = flagged or (result.outcome == "applied" and entry is not None and bool(flags(entry.body)))
    return answer(
        wire.Pushed(
            results=_each_shown_once(results),
            last_n=len(desk.kept),
            epoch=desk.feed.epoch,
            server_time=unit.now,
            crisis=_entries.help_now(unit, grant) if flagged else None,
        )
    )


def _each_shown_once(results: Sequence[wire.PushResult]) -> list[wire.PushResult]:
    """Only the last conflict on an entry carries what stands in its way."""
    last = {one.current.id: place for place, one in enumerate(results) if one.current is not None}
    return [
        one if one.current is None or last[one.current.id] == place else msgspec.structs.replace(one, current=None)
        for place, one in enumerate(results)
    ]


class _Desk:
    """Where the operations of one push are decided, one after the other."""

    def __init__(self, unit: Unit, grant: Grant, head: PushHead) -> None:
        self._unit = unit
        self._grant = grant
        self._head = head
        self._skew: timedelta = head.sent_at - unit.now
        self.feed: Feed = unit.feed(grant.patient)
        self.kept: list[Kept] = self.feed.devices.get(head.device, [])

    def take(self, op: ReadOp) -> wire.PushResult:
        """What became of one operation, now or when it came first."""
        if op.n > len(self.kept) + 1:
            return wire.PushResult(n=op.n, outcome="gap", revision=0, seq=0)
        if op.n == len(self.kept) + 1:
            self.kept.append(self._decide(op))
            self.feed.devices[self._head.device] = self.kept
        kept = self.kept[op.n - 1]
        if kept.op != op.op:
            return wire.PushResult(n=op.n, outcome="rewound", revision=0, seq=0)
        return self._told(op, kept)

    def _told(self, op: ReadOp, kept: Kept) -> wire.PushResult:
        refused = Refused(kept.word, kept.detail, errors=kept.errors) if kept.word else None
        request_id = self._unit.heard.request_id() or self._unit.site.new_request_id()
        current = self.feed.current(op.asked.id) if kept.outcome == "conflict" and op.asked is not None else None
        if current is not None:
            current = _entries.as_shown(self._unit, self._grant, Refused("conflict", current=current)).current
        return wire.PushResult(
            n=op.n,
            outcome=kept.outcome,
            revision=kept.revision,
            seq=kept.seq,
            problem=None if refused is None else refused.problem(request_id),
            current=current,
        )

    def _decide(self, op: ReadOp) -> Kept:
        asked = op.asked
        if asked is None:
            return Kept(op.op, "rejected", 0, 0, "invalid-request", "", op.errors)
        before = self.feed.current(asked.id)
        if asked.log is not None and (errors := self._faults(op, asked.id, asked.log)):
            return _rejected(op, before, "invalid-request", errors=errors)
        if before is None:
            if asked.base > 0 or asked.log is None:
                return Kept(op.op, "gone")
            return self._store(op, asked.id, asked.log)
        if before.deleted:
            return Kept(op.op, "gone", before.revision, before.seq)
        if asked.log is None:
            if before.kind in wire.GUARDED:
                return _rejected(op, before, "conflict", "A crisis plan is emptied, not deleted")
            return _applied(op, _entries.bury(self._unit, self._grant, before, self._skew))
        if before.kind != wire.kind_of(asked.log.body):
            return _rejected(op, before, "conflict", "An entry keeps its kind; delete it and make another")
        if _entries.same(before, asked.log):
            return _applied(op, before)
        if before.kind in wire.GUARDED and asked.base != before.revision:
            return Kept(op.op, "conflict", before.revision, before.seq)
        return self._store(op, asked.id, asked.log)

    def _faults(self, op: ReadOp, log_id: UUID, entry: wire.LogIn) -> tuple[tuple[str, str], ...]:
        unknown = self._unit.site.unknown(entry.body)
        found = [unknown] if unknown else _entries.faults(entry, self._unit.now, self._head.sent_at)
        if not unknown and _entries.misplaced(self._grant.patient, log_id, entry):
            found.append(("/body/kind", "one-per-patient"))
        return tuple((f"/ops/{op.place}/log{pointer}", code) for pointer, code in found)

    def _store(self, op: ReadOp, log_id: UUID, entry: wire.LogIn) -> Kept:
        return _applied(op, _entries.append(self._unit, self._grant, log_id, entry, self._skew))


def _applied(op: ReadOp, log: wire.Log) -> Kept:
    return Kept(op.op, "applied", log.revision, log.seq)


def _rejected(
    op: ReadOp, before: wire.Log | None, word: str, detail: str = "", errors: tuple[tuple[str, str], ...] = ()
) -> Kept:
    revision, seq = (0, 0) if before is None else (before.revision, before.seq)
    return Kept(op.op, "rejected", revision, seq, word, detail, errors)


# pull


class PullQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to go on, and how much at once."""

    cursor: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_CHANGES)] = 500


def pull(unit: Unit, patient: str) -> Said:
    """What changed after a cursor, or everything; tombstones too. Of a kind that is not consented there is nothing."""
    query = unit.heard.query(PullQuery)
    grant = _gate.to_find(unit, patient)
    feed, scope, name = unit.feed(grant.patient), _scope(grant), f"pull|{grant.patient}"
    seq = 0
    if query.cursor is not None:
        epoch, seq, floor, held = _cursors.read(unit, name, query.cursor, tuple[int, int, int, bytes])
        if (epoch, held) != (feed.epoch, scope) or seq > feed.seq or max(seq, floor) < feed.floor:
            raise Refused("cursor-expired")
    found = [log for log in feed.newest.values() if log.seq > seq]
    page, more = found[: query.limit], len(found) > query.limit
    changes = [log for log in page if log.kind in grant.categories]
    reached = page[-1].seq if more else feed.seq
    cursor = _cursors.write(unit, name, feed.epoch, reached, feed.floor, scope)
    if changes:
        _gate.shown(unit, grant, {log.kind for log in changes})
    return answer(wire.Changes(changes=changes, cursor=cursor, more=more, epoch=feed.epoch))


def _scope(grant: Grant) -> bytes:
    """What the caller may see, short. All is all, also when there are more kinds."""
    return b"all" if grant.categories >= _gate.ALL else sha256(" ".join(sorted(grant.categories)).encode()).digest()[:8]


# digest


class DigestQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to which change; up to now without it."""

    through: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None


def digest(unit: Unit, patient: str) -> Said:
    """Proof of what is stored up to a change, for a device to compare with what it holds."""
    query = unit.heard.query(DigestQuery)
    grant = _gate.to_find(unit, patient)
    feed = unit.feed(grant.patient)
    newest = feed.seq if grant.categories >= _gate.ALL else news(unit, patient)
    through = newest if query.through is None else min(query.through, newest)
    live = [log for log in _as_of(feed, through) if log.kind in grant.categories]
    entries = [(log.id, log.revision, body_hash(log.body)) for log in live if log.body is not None]
    _gate.shown(unit, grant, grant.categories)
    return answer(wire.Digest(count=len(entries), sha256=digest_of(entries), through=through))


def _as_of(feed: Feed, through: int) -> Sequence[wire.Log]:
    """Every entry at the revision it had at a change, where it had one."""
    past = ([log for log in history if log.seq <= through] for history in feed.histories.values())
    return [revisions[-1] for revisions in past if revisions]


# stream


def stream(unit: Unit, patient: str, look: Callable[[Callable[[Unit], int]], int]) -> Said:
    """Hints that there is something to pull; ``look`` reads the service as it is then, as the same caller."""
    unit.heard.no_query()
    told = _last_event(unit.heard.header("last-event-id"))
    news(unit, patient)
    opened = False

    def piece() -> bytes | None:
        nonlocal told, opened
        if not opened:
            opened = True
            return b"retry: 2000\n: open\n\n"
        try:
            newest = look(lambda now: news(now, patient))
        except Refused:
            raise StreamEnded from None
        if newest == told:
            return None
        told = newest
        return b'id: %d\nevent: changed\ndata: {"seq":%d}\n\n' % (newest, newest)

    return Said(200, {"content-type": "text/event-stream", "x-accel-buffering": "no"}, stream=piece)


def _last_event(text: str | None) -> int:
    """The ``seq`` a client has seen; anything but a number says nothing."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 16 else -1


def news(unit: Unit, patient: str) -> int:
    """The newest change of the diary that the caller may see."""
    grant = _gate.to_find(unit, patient)
    seen = [log.seq for log in unit.feed(grant.patient).newest.values() if log.kind in grant.categories]
    return seen[-1] if seen else 0
