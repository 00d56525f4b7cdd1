"""Units of work on SQLite: one writer that commits in groups, a few readers on snapshots. aiosqlite owns the threads.

The guarded group (each guard was seen to break a naive one):

1. Take the lock file, so that writers in other processes and their checkpoints wait.
2. BEGIN IMMEDIATE. For each waiting unit: look again whether its waiter is still there; SAVEPOINT; run it; on an error, if
   the transaction is gone raise ``Lost``, else ROLLBACK TO; if the transaction is gone raise ``Lost`` (SQLITE_FULL inside a
   statement silently ends the whole transaction, and what follows would commit alone); RELEASE; keep the outcome.
3. COMMIT; answer all, refusals too.
4. On ``Lost`` or a failed COMMIT: ROLLBACK only if a transaction is open; a group of one has failed; otherwise every unit is
   run again as a group of its own, so that only the culprit fails.
5. An I/O error at COMMIT leaves the outcome unknown: reopen the connection, answer 503, readiness goes red.

The group's outcome tells the pump nothing more than that it may take the next group; each unit carries its own answer.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiosqlite

from . import migrations
from .actors import Actor, Caller
from .clock import Clock
from .db import Database, Reactions, Resolve, Row, Tx, Value
from .errors import Busy, Problem, Refusal, StartUpError, StorageUnavailable, from_sqlite
from .sql import SQLITE, Statement, expand
from .vault import Vault

P = ParamSpec("P")
R = TypeVar("R")

GROUP = 64
QUEUE = 4096
LOCK_WAIT = 10.0
CHECKPOINT_PAGES = 20_000
WAL_CAP = 256 * 1024 * 1024
UNITS_PER_CHECKPOINT = 3_000


class Lost(Exception):
    """The group's transaction ended under it."""


class SqliteTx(Tx):
    """A unit of work on one sqlite3 connection."""

    __slots__ = ("_connection", "_depth")

    def __init__(self, connection: sqlite3.Connection, *common: Any) -> None:
        super().__init__(*common)
        self._connection = connection
        self._depth = 0

    def one(self, statement: Statement, **named: Value) -> Row | None:
        return self._connection.execute(statement.sqlite, named).fetchone()

    def all(self, statement: Statement, **named: Value) -> list[Row]:
        return self._connection.execute(statement.sqlite, named).fetchall()

    def run(self, statement: Statement, **named: Value) -> int:
        return self._connection.execute(statement.sqlite, named).rowcount

    @contextmanager
    def nested(self) -> Iterator[None]:
        self._depth += 1
        name = f"nested{self._depth}"
        self._connection.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute(f"ROLLBACK TO {name}")
                self._connection.execute(f"RELEASE {name}")
            raise
        else:
            self._connection.execute(f"RELEASE {name}")
        finally:
            self._depth -= 1


class Unit:
    """One waiting call: what to run, for whom, and what came of it."""

    __slots__ = ("after", "answer", "call", "caller", "error", "waiter")

    def __init__(self, caller: Caller, call: Callable[[Tx, Actor], Any], waiter: "asyncio.Future[Any]") -> None:
        self.caller = caller
        self.call = call
        self.waiter = waiter
        self.answer: Any = None
        self.error: BaseException | None = None
        self.after: list[Callable[[], None]] = []


class Connection(aiosqlite.Connection):
    """An aiosqlite connection that can run a function of ours on its own thread.

    Uses the private ``_execute`` and ``_conn`` of aiosqlite 0.22 (pinned below 0.23, held by a contract test).
    """

    async def call(self, function: Callable[..., R], *args: Any) -> R:
        return await self._execute(function, *args)

    @property
    def raw(self) -> sqlite3.Connection:
        return self._conn

    def replace(self, connection: sqlite3.Connection) -> None:
        """Put a fresh connection in the place of a broken one; on this connection's thread only."""
        self._connection = connection


def _connect(path: Path, *, write: bool) -> Connection:
    def open_connection() -> sqlite3.Connection:
        return _open(path, write=write)

    connection = Connection(open_connection, iter_chunk_size=64)
    connection._thread.daemon = True  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
    return connection


def _open(path: Path, *, write: bool) -> sqlite3.Connection:
    mode = "rwc" if write else "ro"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=5
    )
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-16384")
    connection.execute("PRAGMA mmap_size=0")
    if write:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit={WAL_CAP}")
    else:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


class WriteLock:
    """An advisory lock on ``<database>-lock``: one group or checkpoint at a time over all processes.

    Polled without blocking, so that a stopped holder costs a 503 and not a hang.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def held(self) -> Iterator[None]:
        pause, waited = 0.0002, 0.0
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waited >= LOCK_WAIT:
                    raise Busy from None
                time.sleep(pause)
                waited += pause
                pause = min(pause * 1.5, 0.005)
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._handle)


class SqliteDatabase(Database):
    """The embedded default: one file, one writer, ``readers`` snapshots at a time."""

    def __init__(
        self,
        path: Path,
        vault: Vault,
        clock: Clock,
        resolve: Resolve,
        reactions: Reactions,
    ) -> None:
        self.path = path
        self.vault = vault
        self._clock = clock
        self._resolve = resolve
        self._reactions = reactions
        self._queue: deque[Unit] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._closing = False
        self._trouble: str | None = None
        self._units = 0
        self._lock = WriteLock(path.with_name(path.name + "-lock"))
        self._writer = _connect(path, write=True)
        self._readers: list[Connection] = []
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()

    @classmethod
    async def open(
        cls, path: Path, vault: Vault, clock: Clock, resolve: Resolve, reactions: Reactions, *, readers: int = 2
    ) -> "SqliteDatabase":
        """Open an existing, migrated database."""
        self = cls(path, vault, clock, resolve, reactions)
        try:
            await self._writer
            for _ in range(readers):
                reader = _connect(path, write=False)
                await reader
                self._readers.append(reader)
                self._free.put_nowait(reader)
        except BaseException:
            await self.close()
            raise
        return self

    # writes

    async def write(
        self,
        caller: Caller,
        verb: Callable[Concatenate[Tx, Actor, P], R | Refusal],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        if self._closing or len(self._queue) >= QUEUE:
            raise Busy
        loop = asyncio.get_running_loop()
        unit = Unit(caller, lambda tx, actor: verb(tx, actor, *args, **kwargs), loop.create_future())
        self._queue.append(unit)
        if self._pump is None:
            self._pump = loop.create_task(self._run_queue())
        return await unit.waiter

    async def _run_queue(self) -> None:
        """Take what waits, one group at a time, until nothing waits."""
        try:
            while self._queue:
                group = [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]
                try:
                    await self._writer.call(self._run_group, group)
                except Exception as error:  # noqa: BLE001 - whatever failed, every waiter of the group must hear of it
                    for unit in group:
                        unit.error = unit.error or error
                self._answer(group)
                self._units += len(group)
                if self._units >= UNITS_PER_CHECKPOINT:
                    await self.checkpoint()
        finally:
            self._pump = None

    def _answer(self, group: list[Unit]) -> None:
        for unit in group:
            if unit.error is None:
                for then in unit.after:
                    then()
            if unit.waiter.done():
                continue
            if unit.error is not None:
                unit.waiter.set_exception(unit.error)
            elif isinstance(unit.answer, Refusal):
                unit.waiter.set_exception(unit.answer.problem)
            else:
                unit.waiter.set_result(unit.answer)

    def _run_group(self, group: list[Unit]) -> None:
        """Steps 1–5, on the writer's thread."""
        with self._lock.held():
            try:
                self._attempt(group)
            except Lost as lost:
                if len(group) == 1:
                    self._fail(group[0], lost.__cause__)
                else:
                    for unit in group:
                        self._alone(unit)

    def _alone(self, unit: Unit) -> None:
        try:
            self._attempt([unit])
        except Lost as lost:
            self._fail(unit, lost.__cause__)

    def _fail(self, unit: Unit, cause: BaseException | None) -> None:
        problem = from_sqlite(cause) if isinstance(cause, sqlite3.Error) else None
        unit.error = problem or cause or StorageUnavailable()
        unit.after = []
        if isinstance(problem, StorageUnavailable):
            self._trouble = getattr(cause, "sqlite_errorname", type(cause).__name__)

    def _attempt(self, group: list[Unit]) -> None:
        connection = self._writer.raw
        ran = False
        try:
            connection.execute("BEGIN IMMEDIATE")
            for unit in group:
                if unit.waiter.cancelled():
                    continue
                ran = True
                self._step(connection, unit)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(error)
            raise Lost from error
        except Lost:
            self._undo(None)
            raise
        if ran:
            self._trouble = None

    def _step(self, connection: sqlite3.Connection, unit: Unit) -> None:
        """One unit inside the group: its own savepoint, its own outcome."""
        unit.error = None
        connection.execute("SAVEPOINT unit")
        tx = SqliteTx(connection, self._clock.now(), self.vault, self._reactions)
        try:
            unit.answer = unit.call(tx, self._resolve(tx, unit.caller))
            unit.after = tx._after  # pyright: ignore[reportPrivateUsage]
        except Exception as error:
            if not connection.in_transaction:
                raise Lost from error
            if isinstance(error, sqlite3.Error) and from_sqlite(error) is not None:
                raise Lost from error
            connection.execute("ROLLBACK TO unit")
            unit.error = error
            unit.after = []
        if not connection.in_transaction:
            raise Lost from sqlite3.OperationalError("the transaction ended inside a unit")
        connection.execute("RELEASE unit")

    def _undo(self, error: sqlite3.Error | None) -> None:
        connection = self._writer.raw
        name = getattr(error, "sqlite_errorname", "") or ""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            name = "SQLITE_IOERR"
        if name.startswith("SQLITE_IOERR"):
            self._trouble = name
            self._reopen()

    def _reopen(self) -> None:
        try:
            self._writer.raw.close()
            self._writer.replace(_open(self.path, write=True))
        except sqlite3.Error as error:
            self._trouble = getattr(error, "sqlite_errorname", None) or "SQLITE_CANTOPEN"

    # reads

    async def read(
        self,
        caller: Caller,
        verb: Callable[Concatenate[Tx, Actor, P], R | Refusal],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        if self._closing:
            raise Busy
        reader = await self._free.get()
        try:
            answer, owed = await reader.call(
                self._snapshot, reader, caller, lambda tx, actor: verb(tx, actor, *args, **kwargs)
            )
        finally:
            self._free.put_nowait(reader)
        for owed_verb, owed_args in owed:
            await self.write(caller, owed_verb, *owed_args)
        if isinstance(answer, Refusal):
            raise answer.problem
        return answer

    def _snapshot(self, reader: Connection, caller: Caller, call: Callable[[Tx, Actor], Any]) -> tuple[Any, Any]:
        connection = reader.raw
        try:
            connection.execute("BEGIN")
            tx = SqliteTx(connection, self._clock.now(), self.vault, self._reactions)
            return call(tx, self._resolve(tx, caller)), tx._owed  # pyright: ignore[reportPrivateUsage]
        except sqlite3.Error as error:
            problem = from_sqlite(error)
            if problem is None:
                raise
            raise problem from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    # upkeep

    async def checkpoint(self) -> None:
        self._units = 0
        await self._writer.call(self._fold)

    def _fold(self) -> None:
        """A passive checkpoint under the lock; past the cap one that waits for readers and restarts the log."""
        wal = self.path.with_name(self.path.name + "-wal")
        mode = "RESTART" if wal.exists() and wal.stat().st_size > WAL_CAP else "PASSIVE"
        try:
            with self._lock.held():
                self._writer.raw.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except (sqlite3.Error, Problem):
            return  # nothing is lost: the log stays and the next checkpoint folds it

    def trouble(self) -> str | None:
        return self._trouble

    async def close(self) -> None:
        self._closing = True
        while self._pump is not None:
            await asyncio.wait([self._pump])
        for reader in self._readers:
            await reader.close()
        if self._writer._connection is not None:  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
            await self._writer.call(self._fold)
            await self._writer.close()
        self._lock.close()
        self.vault.close()


def migrate(path: Path, known: list[migrations.Migration] | None = None) -> list[str]:
    """Bring the file to the newest schema, each step in one transaction; the names of the steps applied."""
    known = migrations.read() if known is None else known
    applied: list[str] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        migrations.pending(_version_untouched(path), path.name, known)
    lock = WriteLock(path.with_name(path.name + "-lock"))
    try:
        with lock.held():
            connection = _open(path, write=True)
            try:
                path.chmod(0o600)
                for step in migrations.pending(_version(connection), path.name, known):
                    connection.execute("BEGIN IMMEDIATE")
                    for statement in step.statements:
                        connection.execute(expand(statement, SQLITE))
                    connection.execute(f"PRAGMA user_version={step.number}")
                    connection.execute("COMMIT")
                    applied.append(f"{step.number:04}_{step.name}")
            finally:
                connection.close()
    except sqlite3.Error as error:
        raise StartUpError(f"the database {path.name} cannot be opened: {error}") from error
    finally:
        lock.close()
    return applied


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _version_untouched(path: Path) -> int:
    """The schema version, read without changing a byte: a newer database must be left as it is."""
    with path.open("rb") as file:
        header = file.read(100)
    if header[:16] != b"SQLite format 3\x00":
        raise StartUpError(f"{path.name} is not a SQLite database; nothing was changed")
    version = int.from_bytes(header[60:64])
    wal = path.with_name(path.name + "-wal")
    if not wal.exists() or not wal.stat().st_size:
        return version
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return _version(connection)
    except sqlite3.Error as error:
        raise StartUpError(f"the database {path.name} cannot be read: {error}") from error
    finally:
        connection.close()
