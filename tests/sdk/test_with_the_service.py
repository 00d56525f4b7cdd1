"""The SDK against the running service, on a loopback port: what a person does, end to end, in both clients."""

import asyncio
import importlib
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from support import cast as people

import companion_sdk
from companion import app
from companion.core.clock import SystemClock
from companion.web import openapi
from companion_sdk import AsyncCompanion, Companion, Coping, LogIn, Mood, Note, Sobriety, Use
from companion_sdk._call import Endpoint
from companion_sdk.streams import AsyncHints
from companion_sdk.wire import Changed, PlanSection, Push, PushOp
from companion_sdk.wire.canonical import body_hash, digest

ZONE = "America/New_York"


@pytest.fixture
async def running(start):
    return await start()


@pytest.fixture
async def crew(running) -> AsyncIterator[people.Cast]:
    async with httpx2.AsyncClient(base_url=running.url, timeout=30) as http:
        yield await people.gather(running, http)


@pytest.fixture
async def ana(running, crew) -> AsyncIterator[AsyncCompanion]:
    async with AsyncCompanion(running.url, crew.ana.token, zone=ZONE) as client:
        yield client


async def test_ana_keeps_a_diary(ana):
    first = await ana.logs.record(Mood(mood=2, note="Tired"))
    again = await ana.logs.put(first.id, LogIn(at=first.at, zone=ZONE, body=first.body, source="sdk"))
    assert again == first
    second = await ana.logs.correct(first, Mood(mood=3))
    with pytest.raises(companion_sdk.RevisionMismatch) as caught:
        await ana.logs.correct(first, Mood(mood=4))
    assert caught.value.current == second
    assert caught.value.revision == 2
    with pytest.raises(companion_sdk.RevisionRequired):
        await ana.logs.put(first.id, LogIn(at=first.at, zone=ZONE, body=Mood(mood=5)))
    assert [log.revision for log in await ana.logs.history(first.id)] == [1, 2]
    assert await ana.logs.get(first.id) == second
    await ana.logs.delete(first.id)
    await ana.logs.delete(first.id)
    with pytest.raises(companion_sdk.Gone):
        await ana.logs.put(first.id, LogIn(at=first.at, zone=ZONE, body=Mood(mood=5)))


async def test_ana_reads_all_her_pages(ana):
    made = [(await ana.logs.record(Note(text=f"{number}"))).id for number in range(7)]
    await ana.logs.record(Coping(skill="walk", urge_before=8, urge_after=2))
    assert [log.id async for log in ana.logs.list(kind="note", limit=3)] == made[::-1]
    pages = [page async for page in ana.logs.list(kind="note", limit=3).pages()]
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert [log.id async for log in ana.logs.list(kind="note", limit=3, cursor=pages[0].next)] == made[3::-1]


async def test_a_wrong_entry_says_where(ana):
    with pytest.raises(companion_sdk.InvalidRequest) as caught:
        await ana.logs.record(Mood(mood=9))
    assert [(fault.pointer, fault.code) for fault in caught.value.problem.errors] == [("/body/mood", "out-of-range")]
    with pytest.raises(companion_sdk.InvalidRequest):
        [log async for log in ana.logs.list(kind="dream")]


async def test_ana_sees_herself_and_moves(ana):
    me = await ana.me.get()
    assert (me.role, me.name) == ("patient", "Ana")
    assert (await ana.me.update(zone="America/Chicago")).zone == "America/Chicago"
    assert any(device.current for device in await ana.devices.list())
    assert (await ana.patients.get("me")).name == "Ana"


async def test_ana_lets_an_app_in_and_out(ana, running):
    token = await ana.tokens.create("Running app", ["logs:read"], days=30)
    async with AsyncCompanion(running.url, token.token) as app:
        assert [log async for log in app.logs.list()] == []
        with pytest.raises(companion_sdk.InsufficientScope):
            await app.logs.record(Mood(mood=3), zone=ZONE)
        await ana.tokens.revoke(token.id)
        with pytest.raises(companion_sdk.Unauthenticated):
            [log async for log in app.logs.list()]


async def test_ana_signs_in_on_a_second_phone(ana, running):
    invite = await ana.invites.add_phone()
    async with AsyncCompanion(running.url) as phone:
        signed = await phone.sign_in(invite.code, device="Second phone", zone=ZONE)
        assert signed.me == await phone.me.get()
        await phone.sign_out()
        with pytest.raises(companion_sdk.Unauthenticated):
            await phone.me.get()


async def test_cleo_sees_what_ana_agreed_to_and_ana_sees_that(ana, crew, running):
    entry = await ana.logs.record(Mood(mood=4))
    patient = entry.patient_id
    async with AsyncCompanion(running.url, crew.cleo.token) as cleo, AsyncCompanion(running.url, crew.dan.token) as dan:
        assert await cleo.logs.get(entry.id, patient=patient) == entry
        with pytest.raises(companion_sdk.NotFound):
            await dan.logs.get(entry.id, patient=patient)
        dan_id = (await dan.me.get()).clinician_id
        consent = await ana.consents.grant(dan_id, ["mood"], signature="Ana")
        assert consent in await ana.consents.list()
        assert await dan.logs.get(entry.id, patient=patient) == entry
        looks = [look.recipient_name async for look in ana.disclosures.list()]
        assert {"Cleo", "Dan"} <= set(looks)
        assert (await ana.consents.revoke(consent.id)).active is False
        with pytest.raises(companion_sdk.NotFound):
            await dan.logs.get(entry.id, patient=patient)
        assert (await cleo.invites.create(name="Fay", zone=ZONE)).patient_id


async def test_ana_sees_her_trends_and_her_ledger(ana):
    now = SystemClock().now()
    for day in range(1, 4):
        await ana.logs.record(Mood(mood=day), at=now - timedelta(days=day))
        await ana.logs.record(Sobriety(sober=True), at=now - timedelta(days=day))
    await ana.logs.record(Sobriety(sober=False, uses=[Use(substance="alcohol")]), at=now - timedelta(days=9))
    trends = await ana.trends.get(series=["mood"])
    assert [point.value for point in trends.series["mood"].points] == [3.0, 2.0, 1.0]
    assert (await ana.sobriety.get(substance="alcohol")).days_since_use == 9


async def test_two_phones_meet_by_push_pull_and_digest(ana):
    now = SystemClock().now()
    said = LogIn(at=now, zone=ZONE, body=Mood(mood=2))
    create = PushOp(n=1, op=uuid4(), id=uuid4(), base=0, log=said)
    push = Push(device=uuid4(), sent_at=now, ops=[create, PushOp(n=2, op=uuid4(), id=uuid4(), base=3, log=said)])
    pushed = await ana.sync.push(push)
    assert [(result.n, result.outcome) for result in pushed.results] == [(1, "applied"), (2, "gone")]
    again = await ana.sync.push(push)
    assert again.results == pushed.results
    changes = await ana.sync.pull()
    assert [(entry.id, entry.body) for entry in changes.changes] == [(create.id, Mood(mood=2))]
    await ana.logs.delete(create.id)
    (gone,) = (await ana.sync.pull(changes.cursor)).changes
    assert (gone.id, gone.deleted, gone.body) == (create.id, True, None)
    proof = await ana.sync.digest(pushed.results[0].seq)
    assert (proof.count, proof.sha256) == (1, digest([(create.id, 1, body_hash(Mood(mood=2)))]))
    assert (await ana.sync.digest()).count == 0
    with pytest.raises(companion_sdk.InvalidRequest):
        await ana.sync.pull(changes.cursor[:-4] + "AAAA")


async def test_a_hint_comes_within_a_second_and_a_revoked_token_ends_the_stream(ana, running):
    phone = await ana.tokens.create("Second phone", ["logs:read"], days=30)
    heard: list[int] = []

    async def walk(hints: AsyncHints[Changed]) -> None:
        async for hint in hints:
            heard.append(hint.seq)

    entry = await ana.logs.record(Mood(mood=3))
    async with AsyncCompanion(running.url, phone.token) as second, second.sync.stream() as hints:
        walking = asyncio.create_task(walk(hints))
        await until(lambda: heard == [entry.seq])
        later = await ana.logs.record(Note(text="a"))
        await until(lambda: heard == [entry.seq, later.seq])
        await ana.tokens.revoke(phone.id)
        with pytest.raises(companion_sdk.Unauthenticated):
            await asyncio.wait_for(walking, 5)


async def until(so: Callable[[], bool]) -> None:
    """Fails when it is not so within a second."""
    async with asyncio.timeout(1):
        while not so():
            await asyncio.sleep(0.01)


async def test_the_sync_client_hears_it_too_and_stops_at_once(ana, running, crew):
    entry = await ana.logs.record(Mood(mood=3))

    def listen() -> float:
        with Companion(running.url, crew.ana.token) as client, client.sync.stream() as hints:
            walk = iter(hints)
            assert next(walk).seq == entry.seq
            threading.Timer(0.2, hints.close).start()
            began = time.monotonic()
            assert list(walk) == []
            return time.monotonic() - began

    assert await asyncio.to_thread(listen) < 1.2


async def test_ana_keeps_her_crisis_plan_on_two_phones(ana, running, crew):
    with pytest.raises(companion_sdk.NotFound):
        await ana.safety_plan.get()
    plan = await ana.safety_plan.put([PlanSection(title="Signs", text="I stop answering")])
    async with AsyncCompanion(running.url, crew.ana.token) as second:
        changed = await second.safety_plan.put([PlanSection(title="I can call", text="Cleo")], if_match=plan.revision)
    with pytest.raises(companion_sdk.RevisionMismatch) as caught:
        await ana.safety_plan.put([], if_match=plan.revision)
    assert caught.value.current == changed == await ana.safety_plan.get()
    assert changed.kind == "safety_plan"


async def test_the_service_speaks_for_itself(running):
    async with AsyncCompanion(running.url) as client:
        assert "mood" in (await client.service.get()).kinds
        assert (await client.crisis.get("en")).monitored is False
        assert (await client.health.live()).status
        assert (await client.health.ready()).checks
        with pytest.raises(companion_sdk.Unauthenticated) as caught:
            await client.me.get()
        assert caught.value.word == "unauthenticated"


async def test_the_sync_client_does_the_same(running, crew):
    def day() -> None:
        with Companion(running.url, crew.ana.token) as client:
            entry = client.logs.record(Mood(mood=4), zone=ZONE)
            assert [log.id for log in client.logs.list()] == [entry.id]
            assert client.logs.correct(entry, Mood(mood=5)).revision == 2
            with pytest.raises(companion_sdk.NotFound):
                client.logs.get(uuid4())

    await asyncio.to_thread(day)


def test_every_route_of_the_service_is_in_the_sdk():
    document = json.loads(openapi.encoded(app.build()))
    folder = Path(companion_sdk.__file__).parent / "_endpoints"
    modules = [importlib.import_module(f"companion_sdk._endpoints.{path.stem}") for path in folder.glob("[a-z]*.py")]
    rows = [row for module in modules for row in vars(module).values() if isinstance(row, Endpoint)]
    offered = {(row.method, plain(row.route)) for row in rows}
    served = {(verb.upper(), plain(path)) for path, verbs in document["paths"].items() for verb in verbs}
    assert served - offered == set()


def plain(route: str) -> str:
    return re.sub(r"\{\w+\}", "{}", route)
