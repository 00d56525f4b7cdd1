"""Hints over connections that break, fall silent and are refused, and how a loop over them ends; on real sockets."""

import asyncio
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from support.station import HEAD, PLACES, Station, changed, mute, on_air, playing, refusing, soon, take, take_async, waiting

import companion_sdk
from companion_sdk import AsyncCompanion, Companion
from companion_sdk._ears import Cut

TOKEN = "cmp_fake_token_of_ana"
TIME = 5.0
pytestmark = pytest.mark.usefixtures("quick_hints")

CONNECTIONS = (playing(changed(3), then="end"), refusing(503), playing(changed(5), then="end"), playing(changed(9)))


def places(station: Station) -> list[str | None]:
    """The ``Last-Event-ID`` of every request."""
    headers = [dict(line.split(": ", 1) for line in seen.split("\r\n")[1:] if line) for seen in station.seen]
    return [told.get("Last-Event-ID") for told in headers]


def test_a_loop_goes_on_over_broken_connections_from_where_it_was():
    with on_air(*CONNECTIONS) as station, Companion(station.address, TOKEN) as client:
        with client.sync.stream() as hints:
            assert take(hints, 3) == [3, 5, 9]
        assert places(station) == [None, "3", "3", "5"]
        assert station.gone.acquire(timeout=TIME), "the connection is closed with the loop"


async def test_a_loop_goes_on_over_broken_connections_without_blocking():
    with on_air(*CONNECTIONS) as station:
        async with AsyncCompanion(station.address, TOKEN) as client:
            async with client.sync.stream(2) as hints:
                assert await take_async(hints, 3) == [3, 5, 9]
            assert places(station) == ["2", "3", "3", "5"]
            assert await asyncio.to_thread(station.gone.acquire, timeout=TIME)


def test_nothing_is_sent_before_the_first_step():
    with on_air(playing()) as station, Companion(station.address, TOKEN) as client:
        client.sync.stream().close()
        with client.sync.stream():
            pass
        assert station.seen == []


def test_a_loop_that_is_left_closes_its_connection_and_a_new_one_goes_on():
    with on_air(playing(changed(3)), playing(changed(4))) as station, Companion(station.address, TOKEN) as client:
        hints = client.sync.stream()
        assert take(hints, 1) == [3]
        assert station.gone.acquire(timeout=TIME)
        assert take(hints, 1) == [4]
        assert places(station) == [None, "3"]


async def test_a_loop_that_is_left_closes_its_connection_without_blocking():
    with on_air(playing(changed(3)), playing(changed(4))) as station:
        async with AsyncCompanion(station.address, TOKEN) as client:
            hints = client.sync.stream()
            assert await take_async(hints, 1) == [3]
            assert await asyncio.to_thread(station.gone.acquire, timeout=TIME)
            assert await take_async(hints, 1) == [4]
            await hints.close()


class Burst:
    """One hint; then, once somebody is busy with it, many: each in a piece of its own."""

    def __init__(self) -> None:
        self.busy, self.over = threading.Event(), threading.Event()

    def __call__(self, station: Station, connection: socket.socket) -> None:
        connection.sendall(HEAD + changed(1))
        self.busy.wait(TIME)
        for seq in range(2, 40):
            connection.sendall(changed(seq))
            time.sleep(0.005)
        self.over.set()
        station.hold(connection)


def test_of_the_hints_that_come_while_you_are_busy_one_is_kept():
    burst = Burst()
    with on_air(burst) as station, Companion(station.address, TOKEN) as client, client.sync.stream() as hints:
        walk = iter(hints)
        assert next(walk).seq == 1
        burst.busy.set()
        burst.over.wait(TIME)
        time.sleep(0.3)
        assert next(walk).seq == 39
        walk.close()


async def test_of_the_hints_that_come_while_a_task_is_busy_one_is_kept():
    burst = Burst()
    with on_air(burst) as station:
        async with AsyncCompanion(station.address, TOKEN) as client, client.sync.stream() as hints:
            walk = aiter(hints)
            assert (await anext(walk)).seq == 1
            burst.busy.set()
            await asyncio.to_thread(burst.over.wait, TIME)
            await asyncio.sleep(0.3)
            assert (await anext(walk)).seq == 39
            await walk.aclose()


@pytest.mark.parametrize("how", ["silent", "mute"])
def test_a_dead_connection_is_left_and_made_again(how, monkeypatch):
    """Silent after its first byte for ``SILENCE``; or mute, without a first byte within the call's time-out."""
    monkeypatch.setattr("companion_sdk._watch.SILENCE", 0.3 if how == "silent" else 30.0)
    first = playing(b": open\n\n") if how == "silent" else mute
    with on_air(first, playing(changed(4))) as station:
        longest = 30.0 if how == "silent" else 0.3
        with Companion(station.address, TOKEN, timeout=longest) as client, soon(3), client.sync.stream() as hints:
            assert take(hints, 1) == [4]
        assert len(station.seen) == 2


@pytest.mark.parametrize("how", ["silent", "mute"])
async def test_a_dead_connection_is_left_and_made_again_without_blocking(how, monkeypatch):
    monkeypatch.setattr("companion_sdk._watch.SILENCE", 0.3 if how == "silent" else 30.0)
    first = playing(b": open\n\n") if how == "silent" else mute
    with on_air(first, playing(changed(4))) as station:
        async with AsyncCompanion(station.address, TOKEN, timeout=30.0 if how == "silent" else 0.3) as client:
            with soon(3):
                async with client.sync.stream() as hints:
                    assert await take_async(hints, 1) == [4]
        assert len(station.seen) == 2


def test_heartbeats_keep_a_quiet_connection_past_every_time_out_and_the_deadline(monkeypatch):
    monkeypatch.setattr("companion_sdk._watch.SILENCE", 0.6)

    def beating(station: Station, connection: socket.socket) -> None:
        connection.sendall(HEAD)
        for _ in range(8):
            time.sleep(0.2)
            connection.sendall(b": still open\n\n")
        connection.sendall(changed(4))
        station.hold(connection)

    with on_air(beating) as station, Companion(station.address, TOKEN, timeout=0.4, deadline=0.5) as client:
        assert take(client.sync.stream(), 1) == [4]
        assert len(station.seen) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, companion_sdk.Unauthenticated),
        (403, companion_sdk.Forbidden),
        (404, companion_sdk.NotFound),
        (410, companion_sdk.Gone),
    ],
)
async def test_a_refusal_ends_the_loop(status, error):
    with on_air(playing(changed(3), then="end"), refusing(status)) as station:
        with Companion(station.address, TOKEN) as client, client.sync.stream() as hints, pytest.raises(error) as caught:
            take(hints, 2)
        assert caught.value.request_id in str(caught.value)
    with on_air(playing(changed(3), then="end"), refusing(status)) as station:
        async with AsyncCompanion(station.address, TOKEN) as client, client.sync.stream() as hints:
            with pytest.raises(error):
                await take_async(hints, 2)


def test_after_a_refusal_a_new_loop_may_try_again():
    with on_air(refusing(401), playing(changed(3))) as station, Companion(station.address, TOKEN) as client:
        hints = client.sync.stream()
        with pytest.raises(companion_sdk.Unauthenticated):
            take(hints, 1)
        assert take(hints, 1) == [3]


def test_whoever_signs_in_meanwhile_is_who_asks_next():
    with (
        on_air(playing(changed(3), then="end"), playing(changed(4))) as station,
        Companion(station.address, TOKEN) as client,
    ):
        walk = iter(client.sync.stream())
        client._link.state.token = "cmp_fake_second"
        assert next(walk).seq == 3
        assert next(walk).seq == 4
        walk.close()
        assert "Bearer cmp_fake_second" in station.seen[1]


# -- how a loop ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["hints", "client"])
def test_another_thread_ends_a_loop_wherever_it_waits(place, how):
    with on_air(PLACES[place]) as station, Companion(station.address, TOKEN) as client:
        hints = client.sync.stream()
        ended = threading.Event()

        def walk() -> None:
            assert list(hints) == []
            ended.set()

        thread = threading.Thread(target=walk, daemon=True)
        thread.start()
        waiting(station)
        with soon():
            (hints if how == "hints" else client).close()
            assert ended.wait(TIME)
            thread.join(TIME)
        if "between" not in place:
            assert station.gone.acquire(timeout=1), "the connection is closed"
        assert list(hints) == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["cancel", "hints", "client"])
async def test_another_task_ends_a_loop_wherever_it_waits(place, how):
    with on_air(PLACES[place]) as station:
        async with AsyncCompanion(station.address, TOKEN) as client:
            hints = client.sync.stream()
            task = asyncio.create_task(take_async(hints, 1))
            await asyncio.to_thread(waiting, station)
            with soon():
                if how == "cancel":
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                else:
                    await (hints if how == "hints" else client).close()
                    assert await task == []
            if "between" not in place:
                assert await asyncio.to_thread(station.gone.acquire, timeout=1)
            assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "companion-hints"] == []


def test_a_connection_that_is_made_after_the_end_is_ended_too():
    cut, (one, other) = Cut(), socket.socketpair()
    with one, other:
        cut.make()
        cut.hold(SimpleNamespace(get_extra_info=lambda _: one))
        other.settimeout(TIME)
        assert other.recv(1) == b""
        cut.release()


def test_a_loop_goes_on_when_another_over_the_same_hints_is_left():
    with on_air(playing(changed(3)), playing(changed(4))) as station, Companion(station.address, TOKEN) as client:
        hints = client.sync.stream()
        one, other = iter(hints), iter(hints)
        assert next(one).seq == 3
        heard: list[int] = []
        waiter = threading.Thread(target=lambda: heard.append(next(other).seq), daemon=True)
        waiter.start()
        time.sleep(0.1)
        one.close()
        waiter.join(TIME)
        assert heard == [4]


def test_a_service_that_is_not_there_is_waited_for_and_can_be_left():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with Companion(f"http://127.0.0.1:{port}", TOKEN) as client, soon():
        hints = client.sync.stream()
        threading.Timer(0.3, hints.close).start()
        assert list(hints) == []


def test_a_client_that_is_closed_has_no_more_hints():
    client = Companion("http://127.0.0.1:9", TOKEN)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        list(client.sync.stream())
