"""What no HTTP client would send: by raw socket, each with the server alive after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import StringIO
from typing import Any
from uuid import uuid4

from support.cast import Cast, monday
from support.stage import stage
from web.table import rows


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def rest(self, seconds: float = 5) -> bytes:
        """Everything until the server closes."""
        found = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(seconds):
                while chunk := await self.reader.read(65_536):
                    found += chunk
        return found

    async def drip(self, data: bytes, pause: float, seconds: float) -> bool:
        """Send the same again and again; whether the server had enough of it in time."""
        with suppress(ConnectionError):
            async with asyncio.timeout(seconds + 10):
                for _ in range(int(seconds / pause)):
                    self.send(data)
                    await self.writer.drain()
                    await asyncio.sleep(pause)
                    if self.reader.at_eof() or self.writer.transport.is_closing():
                        return True
                return False
        return True

    async def head(self, seconds: float = 5) -> bytes:
        """One answer's status line and headers."""
        async with asyncio.timeout(seconds):
            return await self.reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def line(cast: Cast) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", cast.running.port, limit=2**22)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def talk(cast: Cast, data: bytes, seconds: float = 5) -> bytes:
    async with line(cast) as one:
        one.send(data)
        return await one.rest(seconds)


def request(cast: Cast, *headers: str, method: str = "PUT", path: str = "", body: bytes = b"") -> bytes:
    """A signed-in request with these headers besides, which asks to close."""
    where = path or f"/v1/patients/me/logs/{uuid4()}"
    lines = [f"{method} {where} HTTP/1.1", "Host: x", "Connection: close", f"Authorization: Bearer {cast.ana.token}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def entry() -> bytes:
    return b'{"at":"2026-03-02T12:00:00Z","zone":"UTC","body":{"kind":"note","text":"x"}}'


JSON = "Content-Type: application/json"


async def test_what_is_no_http_is_400_and_stores_nothing(cast: Cast) -> None:
    before = await rows(cast)
    body = entry()
    length = f"Content-Length: {len(body)}"
    smuggled = request(cast, JSON, length, body=body)
    for name, data in {
        "both lengths": request(cast, JSON, length, "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + smuggled),
        "chunked then length": request(cast, JSON, "Transfer-Encoding: chunked", length, body=b"0\r\n\r\n" + smuggled),
        "two lengths": request(cast, JSON, length, "Content-Length: 0", body=body),
        "negative length": request(cast, JSON, "Content-Length: -1", body=body),
        "length of letters": request(cast, JSON, "Content-Length: abc", body=body),
        "length past 64 bits": request(cast, JSON, "Content-Length: 99999999999999999999999", body=body),
        "coding of none": request(cast, JSON, "Transfer-Encoding: x", body=body),
        "chunk of letters": request(cast, JSON, "Transfer-Encoding: chunked", body=b"xyz\r\n" + body),
        "negative chunk": request(cast, JSON, "Transfer-Encoding: chunked", body=b"-5\r\n" + body),
        "bad method": request(cast, method="G\x01T"),
        "lower-case method": request(cast, method="get"),
        "unheard method": request(cast, method="FROBNICATE"),
        "space before colon": request(cast, "X-A : 1"),
        "no version": b"GET /v1/me\r\n\r\n",
        "version 9": b"GET /v1/me HTTP/9.9\r\nHost: x\r\n\r\n",
        "NUL in a header": request(cast, "X-A: a\x00b"),
        "NUL in the path": request(cast, path="/v1/\x00"),
        "line feed only": b"\n\n\n\x16\x03\x01\x02\x00\x01",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200,
    }.items():
        answer = await talk(cast, data)
        assert status(answer) in (400, 405, 413) or (name, status(answer)) == ("no version", 401), (name, answer[:200])
        assert answer.count(b"HTTP/1.1 ") == 1, (name, "a second request was read out of the first")
        assert (await cast.ana.get("/v1/me")).status_code == 200, name
    assert await rows(cast) == before


async def test_a_body_cut_short_stores_nothing_and_is_no_failure(start: Any) -> None:
    """Half-closed and hung up: before the body, in the middle of it, and in a chunk."""
    log = StringIO()
    async with stage(start, log=log, body_timeout=0.5) as cast:
        before = await rows(cast)
        body = entry()
        length = f"Content-Length: {len(body)}"
        for half in (
            request(cast, JSON, length),
            request(cast, JSON, length, body=body[:10]),
            request(cast, JSON, "Transfer-Encoding: chunked", body=b"40\r\n" + body[:10]),
            request(cast, JSON, length)[:40],
        ):
            async with line(cast) as one:
                one.send(half)
                one.writer.write_eof()
                await one.rest()
            async with line(cast) as one:
                one.send(half)
                await one.writer.drain()
        async with line(cast) as one:  # hung up before the answer is there
            one.send(request(cast, JSON, length, body=body, path=f"/v1/patients/{uuid4()}/logs/{uuid4()}"))
        await asyncio.sleep(0.1)
        assert await rows(cast) == before
        assert (await cast.ana.get("/v1/me")).status_code == 200
        cast.running.lines.flush()
        assert "status=500" not in log.getvalue()
        assert "failure" not in log.getvalue()
        assert " error " not in log.getvalue()


async def test_slow_headers_are_closed_in_time(start: Any) -> None:
    async with stage(start, header_timeout=0.3, body_timeout=60) as cast:
        for first in (b"", b"GET", b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX-A: "):
            async with line(cast) as one:
                one.send(first)
                answer = await one.rest(3)
                assert status(answer) in (0, 408), first
        async with line(cast) as one:  # a byte at a time does not buy time
            assert await one.drip(b"G", 0.02, 2)
        assert (await cast.ana.get("/v1/me")).status_code == 200


async def test_a_slow_body_is_closed_in_time(start: Any) -> None:
    async with stage(start, header_timeout=60, body_timeout=0.3) as cast:
        before = await rows(cast)
        for headers in ((JSON, "Content-Length: 5000"), (JSON, "Transfer-Encoding: chunked")):
            async with line(cast) as one:
                one.send(request(cast, *headers))
                assert status(await one.rest(3)) == 408
            async with line(cast) as one:
                one.send(request(cast, *headers))
                assert await one.drip(b"1\r\n{\r\n" if "chunked" in headers[1] else b"{", 0.02, 2)
        assert await rows(cast) == before
        assert (await cast.ana.get("/v1/me")).status_code == 200


async def test_a_body_that_never_ends_is_dropped_in_time(start: Any) -> None:
    """413 at once; who goes on sending is cut off when the time of a body is over."""
    async with stage(start, body_timeout=0.5) as cast:
        async with line(cast) as one:
            one.send(request(cast, JSON, "Transfer-Encoding: chunked").replace(b"Connection: close\r\n", b""))
            chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
            one.send(chunk * 2)
            assert status(await one.head()) == 413
            assert await one.drip(chunk, 0.01, 5)
        assert (await cast.ana.get("/v1/me")).status_code == 200


async def test_after_a_refused_body_the_connection_serves_on(cast: Cast) -> None:
    """The next request on it is read as a request, whatever the body before it held."""
    smuggled = request(cast, method="GET", path="/v1/me")
    big = smuggled + b" " * (200_000 - len(smuggled))
    plain = request(cast, JSON, f"Content-Length: {len(big)}", body=big).replace(b"Connection: close\r\n", b"", 1)
    async with line(cast) as one:
        one.send(plain)
        one.send(request(cast, method="GET", path="/v1/patients/me/logs"))
        answer = await one.rest()
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"413", b"200"]
    assert answer.endswith(b'{"items":[],"next":null}')


async def test_huge_headers_are_431(cast: Cast) -> None:
    for name, headers in {
        "one of 2 MB": ["X-A: " + "a" * 2_000_000],
        "5,000": [f"X-{number}: 1" for number in range(5_000)],
        "40 KB in many": [f"X-{number}: {'a' * 1000}" for number in range(40)],
        "a token of 100 KB": ["Authorization: Bearer " + "a" * 100_000],
    }.items():
        answer = await talk(cast, request(cast, *headers, method="GET", path="/v1/me"))
        assert status(answer) in (431, 0), (name, answer[:100])
        assert (await cast.ana.get("/v1/me")).status_code == 200, name
    answer = await talk(
        cast, request(cast, *[f"X-{number}: {'a' * 200}" for number in range(80)], method="GET", path="/v1/me")
    )
    assert status(answer) == 200, "what a browser may send is let through"


async def test_a_very_long_url_is_refused(cast: Cast) -> None:
    for path in ("/v1/" + "a" * 2_000_000, "/v1/patients/me/logs?cursor=" + "a" * 2_000_000, "/v1/" + "/" * 60_000):
        answer = await talk(cast, request(cast, method="GET", path=path))
        assert status(answer) in (400, 404, 414, 431, 0), answer[:100]
        assert b"aaaa" not in answer
    for path in ("/v1/" + "a" * 8_000, "/v1/patients/me/logs?kind=" + "a" * 8_000):
        answer = await talk(cast, request(cast, method="GET", path=path))
        assert status(answer) in (400, 404), answer[:100]
        assert b"aaaa" not in answer


async def test_odd_but_good_requests_are_answered(cast: Cast) -> None:
    body = entry()
    chunks = b"".join(b"1;x=y\r\n" + bytes([letter]) + b"\r\n" for letter in body) + b"0\r\nX-Trailer: 1\r\n\r\n"
    answer = await talk(cast, request(cast, JSON, "Transfer-Encoding: chunked", body=chunks))
    assert status(answer) == 201, "a letter a chunk"
    plain = request(cast, JSON, f"Content-Length: {len(body)}", body=body)
    async with line(cast) as one:
        for letter in plain:
            one.send(bytes([letter]))
            await one.writer.drain()
        assert status(await one.rest()) == 201, "a letter a packet"
    answer = await talk(cast, request(cast, "Expect: 100-continue", JSON, f"Content-Length: {len(body)}", body=body))
    assert b" 201 " in answer
    answer = await talk(cast, request(cast, "Upgrade: websocket", "Connection: Upgrade", method="GET", path="/v1/me"))
    assert status(answer) in (200, 400)
    answer = await talk(cast, request(cast, method="GET", path="http://elsewhere.example/v1/me"))
    assert status(answer) in (200, 400, 404)
    version = request(cast, method="GET", path="/v1/me").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert status(await talk(cast, version)) == 200


async def test_a_hundred_held_connections_leave_room_for_others(start: Any) -> None:
    async with stage(start, header_timeout=5) as cast:
        held = [await asyncio.open_connection("127.0.0.1", cast.running.port) for _ in range(100)]
        for _, writer in held:
            writer.write(b"GET /v1/me HTTP/1.1\r\nX-A: ")
        await cast.ana.mood(monday())
        assert (await cast.ana.get("/v1/patients/me/logs")).status_code == 200
        for _, writer in held:
            writer.close()
