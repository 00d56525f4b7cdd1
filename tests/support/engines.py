"""The two engines every store and HTTP test runs on: a SQLite file, and a database on a PostgreSQL server of the session."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .servers import Server as Server
from .servers import of as server_of


@dataclass
class Engine:
    """One fresh database: its name and the options that point a service at it."""

    name: str
    options: dict[str, Any]


def sqlite(folder: Path, request: pytest.FixtureRequest) -> Engine:
    return Engine("sqlite", {"database": f"sqlite:///{folder / 'companion.db'}"})


def postgres(folder: Path, request: pytest.FixtureRequest) -> Engine:
    """A migrated database and an empty one for the keys."""
    server = server_of(request)
    data, keys = server.lend()
    request.addfinalizer(lambda: server.take_back(data, keys))
    key_file = str(folder / "companion.key")
    return Engine("postgres", {"database": server.url(data), "keys_database": server.url(keys), "key_file": key_file})


def engines() -> list[Any]:
    """A parameter for each engine."""
    found: list[Callable[..., Engine]] = [sqlite, postgres]
    return [pytest.param(make, id=make.__name__) for make in found]
