"""Running verbs as the operator, beside a running service: the database is opened, asked and closed."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Concatenate, ParamSpec, TypeVar

from .. import storage
from ..core.actors import Actor, Operator
from ..core.clock import SystemClock
from ..core.db import Database, Tx
from ..core.errors import Refusal
from ..core.sqlite import SqliteTx
from ..core.sqlite_file import open_file
from ..core.vault import Vault, read_master
from ..people.service import resolve
from ..settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

OPERATOR = Operator("cli")


def write(
    settings: Settings, verb: Callable[Concatenate[Tx, Actor, P], R | Refusal], /, *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run a verb that changes something; on disk when this returns."""

    async def once() -> R:
        async with _opened(settings) as db:
            return await db.write(OPERATOR, verb, *args, **kwargs)

    return asyncio.run(once())


def read(settings: Settings, verb: Callable[[Tx, Actor], R | Refusal]) -> R:
    """Run a verb that only looks."""

    async def once() -> R:
        async with _opened(settings) as db:
            return await db.read(OPERATOR, verb)

    return asyncio.run(once())


def run(settings: Settings, work: Callable[[Database], Awaitable[R]]) -> R:
    """Do what takes more than one unit."""

    async def once() -> R:
        async with _opened(settings) as db:
            return await work(db)

    return asyncio.run(once())


def look(settings: Settings, verb: Callable[[Tx, Actor], R]) -> R:
    """As ``read``, on a SQLite file without opening it for writing: a backup or a suspect file stays byte for byte."""
    path = settings.sqlite_path
    if path is None:
        return read(settings, verb)
    vault = open_vault(settings)
    try:
        connection = open_file(path, write=False)
        try:
            connection.execute("BEGIN")
            tx = SqliteTx(connection, SystemClock().now(), vault, {})
            return verb(tx, resolve(tx, OPERATOR))
        finally:
            connection.close()
    finally:
        vault.close()


def open_vault(settings: Settings) -> Vault:
    """The vault of a service that has one.

    Raises:
        StartUpError: if the key file or the keys are missing, or do not belong together.
    """
    if settings.sqlite_path is not None:
        return storage.open_vault(settings, fresh=False)
    from ..core.postgres_keys import PostgresKeys

    keys = PostgresKeys(settings.keys_database)
    try:
        return Vault(read_master(settings.key_path, fresh=False), keys)
    except BaseException:
        keys.close()
        raise


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[Database, None]:
    db = await storage.open_database(settings, SystemClock())
    try:
        yield db
    finally:
        await db.close()
