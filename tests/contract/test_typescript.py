"""TypeScript made from the document: a switch over ``kind`` is exhaustive, and the compiler says so when one is left out."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import node

from companion import app
from companion.web import openapi
from companion_sdk import wire

HERE = Path(__file__).parent
PROGRAM = (HERE / "typescript/entries.ts").read_text(encoding="utf-8")
CASE = re.compile(r'^    case "(\w+)": .*\n', re.MULTILINE)
STRICT = ("--strict", "--noEmit", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--target", "es2022")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiler, and the types made from the document."""
    folder = node.installed(tmp_path_factory.mktemp("typescript"))
    (folder / "openapi.json").write_bytes(openapi.encoded(app.build()))
    made = node.run(folder, "openapi-typescript/bin/cli.js", "openapi.json", "--output", "contract.ts")
    assert made.returncode == 0, made.stderr
    return folder


def compiled(folder: Path, *programs: Path) -> Sequence[str]:
    """What ``tsc --strict`` says, a line an error."""
    done = node.run(folder, "typescript/bin/tsc", *STRICT, *programs)
    lines = done.stdout.splitlines()
    assert (done.returncode == 0) == (lines == []), done.stdout + done.stderr
    return lines


def test_a_switch_over_every_kind_compiles(folder: Path) -> None:
    assert set(wire.KINDS) <= set(CASE.findall(PROGRAM))
    program = folder / "entries.ts"
    program.write_text(PROGRAM, encoding="utf-8")
    assert compiled(folder, program) == []


def test_a_switch_that_leaves_one_out_does_not(folder: Path) -> None:
    """Each kind, outcome, method and channel once: the compiler names what was forgotten, where ``never`` stands."""
    programs: dict[str, Path] = {}
    for found in CASE.finditer(PROGRAM):
        programs[found[1]] = folder / f"without_{found[1]}.ts"
        programs[found[1]].write_text(PROGRAM.replace(found[0], ""), encoding="utf-8")
    lines = compiled(folder, *programs.values())
    assert len(lines) == len(programs) > len(wire.KINDS)
    for word, program in programs.items():
        (line,) = (line for line in lines if line.startswith(program.name))
        assert re.search(f"error TS2345: .*\"{word}\".* is not assignable to parameter of type 'never'", line), line
