"""The real server, started by its command line in a process group of its own: killed, stopped, limited, waited for."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx2

from companion import settings, storage
from companion.core.actors import Operator
from companion.core.clock import SystemClock
from companion.core.db import Database
from companion.people import service as people

OPERATOR = Operator("test")
QUICK = {"caller_rate": 1e9, "log_level": "warning"}
"""Settings that let one token carry a whole load."""


class Patient(NamedTuple):
    """Somebody who may write."""

    id: UUID
    token: str


Serve = Callable[..., Awaitable["Server"]]
"""Start a server on the test's database, or on other options; waited for until it announces itself."""


class Server:
    """One ``companion serve``; ``log`` is the file of its stderr."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log
        self.port = 0

    def wait_announced(self, seconds: float = 15.0) -> None:
        """Until it prints its address."""
        out = self.process.stdout
        assert out is not None
        text = b""
        deadline = time.monotonic() + seconds
        while not text.rstrip().endswith(b"}"):
            readable, _, _ = select.select([out], [], [], max(deadline - time.monotonic(), 0))
            piece = os.read(out.fileno(), 4096) if readable else b""
            if not piece:
                code = self.process.poll()
                raise AssertionError(f"not announced after {seconds} s (exit code {code}): {text!r} {self.log.read_text()}")
            text += piece
        self.port = int(json.loads(text)["url"].rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> httpx2.Response:
        return httpx2.get(f"{self.url}/health/ready", timeout=15)

    def kill(self) -> None:
        """SIGKILL to its whole group, at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._closed()

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM and the exit code; a server that does not end is killed and fails the test."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self._closed()

    def _closed(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()


def environment(options: Mapping[str, Any]) -> dict[str, str]:
    """This process's environment with the settings as variables."""
    return {**os.environ, **{settings.PREFIX + name.upper(): str(value) for name, value in options.items()}}


def spawn(options: Mapping[str, Any], log: Path, *, port: int = 0, before: Callable[[], None] | None = None) -> Server:
    """Start a server and return at once; ``before`` runs in the child before the program does."""
    with log.open("ab") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "companion", "serve", "--json", "--port", str(port)],
            env=environment({**QUICK, **options}),
            stdout=subprocess.PIPE,
            stderr=err,
            start_new_session=True,
            preexec_fn=before,
        )
    return Server(process, log)


async def serve(options: Mapping[str, Any], log: Path, *, port: int = 0, before: Callable[[], None] | None = None) -> Server:
    """Start a server and wait until it announces itself."""
    server = spawn(options, log, port=port, before=before)
    try:
        await asyncio.to_thread(server.wait_announced)
    except BaseException:
        server.kill()
        raise
    return server


async def open_database(options: Mapping[str, Any]) -> Database:
    """The same database, opened in this process."""
    return await storage.open_database(settings.read({}, **options), SystemClock())


async def enrol(options: Mapping[str, Any], count: int = 1) -> list[Patient]:
    """Patients with a device token each, made as an operator would."""
    db = await open_database(options)
    try:
        clinic = await db.write(OPERATOR, people.add_clinic, "North", "North Street")
        found: list[Patient] = []
        for number in range(count):
            patient = await db.write(OPERATOR, people.add_patient, clinic, f"Patient {number}", "America/New_York")
            token = await db.write(OPERATOR, people.operator_token, patient, None, 2)
            found.append(Patient(patient, token))
        return found
    finally:
        await db.close()
