"""The fake service as an ``httpx2`` transport, for both kinds of client. Knows no rule of the service."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import httpx2

from ._exchange import Heard, Said, StreamEnded
from .clock import Clock

_LOOK = 0.25
"""Seconds between two looks at a stream that nobody rang: how soon time alone (a consent that ran out) ends it."""

_HEARTBEAT = 15.0
_BEAT = b": still open\n\n"

Ring = Callable[[], None]


class Carrier(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Carries requests to the fake service. One may serve any number of clients and outlives them all."""

    def __init__(self, hear: Callable[[Heard], Said], bell: "set[Ring]", clock: Clock) -> None:
        self.companion_clock: Clock = clock
        self._hear = hear
        self._bell = bell

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        return self._response(self._hear(_heard(request, request.read())), request.method)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request; others get their turn."""
        body = await request.aread()
        await asyncio.sleep(0)
        return self._response(self._hear(_heard(request, body)), request.method)

    def _response(self, said: Said, method: str) -> httpx2.Response:
        headers = [(name, value) for name, value in said.headers.items()]
        if said.stream is not None and method != "HEAD":
            return httpx2.Response(said.status, headers=headers, stream=_Stream(said.stream, self._bell))
        if method == "HEAD" or not said.body:
            return httpx2.Response(said.status, headers=headers, stream=httpx2.ByteStream(b""))
        return httpx2.Response(said.status, headers=headers, content=said.body)


def _heard(request: httpx2.Request, body: bytes) -> Heard:
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.headers.raw)
    return Heard(request.method, request.url.raw_path.decode("latin-1"), headers, body)


class _Stream(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Pieces as they come, and a heartbeat in the silence. An empty piece at each look is dropped by the client; a network
    in between notices by it that the stream still runs.
    """

    def __init__(self, piece: Callable[[], bytes | None], bell: "set[Ring]") -> None:
        self._piece = piece
        self._bell = bell
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        rung = threading.Event()
        self._bell.add(rung.set)
        try:
            silent = 0.0
            while (said := self._next(silent)) is not None:
                yield said
                if said:
                    silent = 0.0
                elif not rung.wait(_LOOK):
                    silent += _LOOK
                rung.clear()
        finally:
            self._bell.discard(rung.set)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rung, loop = asyncio.Event(), asyncio.get_running_loop()

        def ring() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(rung.set)

        self._bell.add(ring)
        try:
            silent = 0.0
            while (said := self._next(silent)) is not None:
                yield said
                if said:
                    silent = 0.0
                else:
                    try:
                        async with asyncio.timeout(_LOOK):
                            await rung.wait()
                    except TimeoutError:
                        silent += _LOOK
                rung.clear()
        finally:
            self._bell.discard(ring)

    def _next(self, silent: float) -> bytes | None:
        """The next piece, empty for nothing yet, None at the end."""
        if self._closed:
            return None
        try:
            said = self._piece()
        except StreamEnded:
            return None
        return said or (_BEAT if silent >= _HEARTBEAT else b"")

    def close(self) -> None:
        """Say no more."""
        self._closed = True
        for ring in tuple(self._bell):
            ring()

    async def aclose(self) -> None:
        """Say no more."""
        self.close()
