"""Saving SQLite files whole while others write to them, and putting them back. Knows files, no settings and no tables.

One ``backup`` call in one go (``pages=-1``) from a reading connection: it copies one snapshot and holds up no writer. Copied
in steps it would begin again with every write (117 s were seen where this took 37 ms).
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

from .beats import RESTORED
from .errors import StartUpError
from .sqlite_file import open_file

WITNESSES = {"data": "feeds", "keys": "keys"}
"""A table by which a file of each sort is known."""


def faults(path: Path) -> list[str]:
    """What SQLite's own check finds wrong with a file: pages, and rows that an index does not show."""
    try:
        connection = open_file(path, write=False)
        try:
            rows = connection.execute("PRAGMA integrity_check(20)").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        return [str(error)]
    return [row[0] for row in rows if row[0] != "ok"]


def refuse_existing(*paths: Path) -> None:
    """Refuse to write where something lies.

    Raises:
        StartUpError: naming it.
    """
    for path in paths:
        if path.exists():
            raise StartUpError(f"{path} exists already and is left as it is: name another file, or move it away first")


def save(source: Path, target: Path, sort: str, newest: int) -> int:
    """Save one database of the ``sort`` into a new file of mode 0600; its size in bytes.

    The copy is checked, not newer than ``newest``, and on disk when this returns.

    Raises:
        StartUpError: if the target exists, or the copy is not what it should be.
    """
    refuse_existing(target)

    def copy(draft: Path) -> None:
        reading = open_file(source, write=False)
        writing = sqlite3.connect(draft, isolation_level=None)
        try:
            reading.backup(writing, pages=-1)
            writing.execute("PRAGMA journal_mode=DELETE")
        finally:
            writing.close()
            reading.close()
        check(draft, sort, newest)

    try:
        place(copy, target)
    except (sqlite3.Error, OSError) as error:
        raise StartUpError(f"{target} cannot be written: {error}") from error
    return target.stat().st_size


def place(write: Callable[[Path], None], target: Path) -> None:
    """Write a draft beside the target, bring it to disk, and only then give it its name, which must be free."""
    handle, path = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # a draft left by a power cut is in no way
    os.close(handle)
    draft = Path(path)
    try:
        write(draft)
        _name(draft, target)
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            draft.with_name(draft.name + end).unlink(missing_ok=True)


def _name(draft: Path, target: Path) -> None:
    """Give a draft that is on disk its name, if that is free."""
    _sync(draft)
    refuse_existing(target)
    try:
        target.hardlink_to(draft)  # fails where another process was first; a rename would replace its file
    except FileExistsError:
        refuse_existing(target)
    except OSError:
        draft.rename(target)  # a file system without links, such as a memory stick's
    _sync(target.absolute().parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check(path: Path, sort: str, newest: int) -> None:
    """Refuse a file that is no whole backup of the ``sort``, or newer than ``newest``.

    Raises:
        StartUpError: saying what it is.
    """
    if not path.is_file():
        raise StartUpError(f"there is no file {path}")
    with path.open("rb") as file:
        header = file.read(100)
    if header[:16] != b"SQLite format 3\x00":
        raise StartUpError(f"{path} is not a backup of the {sort}: it is no SQLite file")
    if found := faults(path):
        raise StartUpError(f"{path} is damaged ({found[0]}): take another backup")
    connection = open_file(path, write=False)
    try:
        known = connection.execute(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", (WITNESSES[sort],)
        ).fetchone()[0]
    finally:
        connection.close()
    if not known:
        raise StartUpError(f"{path} is not a backup of the {sort}: it has no table {WITNESSES[sort]}")
    version = int.from_bytes(header[60:64])
    if version > newest:
        raise StartUpError(f"{path} has schema version {version}, this code knows {newest}: upgrade Companion")


def put(source: Path, target: Path, mark: Callable[[Path], None] = lambda draft: None) -> None:
    """Put a checked backup where nothing lies, its copy checked for faults and on disk when this returns.

    ``mark`` writes into the copy before it has its name.
    """
    refuse_existing(*(target.with_name(target.name + end) for end in ("", "-wal", "-shm", "-journal")))
    target.absolute().parent.mkdir(parents=True, exist_ok=True)

    def copy(draft: Path) -> None:
        with source.open("rb") as reading, draft.open("wb") as writing:
            shutil.copyfileobj(reading, writing, 1024 * 1024)
        if found := faults(draft):
            raise StartUpError(f"the copy of {source} is damaged ({found[0]}): look at the disk of {target}")
        mark(draft)

    try:
        place(copy, target)
    except (sqlite3.Error, OSError) as error:
        raise StartUpError(f"{target} cannot be written: {error}") from error


def restored(draft: Path, now: int) -> None:
    """Write into a copy of the data that it was put back at ``now`` (microseconds, see ``beats.RESTORED``).

    Later than any epoch in it, in seconds, so that a clock that was set back makes no old epoch new.
    """
    connection = sqlite3.connect(draft, isolation_level=None)
    try:
        connection.execute(
            "INSERT INTO beats (name, at) SELECT ?, max(?, 1000000 * (1 + coalesce(max(epoch), 0))) FROM feeds WHERE true "
            "ON CONFLICT (name) DO UPDATE SET at = excluded.at",
            (RESTORED, now),
        )
    finally:
        connection.close()
