"""The package as it is installed: light to import, few packages, types inside, nothing of the server."""

import json
import os
import statistics
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import msgspec
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import companion_sdk

SDK = Path(companion_sdk.__file__).parents[1]
MOST_MILLISECONDS = 120
MOST_PACKAGES = 9


def milliseconds(code: str) -> float:
    """Median of nine runs of the interpreter, in processor time: other tests run beside this one."""
    watch = f"import time; began = time.process_time(); {code}; print((time.process_time() - began) * 1000)"
    runs = [subprocess.run([sys.executable, "-I", "-c", watch], capture_output=True, check=True) for _ in range(9)]
    return statistics.median(float(run.stdout) for run in runs)


def modules(code: str) -> set[str]:
    told = f"import sys, json; {code}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-I", "-c", told], capture_output=True, check=True)
    return set(json.loads(run.stdout))


def test_the_import_is_light(say):
    took = milliseconds("import companion_sdk")
    say(f"import companion_sdk: {took:.0f} ms of processor time")
    assert took <= MOST_MILLISECONDS


def test_the_import_brings_no_http_client_and_nothing_of_the_server():
    loaded = modules("import companion_sdk")
    tops = {name.partition(".")[0] for name in loaded - modules("pass")}
    server = {"companion", "litestar", "cryptography", "psycopg"}
    assert tops.isdisjoint(server | {"httpx2", "httpcore2", "asyncio", "ssl", "anyio", "dataclasses", "sqlite3", "_sqlite3"})


def test_a_client_brings_the_http_client_and_nothing_of_the_server():
    loaded = modules("import companion_sdk; companion_sdk.Companion('https://companion.example')")
    assert "httpx2" in loaded
    assert {name for name in loaded if name == "companion" or name.startswith("companion.")} == set()


def closure(name: str, found: set[str]) -> set[str]:
    """The package and everything its metadata asks for on this interpreter."""
    if canonicalize_name(name) in found:
        return found
    found.add(canonicalize_name(name))
    for line in distribution(name).requires or ():
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            closure(needed.name, found)
    return found


def test_few_packages_are_installed_with_it():
    installed = closure("companion-sdk", set())
    assert len(installed) <= MOST_PACKAGES, sorted(installed)
    assert {"companion-sdk", "httpx2", "msgspec"} <= installed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(["uv", "build", "--wheel", "-o", out, SDK], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as opened:
        yield opened


def test_the_wheel_holds_the_package_its_types_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert "companion_sdk/py.typed" in names
    here = {f"companion_sdk/{path.relative_to(SDK / 'companion_sdk')}" for path in (SDK / "companion_sdk").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == here
    assert all(name.startswith("companion_sdk/") for name in names)


def test_the_wheel_holds_the_licence(wheel):
    (licence,) = (name for name in wheel.namelist() if name.endswith("/LICENSE"))
    assert wheel.read(licence) == (SDK.parent / "LICENSE").read_bytes()


def test_the_wheel_says_what_it_needs(wheel):
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    lines = wheel.read(metadata).decode().splitlines()
    needed = [Requirement(line.partition(": ")[2]) for line in lines if line.startswith("Requires-Dist: ")]
    assert {one.name for one in needed if one.marker is None} == {"httpx2", "msgspec"}
    assert {(one.name, str(one.marker)) for one in needed if one.marker} == {("cryptography", 'extra == "sealed"')}
    assert sum(item.file_size for item in wheel.infolist()) < 8 * 2**20


def test_every_public_type_of_the_wheel_is_whole(wheel, tmp_path):
    """``--verifytypes`` on the package as installed, beside what it needs."""
    venv.create(tmp_path / "venv", with_pip=False)
    site = next((tmp_path / "venv" / "lib").glob("python3*/site-packages"))
    wheel.extractall(site)
    (site / "needed.pth").write_text(str(Path(msgspec.__file__).parents[1]))
    command = [sys.executable, "-m", "basedpyright", "--verifytypes", "companion_sdk", "--ignoreexternal", "--outputjson"]
    env = {**os.environ, "VIRTUAL_ENV": str(tmp_path / "venv"), "PATH": f"{tmp_path / 'venv' / 'bin'}:{os.environ['PATH']}"}
    told = json.loads(subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True).stdout)
    completeness = told["typeCompleteness"]
    assert completeness["exportedSymbolCounts"]["withKnownType"] > 500
    assert completeness["completenessScore"] == 1
