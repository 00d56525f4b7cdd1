"""Saving and putting back a PostgreSQL database by its own tools. Knows addresses and files, no settings and no tables."""

import os
import shutil
import subprocess
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from . import backup
from .errors import StartUpError


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
    _run("pg_restore", url, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(source))


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
