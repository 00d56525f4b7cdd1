"""What a unit of work may rely on, the same on both engines, seen through ``Database`` alone."""

import asyncio
import contextlib
import inspect
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest
from support.cast import OPERATOR, ZONE
from support.clocks import ManualClock
from support.engines import Engine

from companion import settings, storage
from companion.core import audit
from companion.core.actors import ANONYMOUS, Actor, Bearer
from companion.core.db import Database, Row, Tx
from companion.core.errors import Busy, NotFound, Refusal, Unauthenticated
from companion.core.ids import new_token
from companion.core.sql import Statement
from companion.people import service as people

PUT = Statement("INSERT INTO beats (name, at) VALUES (:name, :at)")
MOVE = Statement("UPDATE beats SET at = :at WHERE name <> :but")
SEEN = Statement("SELECT name, at FROM beats ORDER BY name {collate}")
ECHO = Statement("SELECT CAST(:whole AS {int64}), CAST(:raw AS {bytes}), CAST(:words AS text)")
WRITERS = 8
"""As many units as any engine runs at once."""


def put(tx: Tx, actor: Actor, name: str, at: int = 0) -> str:
    tx.run(PUT, name=name, at=at)
    return name


def seen(tx: Tx, actor: Actor) -> list[str]:
    return [row[0] for row in tx.all(SEEN)]


@pytest.fixture
async def db(engine: Engine, clock: ManualClock) -> AsyncIterator[Database]:
    opened = await storage.open_database(settings.read({}, **engine.options), clock)
    yield opened
    await opened.close()


class Gate:
    """Holds every unit that comes to it until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.reached = threading.Semaphore(0)

    def held(self, tx: Tx, actor: Actor, name: str) -> str:
        put(tx, actor, name)
        self.reached.release()
        assert self.opened.wait(20)
        return name

    async def one_inside(self) -> None:
        assert await asyncio.to_thread(self.reached.acquire, timeout=20)


@contextmanager
def gate() -> Iterator[Gate]:
    made = Gate()
    try:
        yield made
    finally:
        made.opened.set()


async def filled(db: Database, gate: Gate) -> list["asyncio.Task[str]"]:
    """Keep every writer busy; returns once one unit is inside and the others are as far as they come."""
    tasks = [asyncio.create_task(db.write(ANONYMOUS, gate.held, f"held {number}")) for number in range(WRITERS)]
    await gate.one_inside()
    return tasks


# a unit is whole


async def test_what_was_written_is_there_for_the_next_read(db: Database) -> None:
    assert await db.write(ANONYMOUS, put, "a") == "a"
    assert await db.read(ANONYMOUS, seen) == ["a"]


async def test_an_exception_undoes_the_unit_and_reaches_the_caller(db: Database) -> None:
    def fails(tx: Tx, actor: Actor) -> None:
        put(tx, actor, "a")
        raise NotFound

    with pytest.raises(NotFound):
        await db.write(ANONYMOUS, fails)
    assert await db.read(ANONYMOUS, seen) == []
    assert await db.write(ANONYMOUS, put, "a") == "a"


async def test_a_refusal_keeps_what_it_wrote(db: Database) -> None:
    def refuses(tx: Tx, actor: Actor) -> Refusal:
        put(tx, actor, "tried")
        return Refusal(Unauthenticated())

    with pytest.raises(Unauthenticated):
        await db.write(ANONYMOUS, refuses)
    assert await db.read(ANONYMOUS, seen) == ["tried"]


async def test_a_bug_in_a_statement_is_no_problem_of_the_disk(db: Database) -> None:
    await db.write(ANONYMOUS, put, "a")
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.UniqueViolation)):
        await db.write(ANONYMOUS, put, "a")
    assert db.trouble() is None
    assert await db.write(ANONYMOUS, put, "b") == "b"


async def test_a_forged_token_stops_the_unit_before_its_verb(db: Database) -> None:
    ran: list[str] = []

    def verb(tx: Tx, actor: Actor) -> None:
        ran.append("verb")

    for do in (db.read, db.write):
        with pytest.raises(Unauthenticated):
            await do(Bearer(new_token()), verb)
    assert ran == []


async def test_a_verb_that_raises_stop_iteration_leaves_nobody_waiting(db: Database) -> None:
    def stops(tx: Tx, actor: Actor) -> None:
        raise StopIteration

    for do in (db.read, db.write):
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(do(ANONYMOUS, stops), 10)


async def test_time_stands_still_inside_a_unit(db: Database, clock: ManualClock) -> None:
    def verb(tx: Tx, actor: Actor) -> bool:
        before = tx.now
        clock.advance(minutes=1)
        return before == tx.now

    assert await db.write(ANONYMOUS, verb)
    assert await db.read(ANONYMOUS, verb)


# savepoints


async def test_what_a_failing_savepoint_wrote_is_undone_and_the_rest_stays(db: Database) -> None:
    def verb(tx: Tx, actor: Actor) -> None:
        put(tx, actor, "before")
        with contextlib.suppress(NotFound), tx.nested():
            put(tx, actor, "inside")
            with tx.nested():
                put(tx, actor, "deep")
            raise NotFound
        with tx.nested():
            put(tx, actor, "kept")
            with contextlib.suppress(NotFound), tx.nested():
                put(tx, actor, "deep")
                raise NotFound

    await db.write(ANONYMOUS, verb)
    assert await db.read(ANONYMOUS, seen) == ["before", "kept"]


async def test_a_unique_key_that_is_taken_can_be_caught_around_a_savepoint(db: Database) -> None:
    def verb(tx: Tx, actor: Actor) -> None:
        put(tx, actor, "a")
        with pytest.raises((sqlite3.IntegrityError, psycopg.errors.UniqueViolation)), tx.nested():
            put(tx, actor, "a")
        put(tx, actor, "b")

    await db.write(ANONYMOUS, verb)
    assert await db.read(ANONYMOUS, seen) == ["a", "b"]


# what a read owes


async def test_what_a_read_owes_is_written_before_its_answer(db: Database) -> None:
    def looks(tx: Tx, actor: Actor) -> str:
        tx.owe(put, "looked")
        return "answer"

    assert await db.read(ANONYMOUS, looks) == "answer"
    assert await db.read(ANONYMOUS, seen) == ["looked"]


async def test_a_refused_read_still_pays_what_it_owes(db: Database) -> None:
    def looks(tx: Tx, actor: Actor) -> Refusal:
        tx.owe(put, "looked")
        return Refusal(NotFound())

    with pytest.raises(NotFound):
        await db.read(ANONYMOUS, looks)
    assert await db.read(ANONYMOUS, seen) == ["looked"]


async def test_an_answer_whose_debt_cannot_be_paid_is_not_given(db: Database) -> None:
    def pays(tx: Tx, actor: Actor) -> None:
        raise NotFound

    def looks(tx: Tx, actor: Actor) -> str:
        tx.owe(pays)
        return "answer"

    with pytest.raises(NotFound):
        await db.read(ANONYMOUS, looks)


async def test_what_a_write_owes_is_part_of_it(db: Database) -> None:
    def pays_and_fails(tx: Tx, actor: Actor) -> None:
        put(tx, actor, "owed")
        raise NotFound

    def writes(tx: Tx, actor: Actor, name: str, debt: Callable[..., object], *owed: str) -> str:
        tx.owe(debt, *owed)
        put(tx, actor, name)
        return "answer"

    assert await db.write(ANONYMOUS, writes, "written", put, "looked") == "answer"
    assert await db.read(ANONYMOUS, seen) == ["looked", "written"]
    with pytest.raises(NotFound):
        await db.write(ANONYMOUS, writes, "undone", pays_and_fails)
    assert await db.read(ANONYMOUS, seen) == ["looked", "written"]


async def test_a_read_cannot_write(db: Database) -> None:
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.ReadOnlySqlTransaction)):
        await db.read(ANONYMOUS, put, "a")
    assert await db.read(ANONYMOUS, seen) == []
    assert db.trouble() is None


# after the commit


async def test_what_follows_a_commit_follows_it_once_on_the_event_loop(db: Database) -> None:
    followed: list[int] = []

    def verb(tx: Tx, actor: Actor, *, fails: bool) -> None:
        assert threading.get_ident() != loop
        tx.after_commit(lambda: followed.append(threading.get_ident()))
        if fails:
            raise NotFound

    loop = threading.get_ident()
    await db.write(ANONYMOUS, verb, fails=False)
    assert followed == [loop]
    with pytest.raises(NotFound):
        await db.write(ANONYMOUS, verb, fails=True)
    assert followed == [loop]


# values


@pytest.mark.parametrize("whole", [0, 1, -1, 2**31, 2**63 - 1, -(2**63), None])
@pytest.mark.parametrize(("raw", "words"), [(b"", ""), (bytes(range(256)), "Zoë 🙂 'x' % \\ {}"), (None, None)])
async def test_values_come_back_as_they_went(db: Database, whole: int | None, raw: bytes | None, words: str | None) -> None:
    def verb(tx: Tx, actor: Actor) -> Row | None:
        return tx.one(ECHO, whole=whole, raw=raw, words=words)

    assert (found := await db.read(ANONYMOUS, verb)) == (whole, raw, words)
    assert found is not None
    assert [type(value) for value in found] == [type(value) for value in (whole, raw, words)]


async def test_a_change_tells_how_many_rows_it_touched(db: Database) -> None:
    def verb(tx: Tx, actor: Actor) -> list[int]:
        made = [tx.run(PUT, name=name, at=0) for name in "abc"]
        return [*made, tx.run(MOVE, at=1, but="a"), tx.run(MOVE, at=2, but="c")]

    assert await db.write(ANONYMOUS, verb) == [1, 1, 1, 2, 2]
    assert await db.read(ANONYMOUS, lambda tx, actor: tx.all(SEEN)) == [("a", 2), ("b", 2), ("c", 1)]
    assert await db.read(ANONYMOUS, lambda tx, actor: tx.one(SEEN)) == ("a", 2)


# many at once


async def new_patient(db: Database) -> UUID:
    clinic = await db.write(OPERATOR, people.add_clinic, "North", "North Street")
    return await db.write(OPERATOR, people.add_patient, clinic, "Ana", ZONE)


def take(tx: Tx, actor: Actor, patient: UUID, name: str) -> int:
    """The next place in the patient's order, written beside it."""
    chain = audit.lock(tx, patient)
    seq = chain.seq + 1
    audit.extend(tx, chain, b"", b"")
    tx.run(PUT, name=name, at=seq)
    return seq


async def test_64_writers_to_one_patient_leave_no_hole_and_no_double(db: Database) -> None:
    patient = await new_patient(db)

    async def writer(number: int) -> list[int]:
        return [await db.write(ANONYMOUS, take, patient, f"{number} {turn}") for turn in range(5)]

    taken = await asyncio.gather(*(writer(number) for number in range(64)))
    assert all(own == sorted(own) for own in taken), "a writer's own order is kept"
    everything = list(range(1, 64 * 5 + 1))
    assert sorted(seq for own in taken for seq in own) == everything
    assert sorted(at for _, at in await db.read(ANONYMOUS, lambda tx, actor: tx.all(SEEN))) == everything


async def test_a_read_stays_on_its_snapshot(db: Database) -> None:
    await db.write(ANONYMOUS, put, "a")
    looked, written = threading.Event(), threading.Event()

    def twice(tx: Tx, actor: Actor) -> list[list[str]]:
        first = seen(tx, actor)
        looked.set()
        assert written.wait(20)
        return [first, seen(tx, actor)]

    task = asyncio.create_task(db.read(ANONYMOUS, twice))
    try:
        assert await asyncio.to_thread(looked.wait, 20)
        await db.write(ANONYMOUS, put, "b")
    finally:
        written.set()
    assert await task == [["a"], ["a"]]
    assert await db.read(ANONYMOUS, seen) == ["a", "b"]


async def test_readers_do_not_wait_for_writers(db: Database) -> None:
    with gate() as held:
        tasks = await filled(db, held)
        assert await asyncio.wait_for(db.read(ANONYMOUS, seen), 5) == []
    await asyncio.gather(*tasks)


# who gave up, and the line


async def test_a_waiter_that_gave_up_before_its_turn_is_skipped(db: Database) -> None:
    with gate() as held:
        tasks = await filled(db, held)
        waiting = asyncio.create_task(db.write(ANONYMOUS, put, "late"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.gather(*tasks)
    await db.write(ANONYMOUS, put, "last")
    assert "late" not in await db.read(ANONYMOUS, seen)


async def test_a_unit_that_has_begun_runs_to_its_end(db: Database) -> None:
    with gate() as held:
        begun = asyncio.create_task(db.write(ANONYMOUS, held.held, "begun"))
        await held.one_inside()
        begun.cancel()
        with pytest.raises(asyncio.CancelledError):
            await begun
    await db.write(ANONYMOUS, put, "last")

    async def there() -> None:
        while "begun" not in await db.read(ANONYMOUS, seen):
            await asyncio.sleep(0.01)

    await asyncio.wait_for(there(), 10)


async def test_a_full_line_says_busy_and_loses_nobody(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect.getmodule(type(db)), "QUEUE", 16)
    with gate() as held:
        tasks = await filled(db, held)
        waiting = [asyncio.create_task(db.write(ANONYMOUS, put, f"waiting {number}")) for number in range(40)]
        await asyncio.sleep(0.05)
        refused = [task for task in waiting if task.done()]
        assert len(refused) >= 24
        assert all(isinstance(task.exception(), Busy) for task in refused)
    done = await asyncio.gather(*tasks, *(task for task in waiting if task not in refused))
    assert len(done) >= WRITERS + 8
    assert sorted(done) == await db.read(ANONYMOUS, seen)


async def test_closing_refuses_new_work_and_finishes_what_waits(engine: Engine, clock: ManualClock) -> None:
    chosen = settings.read({}, **engine.options)
    db = await storage.open_database(chosen, clock)
    with gate() as held:
        tasks = await filled(db, held)
        tasks += [asyncio.create_task(db.write(ANONYMOUS, put, f"waiting {number}")) for number in range(20)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(db.close())
        await asyncio.sleep(0.05)
        for late in (db.write(ANONYMOUS, put, "late"), db.read(ANONYMOUS, seen)):
            with pytest.raises(Busy):
                await late
        assert not closing.done()
    await asyncio.wait_for(closing, 20)
    assert all(task.done() for task in tasks)
    again = await storage.open_database(chosen, clock)
    try:
        assert await again.read(ANONYMOUS, seen) == sorted(task.result() for task in tasks)
    finally:
        await again.close()


async def test_while_a_last_read_runs_nothing_new_is_written(engine: Engine, clock: ManualClock) -> None:
    db = await storage.open_database(settings.read({}, **engine.options), clock)
    looked, looking = threading.Event(), threading.Event()

    def looks(tx: Tx, actor: Actor) -> str:
        looking.set()
        assert looked.wait(20)
        return "seen"

    last = asyncio.create_task(db.read(ANONYMOUS, looks))
    try:
        assert await asyncio.to_thread(looking.wait, 20)
        closing = asyncio.create_task(db.close())
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await db.write(ANONYMOUS, put, "late")
    finally:
        looked.set()
    await asyncio.wait_for(closing, 20)
    assert await last == "seen"


async def test_closing_ends_the_threads(engine: Engine, clock: ManualClock) -> None:
    before = set(threading.enumerate())
    db = await storage.open_database(settings.read({}, **engine.options), clock)
    await asyncio.gather(*(db.write(ANONYMOUS, put, f"{number}") for number in range(20)))
    await asyncio.gather(*(db.read(ANONYMOUS, seen) for _ in range(20)))
    await db.close()
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith("asyncio"):
            thread.join(10)
            assert not thread.is_alive()


async def test_folding_the_log_of_writes_changes_nothing(db: Database) -> None:
    await db.write(ANONYMOUS, put, "a")
    await db.checkpoint()
    assert await db.read(ANONYMOUS, seen) == ["a"]
