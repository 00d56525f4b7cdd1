"""PostgreSQL's schema and the keys in another database: who makes what, and what a service refuses to start on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support import engines
from support.cast import OPERATOR
from support.clocks import ManualClock
from support.engines import Engine
from support.postgres import end_connections, open_on

from companion import settings, storage
from companion.core import migrations, postgres_server
from companion.core.errors import StartUpError
from companion.core.migrations import Migration
from companion.core.postgres_keys import PostgresKeys
from companion.people import service as people


@pytest.fixture
def bare(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database without a schema."""
    server = engines.server_of(request)
    server.run("CREATE DATABASE bare TEMPLATE empty")
    yield server.url("bare")
    server.run("DROP DATABASE bare WITH (FORCE)")


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


def test_keys_outlive_their_connection(pg: Engine, beside: psycopg.Connection) -> None:
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
