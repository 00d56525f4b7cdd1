"""Doctor: each thing it looks at is broken once, and the line says the fix."""

import asyncio
import json
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from support.cli import Cli, run

from companion import settings
from companion.commands import checks
from companion.commands.checks import Finding, Times
from companion.core.migrations import read as migrations
from companion.running import Running

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def small(tmp_path: Path) -> settings.Settings:
    """A small SQLite service that nobody runs."""
    place = f"sqlite:///{tmp_path}/companion.db"
    cli = Cli({"database": place})
    clinic = cli("clinic", "add", "North", "--site", "1 North Street")
    cli("patient", "add", "Ana", "--clinic", clinic, "--zone", "UTC")
    return settings.read({}, database=place)


def bad(found: Finding, *words: str) -> None:
    """It is bad, says what was seen and names the fix, in one line."""
    assert not found.ok
    assert found.fix
    line = str(found)
    assert line.startswith("BAD ")
    assert "\n" not in line
    for word in words:
        assert word in line, line


def test_a_key_file_that_others_can_read(small: settings.Settings) -> None:
    assert checks.key(small).ok
    small.key_path.chmod(0o640)
    bad(checks.key(small), "0640", f"chmod 600 {small.key_path}")


def test_a_key_file_that_is_gone(small: settings.Settings) -> None:
    small.key_path.unlink()
    bad(checks.key(small), "is missing", "put the key file back")


def test_a_key_file_of_another_service(small: settings.Settings) -> None:
    small.key_path.write_text("ab" * 32)
    bad(checks.key(small), "does not fit", "restore")


def test_keys_that_are_gone(small: settings.Settings) -> None:
    small.keys_path.unlink()
    bad(checks.key(small), "keys database", "restore")


@pytest.mark.parametrize(("step", "fix"), [(-1, "run companion migrate"), (1, "upgrade Companion")])
def test_a_schema_of_another_version(small: settings.Settings, step: int, fix: str) -> None:
    assert checks.schema(small).ok
    assert small.sqlite_path is not None
    connection = sqlite3.connect(small.sqlite_path)
    connection.execute(f"PRAGMA user_version={len(migrations()) + step}")
    connection.close()
    bad(checks.schema(small), f"version {len(migrations()) + step}", fix)


def test_a_database_that_is_gone_or_none(small: settings.Settings) -> None:
    assert small.sqlite_path is not None
    small.sqlite_path.write_text("words " * 100)
    bad(checks.schema(small), "not a SQLite database", "restore a backup")
    small.sqlite_path.unlink()
    bad(checks.schema(small), "no database", "COMPANION_DATABASE")


@pytest.mark.parametrize("free", [(10**13, 0, 100_000_000), (10**9, 0, 10**7), (10**13, 0, 10**11)])
def test_a_full_disk(small: settings.Settings, free: tuple[int, int, int]) -> None:
    assert checks.disk(small, lambda _: (10**12, 0, 10**11)).ok
    bad(checks.disk(small, lambda _: free), "MB", "free some space")


def test_a_clock_that_is_wrong(small: settings.Settings) -> None:
    known = checks.times(small)
    assert known is not None
    assert known.first is not None
    assert checks.clock(known.first + timedelta(seconds=1), known).ok
    bad(checks.clock(datetime(1970, 1, 1, tzinfo=UTC), known), "1970", "NTP")
    newest = NOW + timedelta(hours=1)
    bad(checks.clock(NOW, Times(newest, {}, None)), "before the newest entry", "NTP")


async def test_the_newest_entry_is_what_the_clock_is_held_to(service: Running) -> None:
    """Also on a server that runs, on both engines."""
    known = await asyncio.to_thread(checks.times, service.settings)
    assert known is not None
    assert known.newest is None or known.newest <= datetime.now(UTC)


def test_a_heart_that_stands_still() -> None:
    assert checks.heartbeat(NOW, Times(None, {"heartbeat": NOW - timedelta(seconds=29)}, None)).ok
    bad(checks.heartbeat(NOW, Times(None, {"heartbeat": NOW - timedelta(seconds=31)}, None)), "0:00:31", "companion serve")
    bad(checks.heartbeat(NOW, Times(None, {}, None)), "never beat", "companion worker")
    bad(checks.heartbeat(NOW, None), "not known", "above")


def test_a_mail_server_that_does_not_answer(small: settings.Settings) -> None:
    assert checks.smtp(small).ok, "none is needed"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(object(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        there = settings.read({}, database=small.database, smtp_url=f"smtp://127.0.0.1:{port}")
        assert checks.smtp(there).ok
    finally:
        controller.stop()
    bad(checks.smtp(there), "ConnectionRefusedError", "COMPANION_SMTP_URL")
    wrong = settings.read({}, database=small.database, smtp_url="http://127.0.0.1")
    bad(checks.smtp(wrong), "smtp://", "COMPANION_SMTP_URL")
    bad(checks.smtp(settings.read({}, database=small.database, smtp_url="smtp://host:port")), "COMPANION_SMTP_URL")


def test_a_backup_that_is_old_or_misses_its_keys() -> None:
    def known(**beats: timedelta) -> Times:
        return Times(None, {name.replace("_", "-"): NOW - ago for name, ago in beats.items()}, NOW - timedelta(days=30))

    hour, day = timedelta(hours=1), timedelta(days=1)
    assert checks.backup(NOW, known(backup=hour, backup_keys=hour)).ok
    bad(checks.backup(NOW, known()), "never saved", "companion backup")
    bad(checks.backup(NOW, known(backup=3 * day, backup_keys=hour)), "3 d ago", "every day")
    bad(checks.backup(NOW, known(backup=hour)), "keys were never saved", "--keys")
    bad(checks.backup(NOW, known(backup=hour, backup_keys=2 * hour)), "before the data", "--keys")
    bad(checks.backup(NOW, None), "not known", "above")
    young = Times(None, {}, NOW - hour)
    assert checks.backup(NOW, young).ok, "a clinic of an hour needs none yet"


def test_every_check_is_one_line_and_a_bad_one_ends_1(small: settings.Settings) -> None:
    place = ["--database", small.database]
    result = run("doctor", *place)
    assert result.code == 1
    names = [line.split()[1] for line in result.out.splitlines()]
    assert names == [f"{name}:" for name in ("key", "schema", "engine", "disk", "clock", "heartbeat", "smtp", "backup")]
    record = run("doctor", *place, "--json")
    assert (record.code, record.json["ok"]) == (1, False)
    assert [one["check"] for one in record.json["checks"] if not one["ok"]] == ["heartbeat"]


async def test_a_service_that_is_well_ends_0(service: Running, cli: Cli, tmp_path: Path) -> None:
    while not (report := json.loads((await asyncio.to_thread(cli.try_, "doctor", "--json")).out))["ok"]:
        assert [one["check"] for one in report["checks"] if not one["ok"]] == ["heartbeat"]
        await asyncio.sleep(0.05)
    for one in report["checks"]:
        assert one["seen"], one


def test_doctor_changes_nothing(small: settings.Settings, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run("doctor", "--database", small.database)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_backup_is_remembered_for_doctor(small: settings.Settings, tmp_path: Path) -> None:
    cli = Cli({"database": small.database})
    cli("backup", tmp_path / "data", "--keys", tmp_path / "keys")
    known = checks.times(small)
    assert known is not None
    found = checks.backup(max(known.beats.values()), known)
    assert found.ok
    assert found.seen.startswith("data saved 0.0 h ago")


def test_a_server_that_cannot_be_reached_is_one_line_each(tmp_path: Path) -> None:
    away = "postgresql://companion:not-a-secret@127.0.0.1:1"
    there = settings.read(
        {}, database=f"{away}/data", keys_database=f"{away}/keys", key_file=str(tmp_path / "companion.key")
    )
    bad(checks.schema(there), "cannot be used", "COMPANION_DATABASE")
    said = run("doctor", "--database", there.database, "--keys-database", there.keys_database, "--key-file", there.key_file)
    assert said.code == 1
    assert len(said.out.splitlines()) == 8
    assert "not-a-secret" not in said.out + said.err
