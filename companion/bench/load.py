"""A bounded load: some connections, each sending the next request when its answer is there. Plain sockets, so that the
generator costs less than what it measures.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

Make = Callable[[], bytes]


class Load(msgspec.Struct, frozen=True):
    """What one run saw: answers a second, statuses, latencies in milliseconds."""

    rate: float
    answers: int
    statuses: dict[int, int]
    p50: float
    p99: float


class _Connection(asyncio.Protocol):
    """One connection: sends a request, waits for its whole answer, sends the next until told to stop."""

    def __init__(self, make: Make, seen: "_Seen") -> None:
        self._make = make
        self._seen = seen
        self._buffer = b""
        self._wanted = -1
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if self._seen.is_over():
            self._transport.close()
            return
        self._buffer, self._wanted = b"", -1
        self._sent = time.perf_counter()
        self._transport.write(self._make())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._wanted < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._wanted = end + 4 + _length(self._buffer[:end])
        if len(self._buffer) >= self._wanted:
            self._seen.add(int(self._buffer[9:12]), time.perf_counter() - self._sent)
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _length(head: bytes) -> int:
    lower = head.lower()
    start = lower.find(b"content-length:")
    return 0 if start < 0 else int(lower[start + 15 :].split(b"\r\n", 1)[0])


class _Seen:
    def __init__(self, seconds: float) -> None:
        self._until = time.perf_counter() + seconds
        self.statuses: dict[int, int] = {}
        self.took: list[float] = []

    def is_over(self) -> bool:
        return time.perf_counter() >= self._until

    def add(self, status: int, took: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.took.append(took)


async def run(port: int, make: Make, seconds: float, connections: int = 64) -> Load:
    """Load ``127.0.0.1:port`` for some seconds."""
    seen = _Seen(seconds)
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: _Connection(make, seen), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    await asyncio.wait([one.done for one in made], timeout=seconds + 15)
    took = sorted(seen.took) or [0.0]
    return Load(
        rate=len(seen.took) / (time.perf_counter() - began),
        answers=len(seen.took),
        statuses=seen.statuses,
        p50=1000 * took[len(took) // 2],
        p99=1000 * took[int(len(took) * 0.99)],
    )


async def ask(port: int, sent: bytes) -> bytes:
    """One request alone; the body of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    head = await reader.readuntil(b"\r\n\r\n")
    answer = await reader.readexactly(_length(head))
    writer.close()
    return answer


def request(method: str, path: str, token: str = "", body: bytes = b"") -> bytes:
    """The bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body
