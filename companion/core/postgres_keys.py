"""Wrapped keys in a PostgreSQL database of their own, so that a dump of the data holds no key."""

import threading
from collections.abc import Callable
from typing import TypeVar

import psycopg

from .errors import StartUpError
from .postgres_server import Connection, connect, name_of, opened

SCHEMA = 1
_CHECK = b"\x00check"
_PREPARING = 0x636F6D70616E
"""The advisory lock of whoever makes the table."""

R = TypeVar("R")


class PostgresKeys:
    """One table of owner and wrapped key; every change is on disk before the call returns. Safe from several threads.

    A lost connection is made again once; what was asked may then happen twice, which is the same as once.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        with opened(url) as connection:
            _prepare(connection, url)

    def _ask(self, question: Callable[[Connection], R]) -> R:
        with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._url)
            try:
                return question(self._connection)
            except psycopg.OperationalError:
                self._connection.close()
                self._connection = connect(self._url)
                return question(self._connection)

    def get(self, owner: bytes) -> bytes | None:
        row = self._ask(
            lambda connection: connection.execute(
                "SELECT wrapped FROM wrapped_keys WHERE owner = %s", (owner,), binary=True
            ).fetchone()
        )
        return None if row is None else row[0]

    def add(self, owner: bytes, wrapped: bytes) -> None:
        self._ask(
            lambda connection: connection.execute(
                "INSERT INTO wrapped_keys (owner, wrapped) VALUES (%s, %s) ON CONFLICT DO NOTHING", (owner, wrapped)
            )
        )

    def check(self) -> bytes | None:
        return self.get(_CHECK)

    def set_check(self, wrapped: bytes) -> None:
        self.add(_CHECK, wrapped)

    def owners(self) -> list[bytes]:
        rows = self._ask(
            lambda connection: connection.execute(
                "SELECT owner FROM wrapped_keys WHERE length(owner) = 16 ORDER BY owner", binary=True
            ).fetchall()
        )
        return [row[0] for row in rows]

    def empty(self) -> bool:
        """Whether it holds nothing at all, not even the check of a master key."""
        return self._ask(lambda connection: connection.execute("SELECT FROM wrapped_keys LIMIT 1").fetchone()) is None

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()


def _prepare(connection: Connection, url: str) -> None:
    """Make the table where there is none; refuse the database of the data and one of newer code."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_PREPARING,))
        if _holds(connection, "feeds"):
            raise StartUpError(
                f"COMPANION_KEYS_DATABASE names {name_of(url)}, which holds the data: name another database for the keys"
            )
        if not _holds(connection, "wrapped_keys"):
            connection.execute("CREATE TABLE wrapped_keys (owner bytea NOT NULL PRIMARY KEY, wrapped bytea NOT NULL)")
            connection.execute("CREATE TABLE wrapped_keys_version (number bigint NOT NULL PRIMARY KEY)")
            connection.execute("INSERT INTO wrapped_keys_version (number) VALUES (%s)", (SCHEMA,))
        row = connection.execute("SELECT max(number) FROM wrapped_keys_version").fetchone()
        if row is not None and row[0] > SCHEMA:
            raise StartUpError(
                f"the keys database {name_of(url)} has version {row[0]}, this code knows {SCHEMA}: upgrade Companion"
            )


def _holds(connection: Connection, table: str) -> bool:
    row = connection.execute("SELECT EXISTS (SELECT FROM pg_tables WHERE tablename = %s)", (table,)).fetchone()
    return row is not None and row[0]
