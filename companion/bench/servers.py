"""The servers a run compares, each a process: Litestar's hello, a handler that decodes the same body and answers a constant,
and Companion itself. All on the same HTTP server with the same settings.

    python -m companion.bench.servers hello|constant PORT
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, get, put
from litestar.params import FromPath, JSONBody

from companion_sdk import wire

from .. import running, settings
from ..web import server

HELLO = {"hello": "world"}


@get("/hello")
async def hello() -> dict[str, str]:
    return HELLO


@put("/v1/patients/{patient:str}/logs/{log:uuid}")
async def constant(patient: FromPath[str], log: FromPath[Any], data: JSONBody[wire.LogIn]) -> dict[str, str]:
    return HELLO


async def _serve(port: int) -> None:
    bare = Litestar([hello, constant], openapi_config=None, logging_config=None)
    config: uvicorn.Config = server.config(bare, settings.read({}, port=port))  # pyright: ignore[reportArgumentType]
    await uvicorn.Server(config).serve([running.bind("127.0.0.1", port)])


class Process:
    """One server in a process group of its own; CPU seconds and memory as the system counts them."""

    def __init__(self, arguments: list[str], port: int, environment: dict[str, str] | None = None) -> None:
        self._arguments = [sys.executable, "-m", *arguments]
        self._environment = {**os.environ, **(environment or {})}
        self.port = port
        self.started_in = 0.0

    async def __aenter__(self) -> "Process":
        began = time.perf_counter()
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            env=self._environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            process_group=0,
        )
        while not await self._answers():
            if self._process.returncode is not None or time.perf_counter() - began > 30:
                raise RuntimeError(f"{' '.join(self._arguments[2:4])} did not start")
            await asyncio.sleep(0.005)
        self.started_in = time.perf_counter() - began
        return self

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
        writer.close()
        return line.startswith(b"HTTP/1.1")

    def cpu(self) -> float:
        """CPU seconds so far, user and system."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Proportional set size in MB."""
        for line in Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        return 0.0

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), 15)
            except TimeoutError:
                os.killpg(self._process.pid, signal.SIGKILL)
                await self._process.wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[2])))
