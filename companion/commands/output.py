"""What a command prints: text for a person or one JSON document with ``--json``; errors as one clear line."""

import os
import sqlite3
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import click


def show(as_json: bool, record: Any, text: str) -> None:
    """Print the record as JSON, or the text."""
    if as_json:
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(record, order="deterministic"), indent=2).decode()
    click.echo(text)


def table(as_json: bool, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows: as ``{"items": […]}``, or a line a row with tabs between, none where there is none."""
    if as_json or rows:
        show(as_json, {"items": rows}, "\n".join("\t".join(str(value) for value in row.values()) for row in rows))


@contextmanager
def waiting(what: str) -> Generator[None, None, None]:
    """Tell a person at a terminal what takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{what} …"):
        yield


def failed(text: str, arguments: Sequence[str]) -> int:
    """Say what went wrong in one line: on stderr, and with ``--json`` as a document on stdout; the exit code."""
    text = " ".join(text.split())
    if "--json" in arguments or os.environ.get("COMPANION_JSON"):
        show(True, {"error": text}, text)
    click.echo(f"companion: {text}", err=True)
    return 1


def expected() -> tuple[type[BaseException], ...]:
    """What a command may end with that is no bug of ours."""
    from ..core.errors import Problem, StartUpError
    from ..core.vault import KeyMissing, SealBroken

    return Problem, StartUpError, SealBroken, KeyMissing, sqlite3.DatabaseError


def words(error: BaseException) -> str:
    """An expected error as a line that says what to do."""
    from ..core.errors import Invalid, NotFound
    from ..core.vault import KeyMissing, SealBroken

    if isinstance(error, NotFound):
        return "there is nobody and nothing with this id; see the list commands"
    if isinstance(error, Invalid):
        return "; ".join(f"{pointer.removeprefix('/') or 'the request'}: {code}" for pointer, code in error.errors)
    if isinstance(error, SealBroken | KeyMissing):
        return f"{error}; run companion verify"
    if isinstance(error, sqlite3.DatabaseError):
        return f"the database cannot be read ({error}): run companion verify, or restore a backup"
    return getattr(error, "detail", None) or str(error)
