"""Watches every unit on PostgreSQL: what belongs to a patient's order of changes is read and written under the feed's lock.

SQLite has one writer, so a forgotten lock shows on PostgreSQL only, and there as a lost update once in a thousand.
"""

import re
from typing import Any

import pytest

from companion.core.postgres import PostgresTx
from companion.core.sql import Statement

ORDERED = frozenset({"consents", "disclosures", "logs", "plans", "pushes"})
"""Tables whose rows follow from those before them."""

_TABLES = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN) (?!SET\b)(\w+)")
_OUTSIDE = re.compile(r"UPDATE plans SET extend_at = ")
"""Changes of a column that stands outside the order: when the service next works on a row, by its revision."""

_LOCK = re.compile(r"\bFROM feeds\b.*\bFOR UPDATE\b")


class Unlocked(AssertionError):
    """A unit wrote what it, or nobody, had read under the patient's lock."""


class Watch:
    """What one unit has done so far."""

    def __init__(self) -> None:
        self.locked = False
        self.read_before: set[str] = set()

    def see(self, text: str) -> None:
        """One statement."""
        if _LOCK.search(text):
            self.locked = True
            return
        tables = ORDERED & set(_TABLES.findall(text))
        if text.startswith(("SELECT", "WITH")):
            self.read_before |= set() if self.locked else tables
        elif tables and not _OUTSIDE.match(text) and (not self.locked or tables & self.read_before):
            why = "after a read that was not under it" if self.locked else "without it"
            raise Unlocked(f"written {why}: {text}")


def watch(patch: pytest.MonkeyPatch) -> None:
    """From here on every unit is watched."""
    watches: dict[int, tuple[Any, Watch]] = {}
    execute = PostgresTx._execute  # pyright: ignore[reportPrivateUsage]
    begin = PostgresTx.__init__

    def first(self: PostgresTx, *common: Any) -> None:
        begin(self, *common)
        watches[id(self._cursor)] = (self, Watch())  # pyright: ignore[reportPrivateUsage]

    def seen(self: PostgresTx, text: str, named: Any = None) -> Any:
        watches[id(self._cursor)][1].see(text)  # pyright: ignore[reportPrivateUsage]
        return execute(self, text, named)

    patch.setattr(PostgresTx, "__init__", first)
    patch.setattr(PostgresTx, "_execute", seen)


def statement(text: str) -> str:
    """A statement as PostgreSQL gets it."""
    return Statement(text).postgres
