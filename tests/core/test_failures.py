"""Every failure that a database driver knows has a word: the disk's, a lock's, or a bug of ours."""

import inspect
import sqlite3
import sys
from collections import Counter

import psycopg
import pytest

from companion.core import errors
from companion.core.errors import Problem


def postgres_errors() -> list[type[psycopg.Error]]:
    found = [kind for _, kind in inspect.getmembers(psycopg.errors, inspect.isclass)]
    return [kind for kind in found if issubclass(kind, psycopg.Error)]


def word(problem: Problem | None) -> str:
    return "bug" if problem is None else problem.word


def test_every_class_of_sqlstate_is_decided() -> None:
    states = {state for kind in postgres_errors() if isinstance(state := getattr(kind, "sqlstate", None), str)}
    assert len(states) > 200
    undecided = {state for state in states if not {state, state[:2], state[:1]} & errors._POSTGRES.keys()}
    assert undecided == set()


POSTGRES_WORDS = {
    "storage-unavailable": """AdminShutdown CrashShutdown CannotConnectNow DatabaseDropped DiskFull OutOfMemory
        TooManyConnections IoError DataCorrupted IndexCorrupted ConnectionFailure ConnectionTimeout ReadOnlySqlTransaction
        InvalidPassword InsufficientPrivilege OperationalError StatementCompletionUnknown IdleInTransactionSessionTimeout
        InternalError_""",
    "busy": "DeadlockDetected SerializationFailure LockNotAvailable QueryCanceled TransactionTimeout",
    "bug": """UniqueViolation ForeignKeyViolation UndefinedTable SyntaxError NumericValueOutOfRange InFailedSqlTransaction
        ProgrammingError InterfaceError DataError InternalError NotSupportedError CardinalityViolation
        TransactionIntegrityConstraintViolation FeatureNotSupported""",
}


@pytest.mark.parametrize(("expected", "names"), POSTGRES_WORDS.items())
def test_failures_of_postgresql_have_their_word(expected: str, names: str) -> None:
    for name in names.split():
        assert word(errors.from_postgres(getattr(psycopg.errors, name)("it failed"))) == expected, name


def test_every_failure_of_postgresql_has_a_word() -> None:
    words = Counter(word(errors.from_postgres(kind("it failed"))) for kind in postgres_errors())
    assert words.keys() == {"storage-unavailable", "busy", "bug"}
    assert words["bug"] > 150


SQLITE_WORDS = {
    "storage-unavailable": "AUTH CANTOPEN CORRUPT FULL IOERR NOLFS NOMEM NOTADB PERM PROTOCOL READONLY",
    "busy": "BUSY INTERRUPT LOCKED",
    "bug": "ABORT CONSTRAINT EMPTY ERROR FORMAT INTERNAL MISMATCH MISUSE NOTFOUND NOTICE RANGE SCHEMA TOOBIG WARNING",
}
"""The primary result codes of https://www.sqlite.org/rescode.html but OK, ROW and DONE."""


def sqlite_codes() -> dict[str, int]:
    """Every result code this Python knows: 1 to 28 and what extends them (the low byte is the primary code)."""
    found = {
        name: code for name in dir(sqlite3) if name.startswith("SQLITE_") and isinstance(code := getattr(sqlite3, name), int)
    }
    primary = {name for names in SQLITE_WORDS.values() for name in names.split()}
    return {name: code for name, code in found.items() if name.split("_")[1] in primary and 1 <= code & 0xFF <= 28}


def test_every_failure_of_sqlite_has_a_word() -> None:
    decided = {name: expected for expected, names in SQLITE_WORDS.items() for name in names.split()}
    assert len(decided) == 28
    codes = sqlite_codes()
    assert len(codes) > 80
    for name in codes:
        error = sqlite3.OperationalError("it failed")
        error.sqlite_errorname = name
        assert word(errors.from_sqlite(error)) == decided[name.split("_")[1]], name
    assert errors.from_sqlite(sqlite3.ProgrammingError("closed")) is None


def test_psycopg_is_not_needed_to_name_a_problem() -> None:
    source = inspect.getsource(sys.modules["companion.core.errors"])
    assert "import psycopg" not in source
