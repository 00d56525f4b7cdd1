"""Opening what the service stands on: keys, vault and database, as the settings say."""

from pathlib import Path

from .core import migrations, sqlite
from .core.clock import Clock
from .core.db import Database
from .core.errors import StartUpError
from .core.keys import SqliteKeys
from .core.vault import Vault, read_master
from .people.service import resolve
from .reactions import REACTIONS
from .settings import Settings


async def open_database(settings: Settings, clock: Clock, *, migrate: bool = True) -> Database:
    """The database of the settings, migrated (the embedded default) or refused when its schema is not the code's.

    Raises:
        StartUpError: naming what is wrong and the fix.
    """
    path = settings.sqlite_path
    if path is None:
        from .core import postgres

        return await postgres.open_database(settings, clock, resolve, REACTIONS)
    known = migrations.read()
    _check_folder(path)
    fresh = not path.exists() or path.stat().st_size == 0
    if migrate or fresh:
        sqlite.migrate(path, known)
    vault = open_vault(settings, fresh=fresh)
    return await sqlite.SqliteDatabase.open(path, vault, clock, resolve, REACTIONS)


def open_vault(settings: Settings, *, fresh: bool) -> Vault:
    """The vault beside a SQLite database. Only a service that has sealed nothing yet may make a new key file."""
    keys_path = settings.keys_path
    unsealed = fresh and not keys_path.exists()
    if not unsealed and not keys_path.exists():
        raise StartUpError(f"the keys database {keys_path.name} is missing: restore it; without it no entry opens")
    master = read_master(settings.key_path, fresh=unsealed)
    return Vault(master, SqliteKeys(keys_path))


def _check_folder(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
