"""Keeps a diary synced from two tasks, as ``keeping`` does from two threads."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from companion_sdk._call import State
from companion_sdk._clock import Clock
from companion_sdk.streams import AsyncHints
from companion_sdk.wire import Changed

from .pace import DEBOUNCE, IDLE, LOOK, Failed, Pace, needs_network, needs_sign_in, tell
from .shapes import SyncReport

T = TypeVar("T")


class AsyncWork:
    """What is to be kept going: ``sync`` does a piece, ``hints`` opens a stream, ``news`` says whether a hint is one."""

    def __init__(
        self,
        sync: Callable[[], Awaitable[SyncReport]],
        hints: Callable[[], AsyncHints[Changed]],
        news: Callable[[Changed], bool],
        state: State,
        clock: Clock,
    ) -> None:
        self.sync = sync
        self.hints = hints
        self.news = news
        self.state = state
        self.clock = clock


class AsyncKeeper:
    """The two tasks. ``last_error`` is what went wrong last, None after a sync that went well."""

    def __init__(self, work: AsyncWork) -> None:
        self._work = work
        self._pace = Pace(work.clock.random)
        self._wanted = asyncio.Event()
        self._back = asyncio.Event()
        self._asked = False
        self._hint: Changed | None = None
        self._lost = False
        self._hints: AsyncHints[Changed] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.last_error: Exception | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._tasks = [
            asyncio.create_task(self._keep(), name="companion-sync"),
            asyncio.create_task(self._listen(), name="companion-listen"),
        ]

    def wake(self) -> None:
        """Something happened that a sync should carry."""
        self._asked = True
        self._wanted.set()

    async def stop(self) -> None:
        """End both."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            self._asked, self._hint = False, None
            self._wanted.clear()
            self._back.clear()
            token = self._work.state.token
            failure, more = await self._try()
            if failure is None:
                self._pace.went_well()
                if not more:
                    await self._until_wanted()
            elif needs_sign_in(failure):
                await self._until_another(token)
            else:
                await self._lose(failure)
                await self._until_back(self._pace.after(failure))

    async def _until_wanted(self) -> None:
        """Wait for something to do. The hint of what this device sent may come before the sync that sent it has ended."""
        woken = True
        while woken:
            try:
                async with asyncio.timeout(IDLE):  # on 3.11 wait_for may swallow the cancellation that close sends
                    await self._wanted.wait()
            except TimeoutError:
                woken = False
            await asyncio.sleep(DEBOUNCE)
            self._wanted.clear()
            if self._asked or self._hint is None or self._work.news(self._hint):
                return

    async def _try(self) -> tuple[Exception | None, bool]:
        """One sync: what went wrong, and whether there is more to do at once."""
        report = await _attempt(self._work.sync)
        failure, more = (report.error, False) if isinstance(report, Failed) else (report.error, report.more)
        self.last_error = failure
        tell(failure)
        return failure, more

    async def _until_another(self, token: str | None) -> None:
        while self._work.state.token == token:  # noqa: ASYNC110 - a client tells nobody that it was given a token
            await asyncio.sleep(LOOK)

    async def _until_back(self, seconds: float) -> None:
        waits = [
            asyncio.ensure_future(self._work.clock.sleep_async(seconds)),
            asyncio.ensure_future(self._back.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _lose(self, failure: Exception) -> None:
        """Without a network the stream is opened anew, so that its first hint says that the network is back."""
        if needs_network(failure):
            self._lost = True
            if (hints := self._hints) is not None:
                await hints.close()

    async def _listen(self) -> None:
        pace = Pace(self._work.clock.random)
        while True:
            token = self._work.state.token
            ended = await _attempt(self._hear)
            if not isinstance(ended, Failed):
                pace.went_well()
                await asyncio.sleep(LOOK)
            elif needs_sign_in(ended.error):
                self.last_error = ended.error
                await self._until_another(token)
            else:
                await self._work.clock.sleep_async(pace.after(ended.error))

    async def _hear(self) -> None:
        """One stream to its end."""
        self._hints = hints = self._work.hints()
        async with hints:
            async for hint in hints:
                if self._lost:
                    self._lost = False
                    self._back.set()
                    self.wake()
                elif self._work.news(hint):
                    self._hint = hint
                    self._wanted.set()


async def _attempt(work: Callable[[], Awaitable[T]]) -> T | Failed:
    try:
        return await work()
    except Exception as error:  # noqa: BLE001 - a task's own end of the line: the app reads last_error
        return Failed(error)
