"""Fixtures every test may use: both engines, a running service on a loopback port, the cast."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support import cast as people
from support import locks, servers
from support.clocks import ManualClock
from support.engines import Engine, engines
from support.first_event import FirstEvent
from support.told import TOLD, Summary

from companion import running, settings
from companion.core.clock import Clock, SystemClock
from companion.core.lines import Lines

for name in [name for name in os.environ if name.startswith("COMPANION_")]:
    del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the numbers as the issues name them")


def pytest_report_header() -> str:
    names = ("litestar", "msgspec", "aiosqlite", "apscheduler", "uvicorn", "psycopg")
    engines = f"SQLite {sqlite3.sqlite_version}, PostgreSQL {servers.version()}, "
    return engines + ", ".join(f"{name} {version(name)}" for name in names)


_summary = Summary()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _summary.see(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Conformance that differs between backends fails the run; told by the process that heard of all tests."""
    alone = not hasattr(session.config, "workerinput")
    if alone and _summary.uneven and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in _summary.told():
        terminalreporter.write_line(line)


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[object], None]:
    """Say a count or a time at the end of the run."""
    return lambda line: record_property(TOLD, line)


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the issue's own numbers are to be run."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session", autouse=True)
def order_is_kept() -> Iterator[None]:
    """On PostgreSQL a unit that forgets a patient's lock fails the test it runs in."""
    with pytest.MonkeyPatch.context() as patch:
        locks.watch(patch)
        yield


@pytest.fixture(params=engines())
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """A fresh, empty database of each engine in turn."""
    return request.param(tmp_path, request)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


Start = Callable[..., Awaitable[running.Running]]


@pytest.fixture
async def start(engine: Engine) -> AsyncIterator[Start]:
    """Start services on the engine's database: ``await start(clock=…, nudge_beat=…)``; stopped when the test ends."""
    async with AsyncExitStack() as stack:

        async def one(*, clock: Clock | None = None, log: StringIO | None = None, **options: Any) -> running.Running:
            chosen = settings.read({}, **{"port": 0, **engine.options, **options})
            clock = clock or SystemClock()
            lines = Lines(clock, chosen.log_level, chosen.log_format, log or StringIO())
            service = await running.start(chosen, clock=clock, lines=lines)
            stack.push_async_callback(service.stop)
            return service

        yield one


@pytest.fixture
async def service(start: Start) -> running.Running:
    """One running service on the machine's own clock."""
    return await start()


@pytest.fixture
async def http(service: running.Running) -> AsyncIterator[httpx2.AsyncClient]:
    """A plain HTTP client of the service, without a token."""
    async with httpx2.AsyncClient(base_url=service.url, timeout=30, transport=FirstEvent()) as client:
        yield client


@pytest.fixture
async def cast(service: running.Running, http: httpx2.AsyncClient) -> people.Cast:
    return await people.gather(service, http)


@pytest.fixture
def ana(cast: people.Cast) -> people.Person:
    return cast.ana


@pytest.fixture
def ben(cast: people.Cast) -> people.Person:
    return cast.ben


@pytest.fixture
def cleo(cast: people.Cast) -> people.Person:
    return cast.cleo


@pytest.fixture
def dan(cast: people.Cast) -> people.Person:
    return cast.dan


@pytest.fixture
def eve(cast: people.Cast) -> people.Person:
    return cast.eve


@pytest.fixture
def in_thread() -> Callable[..., Awaitable[Any]]:
    """Run something that has an event loop of its own, such as a command."""
    return asyncio.to_thread
