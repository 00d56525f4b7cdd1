"""One SQLite file: how it is opened, the thread that owns a connection, the lock over all processes. Knows no units of work.

aiosqlite owns the threads. SQLite before 3.51.3 can corrupt a WAL when two connections checkpoint at once, so only the
holder of the lock writes or checkpoints, readers never do, and nothing is mapped into memory.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from .errors import Busy, StartUpError, StorageUnavailable

R = TypeVar("R")

LOCK_WAIT = 10.0
"""Seconds after which a lock that another process holds is ``busy``."""
BUSY_MS = 5_000
CHECKPOINT_PAGES = 20_000
WAL_CAP = 256 * 1024 * 1024


class Connection(aiosqlite.Connection):
    """An aiosqlite connection that can run a function of ours on its own thread.

    Uses the private ``_execute``, ``_conn``, ``_connection``, ``_connector`` and ``_thread`` of aiosqlite 0.22 (pinned below
    0.23, held by a contract test). ``broken`` says that the file must be opened anew before it is used again.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        super().__init__(lambda: open_file(path, write=write), iter_chunk_size=64)
        self._thread.daemon = True
        self.broken = False

    async def call(self, function: Callable[..., R], *args: Any) -> R:
        """Run a function on this connection's thread."""
        return await self._execute(function, *args)  # pyright: ignore[reportUnknownMemberType]

    def usable(self) -> sqlite3.Connection:
        """The connection, opened anew if it broke; on its thread only."""
        if self.broken:
            self._conn.close()
            self._connection = self._connector()
            self.broken = False
        return self._conn

    @property
    def raw(self) -> sqlite3.Connection:
        """The connection as it is, perhaps broken; on its thread only."""
        return self._conn

    @property
    def opened(self) -> bool:
        return self._connection is not None


def open_file(path: Path, *, write: bool) -> sqlite3.Connection:
    """A connection with the settings that the promises rest on: WAL, synced at every COMMIT, no temporary files."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_MS / 1000,
        cached_statements=512,
    )
    try:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA cache_size=-16384")
        connection.execute("PRAGMA mmap_size=0")
        connection.execute("PRAGMA temp_store=MEMORY")
        if write:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={WAL_CAP}")
        else:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA wal_autocheckpoint=0")
    except BaseException:
        connection.close()
        raise
    return connection


class WriteLock:
    """An advisory lock on ``<database>-lock``: one group or checkpoint at a time over all processes.

    Polled without blocking, so that a stopped holder costs a 503 and not a hang.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + "-lock")
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartUpError(f"the lock file {path} cannot be opened: {error.strerror}") from error

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Hold the lock.

        Raises:
            Busy: if another process holds it for ``LOCK_WAIT`` seconds.
            StorageUnavailable: if the file system cannot lock.
        """
        self._take()
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _take(self) -> None:
        pause, waited = 0.0002, 0.0
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waited >= LOCK_WAIT:
                    raise Busy from None
                time.sleep(pause)
                waited += pause
                pause = min(pause * 1.5, 0.005)
            except OSError as error:
                raise StorageUnavailable from error
            else:
                return

    def close(self) -> None:
        os.close(self._handle)
