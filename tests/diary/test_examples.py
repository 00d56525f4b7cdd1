"""Every example of the diary runs, as it stands in the docstring, against the fake service; and what it costs to import."""

import ast
import inspect
import json
import re
import statistics
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest

import companion_sdk
from companion_sdk import (
    AsyncCompanion,
    AsyncDiary,
    Attention,
    Companion,
    Diary,
    Entry,
    Mood,
    Note,
    SyncReport,
    Verified,
)

EXAMPLE = re.compile(r"^Example::\n\n((?:    .*\n|\n)+)", re.MULTILINE)
SHAPES = [Entry, Attention, SyncReport, Verified]


def example(documented: Any) -> str:
    found = EXAMPLE.search((inspect.getdoc(documented) or "") + "\n")
    assert found, documented
    return textwrap.dedent(found[1])


def methods(kind: type) -> list[Any]:
    """Every public method with an example."""
    return [
        pytest.param(value, id=f"{kind.__name__}.{name}")
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("_") and name != "close"
    ]


async def run(code: str, **names: Any) -> None:
    compiled = compile(code, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, {"Mood": Mood, **names})
    if inspect.isawaitable(result):
        await result


@pytest.fixture
def code(fake, ana):
    """An example with an invite of Ana's in the place of the code that it shows."""
    return lambda documented: example(documented).replace("K7QF-2M9D", fake.invite(ana))


@pytest.mark.parametrize("method", [*methods(Diary), *[pytest.param(s, id=s.__name__) for s in SHAPES]])
async def test_the_example_of_a_method_runs(method, fake, ana, code, tmp_path, capsys):
    with fake.client(ana) as client, Diary(tmp_path / "ana.diary", client) as diary:
        entry = diary.record(Note(text="a"))
        fake.record(ana, Mood(mood=3), id=entry.id)
        diary.sync()
        assert len(diary.needs_attention()) == 1
        if method is Diary.sign_out:
            diary.discard(diary.needs_attention()[0])
        await run(code(method), diary=diary)


@pytest.mark.parametrize("method", methods(AsyncDiary))
async def test_the_example_of_an_async_method_runs(method, fake, ana, code, tmp_path, capsys):
    async with fake.async_client(ana) as client, AsyncDiary(tmp_path / "ana.diary", client) as diary:
        entry = await diary.record(Note(text="a"))
        fake.record(ana, Mood(mood=3), id=entry.id)
        await diary.sync()
        if method is AsyncDiary.sign_out:
            await diary.discard((await diary.needs_attention())[0])
        await run(code(method), diary=diary)


@pytest.mark.parametrize("kind", [Diary, AsyncDiary])
async def test_the_example_of_a_diary_runs(kind, fake, ana, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for client in (Companion, AsyncCompanion):
        real = client.__init__

        def made(self: Any, url: str, token: str | None = None, real: Any = real, **more: Any) -> None:
            real(self, url, ana.token, transport=fake.transport, **more)

        monkeypatch.setattr(client, "__init__", made)
    await run(example(kind))
    assert (tmp_path / "ana.diary").exists()
    assert "kept" in capsys.readouterr().out


# what it costs


def modules(code: str) -> set[str]:
    told = f"import sys, json; {code}; print(json.dumps(sorted(sys.modules)))"
    return set(json.loads(subprocess.run([sys.executable, "-I", "-c", told], capture_output=True, check=True).stdout))


def test_importing_the_sdk_loads_neither_sqlite_nor_cryptography_until_a_diary_is_asked_for():
    plain = modules("import companion_sdk")
    for heavy in ("sqlite3", "cryptography", "companion_sdk.diary", "companion_sdk._diary", "httpx2", "asyncio"):
        assert heavy not in plain
    asked = modules("import companion_sdk; companion_sdk.Diary")
    assert {"sqlite3", "companion_sdk.diary"} <= asked
    assert "cryptography" not in asked


def test_the_names_that_come_later_are_names_like_others():
    assert {"Diary", "AsyncDiary", "Entry", "Attention", "SyncReport", "Verified"} <= set(dir(companion_sdk))
    assert set(companion_sdk.__all__) <= set(dir(companion_sdk))
    assert companion_sdk.Diary is companion_sdk.diary.Diary
    with pytest.raises(AttributeError, match="no attribute 'Diray'"):
        assert companion_sdk.Diray


def test_the_names_of_the_diary_are_the_lazy_ones():
    from companion_sdk import diary

    assert set(diary.__all__) == companion_sdk._LATER


def test_a_record_takes_little_also_while_a_sync_runs(fake, ana, tmp_path, full, say):
    """Printed, not asserted against the machine: a median of 5 ms, and 10 ms at the 99th percentile during a sync."""
    with fake.client(ana) as client, Diary(tmp_path / "ana.diary", client) as diary:
        alone = timed(diary, 200)
        for number in range(2000 if full else 600):
            fake.record(ana, Note(text=f"{number}"))
        stop = threading.Event()

        def sync() -> None:
            while not stop.is_set():
                diary.sync()
                fake.raise_epoch()

        thread = threading.Thread(target=sync)
        thread.start()
        busy = timed(diary, 600 if full else 200)
        stop.set()
        thread.join()
    for name, times in (("alone", alone), ("while syncing", busy)):
        cuts = statistics.quantiles(times, n=100)
        say(f"record {name}: median {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms")
    assert statistics.median(alone) < 100


def timed(diary: Diary, count: int) -> list[float]:
    times: list[float] = []
    for number in range(count):
        began = time.perf_counter()
        diary.record(Note(text=f"{number}"))
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.002)
    return times
