"""The operator's page is true: its blocks run one after another from an empty folder, its table is the settings."""

import configparser
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import msgspec

from companion import __main__ as program
from companion import settings

DOCS = Path(program.__file__).parent / "docs"
PAGE = (DOCS / "run_it.md").read_text()
ROWS = re.findall(r"^\| `(COMPANION_\w+)` \| (?:`([^`]*)`)? ?\| (.+) \|$", PAGE, re.MULTILINE)


def script(page: str, port: int) -> str:
    """The page's blocks as one shell script, its Python fed to Python."""
    lines = ["set -eu", "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT"]
    for language, code in re.findall(r"```(bash|python)\n(.*?)```", page, re.DOTALL):
        lines.append(code if language == "bash" else f"python - <<'PYTHON'\n{code}PYTHON\n")
    return "\n".join(lines).replace("127.0.0.1:8000", f"127.0.0.1:{port}")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_the_page_runs_from_an_empty_folder(tmp_path: Path) -> None:
    port = free_port()
    done = subprocess.run(
        ["bash", "-c", script(PAGE, port)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COMPANION_PORT": str(port),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("everything is as it was written") == 2
    assert done.stdout.count("Mood(mood=") == 7
    assert "BAD" not in done.stdout
    assert (tmp_path / "saved" / "keys").exists()


def test_the_table_is_the_settings() -> None:
    fields = msgspec.structs.fields(settings.Settings)
    assert [name for name, _, _ in ROWS] == [settings.PREFIX + field.name.upper() for field in fields]
    for (name, default, what), field in zip(ROWS, fields, strict=True):
        shown = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        assert default == (shown.lower() if isinstance(field.default, bool) else shown), name
        assert what.strip(), name


def test_the_unit_starts_a_command_that_is_there() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(DOCS / "companion.service")
    words = unit["Service"]["ExecStart"].split()
    command = program.cli.get_command(program.click.Context(program.cli), words[1])
    assert command is not None
    assert set(words[2::2]) <= {option for one in command.params for option in one.opts}
    assert float(unit["Service"]["TimeoutStopSec"]) > 10, "the server itself waits ten seconds for what runs"


def test_the_proxy_sends_to_the_default_address_and_waits_no_longer_than_the_service() -> None:
    block = (DOCS / "Caddyfile").read_text()
    plain = settings.read({})
    assert f"reverse_proxy {plain.host}:{plain.port}" in block
    assert f"read_header {plain.header_timeout:g}s" in block
    assert f"read_body {plain.body_timeout:g}s" in block
