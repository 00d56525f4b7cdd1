"""The SQL of custody, made from the list of tables: every row with what proves it. Opens nothing, decides nothing."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from ..consent.gate import Grant
from ..core.clock import instant
from ..core.db import Row, Tx, Value
from ..core.errors import UNREADABLE
from ..core.sql import Statement, sql
from ..core.vault import bind
from .owned import BY_PATIENT, TABLES, Table


class Found(msgspec.Struct):
    """One stored row: the bound columns and the others by name, the binding, what proves it, its link if it is chained."""

    table: Table
    clear: dict[str, Value]
    unbound: dict[str, Value]
    bound: bytes
    proof: bytes
    link: bytes

    @property
    def seq(self) -> int | None:
        seq = self.clear.get("seq")
        return seq if isinstance(seq, int) else None


class Unread(msgspec.Struct):
    """A row (or, where not even that can be told, a table) that the database cannot give out."""

    table: Table
    place: dict[str, Value]
    why: str

    @property
    def patient(self) -> bytes | None:
        patient = self.place.get("patient_id")
        return patient if isinstance(patient, bytes) else None

    @property
    def seq(self) -> int | None:
        seq = self.place.get("seq")
        return seq if isinstance(seq, int) else None


def _columns(table: Table) -> str:
    link = ("link",) if table.chained else ()
    return ", ".join((*table.columns, *table.unbound, table.proof, *link))


def _select(columns: str, table: Table, *conditions: str) -> Statement:
    where = " AND ".join(f"{name} = :{name}" for name in conditions)
    return sql(f"SELECT {columns} FROM {table.name} {f'WHERE {where}' if where else ''} ORDER BY {', '.join(table.keys)}")


def _scope(table: Table) -> tuple[str, ...]:
    return ("patient_id",) if table.by_patient else ()


_ROWS = {table.name: _select(_columns(table), table, *_scope(table)) for table in TABLES}
_PLACES = {table.name: _select(", ".join(table.keys), table, *_scope(table)) for table in TABLES}
_AT = {table.name: _select(_columns(table), table, *table.keys) for table in TABLES}
_WITH_ROWS = {table.name: sql(f"SELECT DISTINCT patient_id FROM {table.name} ORDER BY patient_id") for table in BY_PATIENT}


_NUMBERS = frozenset({"seq", "revision", "current", "due_at", "attempt", "last_n", "floor"})
_ENDS = sql("SELECT (SELECT max(recorded_at) FROM logs), (SELECT min(created_at) FROM patients)")


def _found(table: Table, row: Row) -> Found | Unread:
    """A row as read; what a damaged page makes of it may be no row at all."""
    bound, unbound = len(table.columns), len(table.columns) + len(table.unbound)
    clear = row[:bound]
    named = dict(zip((*table.columns, *table.unbound), row, strict=False))
    needed = {name: named[name] for name in (*table.keys, "seq", "revision", "current", "floor", "head") if name in named}
    sound = all(isinstance(value, int if name in _NUMBERS else bytes) for name, value in needed.items())
    if not sound or not all(isinstance(value, bytes) for value in row[unbound:]):
        return Unread(table, {name: named[name] for name in table.keys}, "a column holds what cannot be there")
    return Found(
        table,
        dict(zip(table.columns, clear, strict=True)),
        dict(zip(table.unbound, row[bound:unbound], strict=True)),
        bind(table.name, 1, *clear),
        row[unbound],
        row[unbound + 1] if table.chained else b"",
    )


def rows(tx: Tx, table: Table) -> Iterator[Found | Unread]:
    """Every row of a table that is read whole."""
    return _read(tx, table, {})


def of_patient(tx: Tx, grant: Grant) -> Iterator[Found | Unread]:
    """Every row of one patient in the tables that are read patient by patient."""
    for table in BY_PATIENT:
        yield from _read(tx, table, {"patient_id": grant.patient.bytes})


def patients_with_rows(tx: Tx) -> Iterator[bytes | Unread]:
    """Every patient id that stands in a table that is read patient by patient, once a table."""
    for table in BY_PATIENT:
        try:
            rows = tx.all(_WITH_ROWS[table.name])
        except UNREADABLE as error:
            yield Unread(table, {}, str(error))
            continue
        for (patient,) in rows:
            good = isinstance(patient, bytes) and len(patient) == 16
            yield patient if good else Unread(table, {}, "a patient's id is none")


def _read(tx: Tx, table: Table, scope: dict[str, Value]) -> Iterator[Found | Unread]:
    try:
        for row in tx.all(_ROWS[table.name], **scope):
            yield _found(table, row)
    except UNREADABLE:
        yield from _one_by_one(tx, table, scope)


def _one_by_one(tx: Tx, table: Table, scope: dict[str, Value]) -> Iterator[Found | Unread]:
    """As ``_read`` where one row stops all from being read (a text that is no text): the others are still proved."""
    try:
        places = tx.all(_PLACES[table.name], **scope)
    except UNREADABLE as error:
        yield Unread(table, scope, str(error))
        return
    for place in places:
        named = dict(zip(table.keys, place, strict=True))
        try:
            row = tx.one(_AT[table.name], **named)
        except UNREADABLE as error:
            yield Unread(table, named, str(error))
        else:
            yield Unread(table, named, "it went away") if row is None else _found(table, row)


def ends(tx: Tx) -> tuple[datetime | None, datetime | None]:
    """When the newest entry was recorded and the first patient came."""
    row = tx.one(_ENDS)
    assert row is not None
    recorded, first = (None if at is None else instant(at) for at in row)
    return recorded, first
