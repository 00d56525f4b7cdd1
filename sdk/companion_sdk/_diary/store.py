"""The diary's file: how it is made, opened, locked, written, wiped. Knows SQLite, the seal and its tables, and no entry.

WAL and ``synchronous=FULL``: what a write returned from is on the disk. Every write is one transaction under the lock over
all processes; nothing is remembered between two transactions that another process may change.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec

from companion_sdk.errors import DiaryUnavailable, UnreadableDiary

from .lock import FileLock
from .records import Device
from .seal import Seal, Secret, Terms, begin, resume

S = TypeVar("S", bound=msgspec.Struct)

APPLICATION = 0x434D5044
"""SQLite's ``application_id`` of a diary file: "CMPD"."""
SCHEMA = 1
"""``user_version``: raised whenever an older SDK could not read or keep what a newer one wrote."""

_BUSY_MS = 10_000
_TIDY_AFTER = 256
"""Transactions after which a sync moves the log into the file."""
_TIDY_AT_LAST = 1024
"""As many without any sync: then whoever writes does it."""
_SUFFIXES = ("", "-wal", "-shm", "-journal")

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
    id BLOB PRIMARY KEY, at INTEGER NOT NULL, revision INTEGER NOT NULL, seq INTEGER NOT NULL,
    deleted INTEGER NOT NULL, generation INTEGER NOT NULL, log BLOB
);
CREATE INDEX entries_by_at ON entries (at, id) WHERE deleted = 0;
CREATE INDEX entries_by_generation ON entries (generation);
CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER UNIQUE, op BLOB NOT NULL UNIQUE, id BLOB NOT NULL,
    base INTEGER NOT NULL, offered INTEGER NOT NULL, held_for TEXT, log BLOB
);
CREATE INDEX outbox_by_id ON outbox (id, place);
CREATE TABLE attention (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, refusal BLOB NOT NULL
);
"""

_encode = msgspec.json.encode
_bind = msgspec.msgpack.encode


class Tx:
    """The file within one transaction; ``fresh`` makes new ids."""

    def __init__(self, connection: sqlite3.Connection, seal: Seal, fresh: Callable[[], UUID]) -> None:
        self._connection = connection
        self._seal = seal
        self.fresh = fresh

    def run(self, statement: str, *values: object) -> int:
        """Change rows; how many."""
        return self._connection.execute(statement, values).rowcount

    def many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        """The same change for each row of values."""
        self._connection.executemany(statement, rows)

    def all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Every row of a query."""
        return self._connection.execute(statement, values).fetchall()

    def one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of a query."""
        return cast("tuple[Any, ...] | None", self._connection.execute(statement, values).fetchone())

    def get(self, kind: type[S]) -> S | None:
        """What the file remembers under the name of ``kind``."""
        name = kind.__name__.lower()
        row = self.one("SELECT value FROM meta WHERE name = ?", name)
        return None if row is None else msgspec.json.decode(self._seal.open(_bind(("meta", name)), row[0]), type=kind)

    def put(self, record: msgspec.Struct) -> None:
        """Remember this in the place of what was there."""
        name = type(record).__name__.lower()
        kept = self._seal.shut(_bind(("meta", name)), _encode(record))
        self.run(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name,
            kept,
        )

    def device(self) -> Device:
        """As whom this file pushes."""
        device = self.get(Device)
        assert device is not None  # every transaction begins by seeing to it
        return device

    def shut(self, place: tuple[object, ...], plain: bytes | None) -> bytes | None:
        """A value as it is stored in a row; ``place`` names the table and the clear columns that it is bound to."""
        return None if plain is None else self._seal.shut(_bind(place), plain)

    def open(self, place: tuple[object, ...], kept: bytes | None) -> bytes | None:
        """A value from a row."""
        return None if kept is None else self._seal.open(_bind(place), kept)


class Store:
    """One open file. Safe between threads; safe between processes."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, seal: Seal, lock: FileLock, fresh: Callable[[], UUID]
    ) -> None:
        self.path = path
        self._seal = seal
        self._connection = connection
        self._tx = Tx(connection, seal, fresh)
        self._lock = lock
        self._mutex = threading.Lock()
        self._writes = 0
        self._open = True

    def unseal(self, place: tuple[object, ...], kept: bytes) -> bytes:
        """A value from a row; needs no transaction."""
        return self._seal.open(_bind(place), kept)

    @contextmanager
    def write(self, *, lasting: bool = True) -> Generator[Tx]:
        """One transaction that is on the disk when the block ends; nothing of it is where the block raises.

        What the service can tell again need not be ``lasting``: it outlives the program, and reaches the disk with the next
        that is, so that a person who writes meanwhile does not wait for the disk twice.
        """
        with self._mutex, self._held(), _told():
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._look()
                yield self._tx
                self._connection.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
            self._writes += 1
            if self._writes >= _TIDY_AT_LAST:
                self._checkpoint("PASSIVE")

    @contextmanager
    def read(self) -> Generator[Tx]:
        """One snapshot."""
        with self._mutex, _told():
            self._usable()
            try:
                self._connection.execute("BEGIN")
                self._look()
                yield self._tx
            finally:
                self._undo()

    def tidy(self) -> None:
        """Move what was written lately into the file itself, where enough has gathered."""
        with self._mutex, self._held(), _told():
            if self._writes >= _TIDY_AFTER:
                self._checkpoint("PASSIVE")

    def close(self) -> None:
        """Let go of the file. Twice is fine."""
        with self._mutex:
            if not self._open:
                return
            self._open = False
            try:
                self._lock.acquire()
                with suppress(sqlite3.Error):
                    self._checkpoint("TRUNCATE")
            finally:
                self._connection.close()
                self._lock.close()

    def wipe(self, agree: Callable[[Tx], None]) -> None:
        """Destroy everything and close; ``agree`` may still refuse by raising. Whoever has the file open finds it empty."""
        with self._mutex, _told():
            self._usable()
            self._lock.acquire()
            try:
                try:
                    self._connection.execute("BEGIN EXCLUSIVE")
                    self._look()
                    agree(self._tx)
                    for table in ("entries", "outbox", "attention", "meta"):
                        self._connection.execute(f"DELETE FROM {table}")
                    self._connection.execute("COMMIT")
                except BaseException:
                    self._undo()
                    raise
                self._checkpoint("TRUNCATE")
                self._open = False
                self._connection.close()
                for suffix in (*_SUFFIXES, "-lock"):
                    _beside(self.path, suffix).unlink(missing_ok=True)
            finally:
                self._lock.release()
                if not self._open:
                    self._lock.close()

    @contextmanager
    def _held(self) -> Generator[None]:
        self._usable()
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _usable(self) -> None:
        if not self._open:
            raise DiaryUnavailable("this diary is closed")

    def _look(self) -> None:
        if self._tx.one("SELECT 1 FROM meta WHERE name = 'device'") is None:
            raise DiaryUnavailable("this diary was signed out and wiped: open it anew")

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _checkpoint(self, how: str) -> None:
        self._connection.execute(f"PRAGMA wal_checkpoint({how})").fetchall()
        self._writes = 0


def open_store(path: Path, given: Secret, fresh: Callable[[], UUID]) -> Store:
    """Open a diary file, or make one where there is none; ``fresh`` makes new ids.

    Raises:
        UnreadableDiary: what is there is no diary, is damaged, or newer than this SDK; it is not touched.
        WrongKey: it is sealed by something else.
        DiaryUnavailable: it cannot be read or written now.
    """
    path = path.resolve()
    with _told():
        lock = FileLock(_beside(path, "-lock"))
        try:
            lock.acquire_fresh()
            if not path.exists() or path.stat().st_size == 0:
                _make(path, given, fresh)
            _recognise(path)
            connection = _connect(path)
            if _wiped(connection):
                connection.close()
                _make(path, given, fresh)
                connection = _connect(path)
            try:
                seal = resume(_terms(connection), given)
                _whole(connection)
            except BaseException:
                connection.close()
                raise
            lock.release()
        except BaseException:
            lock.close()
            raise
    return Store(path, connection, seal, lock, fresh)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _make(path: Path, given: Secret, fresh: Callable[[], UUID]) -> None:
    """A new file, whole from the moment it stands at its path; a log left by an earlier one must not be read into it."""
    terms, seal = begin(given)
    made = _beside(path, "-new")
    for left in [*(_beside(made, suffix) for suffix in _SUFFIXES), *(_beside(path, suffix) for suffix in _SUFFIXES[1:])]:
        left.unlink(missing_ok=True)
    os.close(os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(made, isolation_level=None)
    try:
        connection.execute("BEGIN")
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO meta (name, value) VALUES ('seal', ?)", (_bind(terms),))
        Tx(connection, seal, fresh).put(Device(id=fresh()))
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    finally:
        connection.close()
    made.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _recognise(path: Path) -> None:
    """See whether this is a diary before anything is opened for writing: by its head alone, without lock or log."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
    finally:
        connection.close()
    if application != APPLICATION:
        raise UnreadableDiary(f"{path.name} is not a diary")
    if schema > SCHEMA:
        raise UnreadableDiary(
            f"{path.name} is of a newer SDK (form {schema}; this one reads {SCHEMA}): update companion-sdk"
        )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000
    )
    for setting in (
        "synchronous = FULL",
        "fullfsync = ON",
        "secure_delete = ON",
        "wal_autocheckpoint = 0",
        "mmap_size = 0",
        "temp_store = MEMORY",
        "journal_mode = WAL",
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()
    return connection


def _wiped(connection: sqlite3.Connection) -> bool:
    """Whether a wipe was cut short after it had destroyed everything: what is left to do is to begin anew."""
    (rows,) = connection.execute("SELECT count(*) FROM meta").fetchone()
    return bool(rows == 0)


def _terms(connection: sqlite3.Connection) -> Terms:
    row = connection.execute("SELECT value FROM meta WHERE name = 'seal'").fetchone()
    if row is None:
        raise UnreadableDiary("the diary's head is missing")
    try:
        return msgspec.msgpack.decode(row[0], type=Terms)
    except ValueError:
        raise UnreadableDiary("the diary's head is damaged") from None


def _whole(connection: sqlite3.Connection) -> None:
    (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if told != "ok":
        raise UnreadableDiary("the diary is damaged")


@contextmanager
def _told() -> Generator[None]:
    """Failures of SQLite and of the disk in the SDK's own words; never a statement, a path or a value."""
    try:
        yield
    except sqlite3.Error as error:
        raise _failure(error) from error
    except OSError as error:
        raise DiaryUnavailable(f"the diary's file cannot be used: {error.strerror or type(error).__name__}") from error


_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_SCHEMA})


def _failure(error: sqlite3.Error) -> UnreadableDiary | DiaryUnavailable:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in _BROKEN or (primary == sqlite3.SQLITE_ERROR and isinstance(error, sqlite3.OperationalError)):
        return UnreadableDiary("the file is no diary, or a damaged one")
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return DiaryUnavailable(f"the diary's file cannot be used: {name}")
