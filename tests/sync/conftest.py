"""The seed that sync tests begin from, and the services they reach."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.engines import Engine, postgres, sqlite
from support.sync_real import HttpService
from support.sync_services import InMemory, Real, shared

_SEED = 8


@pytest.fixture
def always(request: pytest.FixtureRequest) -> int:
    """The seed of what depends on it how soon a fault shows: ``--hypothesis-seed``, else always the same."""
    given = request.config.getoption("--hypothesis-seed", None)
    return int(given) if given is not None and str(given).isdigit() else _SEED


@pytest.fixture
def chosen(always: int, full: bool) -> int:
    """The seed of histories: a new one each time by ``--full``; it is told with the counts."""
    return secrets.randbelow(2**32) if full and always == _SEED else always


ENGINES: dict[str, Callable[..., Engine]] = {"sqlite": sqlite, "postgres": postgres}


@pytest.fixture(params=["fake", *ENGINES])
def patients(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], HttpService]]:
    """A new patient at each call: of the fake service, of the real one on each database."""
    if request.param == "fake":
        yield InMemory
        return
    with shared(ENGINES[request.param](tmp_path, request)) as one:
        yield lambda: Real(one)


@pytest.fixture
def service(patients: Callable[[], HttpService]) -> HttpService:
    """A service with one patient."""
    return patients()
