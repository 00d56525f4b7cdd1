"""The files ``migrations/NNNN_words.sql``: read here, applied by the engines, each in one transaction.

A database whose number is higher than the newest file is refused by name and left untouched.
"""

import re
from pathlib import Path

import msgspec

from .errors import StartUpError

FOLDER = Path(__file__).parent.parent / "migrations"
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema: its statements, still with their macros."""

    number: int
    name: str
    statements: tuple[str, ...]


def read(folder: Path = FOLDER) -> list[Migration]:
    """Every migration, in order; the numbers run without a gap from 1."""
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise StartUpError(f"{path.name} is not named NNNN_words.sql")
        lines = (line for line in path.read_text().splitlines() if not line.startswith("--"))
        statements = tuple(part.strip() for part in "\n".join(lines).split(";") if part.strip())
        found.append(Migration(int(match[1]), match[2], statements))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise StartUpError("the migrations are not numbered 0001, 0002, … without a gap")
    return found


def pending(current: int, name: str, known: list[Migration]) -> list[Migration]:
    """What is still to apply to a database at version ``current``.

    Raises:
        StartUpError: if the database is newer than this code.
    """
    if current > len(known):
        raise StartUpError(
            f"the database {name} has schema version {current}, this code knows {len(known)}: upgrade Companion; "
            "nothing was changed"
        )
    return known[current:]
