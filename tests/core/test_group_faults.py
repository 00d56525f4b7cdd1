"""What the disk does to a group: it fills inside a statement, at COMMIT, it fails at COMMIT, it comes back."""

import asyncio
import contextlib
import sqlite3
from collections import Counter, deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.units import ANA, add, names, on_disk, on_writer, open_notes

from companion.core import sqlite_file
from companion.core.actors import Actor
from companion.core.db import Tx
from companion.core.errors import Busy, StorageUnavailable
from companion.core.sqlite import SqliteDatabase


class Faulty:
    """A connection that fails as planned: for each beginning of a statement, the errors its next runs meet."""

    plans: dict[str, deque[str | None]]
    opened: int

    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real

    def execute(self, statement: str, *rest: Any) -> Any:
        for beginning, plan in Faulty.plans.items():
            if statement.startswith(beginning) and plan and (name := plan.popleft()) is not None:
                if name.endswith("!"):  # the disk did it, and then said it failed
                    self.real.execute(statement, *rest)
                error = sqlite3.OperationalError("planned")
                error.sqlite_errorname = name.rstrip("!")
                raise error
        return self.real.execute(statement, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def plan(**failures: list[str | None]) -> None:
    """The errors that the next statements beginning so will meet."""
    Faulty.plans = {name: deque(errors) for name, errors in failures.items()}


@pytest.fixture
async def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteDatabase]:
    """A database whose writer is ``Faulty``."""
    real = sqlite_file.open_file
    plan()
    Faulty.opened = 0

    def opening(path: Path, *, write: bool) -> Any:
        if not write:
            return real(path, write=write)
        Faulty.opened += 1
        if (waiting := Faulty.plans.get("open")) and (name := waiting.popleft()) is not None:
            error = sqlite3.OperationalError("planned")
            error.sqlite_errorname = name
            raise error
        return Faulty(real(path, write=True))

    monkeypatch.setattr(sqlite_file, "open_file", opening)
    db = await open_notes(tmp_path)
    yield db
    plan()
    await db.close()


class Counted:
    """A verb that counts how often it ran for each note."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()

    def __call__(self, tx: Tx, actor: Actor, name: str, size: int = 0) -> str:
        self.ran[name] += 1
        return add(tx, actor, name, "x" * size)


async def fill(db: SqliteDatabase, spare: int) -> None:
    """Let the file grow by so many pages more and no further."""
    pages = (await on_writer(db, "PRAGMA page_count"))[0][0]
    await on_writer(db, f"PRAGMA max_page_count={pages + spare}")


async def test_a_full_disk_inside_a_unit_fails_that_unit_only(db: SqliteDatabase) -> None:
    """SQLITE_FULL ends the whole transaction without a word; what follows would commit alone."""
    heard: list[str | None] = []
    db.on_trouble = heard.append
    await fill(db, 20)
    verb = Counted()
    outcomes = await asyncio.gather(
        db.write(ANA, verb, "a"),
        db.write(ANA, verb, "b"),
        db.write(ANA, verb, "huge", 4096 * 100),
        db.write(ANA, verb, "c"),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [str, str, StorageUnavailable, str]
    assert on_disk(db) == ["a", "b", "c"]
    assert verb.ran == {"a": 2, "b": 2, "huge": 2, "c": 1}
    assert heard == ["SQLITE_FULL", None]  # "c" was written after it
    assert db.trouble() is None


async def test_a_verb_that_swallows_a_full_disk_commits_nothing(db: SqliteDatabase) -> None:
    """Without a look at the transaction the statement after the swallowed error is a transaction of its own."""
    await fill(db, 20)

    def stubborn(tx: Tx, actor: Actor) -> str:
        add(tx, actor, "before")
        for name, size in (("huge", 4096 * 100), ("after", 0), ("last", 0)):
            with contextlib.suppress(Exception), tx.nested():
                add(tx, actor, name, "x" * size)
            with contextlib.suppress(Exception):
                add(tx, actor, f"{name} bare", "x" * size)
        return "done"

    outcomes = await asyncio.gather(
        db.write(ANA, add, "a"), db.write(ANA, stubborn), db.write(ANA, add, "b"), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [str, StorageUnavailable, str]
    assert on_disk(db) == ["a", "b"]


async def test_a_full_disk_turned_into_another_error_is_still_the_disk(db: SqliteDatabase) -> None:
    await fill(db, 20)

    def translate(tx: Tx, actor: Actor) -> None:
        try:
            add(tx, actor, "huge", "x" * 4096 * 100)
        except sqlite3.Error as error:
            raise ValueError("no") from error

    with pytest.raises(StorageUnavailable):
        await db.write(ANA, translate)
    assert await db.write(ANA, add, "a") == "a"


async def test_writes_go_on_when_space_returns(db: SqliteDatabase) -> None:
    await fill(db, 0)
    verb = Counted()
    outcomes = await asyncio.gather(*(db.write(ANA, verb, f"n{n}", 5000) for n in range(4)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    assert db.trouble() == "SQLITE_FULL"
    assert await db.read(ANA, names) == []
    await on_writer(db, "PRAGMA max_page_count=1000000")
    assert await asyncio.gather(*(db.write(ANA, verb, f"n{n}", 5000) for n in range(4))) == ["n0", "n1", "n2", "n3"]
    assert db.trouble() is None


async def test_a_full_disk_at_commit_runs_each_unit_again_alone(faulty: SqliteDatabase) -> None:
    plan(COMMIT=["SQLITE_FULL", None, "SQLITE_FULL", None])
    verb = Counted()
    outcomes = await asyncio.gather(*(faulty.write(ANA, verb, name) for name in "abc"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str, StorageUnavailable, str]
    assert on_disk(faulty) == ["a", "c"]
    assert verb.ran == {"a": 2, "b": 2, "c": 2}
    assert Faulty.opened == 1


async def test_an_unknown_outcome_is_not_tried_again(faulty: SqliteDatabase) -> None:
    """The commit reached the disk and the disk said no: a second run would double what is not idempotent."""
    heard: list[str | None] = []
    faulty.on_trouble = heard.append
    plan(COMMIT=["SQLITE_IOERR_FSYNC!"])
    verb = Counted()
    outcomes = await asyncio.gather(*(faulty.write(ANA, verb, name) for name in "abc"), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    assert verb.ran == {"a": 1, "b": 1, "c": 1}
    assert faulty.trouble() == "SQLITE_IOERR_FSYNC"
    assert await faulty.write(ANA, add, "d") == "d"
    assert Faulty.opened == 2
    assert faulty.trouble() is None
    assert heard == ["SQLITE_IOERR_FSYNC", None]


async def test_an_input_error_at_commit_that_kept_nothing_recovers(faulty: SqliteDatabase) -> None:
    plan(COMMIT=["SQLITE_IOERR_WRITE"])
    with pytest.raises(StorageUnavailable):
        await faulty.write(ANA, add, "a")
    assert await faulty.write(ANA, add, "a") == "a"
    assert on_disk(faulty) == ["a"]


async def test_an_input_error_inside_a_unit_fails_that_unit_only(faulty: SqliteDatabase) -> None:
    plan(INSERT=[None, "SQLITE_IOERR_READ", None, "SQLITE_IOERR_READ"])
    outcomes = await asyncio.gather(*(faulty.write(ANA, add, name) for name in "abc"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str, StorageUnavailable, str]
    assert on_disk(faulty) == ["a", "c"]
    assert Faulty.opened == 3


async def test_a_file_that_cannot_be_opened_again_is_tried_at_every_write(faulty: SqliteDatabase) -> None:
    plan(COMMIT=["SQLITE_IOERR_FSYNC"], open=["SQLITE_CANTOPEN", "SQLITE_CANTOPEN"])
    for trouble in ("SQLITE_IOERR_FSYNC", "SQLITE_CANTOPEN", "SQLITE_CANTOPEN"):
        with pytest.raises(StorageUnavailable):
            await faulty.write(ANA, add, "a")
        assert faulty.trouble() == trouble
    assert await faulty.write(ANA, add, "a") == "a"
    assert faulty.trouble() is None
    assert Faulty.opened == 4


async def test_a_rollback_that_fails_costs_the_connection_and_nothing_else(faulty: SqliteDatabase) -> None:
    plan(INSERT=["SQLITE_FULL"], ROLLBACK=["SQLITE_IOERR"])
    with pytest.raises(StorageUnavailable):
        await faulty.write(ANA, add, "a")
    assert await faulty.write(ANA, add, "b") == "b"
    assert on_disk(faulty) == ["b"]
    assert Faulty.opened == 2


async def test_a_lock_inside_the_database_is_busy_and_not_red(faulty: SqliteDatabase) -> None:
    plan(BEGIN=["SQLITE_BUSY"])
    with pytest.raises(Busy):
        await faulty.write(ANA, add, "a")
    assert faulty.trouble() is None
    assert await faulty.write(ANA, add, "a") == "a"


async def test_an_empty_commit_does_not_turn_readiness_green(faulty: SqliteDatabase) -> None:
    """A unit that wrote nothing proves nothing about the disk."""
    plan(COMMIT=["SQLITE_FULL"])
    with pytest.raises(StorageUnavailable):
        await faulty.write(ANA, add, "a")
    await faulty.write(ANA, names)
    assert faulty.trouble() == "SQLITE_FULL"


async def test_a_skipped_unit_of_a_lost_group_leaves_nothing_behind(db: SqliteDatabase) -> None:
    """Its waiter went between the lost group and the second run: nothing was kept, so nothing may follow."""
    heard: list[str] = []
    loop = asyncio.get_running_loop()

    def tell(tx: Tx, actor: Actor) -> str:
        tx.after_commit(lambda: heard.append("a"))
        return add(tx, actor, "a")

    def fill_and_send_away(tx: Tx, actor: Actor) -> None:
        async def send_away() -> None:
            first.cancel()
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(send_away(), loop).result(5)
        add(tx, actor, "huge", "x" * 4096 * 100)

    await fill(db, 20)
    first = asyncio.create_task(db.write(ANA, tell))
    second = asyncio.create_task(db.write(ANA, fill_and_send_away))
    with pytest.raises(StorageUnavailable):
        await second
    await asyncio.sleep(0)
    assert first.cancelled()
    assert heard == []
    assert on_disk(db) == []
