"""Units of work on PostgreSQL: a few threads with a connection each, one unit a transaction. Knows no slice and no HTTP.

Writes are READ COMMITTED with ``synchronous_commit=on``; what makes the order of a patient's changes is the lock on the
patient's feed row. Reads are REPEATABLE READ READ ONLY, on threads of their own, so that writers that wait for each other
keep no reader waiting.

One unit:

1. Its waiter is gone: skip it. From here on it runs to its end.
2. BEGIN; run it. On an error ROLLBACK. A transaction that lost against another one (40P01, 40001) has done nothing: run the
   unit again, a few times. So has one whose connection is lost: where that had served earlier units, so that this unit is
   not the cause, run it once more on a new one.
3. A statement failed and the verb went on: PostgreSQL would answer COMMIT with a silent ROLLBACK, so this is an error.
4. COMMIT. If the connection is lost here the outcome is unknown: 503 and never again; readiness is red until a write is
   on disk.
5. The outcome goes to the event loop; the thread takes the next unit, whatever this one's outcome was.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

import psycopg
from psycopg import pq

from .actors import Actor, Caller
from .clock import Clock
from .db import Database, Reactions, Resolve, Row, Tx, Unit, Value
from .errors import Busy, Problem, StorageUnavailable, from_postgres
from .postgres_server import Connection, connect
from .sql import Statement
from .vault import Vault

R = TypeVar("R")

WRITERS = 8
READERS = 4
QUEUE = 4096
ATTEMPTS = 6
_AGAIN = ("40001", "40P01")
_GONE = ("08", "57P", "25P03", "25P04")


class Again(Exception):
    """The transaction came to nothing and the unit may be run again."""


class Unknown(Exception):
    """The connection was lost during COMMIT."""


class PostgresTx(Tx):
    """A unit of work on one psycopg connection."""

    __slots__ = ("_cursor", "_depth")

    def __init__(self, cursor: psycopg.Cursor[Row], *common: Any) -> None:
        super().__init__(*common)
        self._cursor = cursor
        self._depth = 0

    def one(self, statement: Statement, **named: Value) -> Row | None:
        return self._execute(statement.postgres, named).fetchone()

    def all(self, statement: Statement, **named: Value) -> list[Row]:
        return self._execute(statement.postgres, named).fetchall()

    def run(self, statement: Statement, **named: Value) -> int:
        return self._execute(statement.postgres, named).rowcount

    def _execute(self, text: str, named: dict[str, Value] | None = None) -> psycopg.Cursor[Row]:
        return self._cursor.execute(text, named)  # pyright: ignore[reportArgumentType]

    @contextmanager
    def nested(self) -> Generator[None]:
        self._depth += 1
        name = f"nested{self._depth}"
        self._execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            if not self._cursor.connection.closed:
                self._execute(f"ROLLBACK TO {name}")
                self._execute(f"RELEASE {name}")
            raise
        else:
            self._execute(f"RELEASE {name}")
        finally:
            self._depth -= 1


class Session:
    """One thread's connection: made when it is first needed, and again after it was lost; ``new`` for its first unit."""

    def __init__(self, url: str, *, reads: bool) -> None:
        self.reads = reads
        self.new = True
        self._url = url
        self._connection: Connection | None = None
        self._cursor: psycopg.Cursor[Row] | None = None

    def cursor(self) -> psycopg.Cursor[Row]:
        """The cursor of a live connection; its first statement begins a transaction."""
        if self._connection is not None and self._cursor is not None and not self._connection.closed:
            self.new = False
            return self._cursor
        self.new = True
        connection = connect(self._url)
        connection.isolation_level = (
            psycopg.IsolationLevel.REPEATABLE_READ if self.reads else psycopg.IsolationLevel.READ_COMMITTED
        )
        connection.read_only = self.reads
        connection.prepared_max = 1_000
        connection.set_autocommit(False)
        self._connection = connection
        self._cursor = connection.cursor(binary=True)
        return self._cursor

    def lost(self, error: BaseException) -> bool:
        """Whether the error says that this connection is gone."""
        if self._connection is None or self._connection.closed:
            return True
        return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_GONE)

    def commit(self) -> None:
        """Make the transaction durable.

        Raises:
            Unknown: if the connection was lost meanwhile.
        """
        connection = self._connection
        assert connection is not None
        if connection.info.transaction_status == pq.TransactionStatus.INERROR:
            raise RuntimeError("a statement of the unit failed and the verb went on")
        try:
            connection.commit()
        except psycopg.Error as error:
            if self.lost(error):
                raise Unknown from error
            raise

    def undo(self) -> None:
        """End the transaction; a connection that cannot even do that is given up."""
        try:
            if self._connection is not None:
                self._connection.rollback()
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._cursor = None


class Lanes:
    """Up to ``count`` threads that run units from one bounded line; the last to have worked is the first to work again."""

    def __init__(self, name: str, count: int, session: Callable[[], Session], run: Callable[[Session, Unit], None]) -> None:
        self._name = name
        self._count = count
        self._session = session
        self._run = run
        self._lock = threading.Lock()
        self._waiting: deque[Unit] = deque()
        self._idle: list[SimpleQueue[Unit | None]] = []
        self._threads: list[threading.Thread] = []
        self._closing = False

    def put(self, unit: Unit) -> None:
        """Give the unit to a thread, or let it wait for one.

        Raises:
            Busy: when too many wait or the lanes are closing.
        """
        with self._lock:
            if self._closing or len(self._waiting) >= QUEUE:
                raise Busy
            if self._idle:
                self._idle.pop().put(unit)
            elif len(self._threads) < self._count:
                self._begin(unit)
            else:
                self._waiting.append(unit)

    def _begin(self, unit: Unit) -> None:
        inbox: SimpleQueue[Unit | None] = SimpleQueue()
        inbox.put(unit)
        name = f"{self._name} {len(self._threads)}"
        thread = threading.Thread(target=self._work, args=(inbox,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self, inbox: "SimpleQueue[Unit | None]") -> None:
        session = self._session()
        unit = inbox.get()
        while unit is not None:
            try:
                self._run(session, unit)
            except BaseException as error:  # noqa: BLE001 - the waiter must hear of it and the thread go on
                unit.error = error
            self._line_up(inbox)  # before the answer, so that who asks again at once finds this thread
            with contextlib.suppress(RuntimeError):  # the loop ended without waiting for an answer
                unit.waiter.get_loop().call_soon_threadsafe(unit.settle)
            del unit  # nothing of it stays while the thread waits
            unit = inbox.get()
        session.close()

    def _line_up(self, inbox: "SimpleQueue[Unit | None]") -> None:
        """Let the next unit come to the inbox, now or when there is one; None at the end."""
        with self._lock:
            if self._waiting:
                inbox.put(self._waiting.popleft())
            elif self._closing:
                inbox.put(None)
            else:
                self._idle.append(inbox)

    def refuse(self) -> None:
        """Take no new unit; threads with nothing to do end."""
        with self._lock:
            self._closing = True
            for inbox in self._idle:
                inbox.put(None)
            self._idle.clear()

    async def ended(self) -> None:
        """Wait until what waits is done, after ``refuse``."""
        for thread in self._threads:
            await asyncio.to_thread(thread.join)


class PostgresDatabase(Database):
    """A database on a server, for more than one machine. Connects when the first unit comes."""

    def __init__(
        self,
        url: str,
        vault: Vault,
        clock: Clock,
        resolve: Resolve,
        reactions: Reactions,
        *,
        writers: int = WRITERS,
        readers: int = READERS,
    ) -> None:
        self.vault = vault
        self._clock = clock
        self._resolve = resolve
        self._reactions = reactions
        self._trouble: str | None = None
        self._telling = threading.Lock()
        self._writes = Lanes("write", writers, lambda: Session(url, reads=False), self._run)
        self._reads = Lanes("read", readers, lambda: Session(url, reads=True), self._run)

    def _enqueue(self, unit: Unit) -> None:
        self._writes.put(unit)

    async def _look(self, caller: Caller, call: Callable[[Tx, Actor], R]) -> R:
        unit = Unit(caller, call, asyncio.get_running_loop().create_future())
        self._reads.put(unit)
        return await unit.waiter

    def _run(self, session: Session, unit: Unit) -> None:
        """Steps 1–4, on a thread of the session's own."""
        if unit.waiter.cancelled():
            return
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._attempt(session, unit)
            except Again as again:
                if attempt == ATTEMPTS:
                    self._fail(session, unit, again.__cause__)
                else:
                    time.sleep(random.uniform(0, 0.002) * 2**attempt)  # noqa: S311 - only keeps two units apart
            except Exception as error:  # noqa: BLE001 - every outcome belongs to the unit
                self._fail(session, unit, error)
                return
            else:
                return

    def _attempt(self, session: Session, unit: Unit) -> None:
        cursor = session.cursor()
        tx = PostgresTx(cursor, self._clock.now(), self.vault, self._reactions)
        try:
            answer = unit.call(tx, self._resolve(tx, unit.caller))
            if not session.reads:
                session.commit()
        except BaseException as error:
            lost = session.lost(error)
            session.undo()
            if isinstance(error, psycopg.Error) and (error.sqlstate in _AGAIN or (lost and not session.new)):
                raise Again from error
            raise
        if session.reads:
            session.undo()
        else:
            self._tell(None)
        unit.error = None
        unit.answer = answer
        unit.after = tx._after  # pyright: ignore[reportPrivateUsage]

    def _fail(self, session: Session, unit: Unit, error: BaseException | None) -> None:
        cause = error.__cause__ if isinstance(error, Unknown) else error
        problem = _problem(cause, reads=session.reads)
        if isinstance(error, Unknown):
            problem = StorageUnavailable()
        if isinstance(error, StopIteration):  # a future refuses it, and its waiter would wait for ever
            error = RuntimeError("a verb raised StopIteration")
        if problem is not None:
            problem.__cause__ = cause
        if isinstance(problem, StorageUnavailable) and not session.reads:
            self._tell(type(cause).__name__)
        unit.error = problem or error

    def _tell(self, trouble: str | None) -> None:
        if trouble == self._trouble:
            return
        with self._telling:
            if trouble != self._trouble:
                self._trouble = trouble
                self.on_trouble(trouble)

    async def checkpoint(self) -> None:
        """The server does that by itself."""

    def trouble(self) -> str | None:
        return self._trouble

    async def close(self) -> None:
        self._reads.refuse()
        self._writes.refuse()
        await self._reads.ended()
        await self._writes.ended()
        self.vault.close()


def _problem(cause: BaseException | None, *, reads: bool) -> Problem | None:
    if not isinstance(cause, psycopg.Error):
        return None
    if reads and isinstance(cause, psycopg.errors.ReadOnlySqlTransaction):  # a verb that writes in a read: a bug of ours
        return None
    return from_postgres(cause)
