"""The bad network: each fault does what it says, to what it was meant for, as often as it was asked to."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from conformance.words import where

import companion_sdk as sdk
from companion_sdk import AsyncCompanion, Companion, Mood
from companion_sdk.testing import Clock, FakeService, Network, Person

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def fake() -> FakeService:
    return FakeService(at=NOON)


@pytest.fixture
def ana(fake: FakeService) -> Person:
    return fake.patient("Ana")


@pytest.fixture
def network(fake: FakeService) -> Network:
    return Network(fake.transport)


@pytest.fixture
def client(fake: FakeService, ana: Person, network: Network) -> Iterator[Companion]:
    with Companion(fake.url, ana.token, transport=network, zone="UTC", retries=0) as made:
        yield made


def asked(fake: FakeService) -> list[tuple[str, int]]:
    return [(one.method, one.status) for one in fake.requests]


def test_a_lost_request_never_arrives(fake: FakeService, network: Network, client: Companion) -> None:
    network.lose_request()
    with pytest.raises(sdk.TimedOut):
        client.logs.record(Mood(mood=4))
    assert asked(fake) == []
    client.logs.record(Mood(mood=4))
    assert network.counts == {"sent": 2, "lose_request": 1}


def test_a_lost_reply_was_done(fake: FakeService, network: Network, client: Companion) -> None:
    network.lose_reply(next=2)
    for _ in range(2):
        with pytest.raises(sdk.TimedOut):
            client.logs.record(Mood(mood=4))
    assert asked(fake) == [("PUT", 201), ("PUT", 201)]


def test_offline_is_a_connection_that_cannot_be_made(fake: FakeService, network: Network, client: Companion) -> None:
    with network.offline(), pytest.raises(sdk.ConnectionFailed):
        client.me.get()
    network.go_offline()
    with pytest.raises(sdk.ConnectionFailed):
        client.me.get()
    network.go_online()
    assert client.me.get().name == "Ana"
    assert network.counts == {"sent": 3, "refused": 2}


def test_a_doubled_request_arrives_twice(fake: FakeService, network: Network, client: Companion) -> None:
    network.duplicate()
    assert client.logs.record(Mood(mood=4)).revision == 1
    assert asked(fake) == [("PUT", 201), ("PUT", 200)]


def test_a_request_that_is_overtaken_arrives_after_the_next_one(
    fake: FakeService, network: Network, client: Companion
) -> None:
    entry = client.logs.record(Mood(mood=4))
    network.reorder()
    with pytest.raises(sdk.TimedOut):
        client.logs.delete(entry.id)
    assert client.logs.get(entry.id) == entry
    assert asked(fake)[1:] == [("GET", 200), ("DELETE", 204)]


def test_a_delay_passes_by_the_clock_and_past_the_clients_patience_the_reply_is_lost(
    fake: FakeService, network: Network, client: Companion
) -> None:
    began, real = fake.clock.monotonic(), time.monotonic()
    network.delay(5)
    client.me.get()
    assert fake.clock.monotonic() - began == 5
    network.delay(25)
    with pytest.raises(sdk.TimedOut):
        client.logs.record(Mood(mood=4))
    assert fake.clock.monotonic() - began == 25
    assert asked(fake)[-1] == ("PUT", 201)
    assert time.monotonic() - real < 1, "nobody waited"


def test_a_broken_reply_cannot_be_read(network: Network, client: Companion) -> None:
    network.corrupt()
    with pytest.raises(sdk.InvalidResponse):
        client.me.get()
    assert client.me.get().name == "Ana"


def test_a_fault_may_be_meant_for_some_paths_only(network: Network, client: Companion) -> None:
    network.lose_request(of="sync/push")
    client.me.get()
    client.logs.record(Mood(mood=4))
    assert "lose_request" not in network.counts
    with pytest.raises(sdk.TimedOut):
        client.sync.push(sdk.Push(device=client.me.get().id, sent_at=NOON, ops=[]))


def test_faults_add_up_and_a_healed_network_forgets_them(network: Network, client: Companion) -> None:
    network.duplicate()
    network.lose_reply()
    with pytest.raises(sdk.TimedOut):
        client.me.get()
    assert network.counts == {"sent": 1, "duplicate": 1, "lose_reply": 1}
    network.lose_request(next=99)
    network.heal()
    client.me.get()


def test_a_third_of_all_packets_is_a_third_and_the_same_third_again(fake: FakeService, ana: Person) -> None:
    def run(seed: int) -> list[bool]:
        network = Network(fake.transport, loses=1 / 3, seed=seed)
        came: list[bool] = []
        with Companion(fake.url, ana.token, transport=network, retries=0) as client:
            for _ in range(300):
                try:
                    came.append(client.me.get().name == "Ana")
                except sdk.TransportError:
                    came.append(False)
        assert abs(network.counts["lose_request"] - 100) < 35
        return came

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert abs(run(7).count(True) - 300 * 4 / 9) < 45


def test_every_rate_may_be_drawn(fake: FakeService, ana: Person) -> None:
    network = Network(fake.transport, loses=0.2, duplicates=0.2, delays=0.2, reorders=0.2, corrupts=0.2, delay=2, seed=3)
    with Companion(fake.url, ana.token, transport=network, retries=9, deadline=10_000, zone="UTC") as client:
        for value in range(60):
            try:
                client.logs.record(Mood(mood=1 + value % 5))
            except sdk.InvalidResponse:
                continue
    assert set(network.counts) == {"sent", "lose_request", "lose_reply", "duplicate", "delay", "reorder", "corrupt"}
    assert 50 <= len(fake.entries(ana)) <= 60


async def test_clients_that_await_meet_the_same(fake: FakeService, ana: Person) -> None:
    network = Network(fake.transport)
    async with AsyncCompanion(fake.url, ana.token, transport=network, zone="UTC", retries=0) as client:
        faults: list[tuple[Callable[[], None], type[Exception] | None]] = [
            (network.lose_request, sdk.TimedOut),
            (network.lose_reply, sdk.TimedOut),
            (network.reorder, sdk.TimedOut),
            (network.corrupt, sdk.InvalidResponse),
            (network.duplicate, None),
            (lambda: network.delay(3), None),
        ]
        for fault, error in faults:
            fault()
            if error is None:
                await client.logs.record(Mood(mood=4))
                continue
            with pytest.raises(error):
                await client.logs.record(Mood(mood=4))
        with network.offline(), pytest.raises(sdk.ConnectionFailed):
            await client.me.get()
    assert len(fake.entries(ana)) == 5


async def test_a_stream_breaks_with_the_network_and_mends_itself(fake: FakeService, ana: Person) -> None:
    network = Network(fake.transport)
    client = AsyncCompanion(fake.url, ana.token, transport=network, zone="UTC")
    seen: list[int] = []
    async with asyncio.timeout(20), client, client.sync.stream() as hints:
        async for hint in hints:
            seen.append(hint.seq)
            if len(seen) == 2:
                break
            network.go_offline()
            stored = fake.record(ana, Mood(mood=4))
            await asyncio.sleep(0.5)
            network.go_online()
    assert seen == [0, stored.seq]
    assert network.counts["refused"] > 0


def test_networks_stand_one_behind_the_other_and_carry_any_transport(ana: Person) -> None:
    inner = Network(httpx2.MockTransport(lambda request: httpx2.Response(200, json={"status": "ok", "checks": {}})))
    outer = Network(inner, clock=Clock(NOON))
    with Companion("https://companion.example", transport=outer) as client:
        inner.lose_reply()
        assert client.health.live().status == "ok"
    assert (outer.counts["sent"], inner.counts["sent"]) == (2, 2)
    assert outer.companion_clock is not None
    assert outer.companion_clock.now() - NOON < timedelta(seconds=1)
    assert where("x").endswith("/x")
