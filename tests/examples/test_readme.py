"""What the README says is true: its Python runs and is typed, its commands are in order, its links lead somewhere."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.cast import Cast

from companion.running import Running

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
PLAIN = [code for language, code in BLOCKS if language == "python" and "Companion(" in code and "sign_in" not in code]
FIVE_LINES = [code for code in PLAIN if "Diary(" not in code]
OFFLINE = [code for code in PLAIN if "Diary(" in code]
SIGN_IN = [code for language, code in BLOCKS if language == "python" and "sign_in" in code and "Companion(" in code]


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


async def test_the_five_lines_run(cast: Cast, service: Running) -> None:
    (code,) = FIVE_LINES
    assert len([line for line in code.splitlines() if line.strip()]) == 5
    said = await asyncio.to_thread(run, code.replace("http://127.0.0.1:8000", service.url).replace("cmp_…", cast.ana.token))
    assert said.returncode == 0, said.stderr
    assert "value=4.0" in said.stdout


async def test_the_diary_without_a_network_runs(
    cast: Cast, service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = OFFLINE
    monkeypatch.chdir(tmp_path)
    wait = "    while diary.unsent:\n        pass\n"
    there = code.replace("http://127.0.0.1:8000", service.url).replace("cmp_…", cast.ana.token) + wait
    said = await asyncio.to_thread(run, there)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("kept [Coping(skill='a walk'")
    listed = (await cast.ana.get("/v1/patients/me/logs")).json()["items"]
    assert [entry["body"]["skill"] for entry in listed] == ["a walk"]


async def test_signing_in_by_an_invite_runs(cast: Cast, service: Running) -> None:
    (code,) = SIGN_IN[:1]
    invite = (await cast.cleo.post("/v1/invites", {"patient_id": str(cast.ana.id)})).json()
    typed = "from companion_sdk import Companion\n" + code.replace("K7QXM-…", invite["code"])
    said = await asyncio.to_thread(run, typed.replace("http://127.0.0.1:8000", service.url) + "print(ana.me.get().name)")
    assert said.stdout == "Ana\n", said.stderr


def test_the_python_is_typed(tmp_path: Path) -> None:
    for number, code in enumerate([*FIVE_LINES, *OFFLINE, *SIGN_IN[:1]]):
        (tmp_path / f"block{number}.py").write_text("from companion_sdk import Companion\n" * ("import" not in code) + code)
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "pythonVersion": "3.11", "reportUnusedImport": "none"})
    )
    checker = Path(sys.executable).parent / "basedpyright"
    said = subprocess.run(
        [checker, "--pythonpath", sys.executable, "--project", tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|companion|sdk)/[\w/.-]+)`", README))))
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_commands_of_a_fresh_clone_are_these() -> None:
    commands = "\n".join(code for language, code in BLOCKS if language == "console")
    assert "pip install uv && uv run companion demo" in commands
    assert "pip install uv && uv run --group dev pytest" in commands
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_running_it_for_a_clinic_is_the_operators_page() -> None:
    """``tests/cli/test_run_it.py`` runs that page from an empty folder; what stands here is the same, word for word."""
    page = (ROOT / "companion" / "docs" / "run_it.md").read_text()
    section = page[: page.index("# Keep it running")].removeprefix("# Run it for your clinic").strip()
    assert section in README
