"""Every test of this folder runs against the fake service and against the real one on both databases; the counts are told
at the end and must be equal (``support.told``).
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from conformance.backends import Backend, Person, in_memory, on_engine
from support.engines import Engine, postgres, sqlite

HERE = Path(__file__).parent
BACKENDS = ("fake", "sqlite", "postgres")
ENGINES: dict[str, Callable[..., Engine]] = {"sqlite": sqlite, "postgres": postgres}

_chosen: dict[str, set[str]] = defaultdict(set)


@pytest.fixture(params=BACKENDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine | None:
    """The database of the backend; the fake has none."""
    make = ENGINES.get(request.param)
    return None if make is None else make(tmp_path, request)


@pytest.fixture
async def backend(engine: Engine | None, start: Callable[..., Awaitable[Any]]) -> AsyncIterator[Backend]:
    """A service of each kind in turn, with everybody in place and its clock at noon of 2 March 2026."""
    async with in_memory() if engine is None else on_engine(engine.name, start) as made:
        yield made


@pytest.fixture
def ana(backend: Backend) -> Person:
    return backend.ana


@pytest.fixture
def ben(backend: Backend) -> Person:
    return backend.ben


@pytest.fixture
def cleo(backend: Backend) -> Person:
    return backend.cleo


@pytest.fixture
def dan(backend: Backend) -> Person:
    return backend.dan


# the same tests everywhere


def _backend(item: pytest.Item) -> str | None:
    if HERE not in item.path.parents or not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    return item.callspec.params.get("engine")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (name := _backend(item)) is not None:
            _chosen[name].add(item.nodeid.replace(f"[{name}", "["))


@pytest.fixture
def chosen() -> dict[str, set[str]]:
    """What runs in this session, by backend."""
    return _chosen
