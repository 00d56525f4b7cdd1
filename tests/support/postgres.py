"""What the tests of the PostgreSQL engine share."""

from typing import Any

import psycopg

from companion import settings, storage
from companion.core.clock import Clock
from companion.core.postgres import PostgresDatabase

from .engines import Engine


async def open_on(pg: Engine, clock: Clock, **options: Any) -> PostgresDatabase:
    opened = await storage.open_database(settings.read({}, **{**pg.options, **options}), clock)
    assert isinstance(opened, PostgresDatabase)
    return opened


def end_connections(beside: psycopg.Connection, databases: str) -> None:
    """Let the server end every connection to some databases but this one."""
    beside.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname LIKE %s AND pid <> pg_backend_pid()",
        (databases,),
    ).fetchall()
