"""Every program under examples/ does what it says, against a real service."""

import asyncio
import base64
import hashlib
import hmac
import importlib.util
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from support.cast import Cast, Person, monday

from companion.running import Running

EXAMPLES = Path(__file__).parents[2] / "examples"
RUN_HERE = {
    "clinicians_view",
    "five_lines",
    "import_csv",
    "journal",
    "third_party",
    "trend_reading",
    "web_dependency",
    "webhook_receiver",
}


def run(name: str, service: Running, person: Person, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COMPANION_URL": service.url, "COMPANION_TOKEN": person.token, **more}
    return subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def load(name: str) -> Any:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == RUN_HERE


async def test_five_lines(cast: Cast, service: Running) -> None:
    said = await asyncio.to_thread(run, "five_lines", service, cast.ana)
    assert said.returncode == 0, said.stderr
    assert "slept well" in said.stdout
    assert "value=4.0" in said.stdout


async def test_a_clinicians_view(cast: Cast, service: Running) -> None:
    await cast.ana.mood(monday(), 4)
    allowed = await asyncio.to_thread(run, "clinicians_view", service, cast.cleo, COMPANION_PATIENT=str(cast.ana.id))
    assert allowed.returncode == 0, allowed.stderr
    assert allowed.stdout.startswith("Ana, America/New_York, North")
    hidden = await asyncio.to_thread(run, "clinicians_view", service, cast.dan, COMPANION_PATIENT=str(cast.ana.id))
    assert hidden.returncode == 1
    assert "no consent" in hidden.stderr


async def test_importing_twice_stores_once(cast: Cast, service: Running, tmp_path: Path) -> None:
    file = tmp_path / "moods.csv"
    file.write_text("date,mood\n2026-03-01,3\n2026-03-02,\n2026-03-03,5\n")
    for _ in range(2):
        said = await asyncio.to_thread(run, "import_csv", service, cast.ana, str(file))
        assert said.stdout == "2 days are in the diary\n", said.stderr
    listed = (await cast.ana.get("/v1/patients/me/logs?kind=mood")).json()["items"]
    assert [(entry["day"], entry["source"]) for entry in listed] == [("2026-03-03", "import"), ("2026-03-01", "import")]


def test_the_receivers_check_refuses_what_was_changed() -> None:
    receiver = load("webhook_receiver")
    secret = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
    headers = {
        "webhook-id": str(UUID(int=1)),
        "webhook-timestamp": "1772000000",
    }
    body = b'{"nudge_id":"x"}'
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mark = hmac.new(key, f"{headers['webhook-id']}.1772000000.".encode() + body, hashlib.sha256).digest()
    headers["webhook-signature"] = "v1,c3RhbGU= v1," + base64.b64encode(mark).decode()
    assert receiver.is_signed(secret, headers, body, 1772000010.0)
    assert not receiver.is_signed(secret, headers, body + b" ", 1772000010.0)
    assert not receiver.is_signed(secret, headers, body, 1772001000.0)
    assert not receiver.is_signed(secret, {**headers, "webhook-id": "other"}, body, 1772000010.0)


async def test_a_third_party_reads_with_a_scoped_token_until_it_is_taken_back(cast: Cast, service: Running) -> None:
    said = await asyncio.to_thread(run, "third_party", service, cast.ana)
    assert said.returncode == 0, said.stderr
    assert "mood 4 after 7.5 hours of sleep" in said.stdout
    assert "may read, may not write" in said.stdout
    assert "the patient has taken the token back" in said.stdout
    assert "saw mood" in said.stdout


async def test_a_trend_is_read_cell_by_cell(cast: Cast, service: Running) -> None:
    today = datetime.now(UTC)
    for days in range(20):
        await cast.ana.mood(today - timedelta(days=2 * days), 1 + days % 5)
    said = await asyncio.to_thread(run, "trend_reading", service, cast.ana)
    assert said.returncode == 0, said.stderr
    assert re.search(r"mood +\|[▁▃▅▆▇█ ]{90}\| 70 days without an answer", said.stdout), said.stdout
    assert "no sobriety check-in yet" in said.stdout
    assert re.search(r"anxiety +\| {90}\| 90 days without an answer", said.stdout)


async def test_a_web_service_passes_its_callers_token_on(
    cast: Cast, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPANION_URL", service.url)
    await cast.ana.mood(datetime.now(UTC), 4)
    web = httpx2.ASGITransport(app=load("web_dependency").app)
    async with httpx2.AsyncClient(transport=web, base_url="http://web.example") as http:
        told = await http.get("/week", headers=cast.ana.headers)
        assert told.json()["mood"] == 4.0, told.text
        refused = await http.get("/week", headers=cast.eve.headers)
        assert (refused.status_code, refused.json()["problem"]) == (401, "unauthenticated")


class Terminal:
    """A person's terminal with the journal in it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.environment = {**os.environ, "COMPANION_URL": url, "JOURNAL": str(folder / "mine.db"), "TZ": "America/New_York"}
        self.environment["JOURNAL_PASSPHRASE"] = "an invented passphrase"

    async def says(self, *words: str) -> str:
        """What the journal answers; fails the test where it fails."""
        said = await asyncio.to_thread(self._run, *words)
        assert said.returncode == 0, said.stderr
        return said.stdout

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(EXAMPLES / "journal.py"), *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)


async def test_a_journal_in_the_terminal_with_and_without_a_network(cast: Cast, service: Running, tmp_path: Path) -> None:
    invite = (await cast.cleo.post("/v1/invites", {"patient_id": str(cast.ana.id)})).json()
    home = tmp_path / "home"
    home.mkdir()
    terminal = Terminal(home, service.url)
    assert "○" in await terminal.says("mood", "4", "before signing in")
    assert "1 sent" in await terminal.says("sign-in", invite["code"])

    away = Terminal(home, "http://127.0.0.1:9")
    assert "988" in await away.says("mood", "1", "--safe", "no")
    assert "not reached" in await away.says("urge", "8", "--skill", "a walk", "--after", "3")

    assert "2 sent" in await terminal.says("sync")
    assert "PlanSection(title='People I can call'" in await terminal.says("plan", "People I can call", "Mia")
    listed = await terminal.says("list")
    assert [line.split()[2] for line in listed.splitlines()[:-1]] == ["safety_plan", "coping", "mood", "mood"]
    assert listed.count("●") == 4
    assert await terminal.says("refused") == "0 sent, 0 received, 0 wait\n"
    assert b"a walk" not in b"".join(path.read_bytes() for path in home.iterdir())
    await terminal.says("sign-out")
    assert list(home.iterdir()) == []
