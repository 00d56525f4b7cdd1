"""Streams: hints that something changed, to whom may see it, until they may no more; and that they cost next to nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import psutil
import pytest
from support import process
from support.cast import OPERATOR, Cast, Person, gather, monday
from support.clocks import ManualClock
from support.engines import Engine
from support.life import Hand
from support.listening import Ear, asking, listening
from support.phone import Phone, mood, note
from support.process import Server

from companion.core.actors import Bearer
from companion.people import service as people
from companion.running import Running
from companion.web import live

MANY = httpx2.Limits(max_connections=300)
QUIET = 0.7
"""Seconds in which every stream is looked at at least once."""


@pytest.fixture
async def http(service: Running) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that reads streams as they come."""
    async with httpx2.AsyncClient(base_url=service.url, timeout=30, limits=MANY) as client:
        yield client


async def newest(person: Person, patient: object = "me") -> int:
    """The number that a new listener is told."""
    async with listening(person, patient) as ear:
        return (await ear.until(1))[0]


async def silent(*ears: Ear) -> None:
    """Nobody is told anything for a while."""
    before = [len(ear.hints) for ear in ears]
    await asyncio.sleep(QUIET)
    assert [len(ear.hints) for ear in ears] == before


# hints


async def test_who_asks_anew_is_told_at_once_where_the_diary_stands(ana: Person) -> None:
    seq = (await Phone(ana).write(note()))[1]["seq"]
    async with listening(ana) as ear:
        assert await ear.until(1, 1) == [seq]
        assert ear.answer.headers["content-type"].startswith("text/event-stream")
        assert ear.answer.headers["cache-control"] == "no-store"
        assert ear.answer.headers["x-accel-buffering"] == "no"


async def test_who_comes_back_is_told_only_of_what_is_new(ana: Person) -> None:
    phone = Phone(ana)
    first = (await phone.write(note()))[1]["seq"]
    second = (await phone.write(note()))[1]["seq"]
    async with listening(ana, last=first) as behind, listening(ana, last=second) as there:
        assert await behind.until(1, 1) == [second]
        await silent(there)
        third = (await phone.write(note()))[1]["seq"]
        assert await there.until(1, 1) == [third]
    for strange in ("", "x", "-1", "9" * 30, second + 1000, "1.0"):
        async with listening(ana, last=strange) as ear:
            assert await ear.until(1, 1) == [third], strange


async def test_every_way_to_write_rings_at_once(ana: Person, cast: Cast) -> None:
    phone = Phone(ana)
    async with listening(ana) as ear, listening(ana, ana.id) as by_id:
        await ear.until(1)
        log = await ana.log(monday(), kind="mood", mood=3)
        where = f"/v1/patients/me/logs/{log['id']}"
        await ear.until(2, 0.4)
        await ana.put(where, ana.entry(monday(), kind="mood", mood=4), headers={"If-Match": '"1"'})
        await ear.until(3, 0.4)
        await ana.delete(where)
        await ear.until(4, 0.4)
        await phone.write(note())
        await ear.until(5, 0.4)
        await ana.put("/v1/patients/me/safety-plan", {"sections": [{"title": "Call", "text": "my sister"}]})
        await ear.until(6, 0.4)
        assert ear.hints == sorted(set(ear.hints))
        await by_id.until(6)
        assert by_id.hints == ear.hints
        await ana.put(where.replace(log["id"], str(uuid4())), {"at": "never"})
        await cast.ben.mood(monday())
        await ana.consent(cast.dan.id)
        await silent(ear)


async def test_one_hint_waits_at_most(cast: Cast) -> None:
    """Somebody who does not read is told the newest, and not what came before it."""
    ana, service = cast.ana, cast.running
    phone = Phone(ana)
    watch = service._live.watch(Bearer(ana.token), "me", ana.id, 0, 0)  # pyright: ignore[reportPrivateUsage]
    assert (await anext(watch)).startswith(b"retry: ")
    last = 0
    for _ in range(5):
        results = await phone.push(*(phone.op(note()) for _ in range(200)))
        last = results[-1]["seq"]
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)
    assert await anext(watch) == b'id: %d\nevent: changed\ndata: {"seq":%d}\n\n' % (last, last)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(QUIET)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_a_thousand_writes_are_few_hints(cast: Cast, ana: Person) -> None:
    """Whoever reads all of it still gets one hint for what happened in a hundredth of a second."""
    async with listening(ana) as ear:
        await ear.until(1)
        began = time.monotonic()

        async def some() -> int:
            return max([(await ana.mood(monday()))["seq"] for _ in range(125)])

        last = max(await asyncio.gather(*(some() for _ in range(8))))
        took = time.monotonic() - began
        async with asyncio.timeout(2):
            while ear.hints[-1] != last:
                await asyncio.sleep(0.01)
        assert ear.hints == sorted(set(ear.hints))
        assert len(ear.hints) <= took / 0.01 + 5
        assert len(ear.hints) < 500


async def test_a_quiet_stream_says_that_it_is_open(ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.05)
    async with listening(ana) as ear:
        async with asyncio.timeout(2):
            while ear.comments < 6:
                await asyncio.sleep(0.01)
        assert len(ear.hints) == 1


# who may


async def test_a_clinician_is_told_of_the_kinds_that_she_may_see(cast: Cast) -> None:
    ana, dan = cast.ana, cast.dan
    assert (await dan.get(f"/v1/patients/{ana.id}/sync/stream")).status_code == 404
    given = await ana.consent(dan.id, ["mood"])
    phone = Phone(ana)
    seen = (await phone.write(mood()))[1]["seq"]
    hidden = (await phone.write(note()))[1]["seq"]
    async with listening(dan, ana.id) as ear:
        assert await ear.until(1) == [seen]
        await phone.write(note())
        await silent(ear)
        shown = (await phone.write(mood()))[1]["seq"]
        assert await ear.until(2, 0.5) == [seen, shown]
        last = (await phone.write(note()))[1]["seq"]
        await ana.consent(dan.id, ["note"])
        assert await ear.until(3, 1) == [seen, shown, last], "more may be seen, so there is more to pull"
        assert hidden not in ear.hints
        await ana.post(f"/v1/patients/me/consents/{given['id']}/revoke")
        await silent(ear)


async def test_a_clinician_who_pulls_at_each_hint_does_not_ring_herself(cast: Cast) -> None:
    """Her pull is a disclosure, which is a link of the same chain and no change of the diary."""
    ana, cleo = cast.ana, cast.cleo
    hers = Phone(cleo, patient=str(ana.id))
    pulled: list[int] = []

    async def pull() -> None:
        async with listening(cleo, ana.id) as ear:
            cursor: str | None = None
            while True:
                await ear.until(len(pulled) + 1, 60)
                pulled.append(ear.hints[-1])
                _, cursor = await hers.walk(cursor)

    pulling = asyncio.create_task(pull())
    async with listening(ana) as own:
        await own.until(1)
        for count in range(3):
            seq = (await Phone(ana).write(mood()))[1]["seq"]
            async with asyncio.timeout(2):
                while not pulled or pulled[-1] != seq:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(QUIET)
            assert len(pulled) == count + 2
            assert len(own.hints) == count + 2, "nor does it ring the patient"
    pulling.cancel()
    await asyncio.gather(pulling, return_exceptions=True)
    looks = (await ana.get("/v1/patients/me/disclosures")).json()["items"]
    assert len(looks) == 4 - 1, "a walk that found nothing shows nothing; a hint is no disclosure"


async def test_an_app_needs_the_scope(cast: Cast) -> None:
    ana = cast.ana
    for scopes, status in ((["logs:read"], 200), (["logs:write", "trends:read"], 403)):
        made = await ana.post("/v1/me/tokens", {"name": "Watch", "scopes": scopes})
        app = Person("Watch", made.json()["token"], ana.http)
        async with asking(app) as answer:
            assert answer.status_code == status
        async with asking(app, ana.id) as answer:
            assert answer.status_code == status


async def test_strangers_get_what_they_get_everywhere(cast: Cast) -> None:
    for person, patient, status in (
        (cast.eve, cast.ana.id, 401),
        (cast.ben, cast.ana.id, 404),
        (cast.dan, cast.ana.id, 404),
        (cast.cleo, uuid4(), 404),
        (cast.cleo, "me", 404),
    ):
        async with asking(person, patient) as answer:
            assert answer.status_code == status, person.name
            assert answer.headers["content-type"] == "application/problem+json"


# the end


@pytest.fixture
def clocked(start: Any, clock: ManualClock) -> Callable[[], Any]:
    """The cast on a clock that the test moves."""

    async def one(stack: AsyncExitStack) -> Cast:
        service: Running = await start(clock=clock, scheduler=False)
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=service.url, timeout=30))
        return await gather(service, http)

    return one  # type: ignore[return-value]


async def test_a_revoked_token_ends_its_streams_and_no_others(cast: Cast) -> None:
    ana = cast.ana
    second = Person("Ana", await cast.running.db.write(OPERATOR, people.operator_token, ana.id, None, 1), ana.http)
    async with listening(ana) as ear, listening(ana) as other, listening(second) as kept:
        await asyncio.gather(*(one.until(1) for one in (ear, other, kept)))
        assert (await ana.post("/v1/sign-out")).status_code == 204
        assert await ear.end(1) < 1
        assert await other.end(1) < 1
        seq = (await Phone(second).write(note()))[1]["seq"]
        assert (await kept.until(2, 1))[-1] == seq
        assert not kept.ended.is_set()


async def test_a_revoked_consent_ends_the_stream(cast: Cast) -> None:
    ana, cleo = cast.ana, cast.cleo
    (given,) = (await ana.get("/v1/patients/me/consents")).json()["items"]
    async with listening(cleo, ana.id) as ear, listening(ana) as own:
        await ear.until(1)
        assert (await ana.post(f"/v1/patients/me/consents/{given['id']}/revoke")).status_code == 200
        assert await ear.end(1) < 1
        assert not own.ended.is_set()
        assert len(ear.hints) == 1


async def test_a_consent_and_a_token_that_end_by_time_end_the_stream(clocked: Any, clock: ManualClock) -> None:
    async with AsyncExitStack() as stack:
        cast = await clocked(stack)
        ana, dan = cast.ana, cast.dan
        await ana.consent(dan.id, ["mood"], until=(clock.now() + timedelta(minutes=10)).isoformat())
        async with listening(dan, ana.id) as ear, listening(ana) as own:
            await ear.until(1)
            clock.advance(minutes=9)
            await silent(ear)
            assert not ear.ended.is_set()
            clock.advance(minutes=1)
            assert await ear.end(1) < 1
            assert not own.ended.is_set()
            clock.advance(days=181)
            assert await own.end(1) < 1


async def test_a_service_that_stops_waits_for_no_stream(start: Any) -> None:
    service: Running = await start()
    async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http, AsyncExitStack() as stack:
        cast = await gather(service, http)
        people_ = [cast.ana] * 16 + [cast.cleo] * 4
        ears = [await stack.enter_async_context(listening(person, cast.ana.id)) for person in people_]
        await asyncio.gather(*(ear.until(1) for ear in ears))
        began = time.monotonic()
        await service.stop()
        assert time.monotonic() - began < 2
        assert max([await ear.end(1) for ear in ears]) < 1
    await asyncio.sleep(0.05)
    assert looking(service) == []


def looking(service: Running) -> list[str]:
    """What still runs for streams: open ones, and the task that looks for them."""
    desk = service._live  # pyright: ignore[reportPrivateUsage]
    running = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]  # type: ignore[union-attr]
    return [str(one) for one in desk._watches] + [name for name in running if name.startswith("Live.")]  # pyright: ignore


async def test_a_listener_who_vanishes_leaves_nothing_behind(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = cast.ana
    async with listening(ana) as ear:
        await ear.until(1)
        assert len(looking(cast.running)) == 2
    reader, writer = await asyncio.open_connection("127.0.0.1", cast.running.port)
    writer.write(
        f"GET /v1/patients/me/sync/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ana.token}\r\n\r\n".encode()
    )
    assert b"200 OK" in await reader.readuntil(b"\r\n")
    writer.transport.abort()  # type: ignore[attr-defined]
    async with asyncio.timeout(2):
        while looking(cast.running):
            await asyncio.sleep(0.01)
    async with listening(ana) as ear:
        await ear.until(1)
        await Phone(ana).write(note())
        await ear.until(2, 0.5)


async def test_a_head_takes_no_stream(cast: Cast) -> None:
    """The headers of a GET, and then nothing: no slot stays taken, and the connection is good for the next request."""
    ana = cast.ana
    reader, writer = await asyncio.open_connection("127.0.0.1", cast.running.port)
    for method, path in (("HEAD", "/v1/patients/me/sync/stream"), ("GET", "/v1/me")):
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ana.token}\r\n\r\n"
        writer.write(head.encode())
        async with asyncio.timeout(2):
            assert b" 200 " in await reader.readuntil(b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
    writer.close()
    async with asyncio.timeout(2):
        while looking(cast.running):
            await asyncio.sleep(0.01)


# how many


async def test_the_seventeenth_stream_of_one_caller_must_wait(cast: Cast) -> None:
    ana = cast.ana
    async with AsyncExitStack() as stack:
        for _ in range(15):
            await stack.enter_async_context(listening(ana))
        async with listening(ana) as last:
            await last.until(1)
            async with asking(ana) as answer:
                assert answer.status_code == 429
                assert answer.headers["retry-after"] == "10"
            async with listening(cast.cleo, ana.id) as hers:
                await hers.until(1)
        async with asyncio.timeout(2):
            while len(cast.running._live._watches) > 15:  # pyright: ignore[reportPrivateUsage]
                await asyncio.sleep(0.01)
        async with listening(ana) as again:
            await again.until(1)


async def test_forty_at_once_are_no_more_than_sixteen(cast: Cast) -> None:
    ana = cast.ana
    async with AsyncExitStack() as stack:
        answers = await asyncio.gather(*(stack.enter_async_context(asking(ana)) for _ in range(40)))
        statuses = [answer.status_code for answer in answers]
        assert (statuses.count(200), statuses.count(429)) == (16, 24)


async def test_a_row_that_another_hand_changed_ends_its_own_stream_only(cast: Cast, engine: Engine) -> None:
    ana, ben, cleo = cast.ana, cast.ben, cast.cleo
    async with listening(cleo, ana.id) as broken, listening(ben) as whole:
        await asyncio.gather(broken.until(1), whole.until(1))
        hand = Hand(engine)
        row = hand.one("consents", "patient_id = ?", ana.id.bytes)
        after = hand.change("consents", row, recorded_at=row["recorded_at"] + 1)
        assert await broken.end(1.2) < 1.2
        seq = (await Phone(ben).write(note()))[1]["seq"]
        assert (await whole.until(2, 1))[-1] == seq
        hand.change("consents", after, recorded_at=row["recorded_at"])
        hand.close()


# several processes


@pytest.fixture
async def other(engine: Engine, tmp_path: Any, cast: Cast) -> AsyncIterator[Server]:
    """Another process on the same database."""
    server = await process.serve(engine.options, tmp_path / "serve.log")
    yield server
    server.kill()


async def test_what_another_process_does_is_told_within_a_second(cast: Cast, other: Server) -> None:
    ana, cleo = cast.ana, cast.cleo
    (given,) = (await ana.get("/v1/patients/me/consents")).json()["items"]
    async with httpx2.AsyncClient(base_url=other.url, timeout=30) as http:
        there = Person("Ana", ana.token, http, ana.id)
        async with listening(ana) as here, listening(there) as over, listening(cleo, ana.id) as hers:
            await asyncio.gather(*(ear.until(1) for ear in (here, over, hers)))
            for count in range(2, 6):
                await Phone(there).write(mood())
                began = time.monotonic()
                await asyncio.gather(*(ear.until(count, 1) for ear in (here, over, hers)))
                assert max(ear.times[-1] for ear in (here, over, hers)) - began < 1
            assert here.hints == over.hints == hers.hints
            assert (await there.post(f"/v1/patients/me/consents/{given['id']}/revoke")).status_code == 200
            assert await hers.end(1) < 1
            assert (await there.post("/v1/sign-out")).status_code == 204
            assert await here.end(1) < 1
            assert await over.end(1) < 1


async def test_two_hundred_streams_cost_little(cast: Cast, other: Server, say: Callable[[object], None]) -> None:
    ana = cast.ana
    tokens = [await cast.running.db.write(OPERATOR, people.operator_token, ana.id, None, 1) for _ in range(20)]
    watched = psutil.Process(other.process.pid)
    async with httpx2.AsyncClient(base_url=other.url, timeout=30, limits=MANY) as http, AsyncExitStack() as stack:
        callers = [Person("Ana", token, http, ana.id) for token in tokens]
        await newest(callers[0])
        before = watched.memory_full_info().uss
        ears = [await stack.enter_async_context(listening(callers[number % 20])) for number in range(200)]
        await asyncio.gather(*(ear.until(1) for ear in ears))
        grown = (watched.memory_full_info().uss - before) / 200
        idle = await _cpu(watched, asyncio.sleep(3))
        began = time.monotonic()
        seq = (await Phone(callers[0]).write(note()))[1]["seq"]
        await asyncio.gather(*(ear.until(2, 2) for ear in ears))
        told = max(ear.times[-1] for ear in ears) - began
        assert {ear.hints[-1] for ear in ears} == {seq}
    say(f"200 streams: {grown / 1024:.0f} KiB each, {idle:.1%} of a CPU when idle, all told in {told * 1000:.0f} ms")
    assert grown < 200 * 1024
    assert told < 1


async def _cpu(watched: psutil.Process, meanwhile: Any) -> float:
    """The share of one CPU that a process takes."""
    before, began = watched.cpu_times(), time.monotonic()
    await meanwhile
    after = watched.cpu_times()
    return (after.user - before.user + after.system - before.system) / (time.monotonic() - began)
