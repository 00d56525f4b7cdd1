"""`companion verify` as an operator meets it: exit 1 with patient and place for whatever was changed outside."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from support.cli import Cli, Result, run
from support.life import Hand, Life


async def test_a_running_service_that_is_whole_ends_0(life: Life, cli: Cli) -> None:
    report = json.loads(await cli.beside("verify", "--json"))
    assert report["ok"]
    assert report["faults"] == []
    assert report["patients"] == 2
    assert "everything is as it was written" in await cli.beside("verify")


async def test_a_fault_ends_1_with_patient_and_place(life: Life, cli: Cli, hand: Hand) -> None:
    ana = life.cast.ana.id
    row = hand.one("logs", "patient_id = ? ORDER BY seq DESC", ana.bytes)
    hand.change("logs", row, day="2026-03-03")
    said = await asyncio.to_thread(cli.try_, "verify")
    assert said.code == 1
    first = said.out.splitlines()[0]
    assert first.startswith(f"patient {ana} seq {row['seq']} logs: ")
    assert said.out.splitlines()[-1].endswith("FAULTS: 2")
    record = (await asyncio.to_thread(cli.try_, "verify", "--json")).json
    assert not record["ok"]
    assert {(fault["patient_id"], fault["seq"]) for fault in record["faults"]} == {(str(ana), row["seq"])}


@pytest.fixture
def small(tmp_path: Path) -> Cli:
    """A clinic with two patients that nobody serves."""
    cli = Cli({"database": f"sqlite:///{tmp_path}/companion.db"})
    clinic = cli("clinic", "add", "North", "--site", "1 North Street")
    for name in ("Ana", "Ben"):
        cli("patient", "add", name, "--clinic", clinic, "--zone", "UTC")
    return cli


def keys(tmp_path: Path, text: str, *values: object) -> list[tuple[bytes, ...]]:
    connection = sqlite3.connect(tmp_path / "companion.db-keys.db", isolation_level=None)
    try:
        return connection.execute(text, values).fetchall()
    finally:
        connection.close()


def test_every_changed_byte_of_a_wrapped_key_is_found(small: Cli, tmp_path: Path) -> None:
    rows = keys(tmp_path, "SELECT owner, wrapped FROM keys WHERE length(owner) = 16")
    owner, wrapped = rows[0]
    for place in range(len(wrapped)):
        other = wrapped[:place] + bytes([wrapped[place] ^ 1]) + wrapped[place + 1 :]
        keys(tmp_path, "UPDATE keys SET wrapped = ? WHERE owner = ?", other, owner)
        said = small.try_("verify", "--json")
        assert said.code == 1, place
        assert owner.hex() in said.out.replace("-", ""), place
    keys(tmp_path, "UPDATE keys SET wrapped = ? WHERE owner = ?", wrapped, owner)
    keys(tmp_path, "UPDATE keys SET owner = ? WHERE owner = ?", b"x" * 16, owner)
    assert small.try_("verify").code == 1
    keys(tmp_path, "UPDATE keys SET owner = ? WHERE owner = ?", owner, b"x" * 16)
    assert small.try_("verify").code == 0


def test_a_key_that_belongs_to_nobody_is_told_and_is_no_fault(small: Cli, tmp_path: Path) -> None:
    keys(tmp_path, "INSERT INTO keys (owner, wrapped) VALUES (?, ?)", b"x" * 16, b"\x01")
    said = small.try_("verify")
    assert said.code == 0
    assert "1 keys belong to nobody" in said.out


def test_another_key_file_is_said_and_ends_1(small: Cli, tmp_path: Path) -> None:
    (tmp_path / "companion.db.key").write_text("ab" * 32)
    said = small.try_("verify")
    assert (said.code, "does not fit" in said.err) == (1, True)


def flipped(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


def test_a_damaged_page_is_a_fault_or_one_clear_line_and_never_a_traceback(small: Cli, tmp_path: Path) -> None:
    """The kind and the count of rows in every page's header, one after the other."""
    path = tmp_path / "companion.db"
    whole = path.read_bytes()
    ends: list[Result] = []
    for page in range(len(whole) // 4096):
        for place in (0, 3):
            flipped(path, page * 4096 + place + (100 if page == 0 else 0))
            ends.append(run("verify", "--database", f"sqlite:///{path}"))
            path.write_bytes(whole)
    assert {end.code for end in ends} == {1}
    assert all(len(end.err.splitlines()) <= 1 for end in ends)
    assert run("verify", "--database", f"sqlite:///{path}").code == 0


def test_an_older_schema_is_refused_with_the_fix(small: Cli, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "companion.db")
    connection.execute("PRAGMA user_version=0")
    connection.close()
    said = small.try_("verify")
    assert (said.code, "run companion migrate" in said.err) == (1, True)
