"""One bench: rounds of everything in turn, so that a machine that slows down slows all alike; medians of ratios."""

import asyncio
import os
import platform
import socket
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from .. import settings
from ..core.clock import SystemClock
from ..core.ids import uuid7
from . import data, diaries, load, scratch_postgres
from .servers import Process

Say = Callable[[str], None]


_PUSHING = 8
"""Connections that send or fetch much at once: as many as keep the server busy."""


class Plan(msgspec.Struct, frozen=True):
    """How long and how much."""

    rounds: int
    seconds: float
    rows: tuple[int, int]


QUICK = Plan(rounds=3, seconds=0.5, rows=(100_000, 1_000_000))
WHOLE = Plan(rounds=7, seconds=4.0, rows=(100_000, 1_000_000))


class Case(msgspec.Struct):
    """One thing measured: its server, what it sends on how many connections, and what each round saw."""

    name: str
    process: Process
    make: load.Make
    connections: int = 64
    rates: list[float] = []
    cpu: list[float] = []
    p50: list[float] = []
    p99: list[float] = []


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(database: str, **more: str) -> Process:
    port = _port()
    arguments = ["companion", "serve", "--port", str(port), "--no-scheduler", "--log-format", "text"]
    environment = {"COMPANION_DATABASE": database, "COMPANION_CALLER_RATE": "1000000", **more}
    return Process(arguments, port, environment)


def _put(tokens: list[str]) -> load.Make:
    sent = 0
    now = SystemClock().now()
    body = data.body(now)

    def make() -> bytes:
        nonlocal sent
        sent += 1
        return load.request("PUT", f"/v1/patients/me/logs/{uuid7(now)}", tokens[sent % len(tokens)], body)

    return make


def _push(tokens: list[str]) -> load.Make:
    sent = 0
    now = SystemClock().now()
    logs = data.bodies(now)

    def make() -> bytes:
        nonlocal sent
        sent += 1
        return load.request("POST", "/v1/patients/me/sync/push", tokens[sent % len(tokens)], data.push(now, logs))

    return make


def _get(path: str, tokens: list[str]) -> load.Make:
    requests = [load.request("GET", path, token) for token in tokens]
    sent = 0

    def make() -> bytes:
        nonlocal sent
        sent += 1
        return requests[sent % len(requests)]

    return make


async def bench(plan: Plan, say: Say) -> dict[str, Any]:
    """Run it; the answer is what ``--json`` prints. PostgreSQL is measured beside where a server can be started."""
    with tempfile.TemporaryDirectory(prefix="companion-bench-") as name:
        async with AsyncExitStack() as stack:
            cases, tokens = await _cases(stack, Path(name), plan, say)
            for number in range(plan.rounds):
                say(f"round {number + 1} of {plan.rounds}")
                for case in cases:
                    await _measure(case, plan.seconds)
            memory = {case.name: case.process.memory() for case in cases if case.name in ("put", "page_1e6")}
            put = next(case for case in cases if case.name == "put")
            url = f"http://127.0.0.1:{put.process.port}"
            say("a diary that syncs")
            felt = await asyncio.to_thread(diaries.feel, url, tokens[0], Path(name), max(plan.seconds, 2.0))
        start, idle = await _start(Path(name))
        bare = _bare_sqlite(Path(name), plan.seconds)
    return {**_told(cases, start, idle, memory, bare), "diary_record_ms": msgspec.to_builtins(felt)}


async def _cases(stack: AsyncExitStack, folder: Path, plan: Plan, say: Say) -> tuple[list[Case], list[str]]:
    """What is measured, and the tokens of the patients that entries are put to."""
    say("making the data")
    stores: dict[str, tuple[str, list[str]]] = {}
    pulled: list[str] = []
    for label, rows in (("put", 0), ("page_1e5", plan.rows[0]), ("page_1e6", plan.rows[1])):
        place = folder / label
        place.mkdir()
        database = data.database(place)
        stores[label] = database, await data.prepare(settings.read({}, database=database))
        if label == "put":
            pulled = await data.prepare(settings.read({}, database=database), 2, data.PULLED)
        if rows:
            await asyncio.to_thread(data.fill, place / "companion.db", rows)
    yard = _port()
    bare = await stack.enter_async_context(Process(["companion.bench.servers", "bare", str(yard)], yard))
    served = {label: await stack.enter_async_context(_serve(database)) for label, (database, _) in stores.items()}
    tokens = {label: known for label, (_, known) in stores.items()}
    cases = [
        Case("hello", bare, _get("/hello", [""])),
        Case("constant", bare, _put(tokens["put"])),
        Case("put", served["put"], _put(tokens["put"])),
        Case("push", served["put"], _push(tokens["put"]), _PUSHING),
        Case("pull_1000", served["put"], _get(f"/v1/patients/me/sync/pull?limit={data.PULLED}", pulled), _PUSHING),
        Case("page_1e5", served["page_1e5"], _get("/v1/patients/me/logs?limit=100", tokens["page_1e5"])),
        Case("page_1e6", served["page_1e6"], _get("/v1/patients/me/logs?limit=100", tokens["page_1e6"])),
        Case("trend", served["page_1e6"], _get("/v1/patients/me/trends", tokens["page_1e6"])),
    ]
    if scratch_postgres.is_here():
        database, keys = stack.enter_context(scratch_postgres.databases())
        more = {"keys_database": keys, "key_file": str(folder / "postgres.key")}
        known = await data.prepare(settings.read({}, database=database, **more))
        environment = {f"COMPANION_{key.upper()}": value for key, value in more.items()}
        process = await stack.enter_async_context(_serve(database, **environment))
        cases.append(Case("put_postgres", process, _put(known)))
        cases.append(Case("push_postgres", process, _push(known), _PUSHING))
        cases.append(Case("page_postgres", process, _get("/v1/patients/me/logs?limit=100", known)))
    for case in cases:
        await load.run(case.process.port, case.make, 0.2, 16)
        if case.name.startswith("push"):
            await _check_push(case)
    return cases, tokens["put"]


async def _check_push(case: Case) -> None:
    """That what is measured is what is meant: all of a push is stored."""
    applied = (await load.ask(case.process.port, case.make())).count(b'"applied"')
    if applied != data.PUSHED:
        raise RuntimeError(f"{case.name}: {applied} of {data.PUSHED} operations were applied")


async def _measure(case: Case, seconds: float) -> None:
    before = case.process.cpu()
    seen = await load.run(case.process.port, case.make, seconds, case.connections)
    bad = {status: count for status, count in seen.statuses.items() if status not in (200, 201)}
    if bad:
        raise RuntimeError(f"{case.name} answered {bad}")
    case.rates.append(seen.rate)
    case.cpu.append(1e6 * (case.process.cpu() - before) / max(seen.answers, 1))
    case.p50.append(seen.p50)
    case.p99.append(seen.p99)


async def _start(folder: Path) -> tuple[float, float]:
    """Seconds to the first answer and MB when idle, on a database that exists."""
    seconds: list[float] = []
    idle = 0.0
    for _ in range(3):
        async with _serve(data.database(folder / "page_1e5")) as process:
            seconds.append(process.started_in)
            await asyncio.sleep(0.5)
            idle = process.memory()
    return statistics.median(seconds), idle


def _bare_sqlite(folder: Path, seconds: float) -> float:
    """Rows a second of the same shape in groups of 32, durable, with nothing else: sqlite3 in one thread."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=20000")
    connection.execute(
        "CREATE TABLE logs (patient_id BLOB NOT NULL, at INTEGER NOT NULL, id BLOB NOT NULL, sealed BLOB NOT NULL, "
        "PRIMARY KEY (patient_id, at, id)) STRICT, WITHOUT ROWID"
    )
    patients = [os.urandom(16) for _ in range(data.PATIENTS)]
    sealed = os.urandom(320)
    began = time.perf_counter()
    rows = 0
    while time.perf_counter() - began < seconds:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(32):
            row = (patients[rows % len(patients)], rows, os.urandom(16), sealed)
            connection.execute("INSERT INTO logs VALUES (?, ?, ?, ?)", row)
            rows += 1
        connection.execute("COMMIT")
    rate = rows / (time.perf_counter() - began)
    connection.close()
    return rate


def _ratio(cases: dict[str, Case], over: str, under: str, entries: int = 1) -> float | None:
    """The median over the rounds of one rate, in entries where a request has more than one, by another of the same round."""
    if over not in cases or under not in cases:
        return None
    pairs = zip(cases[over].rates, cases[under].rates, strict=True)
    return round(entries * statistics.median(one / other for one, other in pairs), 3)


def _cpu_ratio(cases: dict[str, Case], over: str, under: str) -> float:
    pairs = zip(cases[over].cpu, cases[under].cpu, strict=True)
    return round(statistics.median(one / other for one, other in pairs), 3)


def _told(cases: list[Case], start: float, idle: float, memory: dict[str, float], bare: float) -> dict[str, Any]:
    named = {case.name: case for case in cases}
    put = statistics.median(named["put"].rates)
    ratios = {
        "push_vs_put": _ratio(named, "push", "put", data.PUSHED),
        "push_entries_vs_constant": _ratio(named, "push", "constant", data.PUSHED),
        "put_vs_constant": _ratio(named, "put", "constant"),
        "constant_vs_hello": _ratio(named, "constant", "hello"),
        "put_vs_sqlite": round(put / bare, 3),
        "page_growth_1e6_over_1e5": _cpu_ratio(named, "page_1e6", "page_1e5"),
        "page_vs_constant": _ratio(named, "page_1e5", "constant"),
        "trend_vs_page": _ratio(named, "trend", "page_1e6"),
        "postgres_put_vs_constant": _ratio(named, "put_postgres", "constant"),
        "postgres_put_vs_sqlite_put": _ratio(named, "put_postgres", "put"),
        "postgres_push_vs_put": _ratio(named, "push_postgres", "put_postgres", data.PUSHED),
        "postgres_page_vs_sqlite_page": _ratio(named, "page_postgres", "page_1e5"),
    }
    return {
        "ratios": {name: value for name, value in ratios.items() if value is not None},
        "rates": {case.name: round(statistics.median(case.rates)) for case in cases} | {"bare_sqlite": round(bare)},
        "cpu_us": {case.name: round(statistics.median(case.cpu)) for case in cases},
        "p50_ms": {case.name: round(statistics.median(case.p50), 2) for case in cases},
        "p99_ms": {case.name: round(statistics.median(case.p99), 2) for case in cases},
        "pull_1000_cpu_ms": round(statistics.median(named["pull_1000"].cpu) / 1000, 1),
        "start_s": round(start, 3),
        "idle_mb": round(idle, 1),
        "loaded_mb": {name: round(value, 1) for name, value in memory.items()},
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "at": SystemClock().now().isoformat(timespec="seconds"),
        },
    }
