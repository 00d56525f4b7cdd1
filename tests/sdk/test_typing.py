"""The SDK as a strict type checker sees it, in the hands of a user: basedpyright and mypy, examples and README included."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.sdk_examples import blocks, example, methods, of, program

import companion_sdk
from companion_sdk import AsyncCompanion, AsyncDiary, Companion, Diary

PACKAGE = Path(companion_sdk.__file__).parent
MYPY = ("mypy", "--strict", "--python-executable", sys.executable, "--no-error-summary")

Check = Callable[[str], subprocess.CompletedProcess[str]]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """What mypy has read once."""
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture(params=["basedpyright", "mypy"])
def strictly(request, tmp_path, cache) -> Check:
    """What a strict type checker says of a user's program."""

    def check(text: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "program.py").write_text(text)
        if request.param == "mypy":
            return run(*MYPY, "--cache-dir", cache, tmp_path / "program.py")
        settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "reportUnusedFunction": "none"}
        (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
        return run("basedpyright", "--pythonpath", sys.executable, "-p", tmp_path)

    return check


def test_the_sdk_itself_is_well_typed_for_mypy_too(cache):
    checked = run(*MYPY, "--cache-dir", cache, PACKAGE)
    assert checked.returncode == 0, checked.stdout


def test_the_readme_is_well_typed(strictly):
    bodies = [program(block, f"async def block_{number}() -> None:") for number, block in enumerate(blocks())]
    checked = strictly("".join(bodies))
    assert checked.returncode == 0, checked.stdout


def test_every_example_is_well_typed(strictly):
    names = "AsyncCompanion, AsyncDiary, Companion, Diary"
    text = f"from companion_sdk import {names}\n\n"
    for owner, given in (Companion, "client"), (AsyncCompanion, "client"), (Diary, "diary"), (AsyncDiary, "diary"):
        define = "async def" if owner.__name__.startswith("Async") else "def"
        found = methods(owner) if given == "client" else of(owner)
        for name, doc in [*found, ("whole", inspect.getdoc(owner) or "")]:
            title = f"{owner.__name__}_{name.replace('.', '_')}"
            text += program(example(doc), f"{define} {title}({given}: {owner.__name__}) -> None:")
    checked = strictly(text)
    assert checked.returncode == 0, checked.stdout


def test_a_wrong_argument_is_seen_before_the_program_runs(strictly):
    text = "from companion_sdk import Companion\ndef wrong(client: Companion) -> None:\n    {}\n"
    assert strictly(text.format("client.logs.record('fine')")).returncode == 1
    assert strictly(text.format("client.me.get()")).returncode == 0


def test_a_user_with_a_strict_type_checker_sees_whole_types(strictly):
    checked = strictly(
        """
from typing import assert_type
from uuid import UUID

from companion_sdk import AsyncCompanion, Changed, Changes, Companion, Hints, Listing, Log, Mood, Page, SignedIn, Trends


def sync(client: Companion) -> None:
    assert_type(client.logs.record(Mood(mood=4)), Log)
    assert_type(client.logs.list(), Listing[Log])
    for page in client.logs.list().pages():
        assert_type(page, Page[Log])
    for entry in client.logs.list(kind="mood"):
        assert_type(entry.id, UUID)
    assert_type(client.trends.get(), Trends)
    assert_type(client.sync.pull(), Changes)
    assert_type(client.sync.stream(), Hints[Changed])
    with client.sync.stream() as hints:
        for hint in hints:
            assert_type(hint.seq, int)
    assert_type(client.sign_in("a", device="b", zone="UTC"), SignedIn)


async def not_blocking(client: AsyncCompanion) -> None:
    assert_type(await client.logs.record(Mood(mood=4)), Log)
    async for entry in client.logs.list():
        assert_type(entry, Log)
    async with client.sync.stream() as hints:
        async for hint in hints:
            assert_type(hint, Changed)
"""
    )
    assert checked.returncode == 0, checked.stdout
