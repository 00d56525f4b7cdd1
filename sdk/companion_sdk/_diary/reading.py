"""The diary as a person sees it: the mirror, with what waits in the outbox laid over it. Writes nothing, knows no call.

An entry with words that were refused shows what is stored, or, where nothing is, the refused words themselves.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import cast
from uuid import UUID

import msgspec

from companion_sdk._decode import decode
from companion_sdk.wire import Log

from . import attention, mirror, outbox, said
from .records import Op, Refusal, Row
from .shapes import Attention, Entry, Reason, State
from .store import Store, Tx

_SLACK = timedelta(hours=15)
"""No zone is further from UTC."""


class Found(msgspec.Struct, frozen=True):
    """One entry before anybody has read what it says; ``kept`` is its content as it stands in the file where ``bound`` is
    what it is sealed with, else its JSON.
    """

    id: UUID
    at: int
    revision: int
    state: State
    kept: bytes
    bound: tuple[object, ...] | None = None


class Standing(msgspec.Struct, frozen=True):
    """Everything the file has on one id."""

    row: Row | None
    op: Op | None
    refused: Refusal | None

    @property
    def dead(self) -> bool:
        """Whether it was deleted."""
        if self.op is not None:
            return self.op.log is None
        return self.row is not None and self.row.deleted

    def found(self, id: UUID) -> Found | None:
        """What is shown of it."""
        if self.op is not None:
            return None if self.op.log is None else _of_op(self.op)
        state: State = "sent" if self.refused is None else "needs attention"
        if self.row is not None:
            return None if self.row.log is None else Found(id, self.row.at, self.row.revision, state, self.row.log)
        if self.refused is None or self.refused.log is None or self.refused.reason == "gone":
            return None
        raw = self.refused.log
        return Found(id, said.micros(said.read(raw).at), 0, state, raw)


def standing(tx: Tx, id: UUID) -> Standing:
    """What the file has on one id."""
    return Standing(mirror.find(tx, id), outbox.newest(tx, id), attention.find(tx, id))


def one(tx: Tx, id: UUID) -> Found | None:
    """One entry, None where there is none or it was deleted."""
    return standing(tx, id).found(id)


class Days(msgspec.Struct, frozen=True):
    """Local days, both inclusive; None: no bound."""

    first: date | None = None
    last: date | None = None

    def roughly(self) -> tuple[int, int]:
        """Microseconds between which everything of these days lies in any zone."""
        low = -(2**62) if self.first is None else said.micros(_midnight(self.first) - _SLACK)
        high = 2**62 if self.last is None else said.micros(_midnight(self.last) + timedelta(days=1) + _SLACK)
        return low, high

    def hold(self, day: date) -> bool:
        """Whether a day is among them."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


def several(tx: Tx, days: Days, most: int | None) -> list[Found]:
    """Entries about these days, newest first; with ``most``, at least as many as that where there are."""
    low, high = days.roughly()
    pending = {op.id: op for op in outbox.latest(tx)}
    refused = dict(attention.find_all(tx))
    limit = -1 if most is None else most + len(pending)
    below = [
        Found(entry, at, revision, "needs attention" if entry in refused else "sent", kept, bound)
        for entry, at, revision, kept, bound in mirror.live(tx, low, high, limit)
        if entry not in pending
    ]
    alone = [entry for entry in refused if entry not in pending and mirror.find(tx, entry) is None]
    over = [Standing(None, pending.get(entry), refused.get(entry)).found(entry) for entry in [*pending, *alone]]
    whole = [found for found in over if found is not None and low <= found.at <= high] + below
    return sorted(whole, key=lambda found: (found.at, found.id.bytes), reverse=True)


def entry_of(found: Found, raw: bytes) -> Entry:
    """An entry as it is told, by its JSON."""
    content = said.read(raw)
    body = said.body_of(content)
    tree = said.tree_of(content)
    return Entry(
        id=found.id,
        kind=str(tree.get("kind", "")),
        at=said.instant(found.at),
        zone=content.zone,
        day=said.day_in(content),
        source=content.source,
        revision=found.revision,
        state=found.state,
        body=body,
        raw=tree if body is None else None,
    )


def chosen(store: Store, found: Sequence[Found], kind: str | None, days: Days, most: int | None) -> Iterator[Entry]:
    """Those that were asked for, read one by one; outside of any transaction."""
    count = 0
    for each in found:
        entry = entry_of(each, each.kept if each.bound is None else store.unseal(each.bound, each.kept))
        if (kind is None or entry.kind == kind) and days.hold(entry.day):
            if count == most:
                return
            count += 1
            yield entry


def attention_of(id: UUID, refused: Refusal) -> Attention:
    """Refused words as they are told."""
    content = None if refused.log is None else said.read(refused.log)
    return Attention(
        entry_id=id,
        reason=cast("Reason", refused.reason),
        detail=refused.detail,
        faults=refused.faults,
        body=None if content is None else said.body_of(content),
        at=None if content is None else content.at,
        zone=None if content is None else content.zone,
        current=None if refused.current is None else decode(Log, refused.current),
    )


def _of_op(op: Op) -> Found:
    raw = op.log or b""
    return Found(op.id, said.micros(said.read(raw).at), op.base, "kept", raw)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)
