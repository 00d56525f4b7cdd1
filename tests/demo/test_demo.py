"""``companion demo``: the story holds and is told in time; when the thing behind a tick breaks, that tick is named."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx2
import pytest
from click.testing import CliRunner, Result

from companion import reactions
from companion.__main__ import cli
from companion.commands import demo
from companion.consent import gate
from companion.core import audit
from companion.core.actors import Actor
from companion.core.db import Tx
from companion.core.errors import StartUpError
from companion.demo import scratch, ticks
from companion.logs import changing
from companion.logs import service as logs
from companion.logs import store as log_store
from companion.logs.events import LogRecorded
from companion.nudges import due

Patch = Callable[[pytest.MonkeyPatch], None]


def tell() -> tuple[int, dict[str, Any]]:
    """Run the demo in this process; its exit code and its JSON."""
    result: Result = CliRunner().invoke(cli, ["demo", "--exit", "--port", "0", "--json"], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, json.loads(result.stdout)


def test_every_promise_holds(say: Callable[[object], None]) -> None:
    code, told = tell()
    assert (code, told["broken"]) == (0, [])
    assert [tick["name"] for tick in told["ticks"]] == [*ticks.ON_STAGE, *ticks.BESIDE]
    assert sum(tick["seconds"] for tick in told["ticks"]) < 30
    stored = int(told["ticks"][0]["seen"].split()[0])
    say(f"demo: {stored} entries, {len(told['ticks'])} promises, {sum(one['seconds'] for one in told['ticks']):.1f} s")
    assert stored > 900


def no_dedup(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(changing, "same", lambda before, entry: False)


def no_history(patch: pytest.MonkeyPatch) -> None:
    whole = log_store.history
    patch.setattr(log_store, "history", lambda tx, grant, log_id: whole(tx, grant, log_id)[-1:])


def no_feed(patch: pytest.MonkeyPatch) -> None:
    """A pull that begins one change too late."""
    whole = log_store.changes
    patch.setattr(log_store, "changes", lambda tx, grant, seq, limit: whole(tx, grant, seq, limit)[1:])


def no_claim(patch: pytest.MonkeyPatch) -> None:
    """The first two workers get the row, and neither's claim is written down."""
    real, calls = due.claim, [0]

    def claim(tx: Tx, actor: Actor, owner: str, lease: float, most: int) -> Any:
        calls[0] += 1
        if calls[0] > 2:
            return real(tx, actor, owner, lease, most)
        found = None
        try:
            with tx.nested():
                found = real(tx, actor, owner, lease, most)
                raise KeyError
        except KeyError:
            return found

    patch.setattr(due, "claim", claim)


def no_withholding(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logs, "logged", lambda tx, grant, kind, day: False)
    patch.setitem(reactions.REACTIONS, LogRecorded, ())


def no_gate(patch: pytest.MonkeyPatch) -> None:
    def grant(tx: Tx, actor: Actor, patient: Any, kinds: frozenset[str]) -> gate.Grant:
        return gate.Grant(patient, actor.id, kinds)

    patch.setattr(gate, "_consented", grant)


def no_crisis(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logs, "flags", lambda body: ())


def no_chain(patch: pytest.MonkeyPatch) -> None:
    real = audit.extend

    def extend(tx: Tx, chain: audit.Chain, bound: bytes, sealed: bytes) -> bytes:
        link = bytearray(real(tx, chain, bound, sealed))
        link[-1] ^= chain.seq == 7
        return bytes(link)

    patch.setattr(audit, "extend", extend)


FORGETFUL = """
import sys
from companion.core import sqlite
real = sqlite.SqliteDatabase._attempt
count = 0
def attempt(self, group):
    global count
    count += 1
    if count % 5:
        return real(self, group)
    class Undone:
        def __init__(self, raw): self.raw = raw
        def __getattr__(self, name): return getattr(self.raw, name)
        def execute(self, text, *more): return self.raw.execute("ROLLBACK" if text == "COMMIT" else text, *more)
    connection = self._writer._connection
    self._writer._connection = Undone(connection)
    try:
        return real(self, group)
    finally:
        self._writer._connection = connection
sqlite.SqliteDatabase._attempt = attempt
from companion.__main__ import main
main(["serve", *sys.argv[1:]])
"""


def no_durability(patch: pytest.MonkeyPatch) -> None:
    """A server that acknowledges every fifth group without having committed it."""
    patch.setattr(scratch, "SERVE", [sys.executable, "-c", FORGETFUL])


@pytest.mark.parametrize(
    ("break_it", "tick"),
    [
        (no_dedup, "repeat"),
        (no_history, "correction"),
        (no_feed, "phones"),
        (no_claim, "claim"),
        (no_withholding, "withhold"),
        (no_gate, "consent"),
        (no_crisis, "crisis"),
        (no_chain, "chain"),
        (no_durability, "durability"),
    ],
)
def test_a_broken_promise_is_named(monkeypatch: pytest.MonkeyPatch, break_it: Patch, tick: str) -> None:
    break_it(monkeypatch)
    code, told = tell()
    assert (code, told["broken"]) == (1, [tick]), [one["seen"] for one in told["ticks"] if not one["held"]]


def test_a_diary_needs_its_map(tmp_path: Path) -> None:
    file = tmp_path / "diary.csv"
    file.write_text("date\n")
    result = CliRunner().invoke(cli, ["demo", "--diary", str(file)])
    assert result.exit_code == 2
    assert "--map" in result.output


async def played(folder: Path, credentials: Path) -> asyncio.subprocess.Process:
    """The demo in a process group of its own, with its temporary files in the folder."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "companion", "demo", "--port", "0", "--credentials", str(credentials)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder), "NO_COLOR": "1"},
        process_group=0,
    )


async def visit(known: dict[str, Any]) -> None:
    """What a program does as soon as it has tokens: writes at once, in the middle of the story, and finds only its own."""
    headers = {"Authorization": f"Bearer {known['ana']['token']}"}
    async with httpx2.AsyncClient(base_url=known["base_url"], headers=headers) as client:
        for _ in range(20):
            entry = {"at": datetime.now(UTC).isoformat(), "zone": "UTC", "body": {"kind": "mood", "mood": 3}}
            answer = await client.put(f"/v1/patients/me/logs/{uuid4()}", json=entry)
            assert (answer.status_code, answer.json()["skewed"]) == (201, False)
            late = datetime.now(UTC) - datetime.fromisoformat(answer.json()["recorded_at"])
            assert late < timedelta(seconds=5), "its clock has caught up"
        today = datetime.now(ZoneInfo("America/New_York")).date()
        found = (await client.get(f"/v1/patients/me/logs?from={today}")).json()["items"]
        assert [entry["body"] for entry in found] == [{"kind": "mood", "mood": 3}] * 20
        assert (await client.get("/v1/patients/me/plans")).json() == {"items": []}


async def test_it_stays_up_to_be_tried_and_leaves_nothing_behind(tmp_path: Path, say: Callable[[object], None]) -> None:
    credentials = tmp_path / "credentials.json"
    credentials.write_text("of an earlier demo")
    began = time.monotonic()
    process = await played(tmp_path, credentials)
    assert process.stdout is not None
    try:
        while not credentials.exists() or credentials.read_text() == "of an earlier demo":
            assert time.monotonic() - began < 20
            await asyncio.sleep(0.05)
        ready = time.monotonic() - began
        known = json.loads(credentials.read_text())
        assert credentials.stat().st_mode & 0o777 == 0o600
        await visit(known)
        told = b""
        while b"Ctrl-C" not in told:
            told += await asyncio.wait_for(process.stdout.readline(), 40)
        say(f"demo: ready in {ready:.1f} s, told in {time.monotonic() - began:.1f} s")
        ana, cleo, dan = known["ana"], known["cleo"], known["dan"]
        path = f"{known['base_url']}/v1/patients/{ana['patient_id']}/trends"
        async with httpx2.AsyncClient() as client:
            answers = [
                (await client.get(path, headers={"Authorization": f"Bearer {who['token']}"})).status_code
                for who in (ana, cleo, dan, known["ben"])
            ]
        assert answers == [200, 200, 404, 404]
        assert ready <= 10
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["credentials.json"]


async def test_ended_in_the_middle_of_its_story_it_leaves_nothing_behind_either(tmp_path: Path) -> None:
    process = await played(tmp_path, tmp_path / "credentials.json")
    while not list(tmp_path.glob("companion-demo-*/companion.db")):
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, said) == (1, b"companion: stopped\n")
    assert list(tmp_path.iterdir()) == []


def test_credentials_that_cannot_be_written_are_refused_at_once(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["demo", "--exit", "--credentials", str(tmp_path / "nowhere" / "c.json")])
    assert result.exit_code == 2
    assert "there is no folder" in result.output


def test_the_words_for_progress_need_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with demo.Play(Path("/nowhere"), 0, False)._progress() as progress:
        progress("Ana's diary", 1, 2)
    assert capsys.readouterr().err == ""


def test_a_persons_own_diary_comes_along(tmp_path: Path) -> None:
    file, mapping = tmp_path / "diary.csv", tmp_path / "map.toml"
    file.write_text("date,mood\n2026-03-01,3\n2026-03-02,\n2026-03-03,5\n")
    mapping.write_text(
        'zone = "Europe/Amsterdam"\n[day]\ncolumn = "date"\n[[entry]]\nkind = "mood"\ntime = "21:00"\n'
        '[entry.fields]\nmood = { column = "mood" }\n'
    )
    arguments = ["demo", "--exit", "--port", "0", "--json", "--diary", str(file), "--map", str(mapping)]
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert (result.return_value, json.loads(result.stdout)["imported"]) == (0, 2)


def test_a_diary_with_a_bad_line_is_named(tmp_path: Path) -> None:
    file, mapping = tmp_path / "diary.csv", tmp_path / "map.toml"
    file.write_text("date,mood\nyesterday,3\n")
    mapping.write_text(
        'zone = "UTC"\n[day]\ncolumn = "date"\n[[entry]]\nkind = "mood"\ntime = "21:00"\n'
        '[entry.fields]\nmood = { column = "mood" }\n'
    )
    with pytest.raises(StartUpError, match="1 bad lines, the first: line 2, date: day"):
        CliRunner().invoke(
            cli,
            ["demo", "--exit", "--port", "0", "--diary", str(file), "--map", str(mapping)],
            standalone_mode=False,
            catch_exceptions=False,
        )


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(StartUpError, match=f"port {port} is taken"):
            CliRunner().invoke(cli, ["demo", "--exit", "--port", port], standalone_mode=False, catch_exceptions=False)
