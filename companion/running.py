"""A running service: database, recurring jobs and HTTP server started in order and stopped in the opposite one."""

import asyncio
import logging
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from . import app, storage
from .core.clock import Clock, SystemClock
from .core.db import Database
from .core.lines import Bridge, Lines
from .settings import Settings
from .web import server
from .web.exchange import Site


class Running:
    """One service in this process; ``port`` is the one it got."""

    def __init__(
        self, settings: Settings, db: Database, http: uvicorn.Server, listening: socket.socket, lines: Lines
    ) -> None:
        self.settings = settings
        self.db = db
        self.lines = lines
        self._http = http
        self._socket = listening
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://{self.settings.host}:{self.port}"

    async def begin(self) -> None:
        """Answer requests from here on."""
        self._serving = asyncio.get_running_loop().create_task(self._http.serve([self._socket]))
        while not self._http.started:
            if self._serving.done():
                await self._serving
            await asyncio.sleep(0.002)

    async def until_stopped(self) -> None:
        """Until the server was told to stop."""
        if self._serving is not None:
            await self._serving

    async def stop(self) -> None:
        """Refuse new, finish what runs, close the database."""
        self._http.should_exit = True
        await self.until_stopped()
        await self.db.close()
        self._socket.close()
        self.lines.flush()


async def start(settings: Settings, *, clock: Clock | None = None, lines: Lines | None = None) -> Running:
    """Open everything and serve; returns once requests are answered."""
    clock = clock or SystemClock()
    lines = lines or Lines(clock, settings.log_level, settings.log_format)
    route_logging(lines)
    db = await storage.open_database(settings, clock)
    try:
        site = Site(settings, db, clock, lines)
        listening = bind(settings.host, settings.port)
        http = _Server(server.config(app.serve_on(site), settings))
        running = Running(settings, db, http, listening, lines)
        await running.begin()
    except BaseException:
        await db.close()
        raise
    return running


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the command line decides what a signal means."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; a port that is taken is refused at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a small answer waits 40 ms for an ACK
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(2048)
    listening.setblocking(False)
    return listening


def route_logging(lines: Lines) -> None:
    """Libraries' warnings go out through the service's own lines."""
    root = logging.getLogger()
    for handler in [found for found in root.handlers if isinstance(found, Bridge)]:
        root.removeHandler(handler)
    root.addHandler(Bridge(lines))
