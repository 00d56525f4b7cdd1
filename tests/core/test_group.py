"""The guarded group on SQLite: many units in one transaction, each with an outcome of its own."""

import asyncio
import sqlite3
import threading
import time
from typing import Any

import pytest
from support.units import ADD, ANA, EVE, NAMES, add, names, on_disk, watch

from companion.core.actors import Actor
from companion.core.db import Tx
from companion.core.errors import NotFound, Problem, Refusal, Unauthenticated
from companion.core.sql import Statement
from companion.core.sqlite import SqliteDatabase


def add_and_fail(tx: Tx, actor: Actor, name: str) -> None:
    add(tx, actor, name)
    raise ValueError("a bug in a verb")


async def commits(db: SqliteDatabase) -> list[str]:
    """A list that fills with the COMMITs of the writer."""
    seen: list[str] = []
    await watch(db, lambda statement: seen.append(statement) if statement == "COMMIT" else None)
    return seen


async def test_units_that_wait_together_are_committed_together(db: SqliteDatabase) -> None:
    seen = await commits(db)
    answers = await asyncio.gather(*(db.write(ANA, add, f"n{number:02}") for number in range(64)))
    assert answers == [f"n{number:02}" for number in range(64)]
    assert on_disk(db) == answers
    assert len(seen) == 1


async def test_an_error_undoes_its_own_unit_and_no_other(db: SqliteDatabase) -> None:
    outcomes = await asyncio.gather(
        db.write(ANA, add, "a"),
        db.write(ANA, add_and_fail, "b"),
        db.write(ANA, add, "a"),
        db.write(EVE, add, "c"),
        db.write(ANA, add, "d"),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [str, ValueError, sqlite3.IntegrityError, Unauthenticated, str]
    assert on_disk(db) == ["a", "d"]


async def test_a_refusal_keeps_what_its_unit_wrote_and_is_raised_after_commit(db: SqliteDatabase) -> None:
    def refuse(tx: Tx, actor: Actor) -> Refusal:
        add(tx, actor, "try 1")
        return Refusal(Problem("unauthenticated"))

    def refuse_without_trace(tx: Tx, actor: Actor) -> None:
        add(tx, actor, "try 2")
        raise NotFound

    with pytest.raises(Problem) as raised:
        await db.write(ANA, refuse)
    assert raised.value.word == "unauthenticated"
    assert on_disk(db) == ["try 1"]
    with pytest.raises(NotFound):
        await db.write(ANA, refuse_without_trace)
    assert on_disk(db) == ["try 1"]


@pytest.mark.parametrize(
    "text",
    ["COMMIT", "BEGIN", "END", "ROLLBACK", "SAVEPOINT unit", "RELEASE unit", "PRAGMA synchronous=OFF", "ATTACH 'x' AS y"],
)
def test_a_unit_cannot_be_left_by_a_statement(text: str) -> None:
    with pytest.raises(ValueError, match="may only"):
        Statement(text)


async def test_a_second_statement_in_a_string_is_refused(db: SqliteDatabase) -> None:
    smuggled = Statement("INSERT INTO notes (name, body) VALUES ('x', ''); COMMIT")

    def smuggle(tx: Tx, actor: Actor) -> None:
        add(tx, actor, "before")
        tx.run(smuggled)

    with pytest.raises((sqlite3.ProgrammingError, sqlite3.Warning)):
        await db.write(ANA, smuggle)
    assert on_disk(db) == []


async def test_a_verb_that_raises_stop_iteration_still_answers(db: SqliteDatabase) -> None:
    """A future refuses StopIteration: without care its waiter, and all behind it, would wait for ever."""

    def bug(tx: Tx, actor: Actor) -> str:
        return next(iter([]))

    async with asyncio.timeout(5):
        for way in (db.write, db.read):
            with pytest.raises(RuntimeError, match="StopIteration"):
                await way(ANA, bug)
        assert await db.write(ANA, add, "a") == "a"


async def test_what_follows_a_commit_follows_only_a_commit(db: SqliteDatabase) -> None:
    heard: list[str] = []

    def tell(tx: Tx, actor: Actor, name: str, fail: bool = False) -> None:
        add(tx, actor, name)
        tx.after_commit(lambda: heard.append(name if name in on_disk(db) else "too early"))
        if fail:
            raise NotFound

    await asyncio.gather(
        db.write(ANA, tell, "a"), db.write(ANA, tell, "b", True), db.write(ANA, tell, "c"), return_exceptions=True
    )
    assert heard == ["a", "c"]


async def test_a_failure_in_what_follows_a_commit_harms_no_waiter(db: SqliteDatabase) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))

    def stumble(tx: Tx, actor: Actor) -> str:
        tx.after_commit(lambda: [][1])
        return add(tx, actor, "a")

    async with asyncio.timeout(5):
        assert await asyncio.gather(db.write(ANA, stumble), db.write(ANA, add, "b")) == ["a", "b"]
    assert [type(context["exception"]) for context in told] == [IndexError]


async def test_a_nested_part_may_fail_and_the_rest_stays(db: SqliteDatabase) -> None:
    def partly(tx: Tx, actor: Actor) -> int:
        failed = 0
        add(tx, actor, "a")
        for name in ("b", "a", "c"):
            try:
                with tx.nested():
                    add(tx, actor, f"{name}-first")
                    with tx.nested():
                        add(tx, actor, name)
            except sqlite3.IntegrityError:
                failed += 1
        return failed

    assert await db.write(ANA, partly) == 1
    assert on_disk(db) == ["a", "b", "b-first", "c", "c-first"]


async def test_a_group_is_bounded_in_time(db: SqliteDatabase) -> None:
    """Slow units do not make the quick ones before them wait; nobody's turn is lost."""
    seen = await commits(db)
    order: list[str] = []

    def slow(tx: Tx, actor: Actor, name: str) -> str:
        time.sleep(0.03)
        order.append(name)
        return add(tx, actor, name)

    wanted = ["c", "a", "d", "b"]
    assert await asyncio.gather(*(db.write(ANA, slow, name) for name in wanted)) == wanted
    assert order == wanted
    assert len(seen) == 4


# reads


async def test_a_read_sees_one_snapshot_of_what_is_committed(db: SqliteDatabase) -> None:
    await db.write(ANA, add, "a")
    looked, written = threading.Event(), threading.Event()

    def look_twice(tx: Tx, actor: Actor) -> list[list[str]]:
        first = names(tx, actor)
        looked.set()
        assert written.wait(5)
        return [first, names(tx, actor)]

    reading = asyncio.create_task(db.read(ANA, look_twice))
    await asyncio.to_thread(looked.wait, 5)
    await db.write(ANA, add, "b")
    written.set()
    assert await reading == [["a"], ["a"]]
    assert await db.read(ANA, names) == ["a", "b"]


async def test_a_read_does_not_see_a_unit_that_runs(db: SqliteDatabase) -> None:
    wrote, looked = threading.Event(), threading.Event()

    def write_slowly(tx: Tx, actor: Actor) -> None:
        add(tx, actor, "a")
        wrote.set()
        assert looked.wait(5)

    writing = asyncio.create_task(db.write(ANA, write_slowly))
    await asyncio.to_thread(wrote.wait, 5)
    assert await db.read(ANA, names) == []
    looked.set()
    await writing
    assert await db.read(ANA, names) == ["a"]


async def test_a_read_cannot_write_and_says_so_as_a_bug(db: SqliteDatabase) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await db.read(ANA, add, "a")
    assert on_disk(db) == []
    assert db.trouble() is None


async def test_what_a_read_owes_is_on_disk_before_it_is_answered(db: SqliteDatabase) -> None:
    def look(tx: Tx, actor: Actor) -> list[str]:
        tx.owe(add, "looked")
        return names(tx, actor)

    assert await db.read(ANA, look) == []
    assert on_disk(db) == ["looked"]


async def test_a_read_whose_debt_cannot_be_written_is_not_answered(db: SqliteDatabase) -> None:
    await db.write(ANA, add, "looked")

    def look(tx: Tx, actor: Actor) -> list[str]:
        tx.owe(add, "looked")
        return names(tx, actor)

    with pytest.raises(sqlite3.IntegrityError):
        await db.read(ANA, look)


async def test_a_reader_that_fails_is_free_for_the_next(db: SqliteDatabase) -> None:
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await db.read(EVE, names)
    async with asyncio.timeout(5):
        assert await db.read(ANA, names) == []


async def test_an_owed_verb_takes_no_keywords(db: SqliteDatabase) -> None:
    with pytest.raises(TypeError, match="positional"):
        await db.read(ANA, lambda tx, actor: tx.owe(add, name="a"))


async def test_one_instant_a_unit(db: SqliteDatabase) -> None:
    def instants(tx: Tx, actor: Actor) -> bool:
        first = tx.now
        time.sleep(0.002)
        tx.run(ADD, name="a", body="")
        tx.one(NAMES)
        return tx.now is first

    assert await db.write(ANA, instants)
