"""What is PostgreSQL's own: its schema, its keys in another database, lost connections, deadlocks and crashes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support import engines
from support.cast import OPERATOR
from support.clocks import ManualClock
from support.engines import Engine, Server

from companion import settings, storage
from companion.core import migrations, postgres_server
from companion.core import postgres as units
from companion.core.actors import ANONYMOUS, Actor
from companion.core.db import Row, Tx
from companion.core.errors import Busy, NotFound, StartUpError, StorageUnavailable
from companion.core.migrations import Migration
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
def pg(tmp_path: Path, request: pytest.FixtureRequest) -> Engine:
    return engines.postgres(tmp_path, request)


@pytest.fixture
def bare(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database without a schema."""
    server = engines.server_of(request)
    server.run("CREATE DATABASE bare TEMPLATE empty")
    yield server.url("bare")
    server.run("DROP DATABASE bare WITH (FORCE)")


@pytest.fixture
async def db(pg: Engine, clock: ManualClock) -> AsyncIterator[PostgresDatabase]:
    opened = await open_on(pg, clock)
    yield opened
    await opened.close()


@pytest.fixture
def beside(pg: Engine) -> Iterator[psycopg.Connection[Row]]:
    """Somebody else's connection to the data."""
    with psycopg.connect(pg.options["database"], autocommit=True) as connection:
        yield connection


async def open_on(pg: Engine, clock: ManualClock, **options: Any) -> PostgresDatabase:
    opened = await storage.open_database(settings.read({}, **{**pg.options, **options}), clock)
    assert isinstance(opened, PostgresDatabase)
    return opened


@contextmanager
def row(sql: str, url: str) -> Iterator[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection.execute(sql.encode()).fetchone()


# the schema


def test_a_migration_is_applied_once_and_remembered(bare: str) -> None:
    names = [f"{step.number:04}_{step.name}" for step in migrations.read()]
    assert postgres_server.migrate(bare) == names
    assert postgres_server.migrate(bare) == []
    with row("SELECT count(*), max(number) FROM schema_version", bare) as found:
        assert found == (len(names), len(names))


def test_two_who_migrate_at_once_apply_each_step_once(bare: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(postgres_server.migrate, [bare] * 4))
    assert sorted(name for names in applied for name in names) == [
        f"{step.number:04}_{step.name}" for step in migrations.read()
    ]


def test_a_step_that_fails_leaves_nothing_of_itself(bare: str) -> None:
    good = Migration(1, "good", ("CREATE TABLE good (id {int64} NOT NULL)",))
    bad = Migration(2, "bad", ("CREATE TABLE half (id {int64} NOT NULL)", "CREATE TABLE good (id {int64} NOT NULL)"))
    with pytest.raises(StartUpError, match="already exists"):
        postgres_server.migrate(bare, [good, bad])
    with row("SELECT to_regclass('good') IS NOT NULL, to_regclass('half') IS NULL", bare) as found:
        assert found == (True, True)
    with postgres_server.opened(bare) as connection:
        assert postgres_server.version(connection) == 1


def test_a_newer_database_is_refused_by_name_and_left_alone(bare: str) -> None:
    known = migrations.read()
    newer = [*known, Migration(len(known) + 1, "later", ("CREATE TABLE later (id {int64} NOT NULL)",))]
    postgres_server.migrate(bare, newer)
    for refuses in (postgres_server.migrate, postgres_server.check):
        with pytest.raises(StartUpError, match=rf"database bare has schema version {len(newer)}.*upgrade Companion"):
            refuses(bare, known)
    with row("SELECT to_regclass('later') IS NOT NULL", bare) as found:
        assert found == (True,)


async def test_a_service_does_not_migrate_but_says_how(pg: Engine, bare: str, clock: ManualClock) -> None:
    with pytest.raises(StartUpError, match=r"bare has schema version 0.*run companion migrate"):
        await open_on(pg, clock, database=bare)
    assert storage.migrate(settings.read({}, **{**pg.options, "database": bare})) != []
    await (await open_on(pg, clock, database=bare)).close()


def test_a_database_that_would_change_letters_is_refused(request: pytest.FixtureRequest) -> None:
    server = engines.server_of(request)
    server.run("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        with pytest.raises(StartUpError, match="latin is not in UTF-8"):
            postgres_server.migrate(server.url("latin"))
    finally:
        server.run("DROP DATABASE latin WITH (FORCE)")


# the settings, and the keys in another database


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("keys_database", "", "COMPANION_KEYS_DATABASE must name another"),
        ("keys_database", "sqlite:///keys.db", "COMPANION_KEYS_DATABASE must name another"),
        ("key_file", "", "COMPANION_KEY_FILE must name"),
        ("database", "postgresql://nobody@127.0.0.1:1/nowhere", "nowhere on PostgreSQL cannot be used"),
        ("keys_database", "postgresql://nobody@127.0.0.1:1/nowhere", "nowhere on PostgreSQL cannot be used"),
        ("database", "postgresql://?what=ever", "address cannot be read"),
    ],
)
async def test_what_is_missing_is_named(pg: Engine, clock: ManualClock, option: str, value: str, words: str) -> None:
    with pytest.raises(StartUpError, match=words):
        await open_on(pg, clock, **{option: value})


async def test_keys_do_not_lie_beside_the_data(pg: Engine, clock: ManualClock) -> None:
    same = pg.options["database"]
    for address in (same, same + "&application_name=other"):
        with pytest.raises(StartUpError, match="which holds the data"):
            await open_on(pg, clock, keys_database=address)


async def test_data_is_not_put_beside_the_keys(pg: Engine, clock: ManualClock) -> None:
    await (await open_on(pg, clock)).close()
    with pytest.raises(StartUpError, match="holds the keys"):
        postgres_server.migrate(pg.options["keys_database"])


async def with_a_clinician(pg: Engine, clock: ManualClock) -> None:
    db = await open_on(pg, clock)
    clinic = await db.write(OPERATOR, people.add_clinic, "North", "North Street")
    await db.write(OPERATOR, people.add_clinician, clinic, "Cleo")
    await db.close()


async def test_a_key_file_is_made_only_where_nothing_was_sealed(pg: Engine, clock: ManualClock) -> None:
    key_file = Path(pg.options["key_file"])
    await (await open_on(pg, clock)).close()
    assert key_file.stat().st_mode & 0o777 == 0o600
    key_file.unlink()
    with pytest.raises(StartUpError, match=r"key file .* is missing"):
        await open_on(pg, clock)
    assert not key_file.exists()


async def test_an_empty_keys_database_beside_people_is_refused(pg: Engine, clock: ManualClock) -> None:
    await with_a_clinician(pg, clock)
    with psycopg.connect(pg.options["keys_database"], autocommit=True) as connection:
        connection.execute("DELETE FROM wrapped_keys")
    with pytest.raises(StartUpError, match="keys database is empty although people stand in the data"):
        await open_on(pg, clock)


async def test_another_key_file_is_refused(pg: Engine, clock: ManualClock) -> None:
    await with_a_clinician(pg, clock)
    Path(pg.options["key_file"]).write_text("00" * 32)
    with pytest.raises(StartUpError, match="does not fit the keys database"):
        await open_on(pg, clock)


async def test_newer_keys_are_refused(pg: Engine, clock: ManualClock) -> None:
    PostgresKeys(pg.options["keys_database"]).close()
    with psycopg.connect(pg.options["keys_database"], autocommit=True) as connection:
        connection.execute("INSERT INTO wrapped_keys_version (number) VALUES (2)")
    with pytest.raises(StartUpError, match="has version 2, this code knows 1: upgrade Companion"):
        await open_on(pg, clock)


def test_the_first_of_two_racing_keys_stays(pg: Engine) -> None:
    keys = PostgresKeys(pg.options["keys_database"])
    other = PostgresKeys(pg.options["keys_database"])
    try:
        with ThreadPoolExecutor(8) as pool:
            for number in range(50):
                owner = number.to_bytes(16)
                list(pool.map(lambda store, owner=owner: store[0].add(owner, store[1]), [(keys, b"one"), (other, b"two")]))
                assert keys.get(owner) == other.get(owner)
        assert keys.owners() == [number.to_bytes(16) for number in range(50)]
        assert keys.get(b"\xff" * 16) is None
    finally:
        keys.close()
        other.close()


def test_keys_are_on_disk_when_the_call_returns(pg: Engine) -> None:
    keys = PostgresKeys(pg.options["keys_database"])
    try:
        assert keys._ask(lambda connection: connection.execute("SHOW synchronous_commit").fetchone()) == ("on",)
        assert keys._ask(lambda connection: connection.autocommit)
    finally:
        keys.close()


def test_keys_outlive_their_connection(pg: Engine, beside: psycopg.Connection[Row]) -> None:
    keys = PostgresKeys(pg.options["keys_database"])
    try:
        keys.add(b"a" * 16, b"wrapped")
        end_connections(beside, "keys_%")
        assert keys.get(b"a" * 16) == b"wrapped"
        end_connections(beside, "keys_%")
        keys.add(b"b" * 16, b"wrapped")
        assert keys.owners() == [b"a" * 16, b"b" * 16]
    finally:
        keys.close()


def end_connections(beside: psycopg.Connection[Row], databases: str) -> None:
    """Let the server end every connection to some databases but this one."""
    beside.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname LIKE %s AND pid <> pg_backend_pid()",
        (databases,),
    ).fetchall()


# how a unit runs


@pytest.mark.parametrize(("how", "expected"), [("read", ("repeatable read", "on")), ("write", ("read committed", "off"))])
async def test_units_run_as_the_design_says(db: PostgresDatabase, how: str, expected: tuple[str, str]) -> None:
    about = Statement(
        "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'), "
        "current_setting('synchronous_commit'), current_setting('lock_timeout'), current_setting('statement_timeout')"
    )
    found = await getattr(db, how)(ANONYMOUS, lambda tx, actor: tx.one(about))
    assert found == (*expected, "on", "10s", "30s")


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
    pg: Engine, clock: ManualClock, beside: psycopg.Connection[Row], monkeypatch: pytest.MonkeyPatch
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


async def test_a_connection_lost_between_units_is_made_again(db: PostgresDatabase, beside: psycopg.Connection[Row]) -> None:
    await db.write(ANONYMOUS, put, "a")
    assert await db.read(ANONYMOUS, seen) == ["a"]
    end_connections(beside, "data_%")
    await db.write(ANONYMOUS, put, "b")
    assert await db.read(ANONYMOUS, seen) == ["a", "b"]
    assert db.trouble() is None


@pytest.mark.parametrize(("served_before", "runs_expected"), [(True, 2), (False, 1)])
async def test_a_unit_that_loses_its_connection_midway_has_done_nothing(
    db: PostgresDatabase, beside: psycopg.Connection[Row], served_before: bool, runs_expected: int
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
    db: PostgresDatabase, beside: psycopg.Connection[Row]
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


def waiting_in_commit(beside: psycopg.Connection[Row], pid: int) -> bool:
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
    db: PostgresDatabase, beside: psycopg.Connection[Row]
) -> None:
    clinic = await db.write(OPERATOR, people.add_clinic, "North", "North Street")
    end_connections(beside, "keys_%")
    clinician = await db.write(OPERATOR, people.add_clinician, clinic, "Cleo")
    assert [row.id for row in await db.read(OPERATOR, people.clinicians)] == [clinician]


async def test_keys_that_cannot_be_reached_are_the_storages_trouble(
    pg: Engine, db: PostgresDatabase, beside: psycopg.Connection[Row]
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


def test_the_vault_closes_its_keys(pg: Engine, beside: psycopg.Connection[Row]) -> None:
    vault = Vault(b"k" * 32, PostgresKeys(pg.options["keys_database"]))
    vault.close()
    until(lambda: beside.execute("SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'keys_%'").fetchone() == (0,))
