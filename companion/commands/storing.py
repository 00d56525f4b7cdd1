"""Schema, backup and restore from the command line. What a backup holds and what must be kept beside it is said here."""

from pathlib import Path

import click

from .. import storage
from ..core import backup as files
from ..core import beats, migrations
from ..core.clock import SystemClock, micros
from ..core.errors import Problem, StartUpError
from ..core.keys import SCHEMA
from ..settings import Settings
from . import operating, options, output

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@options.as_json
@options.takes(*options.STORAGE)
def migrate(settings: Settings, as_json: bool) -> None:
    """Bring the database to this version's schema; makes it where there is none."""
    applied = storage.migrate(settings)
    output.show(as_json, {"applied": applied}, "\n".join(applied) or "the schema is up to date")


@click.command()
@click.argument("file", type=FILE)
@click.option("--keys", "keys_file", type=FILE, help="Save the keys too, after the data, into this file.")
@options.as_json
@options.takes(*options.STORAGE)
def backup(settings: Settings, file: Path, keys_file: Path | None, as_json: bool) -> None:
    """Save the data into FILE, whole and consistent while the service runs. Nothing is ever overwritten."""
    options.existing(settings)
    files.refuse_existing(file, *(() if keys_file is None else (keys_file,)))
    if keys_file is not None and keys_file.absolute() == file.absolute():
        raise StartUpError(
            "the keys need a file of their own: whoever holds both files and the key file can read everything"
        )
    with output.waiting("saving the data"):
        saved = {"data": {"file": file, "bytes": _save_data(settings, file)}}
        notes = _remember(settings, "backup")
        if keys_file is not None:
            saved["keys"] = {"file": keys_file, "bytes": _save_keys(settings, keys_file)}
            notes += _remember(settings, "backup-keys")
    keep = _keep(settings, keys_file)
    lines = [f"saved {what}: {one['file']} ({one['bytes']:,} bytes)" for what, one in saved.items()]
    also = [f"  - {one['what']}: {one['where']} ({one['why']})" for one in keep]
    record = {what: {"file": str(one["file"]), "bytes": one["bytes"]} for what, one in saved.items()}
    output.show(as_json, {**record, "keep": keep}, "\n".join([*lines, *notes, "To restore, these must be kept too:", *also]))


def _remember(settings: Settings, name: str) -> list[str]:
    """Write down when it was done, for doctor; a database of an older schema is saved all the same and left as it is."""
    try:
        if settings.sqlite_path is not None:
            options.current(settings.sqlite_path)
        operating.write(settings, beats.beat, name)
    except (Problem, StartUpError) as error:
        return [f"when this {name} was made is not kept for companion doctor: {output.words(error)}"]
    return []


def _save_data(settings: Settings, file: Path) -> int:
    path = settings.sqlite_path
    if path is not None:
        return files.save(path, file, "data", len(migrations.read()))
    from ..core import postgres_backup

    return postgres_backup.save(settings.database, file)


def _save_keys(settings: Settings, file: Path) -> int:
    if settings.sqlite_path is not None:
        return files.save(settings.keys_path, file, "keys", SCHEMA)
    from ..core import postgres_backup

    return postgres_backup.save(settings.keys_database, file)


def _keep(settings: Settings, keys_file: Path | None) -> list[dict[str, str]]:
    """What a restore needs beside the data, where it is, and why it is apart."""
    keys = {
        "what": "the keys",
        "where": str(keys_file) if keys_file else "not saved: run companion backup FILE --keys FILE",
        "why": "apart from the data, at most 30 days, so that an erased person's entries stay closed",
    }
    master = {
        "what": "the key file",
        "where": str(settings.key_path.absolute()),
        "why": "never in a backup: copy it once to a safe place",
    }
    return [keys, master]


@click.command()
@click.argument("file", type=FILE)
@click.option("--keys", "keys_file", type=FILE, help="The keys saved by backup --keys.")
@options.as_json
@options.takes(*options.STORAGE)
def restore(settings: Settings, file: Path, keys_file: Path | None, as_json: bool) -> None:
    """Put the backup FILE where the settings say the database lies. Nothing is ever overwritten.

    The first start on it tells every phone that the service was put back; nothing else needs to be done for that.
    """
    now = micros(SystemClock().now())
    with output.waiting("restoring"):
        if settings.sqlite_path is None:
            placed = _restore_postgres(settings, file, keys_file, now)
        else:
            placed = _restore_files(settings.sqlite_path, settings.keys_path, file, keys_file, now)
    missing: list[str] = []
    if not settings.key_path.exists():
        missing.append(f"put the key file at {settings.key_path} (chmod 600)")
    if keys_file is None:
        missing.append("the keys were not restored: without those of this data nothing opens")
    following = [*missing, "run companion verify, then companion serve"]
    text = "\n".join([*(f"restored {what}: {where}" for what, where in placed.items()), *following])
    output.show(as_json, {"restored": placed, "next": following}, text)


def _restore_files(data: Path, keys: Path, file: Path, keys_file: Path | None, now: int) -> dict[str, str]:
    """Everything is checked before anything is written; the keys come first, for data without keys would not start."""
    files.refuse_existing(data, *(() if keys_file is None else (keys,)))
    files.check(file, "data", len(migrations.read()))
    if keys_file is not None:
        files.check(keys_file, "keys", SCHEMA)
        files.put(keys_file, keys)
    try:
        files.put(file, data, lambda draft: files.restored(draft, now))
    except BaseException:
        if keys_file is not None:
            keys.unlink(missing_ok=True)
        raise
    placed = {"data": str(data)}
    return placed if keys_file is None else {**placed, "keys": str(keys)}


def _restore_postgres(settings: Settings, file: Path, keys_file: Path | None, now: int) -> dict[str, str]:
    from ..core import postgres_backup, postgres_server

    wanted = {"data": (file, settings.database, "schema_version")}
    if keys_file is not None:
        wanted["keys"] = (keys_file, settings.keys_database, "wrapped_keys")
    for sort, (source, url, table) in wanted.items():
        postgres_backup.check(source, sort)
        with postgres_server.opened(url) as connection:
            found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
        if found is not None and found[0]:
            raise StartUpError(
                f"the database {postgres_server.name_of(url)} is not empty and is left as it is: name an empty one"
            )
    if keys_file is not None:
        postgres_backup.put(keys_file, settings.keys_database)
    postgres_backup.put_data(file, settings.database, now)
    return {sort: postgres_server.name_of(url) for sort, (_, url, _) in wanted.items()}
