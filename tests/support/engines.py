"""The two engines every store and HTTP test runs on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Engine:
    """One fresh database: its name and the options that point a service at it."""

    name: str
    options: dict[str, Any]


def sqlite(folder: Path, request: pytest.FixtureRequest) -> Engine:
    return Engine("sqlite", {"database": f"sqlite:///{folder / 'companion.db'}"})


def engines() -> list[Any]:
    """A parameter for each engine."""
    found: list[Callable[..., Engine]] = [sqlite]
    return [pytest.param(make, id=make.__name__) for make in found]
