"""Units of work: what happens to data is a plain function ``verb(tx, actor, …)`` that runs whole on a database thread.

    await db.read(caller, verb, …)     one snapshot, read only
    await db.write(caller, verb, …)    durable before it returns

A unit may run twice (a group is re-run unit by unit when its transaction is lost), so a verb has no effect but through
``tx``. Knows neither slices nor HTTP; the engines are ``sqlite.py`` and ``postgres.py``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from .actors import Actor, Caller
from .errors import Refusal
from .sql import Statement
from .vault import Vault

P = ParamSpec("P")
R = TypeVar("R")

Row = tuple[Any, ...]
Value = int | str | bytes | None
Verb = Callable[Concatenate["Tx", Actor, P], R | Refusal]
Reaction = Callable[["Tx", Any], None]
Reactions = Mapping[type, Sequence[Reaction]]
Resolve = Callable[["Tx", Caller], Actor]


class Tx(ABC):
    """One unit of work. ``now`` is the one instant of the unit; nobody reads a clock otherwise."""

    __slots__ = ("_after", "_owed", "_reactions", "now", "vault")

    def __init__(self, now: datetime, vault: Vault, reactions: Reactions) -> None:
        self.now = now
        self.vault = vault
        self._reactions = reactions
        self._owed: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._after: list[Callable[[], None]] = []

    @abstractmethod
    def one(self, statement: Statement, **named: Value) -> Row | None:
        """The first row, or None."""

    @abstractmethod
    def all(self, statement: Statement, **named: Value) -> list[Row]:
        """Every row."""

    @abstractmethod
    def run(self, statement: Statement, **named: Value) -> int:
        """Run a change; the number of rows it touched."""

    @abstractmethod
    def nested(self) -> AbstractContextManager[None]:
        """A savepoint: what an exception inside leaves is undone, and the exception goes on."""

    def emit(self, event: object) -> None:
        """Tell what happened; the functions that ``reactions.py`` lists for it follow inside this unit."""
        for reaction in self._reactions.get(type(event), ()):
            reaction(self, event)

    def owe(self, verb: Callable[Concatenate["Tx", Actor, P], R], *args: P.args, **kwargs: P.kwargs) -> None:
        """A write that must be on disk before this read is answered (a disclosure); same caller, a unit of its own."""
        if kwargs:
            raise TypeError("an owed verb takes positional arguments")
        self._owed.append((verb, args))

    def after_commit(self, then: Callable[[], None]) -> None:
        """Call ``then`` on the event loop once the unit is on disk."""
        self._after.append(then)


class Database(ABC):
    """The shell around units of work, the same for both engines."""

    vault: Vault

    @abstractmethod
    async def read(
        self,
        caller: Caller,
        verb: Callable[Concatenate[Tx, Actor, P], R | Refusal],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a verb on one snapshot; what it owes is written before this returns."""

    @abstractmethod
    async def write(
        self,
        caller: Caller,
        verb: Callable[Concatenate[Tx, Actor, P], R | Refusal],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a verb; when this returns, what it did is on disk.

        Raises:
            Problem: what the verb refused; ``busy`` or ``storage-unavailable`` when nothing was done.
        """

    @abstractmethod
    async def checkpoint(self) -> None:
        """Fold the log of writes into the database file where the engine has one."""

    @abstractmethod
    def trouble(self) -> str | None:
        """Why writes fail at present, or None."""

    @abstractmethod
    async def close(self) -> None:
        """Refuse new work, finish what waits, close."""
