"""Units of work on SQLite: one writer that commits in groups, a few readers on snapshots.

The guarded group (each guard was seen to break a naive one):

1. Take the lock file, so that writers in other processes and their checkpoints wait.
2. BEGIN IMMEDIATE. For each waiting unit, until the group has lasted ``GROUP_SECONDS``: look again whether its waiter is
   still there; SAVEPOINT; run it; on an error, if the transaction is gone raise ``Lost``, else ROLLBACK TO; if the
   transaction is gone raise ``Lost`` (SQLITE_FULL inside a statement silently ends the whole transaction, and what follows
   would commit alone); RELEASE; keep the outcome.
3. COMMIT; answer all, refusals too; units there was no time for go back to the head of the queue.
4. On ``Lost`` or a failed COMMIT: ROLLBACK only if a transaction is open; a group of one has failed; otherwise every unit is
   run again as a group of its own, so that only the culprit fails.
5. An I/O error at COMMIT leaves the outcome unknown: nothing is run again, all answer 503, readiness goes red, and the
   connection is opened anew before its next use.

The group tells the pump how many of its units were looked at; each unit carries its own answer.
"""

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from . import migrations, sqlite_file
from .actors import Actor, Caller
from .clock import Clock
from .db import Database, Reactions, Resolve, Row, Tx, Unit, Value
from .errors import Busy, Problem, StartUpError, StorageUnavailable, from_sqlite
from .sql import SQLITE, Statement, expand
from .sqlite_file import Connection, WriteLock, open_file
from .vault import Vault

R = TypeVar("R")

GROUP = 64
GROUP_SECONDS = 0.02
QUEUE = 4096
UNITS_PER_CHECKPOINT = 3_000
ROOM = 1024 * 1024
RESTART_MS = 500
"""How long a checkpoint past the cap waits for readers."""


class Lost(Exception):
    """The group's transaction ended under it; ``unsure`` when it may have reached the disk all the same."""

    unsure = False


class SqliteTx(Tx):
    """A unit of work on one sqlite3 connection."""

    __slots__ = ("_connection", "_depth")

    def __init__(self, connection: sqlite3.Connection, *common: Any) -> None:
        super().__init__(*common)
        self._connection = connection
        self._depth = 0

    def one(self, statement: Statement, **named: Value) -> Row | None:
        return self._inside().execute(statement.sqlite, named).fetchone()

    def all(self, statement: Statement, **named: Value) -> list[Row]:
        return self._inside().execute(statement.sqlite, named).fetchall()

    def run(self, statement: Statement, **named: Value) -> int:
        return self._inside().execute(statement.sqlite, named).rowcount

    def _inside(self) -> sqlite3.Connection:
        """The connection, while the transaction lasts: after a swallowed error a statement would commit alone."""
        if not self._connection.in_transaction:
            raise Lost
        return self._connection

    @contextmanager
    def nested(self) -> Generator[None, None, None]:
        connection = self._inside()
        self._depth += 1
        name = f"nested{self._depth}"
        connection.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            if connection.in_transaction:
                connection.execute(f"ROLLBACK TO {name}")
                connection.execute(f"RELEASE {name}")
            raise
        else:
            self._inside().execute(f"RELEASE {name}")
        finally:
            self._depth -= 1


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
        self._lock = WriteLock(path)
        self._writer = Connection(path, write=True)
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
                reader = Connection(path, write=False)
                await reader
                self._readers.append(reader)
                self._free.put_nowait(reader)
        except BaseException as error:
            await self.close()
            if isinstance(error, sqlite3.Error):
                raise StartUpError(f"the database {path.name} cannot be opened: {error}") from error
            raise
        return self

    # writes

    def _enqueue(self, unit: Unit) -> None:
        if self._closing or len(self._queue) >= QUEUE:
            raise Busy
        self._queue.append(unit)
        if self._pump is None:
            self._pump = unit.waiter.get_loop().create_task(self._run_queue())

    async def _run_queue(self) -> None:
        """Take what waits, one group at a time, until nothing waits."""
        try:
            while self._queue:
                group = self._take(GROUP)
                try:
                    looked_at = await self._writer.call(self._run_group, group)
                    self._queue.extendleft(reversed(group[looked_at:]))
                    del group[looked_at:]
                except Exception as error:  # noqa: BLE001 - whatever failed, every waiter of the group must hear of it
                    if isinstance(error, Busy):
                        group += self._take(len(self._queue))  # they waited behind the lock for as long
                    for unit in group:
                        unit.error = unit.error or error
                for unit in group:
                    unit.settle()
                self._units += len(group)
                if self._units >= UNITS_PER_CHECKPOINT:
                    await self.checkpoint()
        finally:
            self._pump = None

    def _take(self, most: int) -> list[Unit]:
        return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]

    def _run_group(self, group: list[Unit]) -> int:
        """Steps 1–5, on the writer's thread; the number of units looked at."""
        with self._lock.held():
            try:
                return self._attempt(group)
            except Lost as lost:
                if lost.unsure or len(group) == 1:
                    for unit in group:
                        self._fail(unit, lost.__cause__)
                    return len(group)
            for unit in group:
                try:
                    self._attempt([unit])
                except Lost as lost:
                    self._fail(unit, lost.__cause__)
            return len(group)

    def _fail(self, unit: Unit, cause: BaseException | None) -> None:
        """A unit whose transaction was lost: 503 and red, or busy; a bug of ours stays what it is."""
        problem = from_sqlite(cause) if isinstance(cause, sqlite3.Error) else StorageUnavailable()
        unit.error = problem or cause
        unit.after = []
        if isinstance(problem, StorageUnavailable):
            self._tell(_name(cause) or "the transaction ended inside a unit")

    def _tell(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self.on_trouble(trouble)

    def _attempt(self, group: list[Unit]) -> int:
        committing = False
        try:
            connection = self._writer.usable()
            before = connection.total_changes
            connection.execute("BEGIN IMMEDIATE")
            looked_at = self._steps(connection, group)
            committing = True
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(error)
            lost = Lost()
            lost.unsure = committing and _name(error).startswith("SQLITE_IOERR")
            raise lost from error
        except Lost as lost:
            self._undo(lost.__cause__)
            raise
        if self._trouble is not None and connection.total_changes != before and _room(self.path):
            self._tell(None)
        return looked_at

    def _steps(self, connection: sqlite3.Connection, group: list[Unit]) -> int:
        started = self._clock.monotonic()
        for place, unit in enumerate(group):
            if place and self._clock.monotonic() - started > GROUP_SECONDS:
                return place
            unit.error, unit.answer, unit.after = None, None, []
            if not unit.waiter.cancelled():
                self._step(connection, unit)
        return len(group)

    def _step(self, connection: sqlite3.Connection, unit: Unit) -> None:
        """One unit inside the group: its own savepoint, its own outcome."""
        connection.execute("SAVEPOINT unit")
        tx = SqliteTx(connection, self._clock.now(), self.vault, self._reactions)
        try:
            unit.answer = self._run(tx, unit.caller, unit.call)
        except Exception as error:
            if not connection.in_transaction:
                raise Lost from error
            if isinstance(error, sqlite3.Error) and from_sqlite(error) is not None:
                raise Lost from error
            connection.execute("ROLLBACK TO unit")
            unit.error = error
        else:
            unit.after = tx._after  # pyright: ignore[reportPrivateUsage]
        if not connection.in_transaction:
            raise Lost
        connection.execute("RELEASE unit")

    def _run(self, tx: Tx, caller: Caller, call: Callable[[Tx, Actor], R]) -> R:
        try:
            return call(tx, self._resolve(tx, caller))
        except StopIteration as error:  # a future refuses it, and its waiter would wait for ever
            raise RuntimeError("a verb raised StopIteration") from error

    def _undo(self, error: BaseException | None) -> None:
        """Back to no transaction. A full disk leaves a good connection; after other failures it is opened anew."""
        try:
            connection = self._writer.raw
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._writer.broken = True
        self._writer.broken |= _breaks(error)

    # reads

    async def _look(self, caller: Caller, call: Callable[[Tx, Actor], R]) -> R:
        if self._closing:
            raise Busy
        reader = await self._free.get()
        try:
            return await reader.call(self._snapshot, reader, caller, call)
        finally:
            self._free.put_nowait(reader)

    def _snapshot(self, reader: Connection, caller: Caller, call: Callable[[Tx, Actor], R]) -> R:
        try:
            connection = reader.usable()
            connection.execute("BEGIN")
            try:
                return self._run(SqliteTx(connection, self._clock.now(), self.vault, self._reactions), caller, call)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            problem = from_sqlite(error)
            if problem is None or _name(error) == "SQLITE_READONLY":  # a verb that writes in a read: a bug of ours
                raise
            reader.broken |= _breaks(error)
            raise problem from error

    # upkeep

    async def checkpoint(self) -> None:
        self._units = 0
        await self._writer.call(self._fold)

    def _fold(self) -> None:
        """A passive checkpoint under the lock; past the cap one that waits for readers and restarts the log."""
        wal = self.path.with_name(self.path.name + "-wal")
        try:
            past = wal.stat().st_size > sqlite_file.WAL_CAP
            with self._lock.held():
                connection = self._writer.usable()
                connection.execute(f"PRAGMA busy_timeout={RESTART_MS}")
                connection.execute(f"PRAGMA wal_checkpoint({'RESTART' if past else 'PASSIVE'})").fetchall()
                connection.execute(f"PRAGMA busy_timeout={sqlite_file.BUSY_MS}")
        except (sqlite3.Error, OSError, Problem):
            return  # nothing is lost: the log stays and the next checkpoint folds it

    def trouble(self) -> str | None:
        return self._trouble

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        while self._pump is not None:
            await asyncio.wait([self._pump])
        for _ in self._readers:
            await self._free.get()  # behind the reads that were let in
        for reader in self._readers:
            await reader.close()
        if self._writer.opened:
            await self._writer.call(self._fold)
            await self._writer.close()
        self._lock.close()
        self.vault.close()


def _name(error: BaseException | None) -> str:
    return getattr(error, "sqlite_errorname", None) or ""


def _room(path: Path) -> bool:
    """Whether the disk has room for more than the smallest write: one page may still fit where an entry does not."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize >= ROOM


def _breaks(error: BaseException | None) -> bool:
    """Whether a connection that met this error must be opened anew."""
    if not isinstance(error, sqlite3.Error) or _name(error) == "SQLITE_FULL":
        return False
    return isinstance(from_sqlite(error), StorageUnavailable)


def migrate(path: Path, known: list[migrations.Migration] | None = None) -> list[str]:
    """Bring the file to the newest schema, each step in one transaction; the names of the steps applied.

    Raises:
        StartUpError: if the database is newer than the code, no database of ours, or a step fails (nothing of it is kept).
    """
    known = migrations.read() if known is None else known
    applied: list[str] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        migrations.pending(version_untouched(path), path.name, known)
    lock = WriteLock(path)
    try:
        with lock.held():
            path.touch(0o600)
            path.chmod(0o600)
            connection = open_file(path, write=True)
            try:
                for step in migrations.pending(_version(connection), path.name, known):
                    connection.execute("BEGIN IMMEDIATE")
                    for statement in step.statements:
                        connection.execute(expand(statement, SQLITE))
                    connection.execute(f"PRAGMA user_version={step.number}")
                    connection.execute("COMMIT")
                    applied.append(f"{step.number:04}_{step.name}")
            finally:
                connection.close()
    except (sqlite3.Error, OSError) as error:
        raise StartUpError(f"the database {path.name} cannot be opened: {error}") from error
    except Busy as error:
        raise StartUpError(f"the database {path.name} is locked by another process: stop it or wait") from error
    finally:
        lock.close()
    return applied


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def version_untouched(path: Path) -> int:
    """The schema version, read without changing a byte: a newer database must be left as it is.

    Through SQLite, because closing a plain file handle would drop the locks that this process holds on the file.
    """
    wal = path.with_name(path.name + "-wal")
    mode = "ro" if wal.exists() and wal.stat().st_size else "ro&immutable=1"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)
        try:
            return _version(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if _name(error) == "SQLITE_NOTADB":
            raise StartUpError(f"{path.name} is not a SQLite database; nothing was changed") from error
        raise StartUpError(f"the database {path.name} cannot be read: {error}") from error
