"""The schema's steps: their names, and what happens to a database that is newer, half made, or no database."""

import hashlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support import process
from support.units import ANA, STEPS, add, names, on_disk, open_notes

from companion import settings, storage
from companion.core import migrations, sqlite
from companion.core.clock import SystemClock
from companion.core.errors import StartUpError
from companion.core.migrations import Migration
from companion.core.sql import POSTGRES, SQLITE, expand

SECOND = Migration(2, "colours", ("ALTER TABLE notes ADD COLUMN colour text", "CREATE INDEX by_colour ON notes (colour)"))


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.sql").write_text(text)


def hashes(folder: Path) -> dict[str, str]:
    """Every file but shared memory, which every reader writes."""
    files = [path for path in sorted(folder.iterdir()) if not path.name.endswith("-shm")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# the files


def test_our_own_steps_are_named_and_numbered() -> None:
    known = migrations.read()
    assert [step.number for step in known] == list(range(1, len(known) + 1))
    for step in known:
        assert step.statements
        for statement in step.statements:
            assert statement.startswith(
                ("CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX ", "ALTER TABLE ", "UPDATE ")
            )
            expand(statement, SQLITE)
            expand(statement, POSTGRES)


def test_every_file_says_whether_it_goes_before_or_after_the_code() -> None:
    for path in migrations.FOLDER.glob("*.sql"):
        first = path.read_text().splitlines()[0]
        assert "before the code" in first or "after the code" in first, path.name


def test_steps_are_read_in_order_and_split_at_semicolons(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{"0002_b": "-- why\nALTER TABLE a ADD COLUMN c text;\n", "0001_a": "CREATE TABLE a (b text);\n\n;\nSELECT 1"},
    )
    assert migrations.read(tmp_path) == [
        Migration(1, "a", ("CREATE TABLE a (b text)", "SELECT 1")),
        Migration(2, "b", ("ALTER TABLE a ADD COLUMN c text",)),
    ]


@pytest.mark.parametrize("name", ["1_a", "0001-a", "0001_", "first", "00001_a", "0001_a.old"])
def test_a_misnamed_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, **{name: "SELECT 1"})
    with pytest.raises(StartUpError, match=f"{name}.sql is not named NNNN_words.sql"):
        migrations.read(tmp_path)


@pytest.mark.parametrize("numbers", [("0002",), ("0001", "0003"), ("0000", "0001"), ("0001", "0001")])
def test_a_gap_or_a_double_number_is_refused(tmp_path: Path, numbers: tuple[str, ...]) -> None:
    write(tmp_path, **{f"{number}_step{place}": "SELECT 1" for place, number in enumerate(numbers)})
    with pytest.raises(StartUpError, match="without a gap"):
        migrations.read(tmp_path)


def test_what_is_pending() -> None:
    known = [*STEPS, SECOND]
    assert migrations.pending(0, "x.db", known) == known
    assert migrations.pending(1, "x.db", known) == [SECOND]
    assert migrations.pending(2, "x.db", known) == []
    with pytest.raises(StartUpError, match=r"x\.db has schema version 3, this code knows 2: upgrade Companion; nothing was"):
        migrations.pending(3, "x.db", known)


# applied to a file


def test_steps_are_applied_once_and_the_old_rows_stay(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    assert sqlite.migrate(path, STEPS) == ["0001_notes"]
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO notes VALUES ('a', '')")
    connection.commit()
    connection.close()
    assert sqlite.migrate(path, [*STEPS, SECOND]) == ["0002_colours"]
    assert sqlite.migrate(path, [*STEPS, SECOND]) == []
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name, body, colour FROM notes").fetchall() == [("a", "", None)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_step_that_fails_half_way_leaves_nothing_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    broken = Migration(2, "broken", (*SECOND.statements, "UPDATE notes SET nothing = 1"))
    with pytest.raises(StartUpError, match="nothing"):
        sqlite.migrate(path, [*STEPS, broken])
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert [row[1] for row in connection.execute("PRAGMA table_info(notes)")] == ["name", "body"]
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'by_colour'").fetchone() == (0,)
    connection.close()
    assert sqlite.migrate(path, [*STEPS, SECOND]) == ["0002_colours"]


@pytest.mark.parametrize("wal", ["folded", "with its log"])
def test_a_newer_database_is_refused_by_name_and_not_a_byte_of_it_changes(tmp_path: Path, wal: str) -> None:
    path = tmp_path / "notes.db"
    sqlite.migrate(path, [*STEPS, SECOND])
    if wal == "folded":
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version=7")
        connection.close()
    else:
        leave_a_log(path, "PRAGMA user_version=7")
        assert path.with_name("notes.db-wal").stat().st_size > 0
    before = hashes(tmp_path)
    for _ in range(2):
        with pytest.raises(StartUpError, match=r"notes\.db has schema version 7, this code knows 2.*nothing was changed"):
            sqlite.migrate(path, [*STEPS, SECOND])
    assert hashes(tmp_path) == before


def leave_a_log(path: Path, statement: str) -> None:
    """Change the database and die without folding the log."""
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA journal_mode=WAL')\n"
        "c.execute(sys.argv[2])\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-S", "-c", code, str(path), statement], check=True, timeout=10)


async def test_the_whole_service_refuses_a_newer_database_untouched(tmp_path: Path) -> None:
    options = {"database": f"sqlite:///{tmp_path / 'companion.db'}"}
    await process.enrol(options)
    leave_a_log(tmp_path / "companion.db", "PRAGMA user_version=99")
    before = hashes(tmp_path)
    assert {"companion.db", "companion.db-wal", "companion.db-keys.db", "companion.db.key"} < set(before)
    with pytest.raises(StartUpError, match=r"companion\.db has schema version 99"):
        await storage.open_database(settings.read({}, **options), SystemClock())
    assert hashes(tmp_path) == before


@pytest.mark.parametrize("content", [b"hello, this is a text file\n" * 50, b"SQLite format 3\x00" + b"\xff" * 4080])
def test_what_is_no_database_is_refused_untouched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(content)
    with pytest.raises(StartUpError, match=r"notes\.db"):
        sqlite.migrate(path, STEPS)
    assert path.read_bytes() == content
    assert [found.name for found in tmp_path.iterdir()] == ["notes.db"]


async def test_looking_at_the_version_leaves_the_locks_of_an_open_database(tmp_path: Path) -> None:
    """POSIX drops all of a process's locks on a file when it closes any handle of it; another process would then take
    itself for the last one, fold the log and delete it under our feet."""
    db = await open_notes(tmp_path)
    await db.write(ANA, add, "a")
    assert sqlite.version_untouched(db.path) == 1
    leave_and_close(db.path)
    await db.write(ANA, add, "b")
    assert db.path.with_name("notes.db-wal").exists()
    assert await db.read(ANA, names) == ["a", "b"] == on_disk(db)
    await db.close()


def leave_and_close(path: Path) -> None:
    """Another process opens the database, reads, and closes it in order."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM notes').fetchall(); c.close()"
    subprocess.run([sys.executable, "-S", "-c", code, str(path)], check=True, timeout=10)
