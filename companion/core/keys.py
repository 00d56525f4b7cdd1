"""Wrapped keys in a small SQLite database of their own, beside the data, so that a backup of the data holds no key."""

import sqlite3
import threading
from pathlib import Path

from .errors import StartUpError

SCHEMA = 1
_CHECK = b"\x00check"


class SqliteKeys:
    """One table of owner and wrapped key; every change is synced to disk before the call returns."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open, or unless ``read_only`` make, the keys database.

        Raises:
            StartUpError: if it is newer than this code, empty where it must not be, or cannot be opened.
        """
        self._lock = threading.Lock()
        try:
            self._connection = _open(path, read_only=read_only)
        except (sqlite3.Error, OSError) as error:
            raise StartUpError(f"the keys database {path} cannot be opened: {error}") from error

    def get(self, owner: bytes) -> bytes | None:
        with self._lock:
            row = self._connection.execute("SELECT wrapped FROM keys WHERE owner = ?", (owner,)).fetchone()
        return None if row is None else row[0]

    def add(self, owner: bytes, wrapped: bytes) -> None:
        with self._lock:
            self._connection.execute(
                "INSERT INTO keys (owner, wrapped) VALUES (?, ?) ON CONFLICT DO NOTHING", (owner, wrapped)
            )

    def check(self) -> bytes | None:
        return self.get(_CHECK)

    def set_check(self, wrapped: bytes) -> None:
        self.add(_CHECK, wrapped)

    def owners(self) -> list[bytes]:
        with self._lock:
            rows = self._connection.execute("SELECT owner FROM keys WHERE length(owner) = 16").fetchall()
        return [row[0] for row in rows]

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _open(path: Path, *, read_only: bool) -> sqlite3.Connection:
    if not read_only:
        path.touch(0o600)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
        uri=True,
        check_same_thread=False,
        isolation_level=None,
        timeout=10,
    )
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise StartUpError(
                f"the keys database {path} has version {version}, this code knows {SCHEMA}: upgrade Companion; "
                "nothing was changed"
            )
        if read_only and version == 0:
            raise StartUpError(f"the keys database {path} holds no keys: restore it")
        if not read_only:
            _prepare(connection, path, version)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Sync to disk every change, overwrite what is deleted, keep nothing in temporary files; make the table if it is new."""
    connection.execute("PRAGMA synchronous=EXTRA")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA temp_store=MEMORY")
    if version == 0:
        path.chmod(0o600)
        connection.executescript(
            "BEGIN IMMEDIATE;"
            "CREATE TABLE IF NOT EXISTS keys"
            " (owner BLOB NOT NULL PRIMARY KEY, wrapped BLOB NOT NULL) STRICT, WITHOUT ROWID;"
            f"PRAGMA user_version={SCHEMA};"
            "COMMIT;"
        )
