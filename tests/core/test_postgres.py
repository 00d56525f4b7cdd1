"""What is PostgreSQL's own: its schema, its keys in another database, lost connections, deadlocks and crashes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
from support import engines
from support.cast import OPERATOR
from support.clocks import ManualClock
from support.engines import Engine, Server
from support.postgres import end_connections, open_on

from companion.core import postgres as units
from companion.core import postgres_server
from companion.core.actors import ANONYMOUS, Actor
from companion.core.db import Tx
from companion.core.errors import Busy, NotFound, StorageUnavailable
from companion.core.postgres import PostgresDatabase
from companion.core.postgres_keys import PostgresKeys
from companion.core.sql import Statement
from companion.core.vault import Vault
from companion.people import service as people

PUT = Statement("INSERT INTO beats (name, at) VALUES (:name, 0)")
TOUCH = Statement("UPDATE beats SET at = at + 1 WHERE name = :name")
SEEN = Statement("SELECT name FROM beats ORDER BY name {collate}")
ME = Statement("SELECT CAST(pg_backend_pid() AS {int64})")


def put(tx: Tx, actor: Actor, name: str) -> None:
    tx.run(PUT, name=name)


def seen(tx: Tx, actor: Actor) -> list[str]:
    return [row[0] for row in tx.all(SEEN)]


def backend(tx: Tx, actor: Actor) -> int:
    row = tx.one(ME)
    assert row is not None
    return row[0]


@pytest.fixture
async def db(pg: Engine, clock: ManualClock) -> AsyncIterator[PostgresDatabase]:
    opened = await open_on(pg, clock)
    yield opened
    await opened.close()


# how a unit runs


@pytest.mark.parametrize(("how", "expected"), [("read", ("repeatable read", "on")), ("write", ("read committed", "off"))])
async def test_units_run_as_the_design_says(db: PostgresDatabase, how: str, expected: tuple[str, str]) -> None:
    about = Statement(
        "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'), "
        "current_setting('synchronous_commit'), current_setting('lock_timeout'), current_setting('statement_timeout')"
    )
    found = await getattr(db, how)(ANONYMOUS, lambda tx, actor: tx.one(about))
    assert found == (*expected, "on", "10s", "30s")


@pytest.mark.parametrize(
    ("value", "kind"), [(1, "bigint"), (2**40, "bigint"), (True, "bigint"), (b"a", "bytea"), ("a", "text")]
)
async def test_a_value_has_one_type_however_small_it_is(db: PostgresDatabase, value: int | bytes | str, kind: str) -> None:
    """Or each size of a number would be a prepared statement of its own."""
    asked = Statement("SELECT CAST(pg_typeof(:value) AS text)")
    assert await db.read(ANONYMOUS, lambda tx, actor: tx.one(asked, value=value)) == (kind,)


async def test_one_after_the_other_needs_one_connection(db: PostgresDatabase) -> None:
    writers = {await db.write(ANONYMOUS, backend) for _ in range(20)}
    readers = {await db.read(ANONYMOUS, backend) for _ in range(20)}
    assert len(writers) == len(readers) == 1
    assert writers != readers


async def test_many_at_once_share_a_few_connections(db: PostgresDatabase) -> None:
    together = threading.Barrier(units.WRITERS, timeout=20)

    def meets(tx: Tx, actor: Actor) -> int:
        together.wait()
        return backend(tx, actor)

    assert len(set(await asyncio.gather(*(db.write(ANONYMOUS, meets) for _ in range(units.WRITERS))))) == units.WRITERS
    assert len(set(await asyncio.gather(*(db.write(ANONYMOUS, backend) for _ in range(200))))) <= units.WRITERS


async def test_a_statement_that_failed_unheard_fails_its_unit(db: PostgresDatabase) -> None:
    """PostgreSQL answers COMMIT with a silent ROLLBACK then; nobody may be told that anything was stored."""

    def swallows(tx: Tx, actor: Actor) -> str:
        put(tx, actor, "a")
        with pytest.raises(psycopg.errors.UniqueViolation):
            put(tx, actor, "a")
        return "stored"

    with pytest.raises(RuntimeError, match="failed and the verb went on"):
        await db.write(ANONYMOUS, swallows)
    assert await db.read(ANONYMOUS, seen) == []
    await db.write(ANONYMOUS, put, "a")


async def test_of_two_units_in_each_others_way_both_are_done(db: PostgresDatabase) -> None:
    for name in "ab":
        await db.write(ANONYMOUS, put, name)
    both_hold_one = threading.Barrier(2, timeout=20)
    runs: list[str] = []

    def crosses(tx: Tx, actor: Actor, first: str, second: str) -> None:
        runs.append(first)
        tx.run(TOUCH, name=first)
        if len(runs) <= 2:
            both_hold_one.wait()
        tx.run(TOUCH, name=second)

    await asyncio.gather(db.write(ANONYMOUS, crosses, "a", "b"), db.write(ANONYMOUS, crosses, "b", "a"))
    assert len(runs) == 3, "the one the server chose ran again"
    touched = Statement("SELECT at FROM beats ORDER BY name {collate}")
    assert await db.read(ANONYMOUS, lambda tx, actor: tx.all(touched)) == [(2,), (2,)]


async def test_a_unit_that_always_loses_is_told_so(db: PostgresDatabase) -> None:
    runs: list[int] = []

    def loses(tx: Tx, actor: Actor) -> None:
        put(tx, actor, "a")
        runs.append(1)
        raise psycopg.errors.SerializationFailure("again")

    with pytest.raises(Busy):
        await db.write(ANONYMOUS, loses)
    assert len(runs) == units.ATTEMPTS
    assert await db.read(ANONYMOUS, seen) == []
    assert db.trouble() is None


async def test_a_lock_that_does_not_come_free_is_busy_and_not_a_hang(
    pg: Engine, clock: ManualClock, beside: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "_SESSION", b"SET lock_timeout = '50ms'")
    db = await open_on(pg, clock)
    try:
        await db.write(ANONYMOUS, put, "a")
        with beside.transaction():
            beside.execute("SELECT FROM beats FOR UPDATE")
            with pytest.raises(Busy):
                await asyncio.wait_for(db.write(ANONYMOUS, lambda tx, actor: tx.run(TOUCH, name="a")), 10)
        assert await db.write(ANONYMOUS, lambda tx, actor: tx.run(TOUCH, name="a")) == 1
    finally:
        await db.close()


async def test_a_statement_without_end_is_busy_and_not_a_hang(
    pg: Engine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "_SESSION", b"SET statement_timeout = '50ms'")
    endless = Statement("SELECT CAST(pg_sleep(60) AS text)")
    db = await open_on(pg, clock)
    try:
        for do in (db.read, db.write):
            with pytest.raises(Busy):
                await asyncio.wait_for(do(ANONYMOUS, lambda tx, actor: tx.one(endless)), 10)
        assert await db.read(ANONYMOUS, seen) == []
    finally:
        await db.close()


# lost connections


async def test_a_connection_lost_between_units_is_made_again(db: PostgresDatabase, beside: psycopg.Connection) -> None:
    await db.write(ANONYMOUS, put, "a")
    assert await db.read(ANONYMOUS, seen) == ["a"]
    end_connections(beside, "data_%")
    await db.write(ANONYMOUS, put, "b")
    assert await db.read(ANONYMOUS, seen) == ["a", "b"]
    assert db.trouble() is None


@pytest.mark.parametrize(("served_before", "runs_expected"), [(True, 2), (False, 1)])
async def test_a_unit_that_loses_its_connection_midway_has_done_nothing(
    db: PostgresDatabase, beside: psycopg.Connection, served_before: bool, runs_expected: int
) -> None:
    """It runs once more only where it cannot be what broke the connection."""
    runs: list[int] = []

    def cut(tx: Tx, actor: Actor) -> None:
        put(tx, actor, "cut")
        runs.append(1)
        if len(runs) == 1:
            beside.execute("SELECT pg_terminate_backend(%s, 5000)", (backend(tx, actor),)).fetchall()
        put(tx, actor, "whole")

    if served_before:
        await db.write(ANONYMOUS, backend)
        await db.write(ANONYMOUS, cut)
        assert await db.read(ANONYMOUS, seen) == ["cut", "whole"]
    else:
        with pytest.raises(StorageUnavailable):
            await db.write(ANONYMOUS, cut)
        assert await db.read(ANONYMOUS, seen) == []
    assert len(runs) == runs_expected


async def test_a_connection_lost_at_commit_is_answered_503_and_never_run_again(
    db: PostgresDatabase, beside: psycopg.Connection
) -> None:
    beside.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(20); RETURN NULL; END'"
    )
    beside.execute(
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON beats DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "WHEN (NEW.name = 'slow') EXECUTE FUNCTION slow()"
    )
    told: list[str | None] = []
    db.on_trouble = told.append
    runs: list[int] = []

    def verb(tx: Tx, actor: Actor) -> None:
        put(tx, actor, "slow")
        runs.append(backend(tx, actor))

    await db.write(ANONYMOUS, put, "before")
    task = asyncio.create_task(db.write(ANONYMOUS, verb))
    await asyncio.to_thread(until, lambda: bool(runs) and waiting_in_commit(beside, runs[0]))
    beside.execute("SELECT pg_terminate_backend(%s, 5000)", (runs[0],)).fetchall()
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(task, 10)
    assert len(runs) == 1
    assert db.trouble() == "AdminShutdown"
    assert await db.read(ANONYMOUS, seen) == ["before"]
    assert db.trouble() == "AdminShutdown", "only a write shows that writes work"
    await db.write(ANONYMOUS, put, "after")
    assert db.trouble() is None
    assert told == ["AdminShutdown", None]


def waiting_in_commit(beside: psycopg.Connection, pid: int) -> bool:
    found = beside.execute(
        "SELECT query = 'COMMIT' AND state = 'active' FROM pg_stat_activity WHERE pid = %s", (pid,)
    ).fetchone()
    return found is not None and found[0]


def until(condition: Callable[[], bool]) -> None:
    turn = threading.Event()
    for _ in range(2_000):
        if condition():
            return
        turn.wait(0.005)
    raise AssertionError("it did not come to that within ten seconds")


# the server goes away


async def test_what_was_acknowledged_outlives_a_crash_of_the_server(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> None:
    engines.server_of(request)  # skipped where there is none
    server = await asyncio.to_thread(Server)
    try:
        server.run("CREATE DATABASE keys")
        pg = Engine(
            "postgres",
            {
                "database": server.url("migrated"),
                "keys_database": server.url("keys"),
                "key_file": str(tmp_path / "companion.key"),
            },
        )
        db = await open_on(pg, clock)
        acknowledged: list[str] = []
        unsure: list[str] = []

        async def writer(number: int) -> None:
            for turn in range(10_000):
                name = f"{number} {turn}"
                try:
                    await db.write(ANONYMOUS, put, name)
                except StorageUnavailable:
                    unsure.append(name)
                    return
                acknowledged.append(name)

        writers = asyncio.gather(*(writer(number) for number in range(16)))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.crash)
        await asyncio.wait_for(writers, 60)
        assert len(unsure) == 16
        with pytest.raises(StorageUnavailable):
            await db.write(ANONYMOUS, put, "while it is down")
        with pytest.raises(StorageUnavailable):
            await db.read(ANONYMOUS, seen)
        assert db.trouble() is not None

        await asyncio.to_thread(server.restart)
        await db.write(ANONYMOUS, put, "after")
        assert db.trouble() is None
        found = set(await db.read(ANONYMOUS, seen))
        assert len(acknowledged) > 16
        assert set(acknowledged) <= found
        assert found - set(acknowledged) - {"after"} <= set(unsure), "what is there beyond was in doubt and said so"
        await db.close()
    finally:
        await asyncio.to_thread(server.stop)


# the seal on PostgreSQL


async def test_a_verb_may_need_the_keys_while_their_server_hangs_up(
    db: PostgresDatabase, beside: psycopg.Connection
) -> None:
    clinic = await db.write(OPERATOR, people.add_clinic, "North", "North Street")
    end_connections(beside, "keys_%")
    clinician = await db.write(OPERATOR, people.add_clinician, clinic, "Cleo")
    assert [row.id for row in await db.read(OPERATOR, people.clinicians)] == [clinician]


async def test_keys_that_cannot_be_reached_are_the_storages_trouble(
    pg: Engine, db: PostgresDatabase, beside: psycopg.Connection
) -> None:
    clinic = await db.write(OPERATOR, people.add_clinic, "North", "North Street")
    name = pg.options["keys_database"].split("?")[0].rsplit("/")[-1]
    beside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
    end_connections(beside, name)
    with pytest.raises(StorageUnavailable):
        await db.write(OPERATOR, people.add_clinician, clinic, "Cleo")
    beside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    await db.write(OPERATOR, people.add_clinician, clinic, "Cleo")
    with pytest.raises(NotFound):
        await db.write(ANONYMOUS, people.add_clinician, clinic, "Eve")


def test_the_vault_closes_its_keys(pg: Engine, beside: psycopg.Connection) -> None:
    vault = Vault(b"k" * 32, PostgresKeys(pg.options["keys_database"]))
    vault.close()
    until(lambda: beside.execute("SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'keys_%'").fetchone() == (0,))
