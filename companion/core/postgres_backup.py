"""Saving and putting back a PostgreSQL database by its own tools. Knows addresses and files, and no settings."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from . import backup
from .beats import RESTORED
from .errors import StartUpError
from .postgres_server import opened

_VERSION = " TABLE DATA public schema_version "
_MARK = (
    b"INSERT INTO beats (name, at) SELECT %s, greatest(%s, 1000000 * (1 + coalesce(max(epoch), 0))) FROM feeds "
    b"ON CONFLICT (name) DO UPDATE SET at = excluded.at"
)


def save(url: str, target: Path) -> int:
    """Save one database into a new file of mode 0600, read back and on disk when this returns; its size in bytes.

    Raises:
        StartUpError: if the target exists or cannot be written, pg_dump is missing or fails.
    """
    backup.refuse_existing(target)

    def dump(draft: Path) -> None:
        _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={draft}")
        _contents(draft)

    try:
        backup.place(dump, target)
    except OSError as error:
        raise StartUpError(f"{target} cannot be written: {error}") from error
    return target.stat().st_size


def check(path: Path, sort: str) -> None:
    """Refuse a file that is no dump of the ``sort``.

    Raises:
        StartUpError: saying what it is.
    """
    if not path.is_file():
        raise StartUpError(f"there is no file {path}")
    table = {"data": "feeds", "keys": "wrapped_keys"}[sort]
    if f" TABLE DATA public {table} " not in _contents(path):
        raise StartUpError(f"{path} is not a backup of the {sort}: it has no table {table}")


def put(source: Path, url: str) -> None:
    """Put a checked dump into an empty database, in one transaction."""
    _restore(source, url)


def put_data(source: Path, url: str, now: int) -> None:
    """As ``put`` for the data, with the mark that it was put back at ``now`` (microseconds, see ``beats.RESTORED``).

    1. Everything but the number of its schema: no service opens such a database.
    2. The mark, later than any epoch in it, in seconds, so that a clock that was set back makes no old epoch new.
    3. The number. Cut short before this, the restore has come to nothing and wants an empty database again.
    """
    with tempfile.TemporaryDirectory(prefix="companion-restore-") as folder:
        rest, last = Path(folder) / "rest", Path(folder) / "last"
        lines = _contents(source).splitlines(keepends=True)
        rest.write_text("".join(line for line in lines if _VERSION not in line))
        last.write_text("".join(line for line in lines if _VERSION in line))
        _restore(source, url, f"--use-list={rest}")
        with opened(url) as connection:
            connection.execute(_MARK, (RESTORED, now))
        _restore(source, url, f"--use-list={last}")


def _restore(source: Path, url: str, *more: str) -> None:
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    _run("pg_restore", url, *options, *more, str(source))


def _contents(path: Path) -> str:
    return _call("pg_restore", ["--list", str(path)], {})


def _run(tool: str, url: str, *arguments: str) -> None:
    """Run a tool on a database; the password goes by the environment, where other users cannot read it."""
    given = conninfo_to_dict(url)
    password = given.pop("password", None)
    secret = {} if password is None else {"PGPASSWORD": str(password)}
    _call(tool, [f"--dbname={make_conninfo('', **given)}", *arguments], secret)


def _call(tool: str, arguments: list[str], secret: dict[str, str]) -> str:
    program = shutil.which(tool)
    if program is None:
        raise StartUpError(f"{tool} is not on the PATH: install PostgreSQL's client programs of the server's version")
    done = subprocess.run(  # noqa: S603 - a fixed program, its arguments ours
        [program, *arguments], env={**os.environ, **secret}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = "; ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        raise StartUpError(f"{tool} failed: {said or done.returncode}")
    return done.stdout
