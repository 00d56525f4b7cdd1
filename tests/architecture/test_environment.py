"""What is installed: nothing that the house keeps out, and the service alone has no need of the test group."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", ["sqlalchemy", "advanced-alchemy"])
def test_what_slows_the_start_is_not_installed(name: str) -> None:
    assert name not in {found.metadata["Name"].lower() for found in distributions()}


def test_running_installs_only_what_the_service_needs() -> None:
    assert PROJECT["tool"]["uv"]["default-groups"] == []
    service = {re.split(r"[\[<>=]", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert {"litestar", "msgspec", "aiosqlite", "apscheduler", "companion-sdk"} <= service
    assert not service & {"pytest", "hypothesis", "basedpyright", "ruff", "psycopg"}
