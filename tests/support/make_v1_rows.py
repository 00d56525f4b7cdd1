"""The rows of ``tests/data/v1`` as text, to be put into any engine: how a database of version 1 on PostgreSQL is made again.

Run once, from the root of the tree, as ``python tests/support/make_v1_rows.py``; what it wrote stays as it is, like the
database it was made from. A row is bound by its columns and not by its engine, so the same rows under the same keys are what
the service of version 1 would have written there. Bytes are hexadecimal after an ``x``, texts stand after a ``t``.
"""

import gzip
import json
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "data" / "v1-rows.json.gz"

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psycopg  # noqa: E402

from companion.core import migrations, postgres_keys, postgres_server  # noqa: E402
from support import make_v1  # noqa: E402


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"x{value.hex()}"
    return f"t{value}" if isinstance(value, str) else value


def _value(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    return bytes.fromhex(text[1:]) if text[0] == "x" else text[1:]


def _rows(path: Path, table: str) -> dict[str, Any]:
    connection = sqlite3.connect(path)
    found = connection.execute(f"SELECT * FROM {table}")
    columns = [column[0] for column in found.description]
    rows = [[_text(value) for value in row] for row in found]
    connection.close()
    return {"columns": columns, "rows": sorted(rows, key=str)}


def _tables(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall()
    connection.close()
    return sorted(name for (name,) in names)


def keep(folder: Path) -> None:
    """Write down the rows of a service's SQLite files that lie in a folder."""
    data, keys = folder / "companion.db", folder / "companion.db-keys.db"
    content = {"data": {name: _rows(data, name) for name in _tables(data)}, "keys": _rows(keys, "keys")}
    FILE.write_bytes(gzip.compress(json.dumps(content, indent=0).encode(), mtime=0))


def load(data: str, keys: str) -> None:
    """Make the database of version 1 in two empty ones on PostgreSQL: the first schema and the rows."""
    content = json.loads(gzip.decompress(FILE.read_bytes()))
    postgres_server.migrate(data, migrations.read()[:1])
    with psycopg.connect(data) as connection:
        connection.execute("SET session_replication_role = replica")  # in the order of names, whatever refers to what
        for name, table in content["data"].items():
            _insert(connection, name, table)
    postgres_keys.PostgresKeys(keys).close()
    with psycopg.connect(keys) as connection:
        _insert(connection, "wrapped_keys", content["keys"])


def _insert(connection: "psycopg.Connection", name: str, table: dict[str, Any]) -> None:
    marks = ", ".join("%s" for _ in table["columns"])
    text = f"INSERT INTO {name} ({', '.join(table['columns'])}) VALUES ({marks})"
    for row in table["rows"]:
        connection.execute(text.encode(), [_value(one) for one in row])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        make_v1.unpack(Path(made))
        keep(Path(made))
