"""A small database of notes for the tests of units of work."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from support import engines
from support.engines import Engine
from support.units import open_notes

from companion.core.sqlite import SqliteDatabase


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    found = await open_notes(tmp_path)
    yield found
    await found.close()


@pytest.fixture
def pg(tmp_path: Path, request: pytest.FixtureRequest) -> Engine:
    return engines.postgres(tmp_path, request)


@pytest.fixture
def beside(pg: Engine) -> Iterator[psycopg.Connection]:
    """Somebody else's connection to the data."""
    with psycopg.connect(pg.options["database"], autocommit=True) as connection:
        yield connection
