"""The seed that sync tests begin from, and the services they reach."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.engines import Engine, postgres, sqlite
from support.sync_real import HttpService
from support.sync_services import InMemory, Real, shared

_SEED = 6


@pytest.fixture
def chosen(request: pytest.FixtureRequest, full: bool) -> int:
    """The seed: ``--hypothesis-seed``, else always the same, else with ``--full`` a new one (told with the counts)."""
    given = request.config.getoption("--hypothesis-seed", None)
    if given is not None and str(given).isdigit():
        return int(given)
    return secrets.randbelow(2**32) if full else _SEED


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
