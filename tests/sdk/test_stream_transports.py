"""Streams over TLS and over transports of one's own, and what is logged of a stream."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator

import httpx2
import pytest
from support.station import (
    KIND,
    PLACES,
    Station,
    certified,
    changed,
    mute,
    on_air,
    playing,
    refusing,
    soon,
    take,
    take_async,
    waiting,
)

import companion_sdk
from companion_sdk import AsyncCompanion, Companion

TOKEN = "cmp_fake_token_of_ana"
TIME = 5.0
pytestmark = pytest.mark.usefixtures("quick_hints")


class Tap(httpx2.SyncByteStream):
    """A body that is silent until it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield changed(4)
        self.closed.wait(TIME)

    def close(self) -> None:
        self.closed.set()


class AsyncTap(httpx2.AsyncByteStream):
    """The same for asyncio."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def __aiter__(self):
        yield changed(4)
        await self.closed.wait()

    async def aclose(self) -> None:
        self.closed.set()


def test_a_stream_over_a_transport_without_sockets():
    tap = Tap()
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=KIND, stream=tap))
    with Companion("https://companion.example", TOKEN, transport=transport) as client, soon():
        walk = iter(client.sync.stream())
        assert next(walk).seq == 4
        threading.Timer(0.1, client.close).start()
        assert list(walk) == []
        assert tap.closed.is_set()


async def test_an_async_stream_over_a_transport_without_sockets():
    tap = AsyncTap()
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=KIND, stream=tap))
    async with AsyncCompanion("https://companion.example", TOKEN, transport=transport) as client:
        with soon():
            assert await take_async(client.sync.stream(), 1) == [4]
            await asyncio.wait_for(tap.closed.wait(), 1)


@pytest.mark.parametrize("reused", [False, True])
def test_a_stream_over_a_transport_with_sockets_ends_as_fast(reused):
    def well_then_open(station: Station, connection: socket.socket) -> None:
        body = b'{"status":"ok","checks":{}}'
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        connection.recv(65536)
        playing(changed(3))(station, connection)

    with on_air(well_then_open if reused else playing(changed(3))) as station:
        with Companion(station.address, TOKEN, transport=httpx2.HTTPTransport()) as client, soon():
            if reused:
                client.health.live()
            walk = iter(client.sync.stream())
            assert next(walk).seq == 3
            threading.Timer(0.1, client.close).start()
            assert list(walk) == []
            assert station.gone.acquire(timeout=1)
        assert len(station.seen) == 1


@pytest.mark.parametrize("place", ["in the handshake", *(place for place in PLACES if "after a refusal" not in place)])
def test_a_stream_over_tls_ends_as_fast(place, tmp_path):
    server, trusting = certified(tmp_path)
    script = PLACES.get(place, mute)
    with on_air(script, tls=None if place == "in the handshake" else server) as station:
        address = station.address.replace("http:", "https:")
        with Companion(address, TOKEN, transport=httpx2.HTTPTransport(verify=trusting)) as client:
            hints = client.sync.stream()
            walker = threading.Thread(target=lambda: list(hints), daemon=True)
            walker.start()
            waiting(station)
            with soon():
                client.close()
                walker.join(TIME)
            assert list(hints) == []


# -- what is logged ----------------------------------------------------------------------------------------------------


def test_a_stream_is_logged_by_its_route_alone(caplog):
    caplog.set_level(logging.DEBUG)
    patient, last, newest = "0192e4a0-dead-7000-8000-00000000beef", 86753098675309, 86753098675310
    with (
        on_air(playing(changed(newest), then="end"), refusing(503), refusing(404)) as station,
        Companion(station.address, TOKEN) as client,
        pytest.raises(companion_sdk.NotFound),
    ):
        take(client.sync.stream(last, patient), 2)
    mine = [record.getMessage() for record in caplog.records if record.name == "companion_sdk"]
    assert [line.split()[2] for line in mine] == ["200", "Ended", "503", "404"]
    assert all(line.startswith("GET /v1/patients/{patient}/sync/stream ") for line in mine)
    for record in caplog.records:
        told = f"{record.getMessage()} {record.__dict__}"
        assert not any(canary in told for canary in (str(last), str(newest), patient, TOKEN)), record.name


@pytest.mark.parametrize("client_class", [Companion, AsyncCompanion])
def test_hints_say_how_to_use_them_and_nothing_of_anyone(client_class):
    shown = repr(client_class("https://companion.example", TOKEN).sync.stream())
    assert "for hint in" in shown
    assert TOKEN not in shown
