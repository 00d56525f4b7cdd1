"""A database of version 1, kept in the tree, opens for ever."""

import json
import sqlite3
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from support.cast import OPERATOR
from support.cli import Cli
from support.make_v1 import FILES, HOME, unpack

from companion import running, settings
from companion.core.actors import Actor
from companion.core.clock import SystemClock
from companion.core.db import Tx
from companion.core.lines import Lines
from companion.custody.owned import TABLES
from companion.people import service as people

NEWER = {"pushes"}
"""Tables that version 1 did not have."""


@pytest.fixture
def first(tmp_path: Path) -> Cli:
    """The kept database, laid out as a service has it and brought to this code's schema."""
    unpack(tmp_path)
    cli = Cli({"database": f"sqlite:///{tmp_path}/companion.db"})
    cli("migrate")
    return cli


def test_every_row_of_version_1_opens(first: Cli) -> None:
    report = first.json("verify")
    assert report["ok"], report["faults"]
    assert report["patients"] == 2
    assert {name for name, count in report["rows"].items() if not count} == NEWER, "it holds a row of every table of its own"


async def test_ana_reads_what_she_wrote_in_version_1(first: Cli) -> None:
    known = json.loads((HOME / "read.json").read_text())
    clock = SystemClock()
    service = await running.start(
        settings.read({}, **first.options, port=0, scheduler=False, log_level="error"),
        clock=clock,
        lines=Lines(clock, "error"),
    )
    try:
        token = await service.db.write(OPERATOR, _token, UUID(known["ana"]))
        async with httpx2.AsyncClient(base_url=service.url, headers={"Authorization": f"Bearer {token}"}) as ana:
            for path in ("logs", "disclosures"):
                assert (await ana.get(f"/v1/patients/me/{path}")).json() == known[path]
            consents = (await ana.get("/v1/patients/me/consents")).json()["items"]
            plans = (await ana.get("/v1/patients/me/plans")).json()["items"]
            assert [one["plan"] for one in plans] == [one["plan"] for one in known["plans"]["items"]]
            assert [{**one, "active": None} for one in consents] == [
                {**one, "active": None} for one in known["consents"]["items"]
            ]
    finally:
        await service.stop()


def _token(tx: Tx, actor: Actor, patient: UUID) -> str:
    return people.operator_token(tx, actor, patient, None, 1)


def test_what_is_kept_is_small_and_is_all_that_is_kept() -> None:
    assert sorted(path.name for path in HOME.iterdir()) == sorted([*FILES, "read.json"])
    assert sum(path.stat().st_size for path in HOME.iterdir()) < 60_000


def test_the_first_byte_of_every_proof_says_version_1(first: Cli, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "companion.db")
    for table in [table for table in TABLES if table.name not in NEWER]:
        for column in (table.proof, *(["link"] if table.chained else [])):
            found = connection.execute(f"SELECT DISTINCT substr({column}, 1, 1) FROM {table.name}").fetchall()
            assert found == [(b"\x01",)], (table.name, column)
    connection.close()
    connection = sqlite3.connect(tmp_path / "companion.db-keys.db")
    assert connection.execute("SELECT DISTINCT substr(wrapped, 1, 1) FROM keys").fetchall() == [(b"\x01",)]
    connection.close()
