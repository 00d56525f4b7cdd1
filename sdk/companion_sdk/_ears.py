"""Who listens to a stream: a thread for the sync client, a task for the async one. Knows httpx2 by its responses alone.

The listener lives from the first step of a loop to its end and keeps one hint for whoever walks: the newest.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from ._clock import Clock

T = TypeVar("T")

_MOMENT = 1.0


class Cut:
    """How another thread is ended while it waits for the network: its sockets are shut down under it."""

    def __init__(self) -> None:
        self.made = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._close: Callable[[], None] | None = None

    def trace(self, name: str, told: dict[str, Any]) -> None:
        """The HTTP client's own report of what it does: a new connection is held."""
        if name.endswith(("connect_tcp.complete", "connect_unix_socket.complete")):
            self.hold(told["return_value"])

    def hold(self, stream: Any, close: Callable[[], None] | None = None) -> None:
        """Hold on to the socket below ``stream``; where there is none, ``close`` is what ends a wait for it.

        The socket is duplicated: TLS takes the first one over, and a number that was closed may be another's. A
        connection that a transport of the user's uses again is seen only when its answer begins.
        """
        found = None if stream is None else stream.get_extra_info("socket")
        with self._lock:
            if isinstance(found, socket.socket):
                self._sockets.append(socket.fromfd(found.fileno(), found.family, found.type))
            elif not self._sockets:
                self._close = close
            if self.made.is_set():
                self._end()

    def make(self) -> None:
        """End it now."""
        with self._lock:
            self.made.set()
            self._end()

    def release(self) -> None:
        """The connection is over."""
        with self._lock:
            for held in self._sockets:
                held.close()
            self._sockets.clear()
            self._close = None

    def _end(self) -> None:
        for held in self._sockets:
            try:
                held.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        if self._close is not None:
            self._close()


class SyncEar(Generic[T]):
    """The listener of a sync stream. ``connect`` keeps one connection: it hands hints over as they come, and answers
    how many seconds to wait before the next one.
    """

    def __init__(self, connect: Callable[[Cut, Callable[[T], None]], float], clock: Clock) -> None:
        self._connect = connect
        self._clock = clock
        self._news = threading.Condition()
        self._hint: T | None = None
        self._error: BaseException | None = None
        self._closed = False
        self._cut: Cut | None = None
        self._thread: threading.Thread | None = None

    def next(self) -> T | None:
        """The next hint, or None when closed. Raises what ended the stream."""
        with self._news:
            while not self._closed:
                if self._hint is not None:
                    hint, self._hint = self._hint, None
                    return hint
                if self._error is not None:
                    error, self._error, self._cut = self._error, None, None
                    raise error
                if self._cut is None:
                    self._begin()
                self._news.wait()
        return None

    def rest(self) -> None:
        """End the connection; the next loop makes another."""
        with self._news:
            thread, cut = self._thread, self._cut
            self._cut = self._error = None
            self._news.notify_all()
        if cut is not None:
            cut.make()
        if thread is not None:
            thread.join(_MOMENT)

    def close(self) -> None:
        """End the connection and every loop."""
        with self._news:
            self._closed = True
        self.rest()

    def _begin(self) -> None:
        self._cut = cut = Cut()
        self._thread = threading.Thread(target=self._listen, args=(cut,), name="companion-hints", daemon=True)
        self._thread.start()

    def _listen(self, cut: Cut) -> None:
        try:
            while not cut.made.is_set():
                wait = self._connect(cut, lambda hint: self._tell(cut, hint=hint))
                self._clock.wait(cut.made, wait)
        except BaseException as error:  # noqa: BLE001 - whoever walks must see it, or would wait for ever
            self._tell(cut, error=error)

    def _tell(self, cut: Cut, hint: T | None = None, error: BaseException | None = None) -> None:
        with self._news:
            if self._cut is cut:
                self._hint = self._hint if hint is None else hint
                self._error = error
                self._news.notify_all()


class AsyncEar(Generic[T]):
    """The listener of an async stream; ``connect`` as in ``SyncEar``."""

    def __init__(self, connect: Callable[[Callable[[T], None]], Awaitable[float]], clock: Clock) -> None:
        self._connect = connect
        self._clock = clock
        self._news = asyncio.Event()
        self._hint: T | None = None
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    async def next(self) -> T | None:
        """The next hint, or None when closed. Raises what ended the stream."""
        while not self._closed:
            if self._hint is not None:
                hint, self._hint = self._hint, None
                return hint
            if self._task is None:
                self._task = asyncio.create_task(self._listen(), name="companion-hints")
                self._task.add_done_callback(lambda _: self._news.set())
            if self._task.done():
                task, self._task = self._task, None
                task.result()
                continue
            self._news.clear()
            await self._news.wait()
        return None

    async def rest(self) -> None:
        """End the connection; the next loop makes another."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()

    async def close(self) -> None:
        """End the connection and every loop."""
        self._closed = True
        self._news.set()
        await self.rest()

    async def _listen(self) -> None:
        while True:
            await self._clock.sleep_async(await self._connect(self._tell))
            await asyncio.sleep(0)  # in a test neither may have waited for anything: let whoever walks walk

    def _tell(self, hint: T) -> None:
        self._hint = hint
        self._news.set()
