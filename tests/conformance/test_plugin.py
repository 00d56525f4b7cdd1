"""The fixtures an app's tests get with the SDK, and how little they cost."""

import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import companion_sdk as sdk
from companion_sdk import Mood, Note
from companion_sdk.testing import FakeService, Network, Person

FIXTURES = "companion_service", "companion_ana", "companion", "async_companion", "companion_network", "companion_diary"


def test_the_plugin_is_found_by_pytest(request: pytest.FixtureRequest) -> None:
    (found,) = [one for one in entry_points(group="pytest11") if one.name == "companion"]
    assert request.config.pluginmanager.get_plugin("companion") is found.load()
    assert all(hasattr(found.load(), name) for name in FIXTURES)


def test_loading_it_loads_no_http_client_no_database_and_no_fake() -> None:
    program = "import sys, companion_sdk.testing._plugin; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {
        "httpx2",
        "sqlite3",
        "cryptography",
        "companion_sdk.testing.fake",
        "companion_sdk.diary",
        "companion",
    }


def test_ana_writes_her_diary(companion: sdk.Companion, companion_service: FakeService, companion_ana: Person) -> None:
    entry = companion.logs.record(Mood(mood=4))
    assert list(companion_service.entries(companion_ana)) == [entry]


def test_each_test_has_a_service_of_its_own(companion_service: FakeService, companion_ana: Person) -> None:
    assert companion_service.entries(companion_ana) == []


def test_over_a_bad_network(companion: sdk.Companion, companion_network: Network, companion_service: FakeService) -> None:
    companion_network.lose_reply()
    companion.logs.record(Mood(mood=4))
    assert [one.status for one in companion_service.requests] == [201, 200]


async def test_for_asyncio_too(async_companion: sdk.AsyncCompanion) -> None:
    entry = await async_companion.logs.record(Note(text="words"))
    assert [one async for one in async_companion.logs.list()] == [entry]


def test_a_diary_on_her_phone(
    companion_diary: sdk.Diary, companion_network: Network, companion_service: FakeService, companion_ana: Person
) -> None:
    with companion_network.offline():
        entry = companion_diary.record(Mood(mood=4))
        companion_diary.sync()
    assert (companion_diary.unsent, companion_service.entries(companion_ana)) == (1, [])
    companion_diary.sync()
    assert [log.id for log in companion_service.entries(companion_ana)] == [entry.id]
    assert companion_diary.unsent == 0


def test_a_record_and_a_sync_take_milliseconds(
    companion_diary: sdk.Diary, companion: sdk.Companion, say: Callable[[object], None]
) -> None:
    companion_diary.sync()
    took: dict[str, list[float]] = {"record and sync": [], "record online": []}
    for value in range(1, 22):
        began = time.perf_counter()
        companion_diary.record(Mood(mood=1 + value % 5))
        companion_diary.sync()
        took["record and sync"].append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        companion.logs.record(Mood(mood=1 + value % 5))
        took["record online"].append((time.perf_counter() - began) * 1000)
    medians = {name: sorted(times)[len(times) // 2] for name, times in took.items()}
    say("with the fake: " + ", ".join(f"{name} {median:.1f} ms" for name, median in medians.items()))
    assert medians["record and sync"] < 100
    assert medians["record online"] < 10


APP = """
from companion_sdk import Mood


def test_mine(companion, companion_service, companion_ana):
    companion.logs.record(Mood(mood=4))
    assert len(companion_service.entries(companion_ana)) == 1
"""


def test_an_apps_own_test_run_needs_nothing_but_the_sdk(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(APP)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command: list[Any] = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
