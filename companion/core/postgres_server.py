"""Reaching a PostgreSQL server, and the schema of the database there. Knows no units of work."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import BytesBinaryDumper, StrBinaryDumper

from . import migrations
from .db import Row
from .errors import StartUpError
from .sql import POSTGRES, expand

_MIGRATING = 0x636F6D70616E
"""The advisory lock of whoever changes the schema."""

_REACH: dict[str, str | int] = {
    "application_name": "companion",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""So that a machine that vanished costs a 503 and not a hang; the settings of the address stand above these."""
_SESSION = (
    b"SET lock_timeout = '10s'; SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '30s'; "
    b"SET synchronous_commit = on"
)

Connection = psycopg.Connection[Row]


def connect(url: str) -> Connection:
    """A connection that waits for nothing for ever and in which int, bytes and str are bigint, bytea and text."""
    connection = psycopg.connect(make_conninfo("", **{**_REACH, **_given(url)}), autocommit=True)
    try:
        connection.execute(_SESSION)
    except psycopg.Error:
        connection.close()
        raise
    for kind, dumper in (
        (int, Int8BinaryDumper),
        (bool, Int8BinaryDumper),
        (bytes, BytesBinaryDumper),
        (str, StrBinaryDumper),
    ):
        connection.adapters.register_dumper(kind, dumper)
    return connection


def _given(url: str) -> dict[str, Any]:
    try:
        return {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError as error:
        raise StartUpError("a PostgreSQL address cannot be read: write postgresql://user@host:port/database") from error


def name_of(url: str) -> str:
    """The database an address names, without what else stands in it."""
    given = _given(url)
    return str(given.get("dbname") or given.get("user") or "postgres")


@contextmanager
def opened(url: str) -> Generator[Connection]:
    """A connection for something done while starting.

    Raises:
        StartUpError: if the server cannot be reached or refuses.
    """
    try:
        connection = connect(url)
        try:
            yield connection
        finally:
            connection.close()
    except psycopg.Error as error:
        raise StartUpError(f"the database {name_of(url)} on PostgreSQL cannot be used: {error}") from error


def migrate(url: str, known: list[migrations.Migration] | None = None) -> list[str]:
    """Bring the database to the newest schema, each step in one transaction; the names of the steps applied."""
    known = migrations.read() if known is None else known
    applied: list[str] = []
    with opened(url) as connection:
        _usable(connection, url)
        migrations.pending(version(connection), name_of(url), known)
        connection.execute("SELECT pg_advisory_lock(%s)", (_MIGRATING,))
        connection.execute("SET statement_timeout = 0")
        for step in migrations.pending(version(connection), name_of(url), known):
            with connection.transaction():
                _apply(connection, step)
            applied.append(f"{step.number:04}_{step.name}")
    return applied


def _apply(connection: Connection, step: migrations.Migration) -> None:
    if step.number == 1:
        connection.execute("CREATE TABLE schema_version (number bigint NOT NULL PRIMARY KEY, name text NOT NULL)")
    for statement in step.statements:
        connection.execute(expand(statement, POSTGRES).encode())
    connection.execute("INSERT INTO schema_version (number, name) VALUES (%s, %s)", (step.number, step.name))


def version(connection: Connection) -> int:
    """The number of the newest step applied; 0 for a database without a schema."""
    row = connection.execute("SELECT to_regclass('schema_version') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return 0
    newest = connection.execute("SELECT coalesce(max(number), 0) FROM schema_version").fetchone()
    return 0 if newest is None else newest[0]


def _usable(connection: Connection, url: str) -> None:
    """Refuse a database that would keep text otherwise than it was given, and the one that holds the keys."""
    if connection.info.parameter_status("server_encoding") != "UTF8":
        raise StartUpError(f"the database {name_of(url)} is not in UTF-8: create it with ENCODING 'UTF8'")
    row = connection.execute("SELECT to_regclass('wrapped_keys') IS NOT NULL").fetchone()
    if row is not None and row[0]:
        raise StartUpError(f"the database {name_of(url)} holds the keys: COMPANION_DATABASE must name another one")


def check(url: str, known: list[migrations.Migration] | None = None) -> bool:
    """Refuse a database whose schema is not the code's; whether nobody stands in it yet.

    Raises:
        StartUpError: naming what is wrong and the fix.
    """
    known = migrations.read() if known is None else known
    with opened(url) as connection:
        _usable(connection, url)
        behind = migrations.pending(version(connection), name_of(url), known)
        if behind:
            raise StartUpError(
                f"the database {name_of(url)} has schema version {len(known) - len(behind)}, this code needs {len(known)}: "
                "run companion migrate"
            )
        row = connection.execute("SELECT EXISTS (SELECT FROM patients) OR EXISTS (SELECT FROM clinicians)").fetchone()
        return row is not None and not row[0]
