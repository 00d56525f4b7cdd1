"""Two workers and a server on one database: each due nudge goes out once; a worker that is killed loses none."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import psutil
import pytest
from support import receivers
from support.cast import ZONE, Person, gather
from support.clocks import ManualClock
from support.engines import Engine
from support.nudging import ledger, plan, put_hook, put_plan
from support.receivers import Hook

from companion.core.actors import System
from companion.core.clock import SystemClock
from companion.core.sql import Statement
from companion.running import Running

PROCESS = """
import asyncio, signal, sys
from companion import running, settings

async def worker():
    task = asyncio.ensure_future(running.work(settings.read()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    print("ready", flush=True)
    await asyncio.gather(task, return_exceptions=True)

async def server():
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    service = await running.start(settings.read(port="0"))
    print(service.url, flush=True)
    await asked.wait()
    await service.stop()

asyncio.run({"worker": worker, "server": server}[sys.argv[1]]())
"""
MOST_TWICE = 80
JOB = System("nudges")


@asynccontextmanager
async def process(role: str, options: dict[str, Any]) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A worker or server of its own, on the same database; what it said when it was ready."""
    given = {f"COMPANION_{name.upper()}": str(value) for name, value in options.items()}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, role, env={**os.environ, **given}, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        said = (await asyncio.wait_for(child.stdout.readline(), 30)).decode().strip()
        assert said, f"the {role} did not start"
        yield child, said
    finally:
        if child.returncode is None:
            child.terminate()
        await asyncio.wait_for(child.wait(), 30)
        await child.stdout.read()


async def make_due(ana: Person, clock: ManualClock, count: int) -> None:
    """Plans whose time is the minute that now is for everybody but the service that took them."""
    local = (clock.now() + timedelta(minutes=5)).astimezone(ZoneInfo(ZONE))
    for _ in range(count):
        await put_plan(ana, plan(f"{local:%H:%M}", about="custom", window_minutes=60))


async def until(condition: Any, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def all_sent(url: str, ana: Person, count: int, seconds: float) -> list[dict[str, Any]]:
    """Her nudges of today once the server says that all are sent."""
    async with asyncio.timeout(seconds), httpx2.AsyncClient(base_url=url, timeout=30) as client:
        there = Person(ana.name, ana.token, client)
        while True:
            sent: list[dict[str, Any]] = []
            cursor = ""
            while cursor is not None:
                answer = (
                    await there.get(f"/v1/patients/me/nudges?state=sent&limit=500{cursor and f'&cursor={cursor}'}")
                ).json()
                sent += answer["items"]
                cursor = answer["next"]
            if len(sent) == count:
                return sent
            await asyncio.sleep(0.2)


_PARK = Statement("UPDATE nudges SET next_try_at = :later WHERE patient_id = :patient AND state = 'pending'")
_RELEASE = Statement("UPDATE nudges SET next_try_at = due_at WHERE patient_id = :patient AND state = 'pending'")


class Scene:
    """Due nudges, a receiver, and what the processes that are to send them need."""

    def __init__(self, service: Running, ana: Person, hook: Hook, options: dict[str, Any], count: int) -> None:
        self.service, self.ana, self.hook, self.options, self.count = service, ana, hook, options, count

    async def park(self) -> None:
        """Nobody looks at her nudges (``next_try_at`` is nobody's decision) until ``release``: so all start together."""
        await self._set(_PARK, later=2**62)

    async def release(self) -> None:
        await self._set(_RELEASE)

    async def _set(self, statement: Statement, **named: int) -> None:
        await self.service.db.write(JOB, lambda tx, actor: tx.run(statement, patient=self.ana.id.bytes, **named))

    def senders(self, children: list[asyncio.subprocess.Process]) -> list[asyncio.subprocess.Process]:
        """Those that have a connection to the receiver."""
        return [child for child in children if self._ports(child)]

    def most_in_flight(self, children: list[asyncio.subprocess.Process]) -> tuple[int, asyncio.subprocess.Process]:
        """How many unanswered requests the busiest has, and which one that is."""
        return max(((len(self._ports(child) & self.hook.flying), child) for child in children), key=lambda one: one[0])

    def _ports(self, child: asyncio.subprocess.Process) -> set[int]:
        port = int(self.hook.url.split(":")[2].split("/")[0])
        found = psutil.Process(child.pid).net_connections("tcp")
        return {one.laddr.port for one in found if one.raddr and one.raddr.port == port}


@pytest.fixture
async def scene(start: Any, engine: Engine, full: bool) -> AsyncIterator[Scene]:
    count = 1000 if full else 200
    clock = ManualClock((SystemClock().now() - timedelta(minutes=5)).replace(second=30))
    async with AsyncExitStack() as stack:
        hook = await stack.enter_async_context(receivers.hook())
        service = await start(clock=clock, scheduler=False, egress_allow="127.0.0.1", caller_rate=1e6)
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=service.url, timeout=30))
        cast = await gather(service, http)
        await put_hook(cast.ana, hook)
        await make_due(cast.ana, clock, count)
        options = {**engine.options, "egress_allow": "127.0.0.1", "log_level": "error", "nudge_beat": 0.5}
        yield Scene(service, cast.ana, hook, options, count)


def slow(seconds: float) -> Callable[[], Awaitable[None]]:
    """A receiver that takes its time, so that much is in flight."""
    return lambda: asyncio.sleep(seconds)


async def test_two_workers_and_a_server_send_each_once(scene: Scene, say: Callable[[object], None]) -> None:
    scene.hook.before = slow(0.05)
    await scene.park()
    async with AsyncExitStack() as stack:
        server, url = await stack.enter_async_context(process("server", scene.options))
        workers = [(await stack.enter_async_context(process("worker", scene.options)))[0] for _ in range(2)]
        await scene.release()
        begun = SystemClock().monotonic()
        sent = await all_sent(url, scene.ana, scene.count, 120)
        took = SystemClock().monotonic() - begun
        senders = scene.senders([server, *workers])
    hits = Counter(scene.hook.names)
    say(
        f"{scene.count} due, two workers and a server: {hits.total()} hits of {len(hits)} nudges "
        f"from {len(senders)} processes in {took:.1f} s"
    )
    assert hits.total() == len(hits) == scene.count
    assert len(senders) >= 2
    assert {nudge["attempts"] for nudge in sent} == {1}
    assert scene.hook.forged == 0


async def test_a_worker_killed_in_the_middle_loses_none(scene: Scene, say: Callable[[object], None]) -> None:
    scene.hook.before = slow(0.15)
    options = {**scene.options, "nudge_lease": 3}
    await scene.park()
    async with AsyncExitStack() as stack:
        _, url = await stack.enter_async_context(process("server", options))
        workers = [(await stack.enter_async_context(process("worker", options)))[0] for _ in range(2)]
        await scene.release()
        await until(lambda: scene.hook.received and scene.most_in_flight(workers)[0] > 20, 30)
        doomed = scene.most_in_flight(workers)[1]
        os.kill(doomed.pid, signal.SIGKILL)
        await doomed.wait()
        before = len(scene.hook.received)
        sent = await all_sent(url, scene.ana, scene.count, 120)
    hits = Counter(scene.hook.names)
    twice = hits.total() - len(hits)
    again = sum(nudge["attempts"] > 1 for nudge in sent)
    say(
        f"{scene.count} due, one of two workers and a server killed after {before} hits: "
        f"{scene.count - len(hits)} lost, {again} taken over, {twice} twice"
    )
    assert len(hits) == scene.count
    assert twice <= MOST_TWICE
    assert again > 0
    assert max(hits.values()) <= 2


async def test_a_worker_told_to_stop_settles_what_flies(scene: Scene) -> None:
    """SIGTERM with nudges in flight: nothing is sent twice, nothing stays leased."""
    scene.hook.before = slow(0.1)
    async with process("worker", scene.options) as (worker, _):
        await until(lambda: len(scene.hook.received) > 10, 30)
        worker.terminate()
        await asyncio.wait_for(worker.wait(), 12)
    assert await ledger(scene.ana, "?state=leased") == []
    assert len(scene.hook.received) < scene.count
    scene.hook.before = None
    async with process("server", scene.options) as (_, url):
        await all_sent(url, scene.ana, scene.count, 60)
    assert len(scene.hook.names) == len(set(scene.hook.names)) == scene.count
