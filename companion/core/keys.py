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
        self._lock = threading.Lock()
        mode = "ro" if read_only else "rwc"
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            check_same_thread=False,
            isolation_level=None,
            timeout=10,
        )
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            self._connection.close()
            raise StartUpError(
                f"the keys database {path} has version {version}, this code knows {SCHEMA}: upgrade Companion"
            )
        if read_only:
            return
        self._connection.execute("PRAGMA synchronous=EXTRA")
        self._connection.execute("PRAGMA secure_delete=ON")
        if version == 0:
            path.chmod(0o600)
            self._connection.executescript(
                "BEGIN IMMEDIATE;"
                "CREATE TABLE IF NOT EXISTS keys (owner BLOB NOT NULL PRIMARY KEY, wrapped BLOB NOT NULL) STRICT, WITHOUT ROWID;"
                f"PRAGMA user_version={SCHEMA};"
                "COMMIT;"
            )

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
