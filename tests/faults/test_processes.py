"""Several processes on one database: writing at once, starting at once on nothing, one of them stopped in its tracks."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import load, process
from support.engines import Engine
from support.load import Line
from support.process import Serve

START = """
    import asyncio, sys
    from companion import settings, storage
    from companion.core.actors import Operator
    from companion.core.clock import SystemClock
    from companion.people import service as people

    async def start(url):
        db = await storage.open_database(settings.read({}, database=url), SystemClock())
        try:
            clinic = await db.write(Operator("test"), people.add_clinic, "North", "North Street")
            await db.write(Operator("test"), people.add_patient, clinic, "Ana", "UTC")
        finally:
            await db.close()

    print("waiting", flush=True)
    for line in sys.stdin:
        try:
            asyncio.run(start(line.strip()))
            print("started", flush=True)
        except BaseException as error:
            print(repr(error), flush=True)
"""


async def test_three_processes_write_one_database_at_once(
    engine: Engine, serve: Serve, verified: Any, full: bool, tell: Callable[..., None]
) -> None:
    """Every entry goes to two of them at once; Ana's chain is one."""
    puts = load.entries(6_000 if full else 300)
    (ana,) = await process.enrol(engine.options)
    servers = [await serve() for _ in range(3)]
    waiting = list(enumerate(puts))
    statuses: list[list[int]] = []

    async def client() -> None:
        lines = [Line(server.port, ana.token) for server in servers]
        while waiting:
            place, put = waiting.pop()
            pair = (lines[place % 3], lines[(place + 1) % 3])
            statuses.append(sorted(await asyncio.gather(*(line.put(put) for line in pair))))
        for line in lines:
            line.close()

    began = time.monotonic()
    async with asyncio.timeout(300):
        await asyncio.gather(*(client() for _ in range(24)))
    took = time.monotonic() - began
    found = await load.stored(servers[0].port, ana.token)
    assert [server.stop() for server in servers] == [0, 0, 0]
    assert Counter(map(tuple, statuses)) == {(200, 201): len(puts)}
    assert load.differences(puts, found) == []
    assert load.holes(found) == []
    assert (await verified()).rows["logs"] == len(puts)
    if engine.name == "sqlite":
        assert integrity(Path(engine.options["database"].removeprefix("sqlite:///"))) == "ok"
    tell(engine=engine.name, processes=3, entries=len(puts), per_second=round(2 * len(puts) / took))


def integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def test_two_processes_that_start_at_once_on_nothing_share_one_clinic(
    tmp_path: Path, full: bool, tell: Callable[..., None]
) -> None:
    """Both would make the key file, the keys and the schema; neither may seal under a key the other replaced."""
    rounds = 200 if full else 20
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(START)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]

    def answer(starter: "subprocess.Popen[str]") -> str:
        assert starter.stdout is not None
        return starter.stdout.readline().strip()

    try:
        assert [answer(starter) for starter in starters] == ["waiting"] * 2
        for number in range(rounds):
            folder = tmp_path / str(number)
            for starter in starters:
                assert starter.stdin is not None
                starter.stdin.write(f"sqlite:///{folder / 'companion.db'}\n")
                starter.stdin.flush()
            assert [answer(starter) for starter in starters] == ["started"] * 2, number
            assert asyncio.run(patients(folder)) == ["Ana", "Ana"]
            assert integrity(folder / "companion.db") == "ok"
    finally:
        for starter in starters:
            starter.communicate(timeout=10)
    tell(starts_at_once=rounds)


async def patients(folder: Path) -> list[str]:
    """Every patient's name, opened with the key that is on disk."""
    from companion.people import service as people

    db = await process.open_database({"database": f"sqlite:///{folder / 'companion.db'}"})
    try:
        return [row.profile.name for row in await db.read(process.OPERATOR, people.patients)]
    finally:
        await db.close()


async def test_two_servers_that_start_at_once_on_nothing_both_serve(tmp_path: Path) -> None:
    options = {"database": f"sqlite:///{tmp_path / 'new' / 'companion.db'}"}
    servers = [process.spawn(options, tmp_path / f"serve-{number}.log") for number in range(2)]
    try:
        for server in servers:
            await asyncio.to_thread(server.wait_announced)
        assert [server.ready().status_code for server in servers] == [200, 200]
        assert [server.stop() for server in servers] == [0, 0]
    finally:
        for server in servers:
            server.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_one_that_ends_leaves_the_others_writing(tmp_path: Path, serve_on: Serve, how: signal.Signals) -> None:
    """The one that ends must not take the log of writes with it."""
    options = {"database": f"sqlite:///{tmp_path / 'companion.db'}"}
    (ana,) = await process.enrol(options)
    first, second = await serve_on(options), await serve_on(options)
    lines = [Line(server.port, ana.token) for server in (first, second)]
    puts = load.entries(120)
    for place, put in enumerate(puts[:60]):
        assert await lines[place % 2].put(put) == 201
    lines[0].close()
    os.killpg(first.process.pid, how)
    first.process.wait(10)
    for put in puts[60:]:
        assert await lines[1].put(put) == 201
    found = await load.stored(second.port, ana.token)
    lines[1].close()
    assert second.stop() == 0
    assert load.differences(puts, found) == []
    assert load.holes(found) == []
    assert integrity(tmp_path / "companion.db") == "ok"


async def test_a_stopped_process_that_holds_the_lock_costs_503_and_not_a_hang(tmp_path: Path, serve_on: Serve) -> None:
    """SIGSTOP in the middle of a write, as a frozen container; reads go on, and writes once it is gone."""
    options = {"database": f"sqlite:///{tmp_path / 'companion.db'}"}
    (ana,) = await process.enrol(options)
    server = await serve_on(options)
    line = Line(server.port, ana.token)
    code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-S", "-c", code, str(tmp_path / "companion.db-lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        puts = load.entries(5)
        began = time.monotonic()
        lines = [Line(server.port, ana.token) for _ in puts]
        statuses = await asyncio.gather(*(each.put(put) for each, put in zip(lines, puts, strict=True)))
        assert set(statuses) == {503}
        assert 9 < time.monotonic() - began < 15
        assert (await line.ask("GET", "/v1/patients/me/logs"))[0] == 200
    finally:
        holder.kill()
        holder.communicate(timeout=10)
    assert await line.put(puts[0]) == 201
    for each in (line, *lines):
        each.close()
    assert server.stop() == 0
