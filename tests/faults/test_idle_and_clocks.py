"""Connections that say nothing, and a wall clock that somebody sets."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
from support import cast, load, process
from support.clocks import ManualClock
from support.engines import Engine
from support.load import Line
from support.process import Serve

from companion.custody import service as custody

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


async def test_two_hundred_idle_connections_do_not_stop_service(engine: Engine, serve: Serve) -> None:
    (ana,) = await process.enrol(engine.options)
    server = await serve()
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(200)]
    try:
        line = Line(server.port, ana.token)
        slowest = 0.0
        for put in load.entries(50):
            began = time.monotonic()
            assert await line.put(put) == 201
            slowest = max(slowest, time.monotonic() - began)
        assert len(await load.stored(server.port, ana.token)) == 50
        assert (await asyncio.to_thread(server.ready)).status_code == 200
        line.close()
        assert slowest < 2
    finally:
        for _, stream in idle:
            stream.close()
    assert server.stop() == 0


async def test_a_stepped_wall_clock_changes_neither_order_nor_service(start: Any) -> None:
    """An hour back, an hour ahead, a day back: ``seq`` is the order, ``recorded_at`` what the clock said."""
    clock = ManualClock(NOON)
    service = await start(clock=clock)
    async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
        everybody = await cast.gather(service, http)
        ana = everybody.ana
        recorded: list[tuple[int, str, datetime]] = []
        for step in (0, -1, 0, 1, 1, -1, -24, 24, 0):
            clock.step(hours=step)
            log = await ana.mood(clock.now() - timedelta(minutes=5), note=f"{step:+}")
            recorded.append((log["seq"], log["id"], datetime.fromisoformat(log["recorded_at"])))
            clock.advance(seconds=1)
            assert (await ana.get(f"/v1/patients/me/logs/{log['id']}")).json()["revision"] == 1
            assert (await ana.get("/health/ready")).status_code == 200
        seqs = [seq for seq, _, _ in recorded]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        times = [at for _, _, at in recorded]
        assert times != sorted(times)
        assert times[0] == NOON
        read = (await ana.get("/v1/patients/me/logs?limit=500")).json()["items"]
        assert {(log["seq"], log["id"]) for log in read} == {(seq, name) for seq, name, _ in recorded}
        assert [log["at"] for log in read] == sorted((log["at"] for log in read), reverse=True)
        pages: list[str] = []
        path = "/v1/patients/me/logs?limit=2"
        while path:
            page = (await ana.get(path)).json()
            pages += [log["id"] for log in page["items"]]
            clock.step(hours=-1 if len(pages) % 4 else 1)
            path = f"/v1/patients/me/logs?limit=2&cursor={page['next']}" if page.get("next") else ""
        assert pages == [log["id"] for log in read]
        report = await service.db.read(process.OPERATOR, custody.verify)
        assert report.ok, [str(fault) for fault in report.faults]


async def test_an_entry_corrected_while_the_clock_is_wrong_keeps_its_history_in_order(start: Any) -> None:
    clock = ManualClock(NOON)
    service = await start(clock=clock)
    async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
        ana = (await cast.gather(service, http)).ana
        path = f"/v1/patients/me/logs/{uuid4()}"
        tag = None
        for mood, step in ((1, 0), (2, -1), (3, 2), (4, -5)):
            clock.step(hours=step)
            headers = {} if tag is None else {"If-Match": tag}
            answer = await ana.put(path, ana.entry(NOON - timedelta(hours=8), kind="mood", mood=mood), headers=headers)
            assert answer.status_code in (200, 201), answer.text
            tag = answer.headers["etag"]
        history = (await ana.get(f"{path}/history")).json()["items"]
        assert [log["body"]["mood"] for log in history] == [1, 2, 3, 4]
        assert [log["seq"] for log in history] == sorted(log["seq"] for log in history)
        assert (await ana.get(path)).json()["body"]["mood"] == 4
