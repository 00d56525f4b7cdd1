"""The real server as a process that a test may starve, kill and start again."""

import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import process, servers
from support.engines import Engine
from support.process import Serve, Server

from companion.custody import service as custody


@pytest.fixture
async def serve_on(tmp_path: Path) -> AsyncIterator[Serve]:
    """Start servers: ``await serve_on(options, …)``; what still runs when the test ends is killed."""
    running: list[Server] = []

    async def one(options: dict[str, Any], **how: Any) -> Server:
        server = await process.serve(options, tmp_path / f"serve-{len(running)}.log", **how)
        running.append(server)
        return server

    yield one
    for server in running:
        server.kill()


@pytest.fixture
def serve(engine: Engine, serve_on: Serve) -> Serve:
    """Start servers on the engine's database."""
    return partial(serve_on, engine.options)


class Power:
    """The database's own server, where it has one, killed and started again."""

    def __init__(self, server: servers.Server | None) -> None:
        self._server = server

    def cut(self) -> None:
        """SIGKILL to the first of its processes; the others see that it is gone and end."""
        if self._server is None:
            return
        self._server._connection.close()
        first = psutil.Process(self._server._started.get_pid())
        processes = [first, *first.children()]
        os.kill(first.pid, signal.SIGKILL)
        _, left = psutil.wait_procs(processes, 10)
        assert left == []

    def back(self) -> None:
        if self._server is not None:
            self._server.restart()


@pytest.fixture
def power(engine: Engine, request: pytest.FixtureRequest) -> Power:
    return Power(servers.of(request) if engine.name == "postgres" else None)


@pytest.fixture
def verified(engine: Engine) -> Callable[[], Awaitable[custody.Report]]:
    """Every row opened and every chain walked, as the operator's command does; fails where something is wrong."""

    async def verify() -> custody.Report:
        db = await process.open_database(engine.options)
        try:
            report = await db.read(process.OPERATOR, custody.verify)
        finally:
            await db.close()
        assert report.ok, [str(fault) for fault in report.faults]
        return report

    return verify


@pytest.fixture
def tell(say: Callable[[object], None]) -> Callable[..., None]:
    """Say counts at the end of the run."""
    return lambda **counts: say(json.dumps(counts, default=str))
