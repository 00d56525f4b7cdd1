"""What must hold of every diary file at every moment, in one statement; and its bytes, to see that it was not touched."""

import sqlite3
from hashlib import sha256
from pathlib import Path

_BROKEN = """
WITH device AS (SELECT json_extract(CAST(value AS TEXT), '$.last_n') AS last_n FROM meta WHERE name = 'device'),
place AS (SELECT json_extract(CAST(value AS TEXT), '$.generation') AS whole,
    json_extract(CAST(value AS TEXT), '$.walk.generation') AS walking FROM meta WHERE name = 'place')
SELECT 'a number is above the last' WHERE EXISTS (SELECT 1 FROM outbox, device WHERE n > last_n)
UNION ALL SELECT 'numbers have a hole' WHERE (
    SELECT count(*) <> max(n) - min(n) + 1 OR max(n) <> (SELECT last_n FROM device) FROM outbox WHERE n > 0)
UNION ALL SELECT 'what is not held has no number' WHERE EXISTS (SELECT 1 FROM outbox WHERE n IS NULL AND held_for IS NULL)
UNION ALL SELECT 'what is held has a number' WHERE EXISTS (SELECT 1 FROM outbox WHERE n > 0 AND held_for IS NOT NULL)
UNION ALL SELECT 'words that were refused wait in the outbox too' WHERE EXISTS (
    SELECT 1 FROM outbox JOIN attention ON outbox.id = attention.id)
UNION ALL SELECT 'a tombstone has content, or an entry has none' WHERE EXISTS (
    SELECT 1 FROM entries WHERE deleted <> (log IS NULL))
UNION ALL SELECT 'an entry is of a generation to come' WHERE EXISTS (
    SELECT 1 FROM entries, place WHERE generation > coalesce(walking, whole))
UNION ALL SELECT 'an entry was left behind by a walk' WHERE EXISTS (
    SELECT 1 FROM entries, place WHERE walking IS NULL AND generation < whole)
"""


def check(path: Path) -> None:
    """Fail with what is broken in a file that is not sealed; of a sealed one only that SQLite finds it whole."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if b"\x01" in connection.execute("SELECT substr(value, 1, 1) FROM meta WHERE name = 'device'").fetchone():
            return
        assert connection.execute(_BROKEN).fetchall() == []
    finally:
        connection.close()


def fingerprint(path: Path) -> str:
    """The bytes of a file."""
    return sha256(path.read_bytes()).hexdigest()
