"""SIGKILL with requests in flight: what was acknowledged is there, once, unchanged, and the service is back at once.

It cannot tell FULL from NORMAL (the kernel keeps what a process wrote): the setting itself is asserted in
``tests/core/test_sqlite_file.py``.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from support import load, process
from support.engines import Engine
from support.load import Line, Put
from support.process import Serve, Server

CLIENTS = 32
BETWEEN = 100
READY = 2.0
"""Seconds from a start to the first ready answer: the median's bound, and a third of the worst on a busy machine."""


class Writers:
    """Clients that put entries until they are cut off; what was acknowledged, and what nobody knows of."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.sent = 0
        self.kept: list[Put] = []
        self.unknown: list[Put] = []

    async def _client(self, port: int, enough: asyncio.Event, target: int) -> None:
        line = Line(port, self.token)
        while True:
            (put,) = load.entries(1, self.sent)
            self.sent += 1
            try:
                status = await line.put(put)
            except OSError:
                status = 0
            if status in (0, 503) and enough.is_set():  # 503: PostgreSQL went a moment before the service
                self.unknown.append(put)
                line.close()
                return
            assert status == 201, status
            self.kept.append(put)
            if len(self.kept) >= target:
                enough.set()

    async def until_killed(self, port: int, kill: Callable[[], None]) -> int:
        """Write, kill after ``BETWEEN`` acknowledgements and a moment more; how many there were."""
        before = len(self.kept)
        enough = asyncio.Event()
        clients = [asyncio.create_task(self._client(port, enough, before + BETWEEN)) for _ in range(CLIENTS)]
        async with asyncio.timeout(60):
            await enough.wait()
            await asyncio.sleep(random.random() * 0.02)
            kill()
            await asyncio.gather(*clients)
        return len(self.kept) - before

    async def send_again(self, port: int) -> tuple[int, int]:
        """Repeat what nobody knows of, as a phone does; how many had been kept, and how many not."""
        line = Line(port, self.token)
        statuses = [await line.put(put) for put in self.unknown]
        line.close()
        assert set(statuses) <= {200, 201}, statuses
        self.kept += self.unknown
        self.unknown = []
        return statuses.count(200), statuses.count(201)


async def ready(server: Server, since: float) -> float:
    """Seconds from ``since`` until the service says it is ready."""
    while (await asyncio.to_thread(server.ready)).status_code != 200:
        await asyncio.sleep(0.01)
    return time.monotonic() - since


async def test_nothing_acknowledged_is_lost_by_kill_9(
    engine: Engine, power: Any, serve: Serve, verified: Any, full: bool, tell: Callable[..., None]
) -> None:
    kills = 100 if full else {"sqlite": 6, "postgres": 3}[engine.name]
    (ana,) = await process.enrol(engine.options)
    server = await serve()
    writers = Writers(ana.token)
    acknowledged: list[int] = []
    starts: list[float] = []
    in_flight, kept = 0, 0
    for _ in range(kills):

        def kill(server: Server = server) -> None:
            power.cut()
            server.kill()

        acknowledged.append(await writers.until_killed(server.port, kill))
        in_flight += len(writers.unknown)
        power.back()
        began = time.monotonic()
        server = await serve(port=server.port)
        starts.append(await ready(server, began))
        kept += (await writers.send_again(server.port))[0]
    found = await load.stored(server.port, ana.token)
    assert server.stop() == 0
    tell(
        engine=engine.name,
        kills=kills,
        acknowledged=sum(acknowledged),
        least_between=min(acknowledged),
        in_flight=in_flight,
        kept_unacknowledged=kept,
        ready_seconds={"median": round(sorted(starts)[kills // 2], 2), "worst": round(max(starts), 2)},
    )
    assert min(acknowledged) >= BETWEEN
    assert in_flight >= kills
    assert load.differences(writers.kept, found) == []
    assert len(found) == len(writers.kept)
    assert load.holes(found) == []
    assert (await verified()).rows["logs"] == len(found)
    assert sorted(starts)[kills // 2] < READY
    assert max(starts) < 3 * READY
