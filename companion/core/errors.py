"""How things go wrong, as words of the contract.

    Problem                  a refusal or failure with a word of companion_sdk.wire.WORDS
    ├── Invalid              400, with pointers and codes
    ├── Unauthenticated      401
    ├── NotFound             404, also for what the caller may not see
    ├── Busy                 503, a full queue or a lock that did not come free
    └── StorageUnavailable   503, the disk or the database failed; nothing was acknowledged

A verb that must refuse *and* keep what it wrote returns ``Refusal(problem)``; the unit commits, then the problem is raised.
"""

import sqlite3
from collections.abc import Sequence

from companion_sdk.wire import WORDS


class Problem(Exception):
    """One refusal: ``word`` gives status and title; ``detail`` is a constant sentence, never a value a caller sent.

    ``current`` is the stored representation that a 412 carries to whoever may read it.
    """

    def __init__(
        self,
        word: str,
        detail: str = "",
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Sequence[tuple[str, str]] = (),
        current: object = None,
    ) -> None:
        super().__init__(word, detail)
        self.word = word
        self.status, self.title = WORDS[word]
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.headers = tuple(headers)
        self.current = current


class Invalid(Problem):
    """The request breaks a rule; each error is a (pointer, code) pair."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__("invalid-request", errors=errors)


class Unauthenticated(Problem):
    """No valid token came with the request."""

    def __init__(self) -> None:
        super().__init__("unauthenticated", headers=(("WWW-Authenticate", "Bearer"),))


class NotFound(Problem):
    """It does not exist, or the caller may not know that it does."""

    def __init__(self) -> None:
        super().__init__("not-found")


class Busy(Problem):
    """More work waits than can be taken; nothing was done."""

    def __init__(self) -> None:
        super().__init__("busy", headers=(("Retry-After", "1"),))


class StorageUnavailable(Problem):
    """The disk or the database refused; nothing was acknowledged."""

    def __init__(self) -> None:
        super().__init__("storage-unavailable", headers=(("Retry-After", "5"),))


class Refusal:
    """Returned by a verb that refuses but keeps what it wrote."""

    __slots__ = ("problem",)

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


_STORAGE = ("FULL", "IOERR", "READONLY", "CANTOPEN", "CORRUPT", "NOTADB", "NOMEM", "PERM", "AUTH", "NOLFS", "PROTOCOL")
_BUSY = ("BUSY", "LOCKED", "INTERRUPT")


def from_sqlite(error: sqlite3.Error) -> Problem | None:
    """The problem of a SQLite failure that is the disk's or a lock's; None for what is a bug of ours."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(tuple(f"SQLITE_{word}" for word in _BUSY)):
        return Busy()
    if name.startswith(tuple(f"SQLITE_{word}" for word in _STORAGE)):
        return StorageUnavailable()
    return None


_OURS = ("0", "1", "2", "3", "42", "44", "54", "55", "HV", "P0")
_POSTGRES: dict[str, type[Busy] | type[StorageUnavailable] | None] = {
    **dict.fromkeys(_OURS),  # a statement, a value or a constraint of ours
    "08": StorageUnavailable,  # the connection
    "25006": StorageUnavailable,  # a server that only reads
    "25P03": StorageUnavailable,  # idle too long: the server ended the connection
    "25P04": Busy,  # transaction_timeout
    "28": StorageUnavailable,  # the password or the role was changed
    "3D": StorageUnavailable,  # the database was dropped
    "40": Busy,  # deadlock, serialization
    "40002": None,
    "40003": StorageUnavailable,  # whether it committed is unknown
    "42501": StorageUnavailable,  # a privilege was taken away
    "53": StorageUnavailable,  # disk full, out of memory, too many connections
    "55006": Busy,
    "55P03": Busy,  # lock_timeout
    "57": StorageUnavailable,  # shut down, crashed, starting
    "57014": Busy,  # statement_timeout
    "58": StorageUnavailable,  # input/output
    "72": Busy,  # snapshot too old
    "F0": StorageUnavailable,  # a file of the server's configuration
    "XX": StorageUnavailable,  # corruption, internal
}
"""Which SQLSTATE is whose; the longest beginning counts (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""


def from_postgres(error: Exception) -> Problem | None:
    """The problem of a PostgreSQL failure that is the server's or a lock's; None for what is a bug of ours.

    A ``psycopg`` error without SQLSTATE comes from the client: an operational one is a connection that could not be made or
    was lost. Names instead of types, because the package is optional.
    """
    state = getattr(error, "sqlstate", None)
    if not state:
        return StorageUnavailable() if "OperationalError" in [kind.__name__ for kind in type(error).__mro__] else None
    for length in (5, 2, 1):
        if state[:length] in _POSTGRES:
            problem = _POSTGRES[state[:length]]
            return None if problem is None else problem()
    return StorageUnavailable()


class StartUpError(Exception):
    """The service refuses to start; the text says what is wrong and the fix."""


UNREADABLE: tuple[type[Exception], ...] = (sqlite3.Error,)
"""What reading a damaged file raises; PostgreSQL checks its own pages and is not walked row by row."""
