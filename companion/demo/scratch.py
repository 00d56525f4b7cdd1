"""A server to kill: its own process group, its own folder, writes in flight, SIGKILL, and a look at what is left."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from companion_sdk import AsyncCompanion, CompanionError, Mood, wire

from .. import settings, storage
from ..core.actors import Operator
from ..core.clock import SystemClock
from ..core.ids import uuid7
from ..people import service as people

ENOUGH = 100
SERVE = [sys.executable, "-m", "companion", "serve"]
_WRITERS = 8
_OPERATOR = Operator("demo")
_STARTS_WITHIN = 20.0


class NotStarted(Exception):
    """The scratch server did not come up."""


def _database(folder: Path) -> str:
    return f"sqlite:///{folder / 'companion.db'}"


async def _token(folder: Path) -> str:
    db = await storage.open_database(settings.read({}, database=_database(folder)), SystemClock())
    try:
        clinic = await db.write(_OPERATOR, people.add_clinic, "Scratch (made up)", "3 Example Street")
        patient = await db.write(_OPERATOR, people.add_patient, clinic, "Scratch", "UTC")
        return await db.write(_OPERATOR, people.operator_token, patient, None, 1)
    finally:
        await db.close()


class Server:
    """``companion serve`` in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> "Server":
        arguments = ["--database", _database(self._folder), "--port", str(self._port), "--log-level", "error"]
        self._process = await asyncio.create_subprocess_exec(
            *SERVE, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, process_group=0
        )
        async with AsyncCompanion(self.url, retries=0) as client:
            until = time.monotonic() + _STARTS_WITHIN
            while True:
                try:
                    await client.health.live()
                except CompanionError as error:
                    if time.monotonic() > until or self._process.returncode is not None:
                        self.kill()
                        raise NotStarted("the scratch server did not start") from error
                    await asyncio.sleep(0.02)
                else:
                    return self

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it may have been reaped a moment ago
                os.killpg(self._process.pid, signal.SIGKILL)

    async def __aexit__(self, *_: object) -> None:
        self.kill()
        await self._process.wait()


async def write_and_kill(folder: Path) -> dict[UUID, wire.LogIn]:
    """Entries that were acknowledged by a server that was then killed with requests in flight."""
    token = await _token(folder)
    (folder / "token").write_text(token)
    acknowledged: dict[UUID, wire.LogIn] = {}
    async with Server(folder) as server, AsyncCompanion(server.url, token=token, retries=0) as client:

        async def write() -> None:
            while True:
                now = datetime.fromtimestamp(int(time.monotonic()) + 1_700_000_000, UTC)
                log_id, entry = uuid7(now), wire.LogIn(at=now, zone="UTC", body=Mood(mood=3, note="made-up note"))
                await client.logs.put(log_id, entry)
                acknowledged[log_id] = entry
                if len(acknowledged) == ENOUGH:
                    server.kill()

        await asyncio.gather(*(write() for _ in range(_WRITERS)), return_exceptions=True)
    return acknowledged


async def read_back(folder: Path) -> dict[UUID, tuple[datetime, wire.Body | None]]:
    """What a new server on the same folder has."""
    token = (folder / "token").read_text()
    async with Server(folder) as server, AsyncCompanion(server.url, token=token) as client:
        return {log.id: (log.at, log.body) async for log in client.logs.list(limit=500)}
