"""A small database of notes for the tests of units of work."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.units import open_notes

from companion.core.sqlite import SqliteDatabase


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    found = await open_notes(tmp_path)
    yield found
    await found.close()
