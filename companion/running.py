"""A running service: database, recurring jobs and HTTP server started in order and stopped in the opposite one."""

import asyncio
import logging
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn

from . import app, storage
from .core.actors import System
from .core.clock import Clock, SystemClock
from .core.db import Database
from .core.lines import Bridge, Lines
from .logs import sync
from .logs.bell import CHANGED
from .post.office import Post
from .scheduler import Scheduler
from .settings import Settings
from .web import server
from .web.exchange import Site
from .web.live import Live


class Running:
    """One service in this process; ``port`` is the one it got."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        http: uvicorn.Server,
        listening: socket.socket,
        lines: Lines,
        live: Live,
        nudging: "Nudging | None" = None,
    ) -> None:
        self.settings = settings
        self.db = db
        self.lines = lines
        self._live = live
        self._nudging = nudging
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
        if self._nudging is not None:
            self._nudging.scheduler.start()

    async def until_stopped(self) -> None:
        """Until the server was told to stop."""
        if self._serving is not None:
            await self._serving

    async def stop(self) -> None:
        """Refuse new, end the streams, finish what runs, close the database."""
        self._live.close()
        self._http.should_exit = True
        if self._nudging is not None:
            await self._nudging.stop()
        await self.until_stopped()
        await self.db.close()
        self._socket.close()
        self.lines.flush()


async def start(
    settings: Settings,
    *,
    clock: Clock | None = None,
    lines: Lines | None = None,
    listening: socket.socket | None = None,
) -> Running:
    """Open everything and serve, on the given listening socket if any; returns once requests are answered."""
    clock = clock or SystemClock()
    lines = lines or Lines(clock, settings.log_level, settings.log_format)
    route_logging(lines)
    db = await storage.open_database(settings, clock)
    db.on_trouble = lambda trouble: lines.write("error" if trouble else "warning", "storage", trouble=trouble or "none")
    nudging: Nudging | None = None
    try:
        nudging = Nudging(settings, db, clock, lines) if settings.scheduler else None
        live = Live(
            lambda streams: db.read(System("streams"), sync.still, streams),
            CHANGED,
            lambda error: lines.failure("streams", error),
        )
        site = Site(settings, db, clock, lines, live, None if nudging is None else nudging.scheduler.pulse)
        listening = listening or bind(settings.host, settings.port)
        http = _Server(server.config(app.serve_on(site), settings))
        running = Running(settings, db, http, listening, lines, live, nudging)
        await running.begin()
    except BaseException:
        if nudging is not None:
            await nudging.stop()
        await db.close()
        raise
    return running


class Nudging:
    """The scheduler of this process and the door its nudges go out by."""

    def __init__(self, settings: Settings, db: Database, clock: Clock, lines: Lines) -> None:
        self._post = Post(settings)
        self.scheduler = Scheduler(settings, db, self._post, clock, lines)

    async def stop(self) -> None:
        """Let what flies land, then close the door."""
        await self.scheduler.stop()
        await self._post.close()


async def work(
    settings: Settings,
    *,
    clock: Clock | None = None,
    lines: Lines | None = None,
    ready: Callable[[], None] | None = None,
) -> None:
    """Send nudges and serve nothing, until cancelled; then stop in order. ``ready`` is called once everything is open."""
    clock = clock or SystemClock()
    lines = lines or Lines(clock, settings.log_level, settings.log_format)
    route_logging(lines)
    db = await storage.open_database(settings, clock)
    try:
        nudging = Nudging(settings, db, clock, lines)
        try:
            nudging.scheduler.start()
            if ready is not None:
                ready()
            await asyncio.Event().wait()
        finally:
            await nudging.stop()
    finally:
        await db.close()
        lines.flush()


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
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def route_logging(lines: Lines) -> None:
    """Libraries' warnings go out through the service's own lines."""
    root = logging.getLogger()
    for handler in [found for found in root.handlers if isinstance(found, Bridge)]:
        root.removeHandler(handler)
    root.addHandler(Bridge(lines))
