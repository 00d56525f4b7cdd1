"""A push: which operations go into it, and what its answer does to the file. Knows no link and no clock.

Numbers were given as things were done, so a push that is interrupted anywhere is sent again as it was. Each answer leaves
the outbox and takes effect in one transaction (API.md rule 7).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid5

import msgspec

from companion_sdk.wire import GUARDED, Fault, PushResult
from companion_sdk.wire.sync import MAX_OPS, MAX_PUSH_BYTES

from . import attention, mirror, outbox, said
from .records import Device, Facts, Op, Place, Refusal, Row
from .store import Tx

SETTLED = 100
"""Answers that take effect in one transaction: a person who records something waits for no more."""

_FRAME_BYTES = 200
_OP_BYTES = 200
_TOO_OLD = frozenset({"unknown-field", "unknown-word"})
_STOPS = frozenset({"gap", "rewound"})


class Batch(msgspec.Struct, frozen=True):
    """What one push carries: as which device, for whom, which operations."""

    device: UUID
    patient: UUID
    ops: Sequence[Op]


class _Op(msgspec.Struct, frozen=True):
    n: int
    op: UUID
    id: UUID
    base: int
    log: msgspec.Raw | None


class _Push(msgspec.Struct, frozen=True):
    device: UUID
    sent_at: datetime
    ops: Sequence[_Op]


class Settled(msgspec.Struct):
    """What the answers of a push did, counted."""

    pushed: int = 0
    applied: int = 0
    refused: int = 0


def frame(batch: Batch, sent_at: datetime) -> msgspec.Struct:
    """The push as it is sent."""
    ops = [_Op(op.n or 0, op.op, op.id, op.base, None if op.log is None else msgspec.Raw(op.log)) for op in batch.ops]
    return _Push(batch.device, sent_at, ops)


def following(tx: Tx, most: int = MAX_OPS) -> Batch | None:
    """The operations that leave next; None when there are none.

    Two on one guarded entry never leave together: the second rests on what becomes of the first.
    """
    device = tx.device()
    if device.patient is None:
        return None
    chosen: list[Op] = []
    guarded: set[UUID] = set()
    size = _FRAME_BYTES
    for op in outbox.first(tx, most):
        size += _size(op)
        if op.id in guarded or (chosen and size > MAX_PUSH_BYTES):
            break
        if _is_guarded(op):
            guarded.add(op.id)
        chosen.append(op)
    return Batch(device.id, device.patient, chosen) if chosen else None


def understood(facts: Facts, op: Op) -> bool:
    """Whether the service knows the kind and every field of what is to be stored."""
    if op.log is None:
        return True
    body = said.tree_of(said.read(op.log))
    known = facts.kinds.get(str(body.get("kind")))
    return known is not None and set(body) - {"kind"} <= set(known)


def too_old(results: Sequence[PushResult]) -> bool:
    """Whether a service refused something because it does not know it."""
    faults = (fault for result in results if result.problem is not None for fault in result.problem.errors)
    return any(fault.code in _TOO_OLD for fault in faults)


def too_large(tx: Tx, op: Op) -> None:
    """One operation alone is more than the service, or something before it, lets pass: the person decides.

    Its number stays unused, which the service tells as a gap, and that mends itself.
    """
    outbox.drop(tx, op)
    faults = [Fault(pointer="", code="too-large")]
    attention.put(tx, op.id, Refusal("rejected", "It is larger than the service lets pass", faults, op.base, op.log))


def settle(tx: Tx, batch: Batch, results: Sequence[PushResult], facts: Facts, epoch: int, now: datetime) -> Settled:
    """Let some of the answers of a push take effect; whatever another process settled already is left alone.

    ``epoch`` and ``now`` are the service's, as the answer told them.
    """
    if tx.device().id != batch.device:
        return Settled()
    desk = _Desk(tx, batch, facts, epoch, now)
    for result in results:
        if result.outcome in _STOPS:
            desk.begin_anew(result)
            break
        desk.take(result)
    mirror.put(tx, desk.rows.values())
    mirror.acknowledged(tx, epoch)
    return desk.done


class _Desk:
    """Where the answers of one push are taken in, one after the other; ``rows`` of the mirror are written at the end."""

    def __init__(self, tx: Tx, batch: Batch, facts: Facts, epoch: int, now: datetime) -> None:
        self._tx = tx
        self._facts = facts
        self._now = now
        self._batch = batch
        self._place = tx.get(Place) or Place()
        self._restored = self._place.epoch not in (None, epoch)
        left = outbox.still_there(tx, batch.ops)
        self._sent: Mapping[int | None, Op] = {op.n: op for op in batch.ops if op.op in left}
        self._stands = mirror.find_all(tx, [op.id for op in self._sent.values()])
        self.rows: dict[UUID, Row] = {}
        self.done = Settled()

    def begin_anew(self, result: PushResult) -> None:
        """A number is missing or was another's: this file was restored, or the service was. Be a new device (rule 9).

        Its id follows from the operation, so that a backup that is restored twice ends as one device. Where another
        process has taken in the operation's answer already, there is nothing to mend.
        """
        op = self._sent.get(result.n)
        if op is not None:
            last = outbox.renumber(self._tx)
            self._tx.put(Device(uuid5(self._batch.device, str(op.op)), last, self._batch.patient))

    def take(self, result: PushResult) -> None:
        """One answer."""
        op = self._sent.get(result.n)
        if op is None:
            return
        self.done.pushed += 1
        outbox.drop(self._tx, op)
        later = outbox.newest(self._tx, op.id)
        if result.outcome == "applied":
            self._applied(op, result, later)
        elif result.outcome == "gone":
            self._gone(op, result, later)
        elif result.outcome == "conflict":
            self._conflict(op, result, later)
        else:
            self._rejected(op, result, later)

    def _applied(self, op: Op, result: PushResult, later: Op | None) -> None:
        self.done.applied += 1
        self._mirror(op, result)
        if later is not None:
            outbox.rebase(self._tx, op.id, result.revision)

    def _gone(self, op: Op, result: PushResult, later: Op | None) -> None:
        """Deleted elsewhere, or unknown to the service; unknown because it was restored: offered as new."""
        unknown = result.revision == 0
        if unknown and self._restored and op.log is not None:
            if later is None:
                outbox.add(self._tx, op.id, 0, op.log, offered=op.offered)
            else:
                outbox.rebase(self._tx, op.id, 0)
            return
        if unknown:
            self.rows.pop(op.id, None)
            mirror.forget(self._tx, op.id)
        else:
            self._mirror(msgspec.structs.replace(op, log=None), result)
        if op.log is not None and not op.offered and later is None:
            self._refuse(op, "gone", result, "It was deleted meanwhile; as a new entry it can be kept")

    def _conflict(self, op: Op, result: PushResult, later: Op | None) -> None:
        """The person's newest words wait beside what is stored: they were written without having seen it."""
        if later is None:
            self._refuse(op, "conflict", result, "It was changed elsewhere meanwhile")

    def _rejected(self, op: Op, result: PushResult, later: Op | None) -> None:
        """Refused for what it says, or not understood yet; what the person did since stands in its place."""
        if later is not None:
            return
        if self._too_old(op, result):
            outbox.hold(self._tx, op, self._facts.stamp)
        else:
            self._refuse(op, "rejected", result, "The service does not keep it")

    def _too_old(self, op: Op, result: PushResult) -> bool:
        return too_old((result,)) or not understood(self._facts, op)

    def _refuse(self, op: Op, reason: str, result: PushResult, detail: str) -> None:
        self.done.refused += 1
        problem, current = result.problem, result.current
        faults = [] if problem is None else [Fault(pointer=_within(f.pointer), code=f.code) for f in problem.errors]
        if problem is not None and problem.detail:
            detail = problem.detail
        stored = None if current is None else msgspec.json.encode(current)
        attention.put(self._tx, op.id, Refusal(reason, detail, faults, op.base, op.log, stored))

    def _mirror(self, op: Op, result: PushResult) -> None:
        """What the answer stored or found deleted, unless the mirror has a newer revision of this service's life."""
        old = self.rows.get(op.id) or self._stands.get(op.id)
        if old is not None and old.revision > result.revision and not self._restored:
            return
        at = old.at if old is not None else 0
        log = None
        if op.log is not None:
            at, log = said.micros(said.read(op.log).at), self._log(op, op.log, result)
        generation = self._place.generation if old is None else old.generation  # a walk under way brings it by itself
        self.rows[op.id] = Row(op.id, at, result.revision, result.seq, log is None, generation, log)

    def _log(self, op: Op, raw: bytes, result: PushResult) -> bytes:
        """The entry as the service will tell it, but for the moment and the author."""
        entry = said.read(raw)
        told = _Told(
            id=op.id,
            patient_id=self._batch.patient,
            kind=said.kind_in(entry),
            at=entry.at,
            zone=entry.zone,
            day=said.day_in(entry).isoformat(),
            source=entry.source,
            revision=result.revision,
            seq=result.seq,
            recorded_at=self._now,
            author_id=self._batch.patient,
            body=entry.body,
        )
        return msgspec.json.encode(told)


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """A ``Log`` whose content stays as it was sent."""

    id: UUID
    patient_id: UUID
    kind: str
    at: datetime
    zone: str
    day: str
    source: str
    revision: int
    seq: int
    recorded_at: datetime
    author_id: UUID
    body: msgspec.Raw
    deleted: bool = False
    skewed: bool = False


def _within(pointer: str) -> str:
    """A pointer into the entry, of one into the push: ``/body/mood`` of ``/ops/17/log/body/mood``."""
    parts = pointer.split("/")
    inside = parts[1:2] == ["ops"] and len(parts) > 3
    return "/" + "/".join(parts[4 if parts[3] == "log" else 3 :]) if inside else pointer


def _size(op: Op) -> int:
    return _OP_BYTES + len(op.log or b"")


def _is_guarded(op: Op) -> bool:
    return op.log is not None and said.kind_in(said.read(op.log)) in GUARDED
