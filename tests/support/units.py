"""A SQLite database of one small table, with verbs for it, to look at units of work alone."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from companion.core import sqlite
from companion.core.actors import Actor, Caller, System
from companion.core.clock import Clock, SystemClock
from companion.core.db import Tx
from companion.core.errors import Unauthenticated
from companion.core.keys import SqliteKeys
from companion.core.migrations import Migration
from companion.core.sql import Statement
from companion.core.sqlite import SqliteDatabase
from companion.core.vault import Vault

ANA = System("ana")
EVE = System("eve")
STEPS = [Migration(1, "notes", ("CREATE TABLE notes (name text NOT NULL PRIMARY KEY, body text NOT NULL) {strict}",))]
ADD = Statement("INSERT INTO notes (name, body) VALUES (:name, :body)")
NAMES = Statement("SELECT name FROM notes ORDER BY name {collate}")


def resolve(tx: Tx, caller: Caller) -> Actor:
    """Everybody is the system but Eve, who is nobody."""
    if caller == EVE:
        raise Unauthenticated
    return Actor(role="system", id=UUID(int=1))


async def open_notes(folder: Path, clock: Clock | None = None) -> SqliteDatabase:
    """The database of notes in a folder, made if it is not there."""
    path = folder / "notes.db"
    sqlite.migrate(path, STEPS)
    vault = Vault(bytes(32), SqliteKeys(folder / "notes-keys.db"))
    return await SqliteDatabase.open(path, vault, clock or SystemClock(), resolve, {})


def add(tx: Tx, actor: Actor, name: str, body: str = "") -> str:
    """A verb: keep one note."""
    tx.run(ADD, name=name, body=body)
    return name


def names(tx: Tx, actor: Actor) -> list[str]:
    """A verb: the names of all notes."""
    return [row[0] for row in tx.all(NAMES)]


async def on_writer(db: SqliteDatabase, sql: str) -> list[Any]:
    """Run a statement on the writer's connection, outside any unit."""
    return await db._writer.call(lambda: db._writer.raw.execute(sql).fetchall())


async def watch(db: SqliteDatabase, seen: Callable[[str], None]) -> None:
    """Tell of every statement that the writer's connection runs, on its thread."""
    await db._writer.call(lambda: db._writer.raw.set_trace_callback(seen))


def on_disk(db: SqliteDatabase) -> list[str]:
    """The names that a connection of another kind sees: what is committed."""
    connection = sqlite3.connect(db.path)
    try:
        return [row[0] for row in connection.execute("SELECT name FROM notes ORDER BY name")]
    finally:
        connection.close()
