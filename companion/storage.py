"""Opening what the service stands on: keys, vault and database, as the settings say."""

from importlib.util import find_spec
from pathlib import Path

from .core import sqlite
from .core.clock import Clock
from .core.db import Database
from .core.errors import StartUpError
from .core.keys import SqliteKeys
from .core.vault import Vault, read_master
from .logs.jobs import after_restore
from .people.service import resolve
from .reactions import REACTIONS
from .settings import Settings


async def open_database(settings: Settings, clock: Clock) -> Database:
    """The database of the settings, migrated (the embedded default) or refused when its schema is not the code's.

    A backup that was put back has told every device so when this returns.

    Raises:
        StartUpError: naming what is wrong and the fix.
        Problem: when a restored database cannot be written.
    """
    path = settings.sqlite_path
    db = _open_postgres(settings, clock) if path is None else await _open_sqlite(settings, path, clock)
    try:
        await after_restore(db)
    except BaseException:
        await db.close()
        raise
    return db


async def _open_sqlite(settings: Settings, path: Path, clock: Clock) -> Database:
    _check_folder(path)
    fresh = _is_new(path)
    vault = open_vault(settings, fresh=fresh)  # before the data: a first start that is cut short must be able to go on
    try:
        sqlite.migrate(path)
        return await sqlite.SqliteDatabase.open(path, vault, clock, resolve, REACTIONS)
    except BaseException:
        vault.close()
        raise


def migrate(settings: Settings) -> list[str]:
    """Bring the database to this code's schema; the names of the steps applied.

    Raises:
        StartUpError: naming what is wrong and the fix.
    """
    path = settings.sqlite_path
    if path is None:
        _need_psycopg()
        from .core import postgres_server

        return postgres_server.migrate(settings.database)
    _check_folder(path)
    fresh = _is_new(path)
    open_vault(settings, fresh=fresh).close()
    return sqlite.migrate(path)


def open_vault(settings: Settings, *, fresh: bool) -> Vault:
    """The vault beside a SQLite database. Only a service that has sealed nothing yet may make a new key file."""
    keys_path = settings.keys_path
    unsealed = fresh and not keys_path.exists()
    if not unsealed and not keys_path.exists():
        raise StartUpError(f"the keys database {keys_path.name} is missing: restore it; without it no entry opens")
    master = read_master(settings.key_path, fresh=unsealed)
    keys = SqliteKeys(keys_path)
    try:
        return Vault(master, keys)
    except BaseException:
        keys.close()
        raise


def _is_new(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _check_folder(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        path.absolute().parent.mkdir(parents=True, exist_ok=True)


# PostgreSQL: ``companion migrate`` makes the schema, a service only looks; the keys lie in another database


def _open_postgres(settings: Settings, clock: Clock) -> Database:
    _need_psycopg()
    from .core import postgres, postgres_server

    key_path = settings.key_path
    nobody = postgres_server.check(settings.database)
    vault = _open_postgres_vault(settings, key_path, nobody=nobody)
    return postgres.PostgresDatabase(settings.database, vault, clock, resolve, REACTIONS)


def _open_postgres_vault(settings: Settings, key_path: Path, *, nobody: bool) -> Vault:
    """The vault of a PostgreSQL service. Only one that has sealed nothing yet (``nobody``) may make a new key file."""
    from .core.postgres_keys import PostgresKeys

    url = settings.keys_database
    if not url.startswith("postgresql://"):
        raise StartUpError("COMPANION_KEYS_DATABASE must name another PostgreSQL database (postgresql://…) for the keys")
    keys = PostgresKeys(url)
    try:
        fresh = keys.empty()
        if fresh and not nobody:
            raise StartUpError("the keys database is empty although people stand in the data: restore it")
        return Vault(read_master(key_path, fresh=fresh), keys)
    except BaseException:
        keys.close()
        raise


def _need_psycopg() -> None:
    if find_spec("psycopg") is None:
        raise StartUpError("PostgreSQL needs one package more: pip install 'companion-iop[postgres]'")
