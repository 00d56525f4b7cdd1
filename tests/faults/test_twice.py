"""Clients that repeat themselves: an entry sent twice at once is stored once."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from support import load, process
from support.engines import Engine
from support.process import Serve

CLIENTS = 64


async def test_every_entry_sent_twice_at_once_is_there_once(
    engine: Engine, serve: Serve, verified: Any, full: bool, tell: Callable[..., None]
) -> None:
    puts = load.entries(20_000 if full else 1_000)
    (ana,) = await process.enrol(engine.options)
    server = await serve()
    began = time.monotonic()
    async with asyncio.timeout(300):
        statuses = await load.put_twice(server.port, ana.token, puts, CLIENTS)
    took = time.monotonic() - began
    found = await load.stored(server.port, ana.token)
    assert server.stop() == 0
    assert Counter(map(tuple, map(sorted, statuses))) == {(200, 201): len(puts)}
    assert len(found) == len(puts)
    assert load.differences(puts, found) == []
    assert load.holes(found) == []
    report = await verified()
    assert report.rows["logs"] == len(puts)
    tell(engine=engine.name, entries=len(puts), puts=2 * len(puts), clients=CLIENTS, per_second=round(2 * len(puts) / took))
