"""The mirror: what the service has, as far as this device was told. Pages, walks and sweeps; knows no call and no person.

A row is never replaced by an older revision. A walk (a snapshot, API.md rule 8) writes into a new generation: rows of an
older one are replaced by whatever comes, and swept when all has come. What a walk shows to be lost on the service (it was
restored from a backup) is put into the outbox again: a deletion, a newer revision, an entry that is not there at all.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from companion_sdk._decode import Unreadable
from companion_sdk.wire.canonical import body_hash
from companion_sdk.wire.canonical import digest as digest_of

from . import outbox, said
from .records import Envelope, Page, Place, Row, Walk
from .store import Store, Tx

SWEPT = 200
"""Rows swept in one transaction."""

_IN_ONE_QUERY = 400
_COLUMNS = "id, at, revision, seq, deleted, generation, log"
_PUT = (
    f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at, "
    "revision = excluded.revision, seq = excluded.seq, deleted = excluded.deleted, generation = excluded.generation, "
    "log = excluded.log"
)
_envelope = msgspec.json.Decoder(Envelope)


class _Came(msgspec.Struct, frozen=True):
    changes: list[msgspec.Raw]
    cursor: str
    more: bool
    epoch: int


_came = msgspec.json.Decoder(_Came)


def read_page(raw: bytes) -> Page:
    """A page of a pull; the entries themselves are read when somebody looks at them.

    Raises:
        Unreadable: it is no such page.
    """
    try:
        came = _came.decode(raw)
        changes = [(_envelope.decode(change), bytes(change)) for change in came.changes]
    except ValueError:
        raise Unreadable("no page of changes") from None
    return Page(changes, came.cursor, came.more, came.epoch)


def find(tx: Tx, entry: UUID) -> Row | None:
    """One row, a tombstone too."""
    row = tx.one(f"SELECT {_COLUMNS} FROM entries WHERE id = ?", entry.bytes)
    return None if row is None else _load(tx, row)


def find_all(tx: Tx, entries: Sequence[UUID]) -> dict[UUID, Row]:
    """Those of some rows that there are."""
    found: dict[UUID, Row] = {}
    for start in range(0, len(entries), _IN_ONE_QUERY):
        asked = [entry.bytes for entry in entries[start : start + _IN_ONE_QUERY]]
        marks = ", ".join("?" * len(asked))
        for row in tx.all(f"SELECT {_COLUMNS} FROM entries WHERE id IN ({marks})", *asked):
            one = _load(tx, row)
            found[one.id] = one
    return found


def live(tx: Tx, low: int, high: int, most: int) -> Iterator[tuple[UUID, int, int, bytes, tuple[object, ...]]]:
    """Entries that were not deleted and happened between two moments, newest first; ``most`` below 0: all of them.

    Each as (id, at, revision, the content as it stands in the file, what that is sealed with).
    """
    query = (
        "SELECT id, at, revision, seq, log FROM entries WHERE deleted = 0 AND at BETWEEN ? AND ? "
        "ORDER BY at DESC, id DESC LIMIT ?"
    )
    for own, at, revision, seq, log in tx.all(query, low, high, most):
        entry = UUID(bytes=own)
        yield entry, at, revision, log, _bound(entry, at, revision, seq)


def put(tx: Tx, rows: Iterable[Row]) -> None:
    """Write rows whatever stands there."""
    tx.many(_PUT, [_stored(tx, row) for row in rows])


def forget(tx: Tx, entry: UUID) -> None:
    """Take a row out."""
    tx.run("DELETE FROM entries WHERE id = ?", entry.bytes)


def begin_walk(tx: Tx, used: Place | None) -> None:
    """Start a snapshot into a new generation, unless somebody has moved the place meanwhile."""
    place = tx.get(Place)
    if place != used:
        return
    place = place or Place()
    row = tx.one("SELECT max(seq) FROM entries WHERE deleted = 0")
    top = row[0] or 0 if row is not None else 0
    tx.put(msgspec.structs.replace(place, cursor=None, walk=Walk(place.stamp + 1, top)))


def take_in(tx: Tx, used: Place, page: Page) -> None:
    """Write a page and its cursor, if the place is still the one it was asked from (API.md rule 6)."""
    if tx.get(Place) != used:
        return
    walk = used.walk
    if walk is None and page.epoch != used.epoch:
        begin_walk(tx, used)
        return
    stands = find_all(tx, [envelope.id for envelope, _ in page.changes])
    put(tx, _newer(tx, used, stands, page.changes))
    if walk is not None:
        seen = max([walk.seen, *(envelope.seq for envelope, _ in page.changes)])
        walk = Walk(walk.generation, walk.top, seen, page.epoch, ended=not page.more, acks=used.acks)
    tx.put(msgspec.structs.replace(used, cursor=page.cursor, walk=walk))


def acknowledged(tx: Tx, epoch: int) -> None:
    """Answers to a push were taken in, of a service in this ``epoch``: where none is known yet, it is the one.

    A page of a walk that was asked for before them is asked for again.
    """
    before = tx.get(Place) or Place()
    place = before if before.epoch is not None else msgspec.structs.replace(before, epoch=epoch)
    if place.walk is not None:
        place = msgspec.structs.replace(place, acks=place.acks + 1)
    if place != before:
        tx.put(place)


def _newer(tx: Tx, place: Place, stands: dict[UUID, Row], changes: Iterable[tuple[Envelope, bytes]]) -> Iterator[Row]:
    """The rows of a page that are to be written."""
    for envelope, raw in changes:
        old = stands.get(envelope.id)
        if old is not None:
            walked = place.walk is not None and old.generation < place.walk.generation
            stale = not walked and old.revision > envelope.revision
            if not stale or (old.deleted and place.restored):
                _give_back(tx, old, envelope, raw)
            if stale:
                continue
        log = None if envelope.deleted else raw
        at = said.micros(envelope.at)
        yield Row(envelope.id, at, envelope.revision, envelope.seq, envelope.deleted, place.stamp, log)


def _give_back(tx: Tx, old: Row, new: Envelope, raw: bytes) -> None:
    """Offer again what this device was told was stored, where the service now shows an earlier state: it was restored.

    By revision and content: the moment of recording alone cannot tell, since what another device gave back is recorded now.
    Where both have as many revisions and theirs is the later, what was lost goes into the history and theirs stands again.
    """
    if new.deleted:
        return
    if old.log is None:
        outbox.offer(tx, old.id, new.revision, None)
    elif new.revision <= old.revision and not said.same(old.log, raw):
        waits = outbox.newest(tx, old.id) is not None
        outbox.offer(tx, old.id, new.revision, said.as_asked(old.log))
        later = new.revision == old.revision and new.recorded_at > _envelope.decode(old.log).recorded_at
        if later and not waits:
            outbox.add(tx, old.id, new.revision, said.as_asked(raw), offered=True)


def sweep(tx: Tx, used: Place, *, app: bool) -> bool:
    """Take out some live rows that a finished walk did not bring; when none are left, the walk is over.

    Whether the mirror is whole then: what was acknowledged after the last page is swept as well, and a pull brings it.

    Where the service was restored (another epoch, or its order of changes ends earlier than this device knows) they are
    offered again; one that was deleted is answered ``gone``. What was deleted is remembered as deleted for ever: another
    device may still give it back to a restored service. An app is shown less whenever its consent is, so it gives nothing
    back.
    """
    walk = used.walk
    if tx.get(Place) != used or walk is None:
        return False
    restored = not app and (used.epoch not in (None, walk.epoch) or walk.seen < walk.top)
    query = f"SELECT {_COLUMNS} FROM entries WHERE generation < ? ORDER BY generation, id LIMIT ?"
    old = [_load(tx, row) for row in tx.all(query, walk.generation, SWEPT)]
    for row in old:
        if restored and row.log is not None:
            outbox.offer(tx, row.id, 0, said.as_asked(row.log))
    dead = [(walk.generation, row.id.bytes) for row in old if row.deleted]
    tx.many("UPDATE entries SET generation = ? WHERE id = ?", dead)
    tx.many("DELETE FROM entries WHERE id = ?", [(row.id.bytes,) for row in old if not row.deleted])
    over = len(old) < SWEPT
    if over:
        known = used.restored or restored
        tx.put(Place(used.cursor, walk.epoch, walk.generation, acks=used.acks, restored=known))
    return over and used.acks == walk.acks


class Held(msgspec.Struct, frozen=True):
    """What the mirror proves: how many live entries, their digest, and the last change it holds."""

    count: int
    sha256: str
    through: int


def digest(store: Store) -> Held:
    """The digest of the mirror, by the service's own rule."""
    with store.read() as tx:
        row = tx.one("SELECT max(seq) FROM entries")
        live = tx.all(f"SELECT {_COLUMNS} FROM entries WHERE deleted = 0")
    hashes: list[tuple[UUID, int, bytes]] = []
    for own, at, revision, seq, _, _, log in live:
        entry = UUID(bytes=own)
        raw = store.unseal(_bound(entry, at, revision, seq), log)
        hashes.append((entry, revision, body_hash(said.tree_of(said.read(raw)))))
    return Held(len(hashes), digest_of(hashes), row[0] or 0 if row is not None else 0)


def _load(tx: Tx, row: tuple[Any, ...]) -> Row:
    own, at, revision, seq, deleted, generation, log = row
    entry = UUID(bytes=own)
    return Row(entry, at, revision, seq, bool(deleted), generation, tx.open(_bound(entry, at, revision, seq), log))


def _stored(tx: Tx, row: Row) -> tuple[object, ...]:
    log = tx.shut(_bound(row.id, row.at, row.revision, row.seq), row.log)
    return row.id.bytes, row.at, row.revision, row.seq, int(row.deleted), row.generation, log


def _bound(entry: UUID, at: int, revision: int, seq: int) -> tuple[object, ...]:
    """What the content of a row is sealed with."""
    return ("entries", entry.bytes, at, revision, seq)
