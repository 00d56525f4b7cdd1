"""The private names of aiosqlite that ``sqlite_file.Connection`` stands on; a new version that moves one fails here."""

import asyncio
import inspect
import sqlite3
import threading
from importlib.metadata import requires, version
from pathlib import Path

import aiosqlite
import pytest

from companion.core.sqlite_file import Connection


def test_the_version_is_pinned_below_the_next() -> None:
    assert version("aiosqlite").startswith("0.22.")
    pinned = [wanted for wanted in requires("companion-iop") or () if wanted.startswith("aiosqlite")]
    assert len(pinned) == 1
    assert "<0.23" in pinned[0]


def test_the_private_names_are_there() -> None:
    assert inspect.iscoroutinefunction(aiosqlite.Connection._execute)
    assert list(inspect.signature(aiosqlite.Connection._execute).parameters) == ["self", "fn", "args", "kwargs"]
    assert isinstance(inspect.getattr_static(aiosqlite.Connection, "_conn"), property)
    assert list(inspect.signature(aiosqlite.Connection.__init__).parameters) == [
        "self",
        "connector",
        "iter_chunk_size",
        "loop",
    ]


async def test_a_connection_runs_our_function_on_its_own_thread_in_order(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "one.db", write=True)
    assert connection._connection is None
    assert not connection.opened
    assert not connection._thread.is_alive()
    assert connection._thread.daemon
    await connection
    assert connection.opened
    assert connection._connection is connection._conn is connection.raw
    order: list[int] = []
    threads = await asyncio.gather(
        *(connection.call(lambda place: order.append(place) or threading.current_thread(), place) for place in range(50))
    )
    assert set(threads) == {connection._thread}
    assert order == list(range(50))
    await connection.close()
    assert not connection.opened
    connection._thread.join(5)
    assert not connection._thread.is_alive()


async def test_an_error_on_the_thread_reaches_the_caller(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "one.db", write=True)
    await connection
    with pytest.raises(ZeroDivisionError):
        await connection.call(lambda: 1 // 0)
    assert await connection.call(lambda: 1) == 1
    await connection.close()


async def test_a_broken_connection_is_replaced_in_place(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "one.db", write=True)
    await connection
    first = connection.raw
    connection.broken = True
    second = await connection.call(connection.usable)
    assert second is connection._conn is not first
    assert not connection.broken
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        first.execute("SELECT 1")
    await connection.close()


async def test_a_file_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "missing.db", write=False)
    with pytest.raises(sqlite3.OperationalError):
        await connection
    connection._thread.join(5)
    assert not connection._thread.is_alive()
