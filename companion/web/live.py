"""Open streams of server-sent events: hints that something changed, and the end of whoever may look no more.

A ring in this process is told at once. Changes of other processes, a revoked token and an ended consent are found by
looking: one read for all open streams every ``LOOK`` seconds. Knows no slice: what to look at is given to it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID
from weakref import WeakSet

from ..core.actors import Caller
from ..core.bell import Bell
from ..core.errors import Problem

LOOK = 0.5
HEARTBEAT = 15.0
PER_CALLER = 16
_GATHER = 0.01


class News(Protocol):
    """The newest change of a patient's that a caller may see."""

    @property
    def newest(self) -> int: ...


Look = Callable[[Sequence[tuple[Caller, str, int]]], Awaitable[Sequence[News | None]]]
"""One read for many (caller, patient as asked, newest change known): None for a caller who may look no more."""


class _Watch:
    """One open stream. ``newest`` is the one hint that waits; a newer one takes its place."""

    __slots__ = ("__weakref__", "asked", "caller", "ended", "newest", "patient", "rung", "told")

    def __init__(self, caller: Caller, asked: str, patient: UUID, newest: int, told: int) -> None:
        self.caller = caller
        self.asked = asked
        self.patient = patient
        self.newest = newest
        self.told = told
        self.ended = False
        self.rung = asyncio.Event()
        if newest != told:
            self.rung.set()

    def learn(self, news: News | None) -> None:
        """What a look has found."""
        if news is None:
            self.ended = True
        elif news.newest == self.newest:
            return
        else:
            self.newest = news.newest
        self.rung.set()


class Live:
    """All open streams of this process."""

    def __init__(self, look: Look, bell: "Bell[[UUID]]", failed: Callable[[BaseException], None]) -> None:
        """``look`` is the one read, ``failed`` is told of one that failed in a way nobody foresaw."""
        self._look = look
        self._failed = failed
        self._bell = bell
        self._watches: WeakSet[_Watch] = WeakSet()  # one whose caller went away before it began is nobody's
        self._changed: set[UUID] = set()
        self._woken = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    def watch(self, caller: Caller, asked: str, patient: UUID, newest: int, told: int) -> AsyncIterator[bytes]:
        """The events of a new stream, beginning with ``newest`` if that is not what was ``told`` before.

        Raises:
            Problem: ``rate-limited`` when the caller has too many open.
        """
        if sum(one.caller == caller for one in self._watches) >= PER_CALLER:
            raise Problem("rate-limited", "Too many open streams", headers=(("Retry-After", "10"),))
        one = _Watch(caller, asked, patient, newest, told)
        one.ended = self._closed
        self._watches.add(one)
        return self._events(one)

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        self._woken.set()
        for one in self._watches:
            one.ended = True
            one.rung.set()

    async def _events(self, one: _Watch) -> AsyncIterator[bytes]:
        if self._looking is None or self._looking.done():
            self._bell.listen(self._ring)
            self._looking = asyncio.get_running_loop().create_task(self._run())
        try:
            yield b"retry: 2000\n: open\n\n"
            while not one.ended:
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        await one.rung.wait()
                except TimeoutError:
                    yield b": still open\n\n"
                    continue
                one.rung.clear()
                if not one.ended and one.newest != one.told:
                    one.told = one.newest
                    yield b'id: %d\nevent: changed\ndata: {"seq":%d}\n\n' % (one.told, one.told)
        finally:
            self._watches.discard(one)

    def _ring(self, patient: UUID) -> None:
        self._changed.add(patient)
        self._woken.set()

    async def _run(self) -> None:
        """Looks, while a stream is open: at those that rang at once, at all every ``LOOK`` seconds."""
        loop = asyncio.get_running_loop()
        whole = loop.time() + LOOK
        try:
            while self._watches and not self._closed:
                try:
                    async with asyncio.timeout_at(whole):
                        await self._woken.wait()
                        await asyncio.sleep(_GATHER)
                except TimeoutError:
                    pass
                changed, self._changed = self._changed, set()
                self._woken.clear()
                watches = [one for one in self._watches if not one.ended]
                if loop.time() >= whole:
                    whole = loop.time() + LOOK
                else:
                    watches = [one for one in watches if one.patient in changed]
                await self._learn(watches)
        finally:
            self._bell.leave(self._ring)

    async def _learn(self, watches: Sequence[_Watch]) -> None:
        if not watches:
            return
        try:
            found = await self._look([(one.caller, one.asked, one.newest) for one in watches])
        except Problem:  # busy, or the storage is away: nobody is told what nobody could look up
            return
        except Exception as error:  # noqa: BLE001 - one look that fails must not end the looking for everybody
            self._failed(error)
            return
        for one, news in zip(watches, found, strict=True):
            one.learn(news)
