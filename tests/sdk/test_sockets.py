"""What goes wrong on real sockets: slow, silent, broken and missing services, on a loopback port."""

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2
import pytest

from companion_sdk import AsyncCompanion, Companion, ConnectionFailed, InvalidResponse, TimedOut

TOKEN = "cmp_fake_token_of_ana"

Talk = Callable[[socket.socket], None]


@contextmanager
def listening(talk: Talk) -> Iterator[str]:
    """A server of one thread that does ``talk`` with everyone who connects; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(65536)
                        talk(connection)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def silent(connection: socket.socket) -> None:
    connection.recv(1)


def dripping(connection: socket.socket) -> None:
    """One byte of a long body every 50 ms: no single read is ever late."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    for _ in range(200):
        connection.sendall(b" ")
        time.sleep(0.05)


def answering(body: bytes, *headers: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        head = b"\r\n".join([b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), b"connection: close", *headers])
        connection.sendall(head + b"\r\n\r\n" + body)

    return talk


@pytest.mark.parametrize(("talk", "longest"), [(silent, 1.5), (dripping, 1.5)])
def test_a_slow_service_is_left_at_the_deadline(talk, longest):
    with listening(talk) as address, Companion(address, timeout=0.3, deadline=0.8) as client:
        began = time.monotonic()
        with pytest.raises(TimedOut):
            client.me.get()
        assert time.monotonic() - began < longest


@pytest.mark.parametrize("talk", [silent, dripping])
async def test_a_slow_service_is_left_at_the_deadline_without_blocking(talk):
    with listening(talk) as address:
        async with AsyncCompanion(address, timeout=5, deadline=0.5) as client:
            began = time.monotonic()
            with pytest.raises(TimedOut):
                await client.me.get()
            assert time.monotonic() - began < 1.5


async def test_a_cancelled_call_ends_at_once():
    with listening(silent) as address:
        async with AsyncCompanion(address) as client:
            task = asyncio.ensure_future(client.me.get())
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


def test_a_service_that_is_not_there_is_a_failed_connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with Companion(f"http://127.0.0.1:{port}", retries=0) as client, pytest.raises(ConnectionFailed) as caught:
        client.me.get()
    assert isinstance(caught.value.__cause__, httpx2.ConnectError)


def test_an_answer_cut_short_is_a_failed_connection():
    def cut(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")

    with listening(cut) as address, Companion(address, retries=0) as client, pytest.raises(ConnectionFailed):
        client.me.get()


def test_a_compressed_answer_is_read_and_a_broken_one_is_told():
    body = b'{"status":"ok","checks":{}}'
    with listening(answering(gzip.compress(body), b"content-encoding: gzip")) as address, Companion(address) as client:
        assert client.health.live().status == "ok"
    with (
        listening(answering(body, b"content-encoding: gzip")) as address,
        Companion(address, retries=0) as client,
        pytest.raises(InvalidResponse),
    ):
        client.health.live()


def test_a_token_never_takes_the_proxy_of_the_environment_on_plain_http(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with listening(answering(b'{"status":"ok","checks":{}}')) as address, Companion(address, TOKEN) as client:
        assert client.health.live().status == "ok"
