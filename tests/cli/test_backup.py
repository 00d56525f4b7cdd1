"""A backup is whole while people write, and can be restored into an empty folder with keys and master key."""

import asyncio
import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from support.cast import OPERATOR, Cast, Person, monday
from support.cli import Cli, run
from support.elsewhere import Elsewhere, key_file
from support.engines import Engine
from support.life import Hand, Life

from companion.consent import gate
from companion.core import backup as files
from companion.core.actors import Actor
from companion.core.db import Tx
from companion.core.errors import StartUpError
from companion.logs import service as logs
from companion_sdk.wire import LogIn, Note


@pytest.mark.usefixtures("tools")
async def test_a_backup_under_load_restores_with_keys_and_master_key_and_every_row_opens(
    life: Life, engine: Engine, cli: Cli, hand: Hand, tmp_path: Path
) -> None:
    ana, ben = life.cast.ana, life.cast.ben
    done: list[str] = []
    writers = [asyncio.create_task(_write(person, done)) for person in (ana, ben, ana, ben)]
    while len(done) < 50:
        await asyncio.sleep(0.01)
    before = set(done)
    data, keys = tmp_path / "saved" / "data", tmp_path / "saved" / "keys"
    data.parent.mkdir()
    said = json.loads(await cli.beside("backup", data, "--keys", keys, "--json"))
    after_begin = len(done)
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)
    assert said["data"]["bytes"] == data.stat().st_size > 0
    assert [path.stat().st_mode & 0o777 for path in (data, keys)] == [0o600, 0o600]
    assert [one["what"] for one in said["keep"]] == ["the keys", "the key file"]
    assert said["keep"][1]["where"] == str(key_file(engine))
    assert after_begin > len(before), "nobody wrote while it was made"

    place = await asyncio.to_thread(Elsewhere, engine, tmp_path, hand)
    told = json.loads(await place.cli.beside("restore", data, "--keys", keys, "--json"))
    assert str(place.key) in told["next"][0]
    shutil.copy(key_file(engine), place.key)
    report = json.loads(await place.cli.beside("verify", "--json"))
    assert report["ok"]
    assert report["patients"] == 2
    assert report["rows"]["logs"] >= len(before)
    assert report["rows"]["deliveries"] == 1


async def _write(person: Person, done: list[str]) -> None:
    while True:
        done.append((await person.mood(monday(), 3))["id"])


@pytest.mark.usefixtures("tools")
def test_nothing_is_ever_overwritten(cli: Cli, tmp_path: Path) -> None:
    cli("migrate")
    cli("clinic", "add", "North", "--site", "1 North Street")
    data, keys = tmp_path / "data", tmp_path / "keys"
    data.write_text("mine")
    for arguments in (["backup", data], ["backup", tmp_path / "other", "--keys", data], ["backup", keys, "--keys", keys]):
        result = cli.try_(*arguments)
        assert result.code == 1, arguments
    assert data.read_text() == "mine"
    assert not keys.exists()
    assert not (tmp_path / "other").exists()
    data.unlink()
    cli("backup", data, "--keys", keys)
    refused = cli.try_("restore", data, "--keys", keys)
    assert refused.code == 1
    assert "left as it is" in refused.err
    assert json.loads(cli.try_("verify", "--json").out)["ok"]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Cli, Path, Path]:
    """A small SQLite service and its backup."""
    cli = Cli({"database": f"sqlite:///{tmp_path}/companion.db"})
    clinic = cli("clinic", "add", "North", "--site", "1 North Street")
    cli("patient", "add", "Ana", "--clinic", clinic, "--zone", "UTC")
    data, keys = tmp_path / "data", tmp_path / "keys"
    cli("backup", data, "--keys", keys)
    return cli, data, keys


def _restore(tmp_path: Path, *arguments: object) -> Any:
    return run("restore", *arguments, "--database", f"sqlite:///{tmp_path}/there/companion.db")


def test_what_is_no_backup_is_refused_before_anything_is_written(saved: tuple[Cli, Path, Path], tmp_path: Path) -> None:
    _, data, keys = saved
    text, damaged, newer = tmp_path / "text", tmp_path / "damaged", tmp_path / "newer"
    text.write_text("not a database, but long enough to have a header " * 4)
    broken = bytearray(data.read_bytes())
    broken[4096 * 2 : 4096 * 2 + 200] = b"\xff" * 200
    damaged.write_bytes(broken)
    shutil.copy(data, newer)
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    for arguments, words in (
        ([tmp_path / "nothing"], "there is no file"),
        ([text], "no SQLite file"),
        ([damaged], "damaged"),
        ([newer], "upgrade Companion"),
        ([keys], "no table feeds"),
        ([data, "--keys", data], "no table keys"),
        ([data, "--keys", text], "no SQLite file"),
    ):
        result = _restore(tmp_path, *arguments)
        assert (result.code, words in result.err) == (1, True), (arguments, result.err)
    assert not (tmp_path / "there").exists() or list((tmp_path / "there").iterdir()) == []


def test_data_without_keys_is_restored_with_a_word_about_them(saved: tuple[Cli, Path, Path], tmp_path: Path) -> None:
    result = _restore(tmp_path, saved[1])
    assert result.code == 0
    assert "the keys were not restored" in result.out
    served = run("verify", "--database", f"sqlite:///{tmp_path}/there/companion.db")
    assert served.code == 1
    assert "keys database" in served.err


def test_a_backup_can_be_verified_where_it_lies_and_stays_byte_for_byte(
    saved: tuple[Cli, Path, Path], tmp_path: Path
) -> None:
    _, data, keys = saved
    before = (data.read_bytes(), keys.read_bytes(), sorted(tmp_path.iterdir()))
    key = f"{tmp_path}/companion.db.key"
    places = ["--database", f"sqlite:///{data}", "--keys-database", f"sqlite:///{keys}", "--key-file", key]
    assert run("verify", *places, "--json").json["ok"]
    assert (data.read_bytes(), keys.read_bytes(), sorted(tmp_path.iterdir())) == before


def test_what_must_be_kept_is_said_and_the_key_file_is_in_no_backup(saved: tuple[Cli, Path, Path], tmp_path: Path) -> None:
    cli, data, keys = saved
    said = cli("backup", tmp_path / "again")
    assert "run companion backup FILE --keys FILE" in said
    assert str(tmp_path / "companion.db.key") in said
    secret = bytes.fromhex((tmp_path / "companion.db.key").read_text())
    for path in (data, keys):
        content = path.read_bytes()
        assert secret not in content
        assert secret.hex().encode() not in content


def test_the_data_holds_no_key(saved: tuple[Cli, Path, Path]) -> None:
    _, data, keys = saved
    wrapped = [row[0] for row in sqlite3.connect(keys).execute("SELECT wrapped FROM keys")]
    assert len(wrapped) == 2
    assert all(key not in data.read_bytes() for key in wrapped)


@pytest.mark.usefixtures("tools")
def test_a_place_that_cannot_be_written_is_named(cli: Cli, tmp_path: Path) -> None:
    cli("clinic", "add", "North", "--site", "1 North Street")
    result = cli.try_("backup", tmp_path / "no" / "folder")
    assert result.code == 1
    assert str(tmp_path / "no" / "folder") in result.err


def test_a_disk_that_fails_halfway_leaves_no_file(saved: tuple[Cli, Path, Path], tmp_path: Path) -> None:
    def fail(draft: Path) -> None:
        draft.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="space"):
        files.place(fail, tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir() if "target" in path.name] == []


def test_a_draft_that_a_power_cut_left_stands_in_no_way(tmp_path: Path) -> None:
    """In a container every backup may be the same process number."""

    def copy(draft: Path) -> None:
        assert draft.stat().st_mode & 0o777 == 0o600
        draft.write_bytes(b"whole")
        draft.with_name(f".target.{os.getpid()}").write_bytes(b"half")

    for number in range(2):
        files.place(copy, tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"whole", number
        (tmp_path / "target").unlink()


def test_two_backups_to_one_name_keep_the_first(saved: tuple[Cli, Path, Path], tmp_path: Path) -> None:
    target = tmp_path / "target"

    def second(draft: Path) -> None:
        draft.write_bytes(b"second")
        target.write_bytes(b"first")

    with pytest.raises(StartUpError, match="left as it is"):
        files.place(second, target)
    assert target.read_bytes() == b"first"


def test_an_older_schema_is_saved_and_not_migrated(tmp_path: Path, saved: tuple[Cli, Path, Path]) -> None:
    """Saving is what one does before an upgrade."""
    cli, _, _ = saved
    connection = sqlite3.connect(tmp_path / "companion.db")
    connection.execute("PRAGMA user_version=0")
    connection.close()
    said = cli("backup", tmp_path / "old")
    assert "run companion migrate" in said
    connection = sqlite3.connect(tmp_path / "companion.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


async def test_a_backup_of_many_rows_holds_up_no_writer(cast: Cast, engine: Engine, tmp_path: Path) -> None:
    """In one go from a reading connection; in steps it would begin again with every write."""
    if engine.name != "sqlite":
        return
    path = Path(engine.options["database"].removeprefix("sqlite:///"))
    await cast.running.db.write(OPERATOR, _fill, cast.ana.id)
    done: list[str] = []
    writers = [asyncio.create_task(_write(person, done)) for person in (cast.ana, cast.ben)]
    while len(done) < 20:
        await asyncio.sleep(0.01)
    before = len(done)
    bytes_ = await asyncio.wait_for(asyncio.to_thread(files.save, path, tmp_path / "b", "data", 99), 5)
    assert bytes_ > 12_000_000
    assert len(done) > before
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)


def _fill(tx: Tx, actor: Actor, patient: UUID) -> None:
    """Twelve megabytes of diary."""
    grant = gate.for_operator(tx, actor, patient)
    for _ in range(3_000):
        entry = LogIn(at=monday(), zone="UTC", body=Note(text="x" * 4_000))
        logs.put(tx, grant, uuid4(), entry, logs.IfMatch())


def test_pg_dump_that_is_missing_or_refuses_is_said(
    cli: Cli, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine.name != "postgres":
        return
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "pg_dump is not on the PATH" in cli.try_("backup", tmp_path / "data").err
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'server version mismatch' >&2\nexit 1\n")
    (tmp_path / "pg_dump").chmod(0o755)
    assert "pg_dump failed: server version mismatch" in cli.try_("backup", tmp_path / "data").err
    assert not (tmp_path / "data").exists()
