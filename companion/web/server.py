"""The HTTP server: uvicorn with httptools, and the limits it lacks.

``GuardedProtocol`` refuses headers past 32 KiB or 100 lines with 431, closes a connection whose headers do not arrive in
time, and one whose body does not (BAD_INPUT 27–28); ``limit_concurrency`` bounds connections.
"""

import asyncio
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from ..settings import Settings
    from .edge import Edge

HEADER_BYTES = 32 * 1024
HEADER_LINES = 100
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n"
    b"cache-control: no-store\r\n\r\n"
)
_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\ncache-control: no-store\r\n\r\n"


class GuardedProtocol(HttpToolsProtocol):
    """One connection, with deadlines and a bound on its headers."""

    header_timeout = 10.0
    body_timeout = 15.0
    _deadline: asyncio.TimerHandle | None = None
    _reading_headers = True
    _refused = False
    _header_size = 0
    _unparsed = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait(self.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self._reading_headers and self._unparsed > HEADER_BYTES:
            self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_size = 0
        self._unparsed = 0
        if self._deadline is None:
            self._wait(self.header_timeout)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._header_size += len(name) + len(value)

    def on_headers_complete(self) -> None:
        if self._header_size > HEADER_BYTES or len(self.headers) > HEADER_LINES:
            self._refuse(_TOO_LARGE)
            return
        self._reading_headers = False
        self._wait(self.body_timeout)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._stop()
        self._reading_headers = True
        self._header_size = 0
        self._unparsed = 0
        super().on_message_complete()

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._deadline = self.loop.call_later(seconds, self._expire)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        begun = self.cycle is not None and self.cycle.response_started  # pyright: ignore[reportUnnecessaryComparison]
        silent = begun or (self._reading_headers and not self._unparsed)
        self._refuse(b"" if silent else _TIMEOUT)

    def _refuse(self, answer: bytes) -> None:
        self._refused = True
        self._stop()
        if self.transport.is_closing():
            return
        if answer:
            self.transport.write(answer)
        self.transport.close()


def config(edge: "Edge", settings: "Settings") -> uvicorn.Config:
    """uvicorn's configuration: our protocol, no access log (the edge writes its own line), no word of a proxy believed."""
    protocol = type(
        "Protocol",
        (GuardedProtocol,),
        {"header_timeout": settings.header_timeout, "body_timeout": settings.body_timeout},
    )
    return uvicorn.Config(
        edge,  # pyright: ignore[reportArgumentType]
        host=settings.host,
        port=settings.port,
        http=protocol,
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        ws="none",
        limit_concurrency=settings.connections,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
        backlog=2048,
    )
