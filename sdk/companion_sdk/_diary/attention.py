"""What the service refused, with the person's own words, until they fix or discard it. Knows no call.

One an entry: newer words of the person take the place of older ones.
"""

from typing import Any
from uuid import UUID

import msgspec

from .records import Refusal
from .store import Tx

_decode = msgspec.json.Decoder(Refusal).decode


def put(tx: Tx, entry: UUID, refusal: Refusal) -> None:
    """Set down that an operation on an entry was refused."""
    discard(tx, entry)
    sealed = tx.shut(_bound(entry), msgspec.json.encode(refusal))
    tx.run("INSERT INTO attention (id, refusal) VALUES (?, ?)", entry.bytes, sealed)


def find(tx: Tx, entry: UUID) -> Refusal | None:
    """What was refused on an entry."""
    row = tx.one("SELECT id, refusal FROM attention WHERE id = ?", entry.bytes)
    return None if row is None else _load(tx, row)[1]


def find_all(tx: Tx) -> list[tuple[UUID, Refusal]]:
    """Everything that was refused, in the order it came."""
    return [_load(tx, row) for row in tx.all("SELECT id, refusal FROM attention ORDER BY place")]


def discard(tx: Tx, entry: UUID) -> bool:
    """Forget it; whether there was something."""
    return tx.run("DELETE FROM attention WHERE id = ?", entry.bytes) > 0


def count(tx: Tx) -> int:
    """How many entries need attention."""
    row = tx.one("SELECT count(*) FROM attention")
    return 0 if row is None else int(row[0])


def _load(tx: Tx, row: tuple[Any, ...]) -> tuple[UUID, Refusal]:
    entry = UUID(bytes=row[0])
    return entry, _decode(tx.open(_bound(entry), row[1]) or b"")


def _bound(entry: UUID) -> tuple[object, ...]:
    return ("attention", entry.bytes)
