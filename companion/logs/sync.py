"""Sync, version 1: push, pull, digest and what a stream tells. The rules are those of ``companion/docs/client.md``.

A push is one unit:

1. Take the patient's place in line, and the device's last number.
2. Each operation in turn. A number the service has: the same operation gets the same outcome again, another one is
   ``rewound`` and ends the push. A number further on than the next is a ``gap`` and ends it. The next one is decided before
   anything of it is written, so that no savepoint is needed; entries it touched are remembered for those behind it.
3. Save the end of the chain once, keep what became of the new operations, then let follow what follows.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec

from companion_sdk import wire
from companion_sdk.clinical.redflags import flags
from companion_sdk.wire.canonical import digest as digest_of
from companion_sdk.wire.frames import PushHead, ReadOp

from ..consent import gate
from ..consent.gate import Grant
from ..core import audit, beats, paging
from ..core.actors import Actor, Caller
from ..core.clock import micros
from ..core.db import Tx
from ..core.errors import NotFound, Problem
from ..core.vault import KeyMissing, SealBroken
from ..people import service as people
from . import changing, pushes, service, store
from .pushes import Kept

_CONSUMED = frozenset({"applied", "rejected", "gone", "conflict"})
_FEW = 2
_MICROSECOND = timedelta(microseconds=1)
RECENT = 1_000
"""Changes that a stream of some kinds looks back through when it is opened."""
KEPT_FOR = timedelta(days=400)
"""How long a tombstone stays in the feed at least."""


class Done(msgspec.Struct, frozen=True):
    """What became of one operation; ``current`` is what stands in the way of a conflict."""

    kept: Kept
    current: wire.Log | None = None


class Outcomes(msgspec.Struct, frozen=True):
    """What became of a push; ``alarm`` when something it stored raises a red flag."""

    done: list[Done]
    last_n: int
    epoch: int
    now: datetime
    alarm: service.Alarm | None


def push(tx: Tx, actor: Actor, patient: str, head: PushHead, ops: Sequence[ReadOp]) -> Outcomes:
    """Apply operations of a device, each exactly once, up to the first that cannot be placed."""
    grant = gate.to_write_diary(tx, actor, patient)
    chain = audit.lock(tx, grant.patient)
    chain.gathering = True
    desk = _Desk(tx, grant, chain, head)
    desk.look(ops)
    done: list[Done] = []
    for op in ops:
        done.append(desk.take(op))
        if done[-1].kept.outcome not in _CONSUMED:
            break
    if desk.changes:
        audit.save(tx, chain)
    if desk.new:
        pushes.add(tx, grant, head.device, list(desk.new.values()))
    changing.tell(tx, grant, desk.changes)
    return Outcomes(
        done=[_as_shown(tx, actor, grant, one) for one in _each_shown_once(done)],
        last_n=desk.last,
        epoch=chain.epoch,
        now=tx.now,
        alarm=service.alarm(tx, grant) if _flagged(ops, done) else None,
    )


class _Desk:
    """Where the operations of one push are decided, one after the other."""

    def __init__(self, tx: Tx, grant: Grant, chain: audit.Chain, head: PushHead) -> None:
        self._tx = tx
        self._grant = grant
        self._chain = chain
        self._device = head.device
        self._skew = (head.sent_at - tx.now) // _MICROSECOND
        self._window = changing.window(tx.now, head.sent_at)
        self._seen: dict[UUID, wire.Log | None] = {}
        self._before: dict[int, Kept] = {}
        self.last = pushes.last_n(tx, grant, head.device)
        self.new: dict[int, Kept] = {}
        self.changes: list[tuple[wire.Log, wire.Log | None]] = []

    def look(self, ops: Sequence[ReadOp]) -> None:
        """Read what stands under the ids of the new operations, all at once."""
        ids = list(dict.fromkeys(op.asked.id for op in ops if op.asked is not None and op.n > self.last))
        if len(ids) > _FEW:
            self._seen.update(dict.fromkeys(ids))
            self._seen.update(store.currents(self._tx, self._grant, ids))

    def take(self, op: ReadOp) -> Done:
        if op.n <= self.last:
            return self._again(op)
        if op.n > self.last + 1:
            return Done(Kept(op.n, op.op, "gap", 0, 0))
        done = self._decide(op)
        self.new[op.n] = done.kept
        self.last = op.n
        return done

    def _again(self, op: ReadOp) -> Done:
        kept = self.new.get(op.n) or self._before.get(op.n)
        if kept is None:
            self._before.update((one.n, one) for one in pushes.batch(self._tx, self._grant, self._device, op.n))
            kept = self._before.get(op.n)
        if kept is None or kept.op != op.op:
            return Done(Kept(op.n, op.op, "rewound", 0, 0))
        current = self._current(op.asked.id) if kept.outcome == "conflict" and op.asked is not None else None
        return Done(kept, current)

    def _current(self, log_id: UUID) -> wire.Log | None:
        if log_id not in self._seen:
            self._seen[log_id] = store.current(self._tx, self._grant, log_id)
        return self._seen[log_id]

    def _decide(self, op: ReadOp) -> Done:
        asked = op.asked
        if asked is None:
            return _rejected(op, None, "invalid-request", op.errors)
        before = self._current(asked.id)
        if asked.log is not None and (errors := self._faults(op, asked.id, asked.log)):
            return _rejected(op, before, "invalid-request", errors)
        if before is None:
            if asked.base > 0 or asked.log is None:
                return Done(Kept(op.n, op.op, "gone", 0, 0))
            return self._store(op, asked.id, asked.log, None)
        if before.deleted:
            return Done(Kept(op.n, op.op, "gone", before.revision, before.seq))
        if asked.log is None:
            if before.kind in wire.GUARDED:
                return _rejected(op, before, "conflict", detail="A crisis plan is emptied, not deleted")
            return self._applied(op, changing.bury(self._tx, self._grant, self._chain, before, self._skew), before)
        if before.kind != wire.kind_of(asked.log.body):
            return _rejected(op, before, "conflict", detail="An entry keeps its kind; delete it and make another")
        if changing.same(before, asked.log):
            return Done(Kept(op.n, op.op, "applied", before.revision, before.seq))
        if before.kind in wire.GUARDED and asked.base != before.revision:
            return Done(Kept(op.n, op.op, "conflict", before.revision, before.seq), before)
        return self._store(op, asked.id, asked.log, before)

    def _faults(self, op: ReadOp, log_id: UUID, entry: wire.LogIn) -> tuple[tuple[str, str], ...]:
        found = changing.faults(entry, self._window)
        if changing.misplaced(self._grant.patient, log_id, wire.kind_of(entry.body)):
            found.append(("/body/kind", "one-per-patient"))
        return tuple((f"/ops/{op.place}/log{pointer}", code) for pointer, code in found)

    def _store(self, op: ReadOp, log_id: UUID, entry: wire.LogIn, before: wire.Log | None) -> Done:
        log = changing.append(self._tx, self._grant, self._chain, log_id, entry, before, self._skew)
        return self._applied(op, log, before)

    def _applied(self, op: ReadOp, log: wire.Log, before: wire.Log | None) -> Done:
        self._seen[log.id] = log
        self.changes.append((log, before))
        return Done(Kept(op.n, op.op, "applied", log.revision, log.seq))


def _rejected(
    op: ReadOp, before: wire.Log | None, word: str, errors: tuple[tuple[str, str], ...] = (), detail: str = ""
) -> Done:
    revision, seq = (0, 0) if before is None else (before.revision, before.seq)
    return Done(Kept(op.n, op.op, "rejected", revision, seq, word, detail, errors))


def _flagged(ops: Sequence[ReadOp], done: Sequence[Done]) -> bool:
    """Whether something that is stored says that the person is in danger."""
    for op, one in zip(ops, done, strict=False):
        entry = op.asked.log if op.asked is not None else None
        if one.kept.outcome == "applied" and entry is not None and flags(entry.body):
            return True
    return False


def _each_shown_once(done: Sequence[Done]) -> list[Done]:
    """Only the last conflict on an entry carries what stands in its way: a small push must not ask for much."""
    last = {one.current.id: place for place, one in enumerate(done) if one.current is not None}
    return [
        one if one.current is None or last[one.current.id] == place else msgspec.structs.replace(one, current=None)
        for place, one in enumerate(done)
    ]


def _as_shown(tx: Tx, actor: Actor, grant: Grant, done: Done) -> Done:
    """What stands in the way only for whoever may read it."""
    if done.current is None:
        return done
    shown = service.as_shown(tx, actor, grant, Problem("conflict", current=done.current))
    return msgspec.structs.replace(done, current=shown.current)


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor of a pull holds."""

    epoch: int
    seq: int
    floor: int
    scope: bytes


def pull(tx: Tx, actor: Actor, patient: str, cursor: str | None, limit: int) -> wire.Changes:
    """What changed after a cursor, or everything; tombstones too. Of a kind that is not consented there is nothing.

    Raises:
        Problem: ``cursor-expired`` when the walk must begin anew.
    """
    grant = gate.to_find(tx, actor, patient, "logs:read")
    feed = audit.look(tx, grant.patient)
    scope, list_name = _scope(grant), f"pull|{grant.patient}"
    seq = 0
    if cursor is not None:
        held = _Place(*paging.read(tx, actor, list_name, cursor, tuple[int, int, int, bytes]))
        if _expired(held, feed, scope):
            raise Problem("cursor-expired")
        seq = held.seq
    found = store.changes(tx, grant, seq, limit + 1)
    page = found[:limit]
    more = len(found) > limit
    seen = [log for log in page if isinstance(log, wire.Log)]
    if seen:
        gate.shown(tx, actor, grant, "changes", {log.kind for log in seen})
    last = page[-1] if more else feed.seq
    reached = last.seq if isinstance(last, wire.Log) else last
    place = paging.write(tx, actor, list_name, feed.epoch, reached, feed.floor, scope)
    return wire.Changes(changes=seen, cursor=place, more=more, epoch=feed.epoch)


def _scope(grant: Grant) -> bytes:
    """What the caller may see, short. All is all, also when there are more kinds."""
    if grant.categories >= gate.ALL:
        return b"all"
    return sha256(" ".join(sorted(grant.categories)).encode()).digest()[:8]


def _expired(held: _Place, feed: audit.Chain, scope: bytes) -> bool:
    """Whether changes may be missing after this cursor: tombstones behind it were purged, before its walk began or since;
    the order was restored to an earlier state; or it was of a caller who might see other kinds.
    """
    if held.epoch != feed.epoch or held.scope != scope or held.seq > feed.seq:
        return True
    return held.seq < feed.floor and held.floor < feed.floor


def digest(tx: Tx, actor: Actor, patient: str, through: int | None) -> wire.Digest:
    """Proof of what is stored up to a change, for a device to compare with what it holds."""
    grant = gate.to_find(tx, actor, patient, "logs:read")
    newest = audit.look(tx, grant.patient).seq if grant.categories >= gate.ALL else _newest_seen(tx, grant)
    place = newest if through is None else min(through, newest)
    found = store.hashes(tx, grant, place)
    gate.shown(tx, actor, grant, "digest", grant.categories)
    return wire.Digest(count=len(found), sha256=digest_of(found), through=place)


def _newest_seen(tx: Tx, grant: Grant) -> int:
    """The newest change of the kinds the caller may see: others are not to be told from it."""
    return max((store.newest_of(tx, grant, kind, 0) for kind in grant.categories), default=0)


class News(msgspec.Struct, frozen=True):
    """Whose diary a stream is about, and its newest change that the caller may see."""

    patient: UUID
    newest: int


def news(tx: Tx, actor: Actor, patient: str, after: int | None = None) -> News:
    """Where the diary stands for whoever has a stream, and was told of ``after``; without it, for whoever opens one.

    For a caller of some kinds only what came since is looked through; at first the last ``RECENT`` changes.
    """
    grant = gate.to_find(tx, actor, patient, "logs:read")
    newest = store.newest(tx, grant)
    if grant.categories >= gate.ALL:
        return News(grant.patient, newest)
    known = 0 if after is None or after > newest else after
    since = known or max(newest - RECENT, 0)
    seen = max((store.newest_of(tx, grant, kind, since) for kind in grant.categories), default=0)
    return News(grant.patient, seen or known)


def still(tx: Tx, actor: Actor, streams: Sequence[tuple[Caller, str, int]]) -> list[News | None]:
    """``news`` for many open streams in one look (the service itself); None for a caller who may no more."""
    if actor.role != "system":
        raise NotFound
    return [_for_one(tx, *stream) for stream in streams]


def _for_one(tx: Tx, caller: Caller, patient: str, after: int) -> News | None:
    try:
        return news(tx, people.resolve(tx, caller), patient, after)
    except (Problem, SealBroken, KeyMissing):  # one row that does not open must not make every stream deaf
        return None


def to_purge(tx: Tx, actor: Actor) -> list[UUID]:
    """Patients whose feeds have old tombstones (the service itself); some of them, if there are many."""
    if actor.role not in ("system", "operator"):
        raise NotFound
    return store.to_purge(tx, micros(tx.now - KEPT_FOR))


def purge(tx: Tx, actor: Actor, patient: UUID) -> bool:
    """Take a patient's old tombstones out of the feed (the service itself); whether there was one.

    They stay in the history, so their ids never live again; who has not pulled since begins anew.
    """
    grant = gate.for_operator(tx, actor, patient)
    chain = audit.lock(tx, patient)
    floor = store.purge(tx, grant, micros(tx.now - KEPT_FOR))
    if floor is None:
        return False
    chain.floor = max(chain.floor, floor)
    audit.save(tx, chain)
    return True


class Restored(msgspec.Struct, frozen=True):
    """A backup was put back: the epoch that follows from it, whose devices must be told, and the mark that says so."""

    epoch: int
    patients: list[UUID]
    mark: int


def restored(tx: Tx, actor: Actor) -> Restored | None:
    """Whether the database is a backup whose devices were not told yet (the service itself)."""
    if actor.role not in ("system", "operator"):
        raise NotFound
    mark = beats.last(tx, actor, beats.RESTORED)
    return None if mark is None else Restored(mark // 1_000_000, audit.everybody(tx), mark)


def everybody(tx: Tx, actor: Actor) -> list[UUID]:
    """Every patient who has a diary (operator)."""
    if actor.role not in ("system", "operator"):
        raise NotFound
    return audit.everybody(tx)


def raise_epoch(tx: Tx, actor: Actor, patient: UUID, epoch: int | None = None) -> int:
    """Tell a patient's devices that the order of changes was put back to an earlier state (operator); the new epoch.

    A number that nobody has: the seconds since 1970. The next one may have been given out in the time that was taken back,
    and a device that got it there would take what it has for complete. Raising to the ``epoch`` of a restore again is the
    same as once.
    """
    if actor.role not in ("system", "operator"):
        raise NotFound
    chain = audit.lock(tx, patient)
    wanted = max(chain.epoch + 1, micros(tx.now) // 1_000_000) if epoch is None else epoch
    if wanted > chain.epoch:
        chain.epoch = wanted
        audit.save(tx, chain)
    return chain.epoch
