"""The SQL of the diary: one append-only table for all kinds, clustered by patient and time. No rule.

``current`` (0/1) is the only column ever updated and stands outside seal and chain; every other clear column is bound.
"""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec

from companion_sdk import wire
from companion_sdk.wire.canonical import body_hash

from ..consent.gate import Grant
from ..core import audit
from ..core.clock import instant
from ..core.db import Row, Tx
from ..core.sql import sql
from ..core.vault import bind

Body = wire.Body | None

_body = msgspec.json.Decoder(Body)
_encode = msgspec.json.encode

FIRST = -(2**63)
LAST = 2**63 - 1

COLUMNS = "patient_id, at, id, revision, seq, kind, zone, day, source, author_id, recorded_at, skew, deleted, sealed, link"
_SEALED = 13
SKEWED = 300_000_000
"""A phone's clock more than five minutes off, in microseconds."""

_CURRENT = sql(f"SELECT {COLUMNS} FROM logs WHERE patient_id = :patient AND id = :id ORDER BY revision DESC LIMIT 1")
_AT_ONCE = 50
_CURRENTS = sql(
    f"SELECT {COLUMNS} FROM logs WHERE patient_id = :patient AND id IN ({', '.join(f':id{n}' for n in range(_AT_ONCE))}) "
    "AND NOT EXISTS (SELECT 1 FROM logs AS newer WHERE newer.patient_id = logs.patient_id AND newer.id = logs.id "
    "AND newer.revision > logs.revision) ORDER BY id, revision"
)
_HISTORY = sql(f"SELECT {COLUMNS} FROM logs WHERE patient_id = :patient AND id = :id ORDER BY revision")
_ADD = sql(
    "INSERT INTO logs (patient_id, at, id, revision, seq, kind, zone, day, source, author_id, recorded_at, skew, deleted, "
    "current, sealed, link) VALUES (:patient, :at, :id, :revision, :seq, :kind, :zone, :day, :source, :author, "
    ":recorded, :skew, :deleted, 1, :sealed, :link)"
)
_RETIRE = sql("UPDATE logs SET current = 0 WHERE patient_id = :patient AND at = :at AND id = :id AND revision = :revision")
_PAGE = sql(
    f"SELECT {COLUMNS} FROM logs WHERE patient_id = :patient AND (at, id) < (:at, :id) AND at >= :since "
    "AND current = 1 AND deleted = 0 AND day >= :first AND day <= :last ORDER BY at DESC, id DESC LIMIT :limit"
)
_PAGE_OF_KIND = sql(
    f"SELECT {COLUMNS} FROM logs WHERE patient_id = :patient AND (at, id) < (:at, :id) AND at >= :since AND kind = :kind "
    "AND current = 1 AND deleted = 0 AND day >= :first AND day <= :last ORDER BY at DESC, id DESC LIMIT :limit"
)
_ANSWERS = sql(
    f"SELECT {COLUMNS} FROM logs WHERE patient_id = :patient AND at >= :since AND kind = :kind AND current = 1 "
    "AND deleted = 0 AND day >= :first AND day <= :last ORDER BY at DESC, id DESC"
)
_HAS = sql(
    "SELECT 1 FROM logs WHERE patient_id = :patient AND at >= :since AND at < :until AND kind = :kind "
    "AND day = :day AND current = 1 AND deleted = 0 LIMIT 1"
)
_CHANGES = sql(
    f"SELECT {COLUMNS} FROM logs WHERE patient_id = :patient AND seq > :seq AND current = 1 ORDER BY seq LIMIT :limit"
)
_NEWEST = sql("SELECT seq FROM logs WHERE patient_id = :patient AND current = 1 ORDER BY seq DESC LIMIT 1")
_NEWEST_OF_KIND = sql(
    "SELECT seq FROM logs WHERE patient_id = :patient AND seq > :after AND kind = :kind AND current = 1 "
    "ORDER BY seq DESC LIMIT 1"
)
_AS_OF = sql(
    f"SELECT {COLUMNS} FROM logs WHERE patient_id = :patient AND seq <= :through AND deleted = 0 AND NOT EXISTS (SELECT 1 "
    "FROM logs AS later WHERE later.patient_id = logs.patient_id AND later.id = logs.id AND later.revision > logs.revision "
    "AND later.seq <= :through) ORDER BY id, revision"
)
_TO_PURGE = sql(
    "SELECT patient_id FROM logs WHERE recorded_at < :before AND deleted = 1 AND current = 1 "
    "ORDER BY recorded_at, patient_id LIMIT :limit"
)
_OLDEST = 1_000
"""Tombstones that one look takes in."""
_LAST_TO_PURGE = sql(
    "SELECT seq FROM logs WHERE patient_id = :patient AND recorded_at < :before AND deleted = 1 AND current = 1 "
    "ORDER BY seq DESC LIMIT 1"
)
_PURGE = sql("UPDATE logs SET current = 0 WHERE patient_id = :patient AND seq <= :floor AND deleted = 1 AND current = 1")
_EVERY = sql(f"SELECT {COLUMNS}, current FROM logs WHERE patient_id = :patient ORDER BY seq")


class Entry(msgspec.Struct, frozen=True):
    """One revision as stored, before it has a ``seq``."""

    id: UUID
    at: int
    revision: int
    kind: str
    zone: str
    day: date
    source: wire.Source
    author: UUID
    recorded: int
    skew: int
    deleted: bool
    body: Body


def bound(row: Row) -> bytes:
    """The seal's binding: every clear column but ``current``."""
    return bind(
        "logs",
        1,
        bytes(row[0]),
        row[1],
        bytes(row[2]),
        row[3],
        row[4],
        row[5],
        row[6],
        row[7],
        row[8],
        bytes(row[9]),
        row[10],
        row[11],
        row[12],
    )


def read(tx: Tx, grant: Grant, row: Row) -> wire.Log:
    """A stored row as the contract shows it."""
    plain = tx.vault.open(grant.patient, bound(row), bytes(row[_SEALED]))
    return wire.Log(
        id=UUID(bytes=bytes(row[2])),
        patient_id=grant.patient,
        kind=row[5],
        at=instant(row[1]),
        zone=row[6],
        day=date.fromisoformat(row[7]),
        source=row[8],
        revision=row[3],
        seq=row[4],
        recorded_at=instant(row[10]),
        deleted=bool(row[12]),
        skewed=abs(row[11]) > SKEWED,
        author_id=grant.patient if row[9] == row[0] else UUID(bytes=bytes(row[9])),
        body=_body.decode(plain),
    )


def add(tx: Tx, grant: Grant, chain: audit.Chain, entry: Entry) -> wire.Log:
    """Append a revision with its seal and link; the answer is built from what was written."""
    day = entry.day.isoformat()
    seq = chain.seq + 1
    clear = (
        chain.patient,
        entry.at,
        entry.id.bytes,
        entry.revision,
        seq,
        entry.kind,
        entry.zone,
        day,
        entry.source,
        entry.author.bytes,
        entry.recorded,
        entry.skew,
        int(entry.deleted),
    )
    binding = bound(clear)
    sealed = tx.vault.seal(grant.patient, binding, _encode(entry.body))
    tx.run(
        _ADD,
        patient=clear[0],
        at=entry.at,
        id=clear[2],
        revision=entry.revision,
        seq=seq,
        kind=entry.kind,
        zone=entry.zone,
        day=day,
        source=entry.source,
        author=clear[9],
        recorded=entry.recorded,
        skew=entry.skew,
        deleted=clear[12],
        sealed=sealed,
        link=audit.extend(tx, chain, binding, sealed),
    )
    return wire.Log(
        id=entry.id,
        patient_id=grant.patient,
        kind=entry.kind,
        at=instant(entry.at),
        zone=entry.zone,
        day=entry.day,
        source=entry.source,
        revision=entry.revision,
        seq=seq,
        recorded_at=instant(entry.recorded),
        deleted=entry.deleted,
        skewed=abs(entry.skew) > SKEWED,
        author_id=entry.author,
        body=entry.body,
    )


def retire(tx: Tx, grant: Grant, at: int, log_id: UUID, revision: int) -> None:
    """The revision is no longer the current one."""
    tx.run(_RETIRE, patient=grant.patient.bytes, at=at, id=log_id.bytes, revision=revision)


def current(tx: Tx, grant: Grant, log_id: UUID) -> wire.Log | None:
    """The newest revision of one entry, a tombstone too."""
    row = tx.one(_CURRENT, patient=grant.patient.bytes, id=log_id.bytes)
    return None if row is None else read(tx, grant, row)


def currents(tx: Tx, grant: Grant, log_ids: Sequence[UUID]) -> dict[UUID, wire.Log]:
    """``current`` of those of some entries that exist, in few statements: on PostgreSQL each is a round trip."""
    found: dict[UUID, wire.Log] = {}
    for start in range(0, len(log_ids), _AT_ONCE):
        some = log_ids[start : start + _AT_ONCE]
        named = {f"id{n}": some[min(n, len(some) - 1)].bytes for n in range(_AT_ONCE)}
        for row in tx.all(_CURRENTS, patient=grant.patient.bytes, **named):
            log = read(tx, grant, row)
            found[log.id] = log
    return found


def history(tx: Tx, grant: Grant, log_id: UUID) -> list[wire.Log]:
    """Every revision of one entry, oldest first."""
    return [read(tx, grant, row) for row in tx.all(_HISTORY, patient=grant.patient.bytes, id=log_id.bytes)]


class Span(msgspec.Struct, frozen=True):
    """Local days, both inclusive; ``since`` bounds their instants so that the index can be used."""

    first: str = "0000-00-00"
    last: str = "9999-99-99"
    since: int = FIRST


def page(tx: Tx, grant: Grant, kind: str | None, span: Span, before: tuple[int, bytes], limit: int) -> list[wire.Log]:
    """Current entries below a position, newest first."""
    common: dict[str, int | str | bytes | None] = {
        "patient": grant.patient.bytes,
        "at": before[0],
        "id": before[1],
        "since": span.since,
        "first": span.first,
        "last": span.last,
        "limit": limit,
    }
    rows = tx.all(_PAGE, **common) if kind is None else tx.all(_PAGE_OF_KIND, kind=kind, **common)
    return [read(tx, grant, row) for row in rows]


class Answer(msgspec.Struct, frozen=True):
    """What statistics need of an entry: its local day and zone, and what it says."""

    day: date
    zone: str
    body: wire.Body


def answers(tx: Tx, grant: Grant, kind: str, span: Span) -> list[Answer]:
    """Every current entry of a kind in a span, newest first."""
    found: list[Answer] = []
    for row in tx.all(_ANSWERS, patient=grant.patient.bytes, kind=kind, since=span.since, first=span.first, last=span.last):
        body = _body.decode(tx.vault.open(grant.patient, bound(row), bytes(row[_SEALED])))
        assert body is not None  # only a tombstone has none
        found.append(Answer(date.fromisoformat(row[7]), row[6], body))
    return found


def has_entry(tx: Tx, grant: Grant, kind: str, day: date, since: int, until: int) -> bool:
    """Whether a live entry of the kind exists for the local day; its instant lies in [since, until)."""
    row = tx.one(_HAS, patient=grant.patient.bytes, kind=kind, day=day.isoformat(), since=since, until=until)
    return row is not None


def changes(tx: Tx, grant: Grant, seq: int, limit: int) -> list[wire.Log | int]:
    """What changed after ``seq``, oldest first; of what the grant does not cover only its ``seq``, unopened."""
    rows = tx.all(_CHANGES, patient=grant.patient.bytes, seq=seq, limit=limit)
    return [read(tx, grant, row) if row[5] in grant.categories else int(row[4]) for row in rows]


def newest(tx: Tx, grant: Grant) -> int:
    """The ``seq`` of the newest change of any kind; 0 without any."""
    row = tx.one(_NEWEST, patient=grant.patient.bytes)
    return 0 if row is None else int(row[0])


def newest_of(tx: Tx, grant: Grant, kind: str, after: int) -> int:
    """The ``seq`` of the newest change of a kind after another one; 0 without any."""
    row = tx.one(_NEWEST_OF_KIND, patient=grant.patient.bytes, kind=kind, after=after)
    return 0 if row is None else int(row[0])


def hashes(tx: Tx, grant: Grant, through: int) -> list[tuple[UUID, int, bytes]]:
    """(id, revision, hash of the canonical body) of every entry that was live at ``through``."""
    found: list[tuple[UUID, int, bytes]] = []
    for row in tx.all(_AS_OF, patient=grant.patient.bytes, through=through):
        if row[5] in grant.categories:
            body = _body.decode(tx.vault.open(grant.patient, bound(row), bytes(row[_SEALED])))
            assert body is not None  # only a tombstone has none
            found.append((UUID(bytes=bytes(row[2])), int(row[3]), body_hash(body)))
    return found


def to_purge(tx: Tx, before: int) -> list[UUID]:
    """Those whose diaries have the oldest tombstones in the feed from before an instant."""
    return list(dict.fromkeys(UUID(bytes=bytes(row[0])) for row in tx.all(_TO_PURGE, before=before, limit=_OLDEST)))


def purge(tx: Tx, grant: Grant, before: int) -> int | None:
    """Take the tombstones from before an instant out of the feed; the highest ``seq`` among them."""
    row = tx.one(_LAST_TO_PURGE, patient=grant.patient.bytes, before=before)
    if row is None:
        return None
    tx.run(_PURGE, patient=grant.patient.bytes, floor=row[0])
    return int(row[0])


def every_row(tx: Tx, grant: Grant) -> list[Row]:
    """Every revision in ``seq`` order, for the walk of the chain; (columns …, sealed, link, current)."""
    return tx.all(_EVERY, patient=grant.patient.bytes)
