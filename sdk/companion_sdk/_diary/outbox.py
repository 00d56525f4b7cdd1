"""The outbox: what a person did and the service has not yet acknowledged, in the order it was done. Knows no call.

Each operation gets its number and its id as it is done, and nothing is changed or dropped afterwards: an edit of an entry
that has not left is one more operation. So two lives of one file (it was restored from a backup) agree on the number and id
of everything done before they parted, and the service tells what it has already applied.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec

from .records import Op
from .store import Tx

_COLUMNS = "place, n, op, id, base, offered, held_for, log"
_ADD = "INSERT INTO outbox (n, op, id, base, offered, held_for, log) VALUES (?, ?, ?, ?, ?, ?, ?)"


def newest(tx: Tx, entry: UUID) -> Op | None:
    """The last operation on an entry."""
    row = tx.one(f"SELECT {_COLUMNS} FROM outbox WHERE id = ? ORDER BY place DESC LIMIT 1", entry.bytes)
    return None if row is None else load(tx, row)


def latest(tx: Tx) -> list[Op]:
    """The last operation on each entry that has any."""
    query = f"SELECT {_COLUMNS} FROM outbox WHERE place IN (SELECT max(place) FROM outbox GROUP BY id) ORDER BY place"
    return [load(tx, row) for row in tx.all(query)]


def first(tx: Tx, most: int) -> list[Op]:
    """The operations that are to leave next, in the order of their numbers."""
    return [load(tx, row) for row in tx.all(f"SELECT {_COLUMNS} FROM outbox WHERE n > 0 ORDER BY n LIMIT ?", most)]


def still_there(tx: Tx, ops: Sequence[Op]) -> set[UUID]:
    """The ids of those operations that have not been answered yet."""
    low, high = ops[0].n, ops[-1].n
    return {UUID(bytes=row[0]) for row in tx.all("SELECT op FROM outbox WHERE n BETWEEN ? AND ?", low, high)}


def load(tx: Tx, row: tuple[Any, ...]) -> Op:
    """An operation from its row."""
    place, n, op, entry, base, offered, held_for, log = row
    op_id, entry_id = UUID(bytes=op), UUID(bytes=entry)
    return Op(place, n, op_id, entry_id, base, bool(offered), held_for, tx.open(_bound(op_id, entry_id), log))


def add(tx: Tx, entry: UUID, base: int, log: bytes | None, *, offered: bool = False) -> None:
    """One more operation: store ``log``, or delete (None)."""
    _write(tx, _next_n(tx), tx.fresh(), entry, base, log, offered=offered, held_for=None)


def hold(tx: Tx, op: Op, stamp: str) -> None:
    """Keep an operation that was refused until the service understands something else than it does now."""
    _write(tx, None, op.op, op.id, op.base, op.log, offered=op.offered, held_for=stamp)


def release(tx: Tx, stamp: str) -> None:
    """Let go of what was held for a service that has changed since: as other operations, since these were answered."""
    query = f"SELECT {_COLUMNS} FROM outbox WHERE held_for <> ? ORDER BY place"
    for row in tx.all(query, stamp):
        op = load(tx, row)
        drop(tx, op)
        _write(tx, _next_n(tx), uuid5(op.op, stamp), op.id, op.base, op.log, offered=op.offered, held_for=None)


def renumber(tx: Tx) -> int:
    """Give what is to leave the numbers 1, 2, 3 … in its order; how many there are."""
    places = tx.all("SELECT place FROM outbox WHERE n > 0 ORDER BY n")
    for number, (place,) in enumerate(places, start=1):  # upwards, so that no number is ever there twice
        tx.run("UPDATE outbox SET n = ? WHERE place = ?", number, place)
    return len(places)


def drop(tx: Tx, op: Op) -> None:
    """Take an operation out: it was answered, or it is held and something else takes its place."""
    tx.run("DELETE FROM outbox WHERE place = ?", op.place)


def rebase(tx: Tx, entry: UUID, base: int) -> None:
    """What waits on an entry now follows another revision."""
    tx.run("UPDATE outbox SET base = ? WHERE id = ?", base, entry.bytes)


def offer(tx: Tx, entry: UUID, base: int, log: bytes | None) -> None:
    """Give back what a restored service lost. What the person did since stands above it and is only rebased."""
    if newest(tx, entry) is None:
        add(tx, entry, base, log, offered=True)
    else:
        rebase(tx, entry, base)


def move(tx: Tx, old: UUID, new: UUID) -> None:
    """Let the operations on one id be on another: nothing of them has ever left."""
    for row in tx.all(f"SELECT {_COLUMNS} FROM outbox WHERE id = ? ORDER BY place", old.bytes):
        op = load(tx, row)
        tx.run("UPDATE outbox SET id = ?, log = ? WHERE place = ?", new.bytes, tx.shut(_bound(op.op, new), op.log), op.place)


def unsent(tx: Tx) -> int:
    """Entries with something that was not acknowledged."""
    return _count(tx, "SELECT count(DISTINCT id) FROM outbox")


def held(tx: Tx) -> int:
    """Entries that wait for a newer service."""
    return _count(tx, "SELECT count(DISTINCT id) FROM outbox WHERE held_for IS NOT NULL")


def sendable(tx: Tx) -> bool:
    """Whether there is something that a push would take along."""
    return tx.one("SELECT 1 FROM outbox WHERE n > 0 LIMIT 1") is not None


def _next_n(tx: Tx) -> int:
    device = tx.device()
    tx.put(msgspec.structs.replace(device, last_n=device.last_n + 1))
    return device.last_n + 1


def _write(
    tx: Tx, n: int | None, op: UUID, entry: UUID, base: int, log: bytes | None, *, offered: bool, held_for: str | None
) -> None:
    tx.run(_ADD, n, op.bytes, entry.bytes, base, int(offered), held_for, tx.shut(_bound(op, entry), log))


def _count(tx: Tx, query: str) -> int:
    row = tx.one(query)
    return 0 if row is None else int(row[0])


def _bound(op: UUID, entry: UUID) -> tuple[object, ...]:
    """What the content of an operation is sealed with."""
    return ("outbox", op.bytes, entry.bytes)
