"""From version 1 to this one on both engines: the database that version 1 wrote is brought here, whole, and then syncs."""

import gzip
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from support import engines, make_v1, make_v1_rows
from support.cast import OPERATOR, Person
from support.cli import Cli
from support.clocks import ManualClock
from support.engines import Engine
from support.phone import Phone, note

from companion import running, settings
from companion.core import migrations, sqlite
from companion.core.lines import Lines
from companion.people import service as people

READ: dict[str, Any] = json.loads((make_v1.HOME / "read.json").read_text())
ANA = UUID(READ["ana"])
TOMBSTONES = 1


@pytest.fixture
def old(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cli]:
    """The database as version 1 left it, on the engine in turn."""
    (tmp_path / "old").mkdir()
    make_v1.unpack(tmp_path / "old")
    if engine.name == "sqlite":
        yield Cli({"database": f"sqlite:///{tmp_path}/old/companion.db"})
        return
    server = engines.server_of(request)
    names = [f"old_{uuid4().hex}", f"old_keys_{uuid4().hex}"]
    server.run(*(f"CREATE DATABASE {name} TEMPLATE empty" for name in names))
    data, keys = map(server.url, names)
    make_v1_rows.load(data, keys)
    key = tmp_path / "companion.key"
    shutil.copy(tmp_path / "old" / "companion.db.key", key)
    yield Cli({"database": data, "keys_database": keys, "key_file": str(key)})
    server.run(*(f"DROP DATABASE {name} WITH (FORCE)" for name in names))


@pytest.fixture
async def ana(old: Cli, clock: ManualClock) -> AsyncIterator[Person]:
    """Ana on the upgraded service, on the day that version 1 wrote its rows."""
    old("migrate")
    chosen = settings.read({}, **old.options, port=0, scheduler=False)
    service = await running.start(chosen, clock=clock, lines=Lines(clock, "error", "text", StringIO()))
    try:
        token = await service.db.write(OPERATOR, people.operator_token, ANA, None, 1)
        async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
            yield Person("Ana", token, http, ANA)
    finally:
        await service.stop()


def schema(path: Path) -> list[tuple[Any, ...]]:
    """Every table and index with its columns, and the version."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    version = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return [*found, version]


def test_what_is_kept_is_what_the_first_migration_makes(tmp_path: Path) -> None:
    """So it is the schema that version 1 was released with: a change of 0001 would show here."""
    (tmp_path / "kept").mkdir()
    make_v1.unpack(tmp_path / "kept")
    sqlite.migrate(tmp_path / "first.db", migrations.read()[:1])
    assert schema(tmp_path / "kept" / "companion.db") == schema(tmp_path / "first.db")


def test_the_recorded_rows_are_those_of_the_kept_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = gzip.decompress(make_v1_rows.FILE.read_bytes())
    make_v1.unpack(tmp_path)
    monkeypatch.setattr(make_v1_rows, "FILE", tmp_path / "again")
    make_v1_rows.keep(tmp_path)
    assert gzip.decompress((tmp_path / "again").read_bytes()) == recorded
    tables = json.loads(recorded)["data"]
    first = [text.split()[2] for text in migrations.read()[0].statements if text.startswith("CREATE TABLE")]
    assert sorted(tables) == sorted(first)
    assert all(table["rows"] for table in tables.values()), "it holds a row of every table"


def test_an_upgraded_schema_is_a_new_one(old: Cli, engine: Engine, tmp_path: Path) -> None:
    """The steps one by one lead to the same tables and indexes as all at once."""
    old("migrate")
    if engine.name == "sqlite":
        sqlite.migrate(tmp_path / "new.db")
        assert schema(tmp_path / "old" / "companion.db") == schema(tmp_path / "new.db")
        return
    look = (
        (
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        ),
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname",
    )
    found: list[Any] = []
    for options in (old.options, engine.options):
        with psycopg.connect(options["database"]) as connection:
            found.append([connection.execute(text.encode()).fetchall() for text in look])
    assert found[0] == found[1]


def test_it_migrates_once_and_every_row_opens(old: Cli) -> None:
    names = [f"{step.number:04}_{step.name}" for step in migrations.read()]
    assert json.loads(old("migrate", "--json")) == {"applied": names[1:]}
    report = json.loads(old("verify", "--json"))
    assert report["ok"], report["faults"]
    assert (report["patients"], report["spare_keys"]) == (2, 0)
    assert all(count for name, count in report["rows"].items() if name != "pushes")
    assert json.loads(old("migrate", "--json")) == {"applied": []}


def test_a_service_of_this_version_starts_on_it_only_when_it_is_brought_here(old: Cli, engine: Engine) -> None:
    """SQLite is migrated by the start; on PostgreSQL, where older processes may still run, by the operator's word."""
    result = old.try_("patient", "list")
    if engine.name == "sqlite":
        assert result.code == 0
        return
    assert result.code == 1
    assert "run companion migrate" in result.err


async def test_everything_reads_as_it_did(ana: Person) -> None:
    for path in ("logs", "consents", "disclosures", "plans"):
        assert (await ana.get(f"/v1/patients/me/{path}")).json() == READ[path], path
    for log in READ["logs"]["items"]:
        where = f"/v1/patients/me/logs/{log['id']}"
        assert (await ana.get(where)).json() == log
        history = (await ana.get(f"{where}/history")).json()["items"]
        assert [one["revision"] for one in history] == list(range(1, log["revision"] + 1))
        assert history[-1] == log


async def test_then_it_syncs(ana: Person, old: Cli) -> None:
    phone = Phone(ana)
    changes, cursor = await phone.walk(limit=1)
    live = [change for change in changes if not change["deleted"]]
    assert sorted(live, key=lambda log: log["id"]) == sorted(READ["logs"]["items"], key=lambda log: log["id"])
    assert len(changes) - len(live) == TOMBSTONES, "what was deleted in version 1 is told as well"
    assert [change["seq"] for change in changes] == sorted(change["seq"] for change in changes)
    assert (await phone.digest())["count"] == len(live)
    gone = next(change["id"] for change in changes if change["deleted"])
    corrected = live[0]
    correction = {"at": corrected["at"], "zone": corrected["zone"], "body": {"kind": "mood", "mood": 1}}
    results = await phone.push(
        phone.op(note("from this version")),
        phone.op(correction, corrected["id"], corrected["revision"]),
        phone.op(note("again"), gone),
    )
    assert [one["outcome"] for one in results] == ["applied", "applied", "gone"]
    assert results[1]["revision"] == corrected["revision"] + 1
    seen = (await phone.walk(cursor))[0]
    assert [change["seq"] for change in seen] == [results[0]["seq"], results[1]["seq"]]
    assert json.loads(await old.beside("verify", "--json"))["ok"]
