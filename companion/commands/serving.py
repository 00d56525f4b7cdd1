"""Serving: one process, or several that share a listening socket under a supervisor; and the worker that only nudges.

What a signal means is decided here: SIGTERM and SIGINT stop in order (refuse new, finish, drain, checkpoint, close) with
exit code 0.
"""

import asyncio
import errno
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import click
import msgspec
import uvloop

from .. import running
from ..core.clock import SystemClock
from ..core.errors import StartUpError
from ..core.lines import Lines
from ..settings import Settings
from . import options, output
from .processes import Supervisor

SERVING = (*options.STORAGE, "host", "port", "workers", "scheduler", "log_level", "log_format")
WORKING = (*options.STORAGE, "log_level", "log_format")


@click.command()
@options.as_json
@options.takes(*SERVING)
def serve(settings: Settings, as_json: bool) -> int:
    """Serve the API and send nudges; prints the address. Log lines go to stderr."""
    if settings.workers < 1:
        raise StartUpError("COMPANION_WORKERS must be 1 or more")
    listening = listen(settings)
    if settings.workers > 1:
        return _serve_many(settings, listening, as_json)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, listening, lambda: _announce(settings, listening, as_json)))


@click.command()
@options.as_json
@options.takes(*WORKING)
def worker(settings: Settings, as_json: bool) -> int:
    """Send nudges only; serve no API. Any number may run beside `companion serve`."""

    def ready() -> None:
        output.show(as_json, {"pid": os.getpid()}, "Companion sends nudges")
        sys.stdout.flush()

    async def work() -> int:
        asked = _asked_to_stop()
        working = asyncio.ensure_future(running.work(settings, ready=ready))
        await _first(asked.wait(), working)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        if not working.cancelled() and (error := working.exception()) is not None:
            raise error
        return 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


def listen(settings: Settings) -> socket.socket:
    """The listening socket, taken before anything is opened.

    Raises:
        StartUpError: naming the address that is taken, not ours or not allowed, and the fix.
    """
    if not 0 <= settings.port <= 65_535:
        raise StartUpError("COMPANION_PORT must be 0 to 65535")
    try:
        return running.bind(settings.host, settings.port)
    except OSError as error:
        place = f"{settings.host} port {settings.port}"
        if error.errno == errno.EADDRINUSE:
            raise StartUpError(f"{place} is taken by another program: stop it, or choose another --port") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise StartUpError(f"{place} is not allowed to this user: choose a --port above 1023") from error
        raise StartUpError(f"{place} cannot be listened on ({error.strerror}): choose another --host") from error


def _announce(settings: Settings, listening: socket.socket, as_json: bool) -> None:
    port = listening.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    output.show(as_json, {"url": url, "pid": os.getpid()}, f"Companion listens on {url}")
    sys.stdout.flush()


async def _serve(settings: Settings, listening: socket.socket, ready: Callable[[], None], lifeline: int = -1) -> int:
    """Serve until a signal, or until ``lifeline`` (the read end of the supervisor's pipe) closes."""
    asked = _asked_to_stop(lifeline)
    service = await running.start(settings, listening=listening)
    settle()
    ready()
    await _first(asked.wait(), service.until_stopped())
    await service.stop()
    return 0


def settle() -> None:
    """Keep what start-up made out of every later collection, and collect rarely: requests leave little behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _asked_to_stop(lifeline: int = -1) -> asyncio.Event:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, asked.set)
    if lifeline >= 0:
        loop.add_reader(lifeline, asked.set)
    return asked


async def _first(*ends: Awaitable[Any]) -> None:
    """Until one of them is done; the others are no longer waited for."""
    tasks = [asyncio.ensure_future(end) for end in ends]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _serve_many(settings: Settings, listening: socket.socket, as_json: bool) -> int:
    """Several processes; the first alone sends nudges."""

    def one(place: int, ready: Callable[[], None], lifeline: int) -> int:
        mine = settings if place == 0 else msgspec.structs.replace(settings, scheduler=False)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(mine, listening, ready, lifeline))

    clock = SystemClock()
    lines = Lines(clock, settings.log_level, settings.log_format)
    supervisor = Supervisor(settings.workers, one, clock, lines)
    return supervisor.run(lambda: _announce(settings, listening, as_json))
