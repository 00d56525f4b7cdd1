"""Units of work: what happens to data is a plain function ``verb(tx, actor, …)`` that runs whole on a database thread.

    await db.read(caller, verb, …)     one snapshot, read only
    await db.write(caller, verb, …)    durable before it returns

A unit may run twice (a group is re-run unit by unit when its transaction is lost), so a verb has no effect but through
``tx``. Knows neither slices nor HTTP; the engines are ``sqlite.py`` and ``postgres.py``.
"""

import asyncio
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
        """A write that must be on disk before this is answered (a disclosure), by the same caller.

        After a read it is a unit of its own; in a unit that writes it is the end of that unit.
        """
        if kwargs:
            raise TypeError("an owed verb takes positional arguments")
        self._owed.append((verb, args))

    def after_commit(self, then: Callable[[], None]) -> None:
        """Call ``then`` on the event loop once the unit is on disk."""
        self._after.append(then)


class Unit:
    """One waiting call: what to run, for whom, and what came of it. Settled on the event loop, filled on a thread."""

    __slots__ = ("after", "answer", "call", "caller", "error", "waiter")

    def __init__(self, caller: Caller, call: Callable[[Tx, Actor], Any], waiter: "asyncio.Future[Any]") -> None:
        self.caller = caller
        self.call = call
        self.waiter = waiter
        self.answer: Any = None
        self.error: BaseException | None = None
        self.after: list[Callable[[], None]] = []

    def settle(self) -> None:
        """Do what follows a commit and tell the waiter; a refusal that was kept is raised there."""
        if self.error is None:
            for then in self.after:
                self.waiter.get_loop().call_soon(then)  # before the waiter wakes; what it raises harms nobody else
        if self.waiter.done():
            return
        if self.error is not None:
            self.waiter.set_exception(self.error)
        elif isinstance(self.answer, Refusal):
            self.waiter.set_exception(self.answer.problem)
        else:
            self.waiter.set_result(self.answer)


def _untold(trouble: str | None) -> None:
    """Nobody asked to be told."""


class Database(ABC):
    """The shell around units of work, the same for both engines."""

    vault: Vault
    on_trouble: Callable[[str | None], None] = staticmethod(_untold)
    """Told, on any thread, when writes begin to fail, why, and (None) when they work again."""

    async def read(
        self,
        caller: Caller,
        verb: Callable[Concatenate[Tx, Actor, P], R | Refusal],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a verb on one snapshot; what it owes is written before this returns."""

        def whole(tx: Tx, actor: Actor) -> tuple[R | Refusal, list[tuple[Callable[..., Any], tuple[Any, ...]]]]:
            return verb(tx, actor, *args, **kwargs), tx._owed  # pyright: ignore[reportPrivateUsage]

        answer, owed = await self._look(caller, whole)
        for owed_verb, owed_args in owed:
            await self.write(caller, owed_verb, *owed_args)
        if isinstance(answer, Refusal):
            raise answer.problem
        return answer

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

        def whole(tx: Tx, actor: Actor) -> R | Refusal:
            answer = verb(tx, actor, *args, **kwargs)
            for owed_verb, owed_args in tx._owed:  # pyright: ignore[reportPrivateUsage]
                owed_verb(tx, actor, *owed_args)
            return answer

        unit = Unit(caller, whole, asyncio.get_running_loop().create_future())
        self._enqueue(unit)
        return await unit.waiter

    @abstractmethod
    async def _look(self, caller: Caller, call: Callable[[Tx, Actor], R]) -> R:
        """Run ``call`` on one snapshot that cannot write."""

    @abstractmethod
    def _enqueue(self, unit: Unit) -> None:
        """Let a write wait for its turn.

        Raises:
            Busy: when too many wait or the database is closing.
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
