"""The file itself: the settings the promises rest on, where checkpoints happen, and a log that stays small."""

import asyncio
import fcntl
import os
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.units import ANA, add, names, on_writer, open_notes, watch

from companion.core import sqlite, sqlite_file
from companion.core.actors import Actor
from companion.core.db import Tx
from companion.core.sqlite import SqliteDatabase

WRITER = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    "mmap_size": 0,
    "temp_store": 2,
    "wal_autocheckpoint": sqlite_file.CHECKPOINT_PAGES,
    "journal_size_limit": sqlite_file.WAL_CAP,
    "busy_timeout": sqlite_file.BUSY_MS,
}
READER = {"journal_mode": "wal", "query_only": 1, "mmap_size": 0, "temp_store": 2, "wal_autocheckpoint": 0}


def settings_of(connection: Any, names: dict[str, Any]) -> dict[str, Any]:
    found = {name: connection.raw.execute(f"PRAGMA {name}").fetchone() for name in names}
    return {name: None if row is None else row[0] for name, row in found.items()}


async def test_the_writer_syncs_every_commit_and_maps_nothing(db: SqliteDatabase) -> None:
    """FULL: with NORMAL a power cut loses acknowledged entries (5,427 of 103,503 in a simulation)."""
    found = await db._writer.call(settings_of, db._writer, WRITER)
    assert {**found, "mmap_size": found["mmap_size"] or 0} == WRITER


async def test_a_reader_neither_writes_nor_checkpoints(db: SqliteDatabase) -> None:
    for reader in db._readers:
        found = await reader.call(settings_of, reader, READER)
        assert {**found, "mmap_size": found["mmap_size"] or 0} == READER


async def test_the_writer_keeps_its_settings_when_it_is_opened_anew(db: SqliteDatabase) -> None:
    db._writer.broken = True
    await db.write(ANA, add, "a")
    found = await db._writer.call(settings_of, db._writer, WRITER)
    assert {**found, "mmap_size": found["mmap_size"] or 0} == WRITER


async def test_nobody_else_may_read_the_files(db: SqliteDatabase) -> None:
    await db.write(ANA, add, "a")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in db.path.parent.iterdir() if path.is_file()}
    assert set(modes.values()) == {0o600}, modes


def locked(path: Path) -> bool:
    """Whether somebody holds the lock file."""
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


async def test_the_lock_is_held_from_begin_to_commit_and_over_every_checkpoint(
    db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "UNITS_PER_CHECKPOINT", 10)
    lock = db.path.with_name("notes.db-lock")
    seen: list[tuple[str, bool]] = []
    await watch(db, lambda statement: seen.append((" ".join(statement.split()[:2]), locked(lock))))
    for number in range(10):
        await db.write(ANA, add, f"n{number}")
    await db.checkpoint()
    words = [word for word, _ in seen]
    assert words.count("PRAGMA wal_checkpoint(PASSIVE)") == 2
    assert words.index("PRAGMA wal_checkpoint(PASSIVE)") > [place for place, word in enumerate(words) if word == "COMMIT"][9]
    assert {"BEGIN IMMEDIATE", "COMMIT"} < set(words)
    assert [word for word, held in seen if not held] == []
    assert not locked(lock)


async def test_a_failing_checkpoint_harms_nothing(db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "UNITS_PER_CHECKPOINT", 1)

    def refuse(action: int, *names: Any) -> int:
        return 1 if "wal_checkpoint" in names else 0

    await db._writer.call(lambda: db._writer.raw.set_authorizer(refuse))
    assert await asyncio.gather(*(db.write(ANA, add, f"n{number}") for number in range(200)))
    assert len(await db.read(ANA, names)) == 200
    await db._writer.call(lambda: db._writer.raw.set_authorizer(None))


@pytest.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteDatabase]:
    """A database with a cap of 2 MiB on its log."""
    monkeypatch.setattr(sqlite_file, "WAL_CAP", 2 * 1024 * 1024)
    monkeypatch.setattr(sqlite_file, "CHECKPOINT_PAGES", 200)
    monkeypatch.setattr(sqlite, "UNITS_PER_CHECKPOINT", 50)
    db = await open_notes(tmp_path)
    yield db
    await db.close()


def wal_size(db: SqliteDatabase) -> int:
    return db.path.with_name("notes.db-wal").stat().st_size


async def write_much(db: SqliteDatabase, units: int, first: int = 0) -> int:
    """Some 20 KiB a unit; the greatest size the log had."""
    greatest = 0
    for number in range(first, first + units, 16):
        await asyncio.gather(*(db.write(ANA, add, f"n{each:06}", "x" * 16_000) for each in range(number, number + 16)))
        greatest = max(greatest, wal_size(db))
    return greatest


async def test_the_log_stays_small_while_readers_never_rest(small: SqliteDatabase) -> None:
    """Overlapping readers starve a passive checkpoint: one of them stands on the log at any time."""
    stop = threading.Event()

    def linger(tx: Tx, actor: Actor) -> None:
        names(tx, actor)
        stop.wait(0.02)

    async def read_on(delay: float) -> None:
        await asyncio.sleep(delay)
        while not stop.is_set():
            await small.read(ANA, linger)

    readers = [asyncio.create_task(read_on(delay)) for delay in (0, 0.01)]
    greatest = await write_much(small, 1600)
    stop.set()
    await asyncio.gather(*readers)
    assert greatest < 5 * sqlite_file.WAL_CAP, f"{greatest:,} bytes of log for {1600 * 20:,} KiB written"


async def test_the_log_is_used_again_once_a_long_reader_is_done(
    small: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "RESTART_MS", 20)
    looked, done = threading.Event(), threading.Event()

    def stay(tx: Tx, actor: Actor) -> list[list[str]]:
        first = names(tx, actor)
        looked.set()
        assert done.wait(30)
        return [first, names(tx, actor)]

    reading = asyncio.create_task(small.read(ANA, stay))
    await asyncio.to_thread(looked.wait, 5)
    grown = await write_much(small, 480)
    assert grown > 2 * sqlite_file.WAL_CAP  # nothing a writer does can help that
    done.set()
    assert await reading == [[], []]
    await write_much(small, 160, 480)
    assert wal_size(small) <= sqlite_file.WAL_CAP + 200 * 4152
    assert (await on_writer(small, "PRAGMA integrity_check"))[0][0] == "ok"
