"""The queue before the writer: who waits, who no longer does, what is too much, and how it ends."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.units import ANA, add, names, on_disk, open_notes

from companion.core import sqlite, sqlite_file
from companion.core.actors import Actor
from companion.core.db import Tx
from companion.core.errors import Busy, StorageUnavailable
from companion.core.sqlite import SqliteDatabase


class Gate:
    """A verb that stops the writer until it is let on."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, tx: Tx, actor: Actor, name: str) -> str:
        add(tx, actor, name)
        self.reached.set()
        assert self.open.wait(10)
        return name

    async def stop(self, db: SqliteDatabase) -> "asyncio.Task[str]":
        """Start a unit and wait until the writer stands in it."""
        task = asyncio.create_task(db.write(ANA, self, "gate"))
        await asyncio.to_thread(self.reached.wait, 10)
        return task


@contextmanager
def lock_of_another_process(path: Path) -> Iterator[None]:
    """The lock file, held by another process until the block ends."""
    code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-S", "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.communicate("\n", 10)


async def test_a_waiter_that_went_before_its_group_is_skipped(db: SqliteDatabase) -> None:
    gate = Gate()
    held = await gate.stop(db)
    gone = asyncio.create_task(db.write(ANA, add, "gone"))
    stays = asyncio.create_task(db.write(ANA, add, "stays"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(held, stays)
    assert on_disk(db) == ["gate", "stays"]


async def test_a_waiter_that_goes_while_its_group_runs_is_looked_at_again(db: SqliteDatabase) -> None:
    """The group was taken already when the client hung up: its unit has not started and must not."""
    gate = Gate()
    held = asyncio.create_task(db.write(ANA, gate, "gate"))
    gone = asyncio.create_task(db.write(ANA, add, "gone"))
    await asyncio.to_thread(gate.reached.wait, 10)
    assert not db._queue
    gone.cancel()
    await asyncio.sleep(0)
    gate.open.set()
    await held
    assert on_disk(db) == ["gate"]


async def test_a_unit_that_started_is_kept_though_its_waiter_went(db: SqliteDatabase) -> None:
    gate = Gate()
    held = await gate.stop(db)
    held.cancel()
    await asyncio.sleep(0)
    gate.open.set()
    assert await db.write(ANA, add, "next") == "next"
    assert held.cancelled()
    assert on_disk(db) == ["gate", "next"]


async def test_a_full_queue_is_busy_at_once(db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "QUEUE", 5)
    gate = Gate()
    held = await gate.stop(db)
    waiting = [asyncio.create_task(db.write(ANA, add, f"n{number}")) for number in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Busy) as raised:
        await db.write(ANA, add, "too much")
    assert raised.value.status == 503
    assert dict(raised.value.headers)["Retry-After"] == "1"
    gate.open.set()
    await asyncio.gather(held, *waiting)
    assert await db.write(ANA, add, "later") == "later"
    assert on_disk(db) == ["gate", "later", *(f"n{number}" for number in range(5))]


async def test_a_lock_held_by_another_process_is_busy_for_all_who_wait(
    db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One wait for the whole queue, not one for each group of it."""
    monkeypatch.setattr(sqlite_file, "LOCK_WAIT", 0.3)
    with lock_of_another_process(db.path.with_name("notes.db-lock")):
        async with asyncio.timeout(2):
            outcomes = await asyncio.gather(*(db.write(ANA, add, f"n{n}") for n in range(1000)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Busy}
        assert await db.read(ANA, names) == []
        await db.checkpoint()
    assert await db.write(ANA, add, "a") == "a"
    assert on_disk(db) == ["a"]


async def test_a_lock_that_comes_free_in_time_is_waited_for(db: SqliteDatabase) -> None:
    with lock_of_another_process(db.path.with_name("notes.db-lock")):
        waiting = asyncio.create_task(db.write(ANA, add, "a"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await waiting == "a"


async def test_a_file_system_that_cannot_lock_is_storage_and_not_a_hang(
    db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(handle: int, how: int) -> None:
        raise OSError(37, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file.fcntl, "flock", no_locks)
        with pytest.raises(StorageUnavailable):
            await db.write(ANA, add, "a")
    assert await db.write(ANA, add, "a") == "a"


async def test_close_refuses_new_finishes_what_waits_and_folds_the_log(tmp_path: Path) -> None:
    db = await open_notes(tmp_path)
    gate = Gate()
    held = await gate.stop(db)
    waiting = [asyncio.create_task(db.write(ANA, add, f"n{number:03}")) for number in range(200)]
    reading = [asyncio.create_task(db.read(ANA, names)) for _ in range(20)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(db.close())
    await asyncio.sleep(0)
    for way in (db.write, db.read):
        with pytest.raises(Busy):
            await way(ANA, names)
    assert not closing.done()
    gate.open.set()
    await closing
    assert await asyncio.gather(*waiting) == [f"n{number:03}" for number in range(200)]
    assert all(isinstance(found, list) for found in await asyncio.gather(*reading))
    assert await held == "gate"
    assert not db.path.with_name("notes.db-wal").exists()
    assert len(on_disk(db)) == 201
    await db.close()


async def test_close_waits_for_the_reads_that_were_let_in(tmp_path: Path) -> None:
    db = await open_notes(tmp_path)
    await db.write(ANA, add, "a")
    go_on = threading.Event()

    def linger(tx: Tx, actor: Actor) -> list[str]:
        assert go_on.wait(10)
        return names(tx, actor)

    reading = [asyncio.create_task(db.read(ANA, linger)) for _ in range(7)]  # more than there are readers
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(db.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    go_on.set()
    await closing
    assert await asyncio.gather(*reading) == [["a"]] * 7


async def test_close_while_another_process_holds_the_lock_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "LOCK_WAIT", 0.2)
    db = await open_notes(tmp_path)
    with lock_of_another_process(db.path.with_name("notes.db-lock")):
        waiting = [asyncio.create_task(db.write(ANA, add, f"n{number:03}")) for number in range(500)]
        await asyncio.sleep(0)
        async with asyncio.timeout(2):
            await db.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Busy}


def test_a_forgotten_close_does_not_hang_the_interpreter(tmp_path: Path) -> None:
    """aiosqlite's threads wait for work for ever unless they are daemons."""
    code = """
        import asyncio, sys
        from pathlib import Path
        from support.units import ANA, add, open_notes

        async def main():
            db = await open_notes(Path(sys.argv[1]))
            await db.write(ANA, add, "a")
            print("written", flush=True)

        asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "written\n"), ended.stderr
