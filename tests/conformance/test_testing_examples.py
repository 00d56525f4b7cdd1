"""The examples in the docstrings of ``companion_sdk.testing`` run without a warning and are well typed."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from companion_sdk import testing

SHOWN = {
    "testing": testing,
    "Clock": testing.Clock,
    "FakeService": testing.FakeService,
    "Network": testing.Network,
    "answer": testing.FakeService.answer,
    "serve": testing.serve,
}
BEFORE = {"answer": "from companion_sdk.testing import FakeService\n\nfake = FakeService()\n"}


def example(name: str) -> str:
    """The indented block of a docstring, as a program."""
    doc = textwrap.dedent((SHOWN[name].__doc__ or "").partition("\n")[2])
    begun = doc.partition("Example::\n" if "Example::" in doc else "\n\n")[2] if name != "testing" else doc
    lines: list[str] = []
    for line in begun.splitlines():
        if line.startswith("    ") or not line:
            lines.append(line)
        elif any(lines):
            break
    return BEFORE.get(name, "") + textwrap.dedent("\n".join(lines))


@pytest.mark.parametrize("name", SHOWN)
def test_the_example_runs(name: str) -> None:
    program = example(name)
    assert "fake" in program or "Clock" in program or "serve" in program
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_examples_are_well_typed(tmp_path: Path) -> None:
    for name in SHOWN:
        (tmp_path / f"{name}_example.py").write_text(example(name))
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "pythonVersion": "3.11"}))
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "-p", tmp_path]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    assert sorted(testing.__all__) == testing.__all__
    with pytest.raises(AttributeError, match="no attribute 'FakeClinic'"):
        _ = testing.FakeClinic
