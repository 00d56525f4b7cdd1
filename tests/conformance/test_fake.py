"""What only the fake can do: people and acts by one call, answers set by the test, the same in every run."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2
import pytest

import companion_sdk as sdk
from companion_sdk import Companion, Mood, Note
from companion_sdk.testing import Clock, FakeService, Person
from companion_sdk.wire import LogIn, Push, PushOp

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def fake() -> FakeService:
    return FakeService(at=NOON)


@pytest.fixture
def ana(fake: FakeService) -> Person:
    return fake.patient("Ana")


def push(client: Companion, *bodies: sdk.Body, device: object = None) -> list[str]:
    ops = [
        PushOp(n=n, op=uuid4(), id=uuid4(), base=0, log=LogIn(at=client._link.clock.now(), zone="UTC", body=body))
        for n, body in enumerate(bodies, start=1)
    ]
    pushed = client.sync.push(Push(device=uuid4(), sent_at=client._link.clock.now(), ops=ops))
    return [result.outcome for result in pushed.results]


def test_ids_and_tokens_are_the_same_in_every_run_and_differ_by_seed() -> None:
    def run(seed: int) -> list[object]:
        fake = FakeService(seed=seed, at=NOON)
        ana = fake.patient("Ana")
        with fake.client(ana) as client:
            entry = client.logs.record(Mood(mood=4))
        return [ana, entry, fake.invite(ana), fake.requests]

    assert run(1) == run(1)
    assert run(1)[0] != run(2)[0]


def test_without_a_pinned_clock_the_machines_time_goes_on() -> None:
    fake = FakeService()
    ana = fake.patient("Ana")
    before = fake.clock.now()
    with Companion(fake.url, ana.token, transport=fake.transport, zone="UTC") as client:
        entry = client.logs.record(Mood(mood=4))
    assert before <= entry.recorded_at <= fake.clock.now()
    assert abs(datetime.now(UTC) - before) < timedelta(minutes=1)


def test_people_sign_in_by_codes_as_they_would(fake: FakeService, ana: Person) -> None:
    cleo = fake.clinician("Cleo")
    with fake.client() as phone, fake.client() as desk:
        phone.sign_in(fake.invite(ana), device="second phone", zone="UTC")
        desk.sign_in_with_code(fake.code(cleo))
        assert (phone.me.get().id, desk.me.get().id) == (ana.id, cleo.id)


def test_a_test_begins_with_entries_and_looks_at_what_came_of_them(fake: FakeService, ana: Person) -> None:
    old = fake.record(ana, Note(text="before"), at=NOON - timedelta(days=1))
    with fake.client(ana) as client:
        new = client.logs.record(Mood(mood=4))
        assert [entry.id for entry in client.logs.list()] == [new.id, old.id]
        client.logs.delete(old.id)
    assert list(fake.entries(ana)) == [new]
    assert [(one.method, one.status) for one in fake.requests] == [("PUT", 201), ("GET", 200), ("DELETE", 204)]


def test_consent_and_token_and_their_end(fake: FakeService, ana: Person) -> None:
    cleo = fake.clinician("Cleo")
    entry = fake.record(ana, Mood(mood=4))
    consent = fake.consent(ana, cleo, ["mood"])
    app = fake.token(ana, ["logs:read"])
    with fake.client(cleo) as hers, fake.client(app) as theirs:
        assert hers.logs.get(entry.id, patient=ana.id) == theirs.logs.get(entry.id) == entry
        fake.end_consent(ana, consent)
        fake.revoke(app)
        with pytest.raises(sdk.NotFound):
            hers.logs.get(entry.id, patient=ana.id)
        with pytest.raises(sdk.Unauthenticated):
            theirs.logs.get(entry.id)
    with pytest.raises(KeyError):
        fake.revoke("cmp_fake_nobody")
    with pytest.raises(KeyError):
        fake.invite(FakeService().patient("Ana"))


def test_what_the_test_did_not_answer_says_so(fake: FakeService, ana: Person) -> None:
    with fake.client(ana) as client:
        with pytest.raises(sdk.MethodNotAllowed, match=r"fake.answer\('GET', '/v1/patients/{patient}/trends', …\)"):
            client.trends.get()
        fake.answer("GET", "/v1/patients/{patient}/trends", {"from": "2026-03-01", "to": "2026-03-02", "series": {}})
        assert client.trends.get().series == {}
        with pytest.raises(sdk.Unauthenticated):
            fake.client("cmp_fake_nobody").trends.get()


def test_an_answer_takes_the_services_place_as_often_as_it_is_meant_to(fake: FakeService, ana: Person) -> None:
    with fake.client(ana) as client:
        fake.answer("PUT", "/v1/patients/{patient}/logs/{log}", "busy", times=1, headers={"Retry-After": "1"})
        client.logs.record(Mood(mood=4))
        assert [one.status for one in fake.requests] == [503, 201]
        fake.answer("GET", "/v1/me", "internal")
        with pytest.raises(sdk.ServerError):
            client.me.get()
        me = sdk.Me(id=ana.id, role="patient", name="Somebody", zone="UTC", scopes=(), language="en")
        fake.answer("GET", "/v1/me", me)
        assert client.me.get().name == "Somebody"
    with pytest.raises(ValueError, match="not-found"):
        fake.answer("GET", "/v1/me", "nonsense")


def test_an_older_service_lacks_kinds_and_fields_until_it_is_brought_up_to_date(fake: FakeService, ana: Person) -> None:
    fake.older("0.0.9", ["goal", "mood.energy"])
    with fake.client(ana) as client:
        facts = client.service.get()
        assert (facts.version, "goal" in facts.kinds, "energy" in facts.kinds["mood"]) == ("0.0.9", False, False)
        goal = sdk.Goal(goal="Call my sister", progress="some")
        assert push(client, Mood(mood=4), goal, Mood(mood=4, energy=3)) == ["applied", "rejected", "rejected"]
        with pytest.raises(sdk.InvalidRequest) as refused:
            client.logs.record(goal)
        assert [(fault.pointer, fault.code) for fault in refused.value.problem.errors] == [("/body/kind", "unknown-word")]
        fake.older("0.1.0")
        assert push(client, goal) == ["applied"]


def test_a_backup_is_put_back_and_every_cursor_ends(fake: FakeService, ana: Person) -> None:
    with fake.client(ana) as client:
        kept = client.logs.record(Mood(mood=4))
        saved = fake.snapshot()
        lost = client.logs.record(Mood(mood=1))
        cursor = client.sync.pull().cursor
        fake.restore(saved)
        with pytest.raises(sdk.CursorExpired):
            client.sync.pull(cursor)
        assert [log.id for log in client.sync.pull().changes] == [kept.id]
        with pytest.raises(sdk.NotFound):
            client.logs.get(lost.id)
        first = client.sync.pull().epoch
        fake.restore(saved)
        assert client.sync.pull().epoch > first > 1, "no two restores share an epoch"


def test_a_backup_that_nobody_announced_is_seen_by_who_has_more(fake: FakeService, ana: Person) -> None:
    with fake.client(ana) as client:
        saved = fake.snapshot()
        client.logs.record(Mood(mood=1))
        cursor = client.sync.pull().cursor
        fake.restore(saved, announced=False)
        assert client.sync.pull().epoch == 1
        with pytest.raises(sdk.CursorExpired):
            client.sync.pull(cursor)


def test_a_phone_with_a_wrong_clock(fake: FakeService, ana: Person) -> None:
    ahead = fake.clock.skewed(minutes=7)
    with fake.client(ana, clock=ahead) as client:
        assert client.logs.record(Mood(mood=4)).at == NOON + timedelta(minutes=7)
        assert push(client, Mood(mood=3)) == ["applied"]
        fake.advance(hours=1)
        assert client.logs.record(Mood(mood=2)).at == NOON + timedelta(hours=1, minutes=7)
    assert [entry.skewed for entry in fake.entries(ana)] == [True, True, True]
    assert fake.clock.skewed(days=-1).now() == fake.clock.now() - timedelta(days=1)


def test_a_clock_stands_is_set_and_advances() -> None:
    clock = Clock(NOON)
    assert clock.advance(hours=1).now() == NOON + timedelta(hours=1)
    before = clock.monotonic()
    assert clock.set(NOON - timedelta(days=9)).now() == NOON - timedelta(days=9)
    assert clock.monotonic() == before, "setting a clock lets no time pass"
    clock.sleep(30)
    assert clock.monotonic() == before + 30
    assert clock.now() == NOON - timedelta(days=9)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(hours=-1)
    with pytest.raises(ValueError, match="offset"):
        Clock(datetime(2026, 3, 2, 12, 0))  # noqa: DTZ001
    assert len({clock.uuid7() for _ in range(1000)}) == 1000
    assert [Clock(NOON, seed=1).random(), Clock(NOON, seed=1).uuid7()] == [
        Clock(seed=1).random(),
        Clock(NOON, seed=1).uuid7(),
    ]
    assert Clock(NOON, seed=1).uuid7() != Clock(NOON, seed=2).uuid7()


def test_many_threads_share_one_service(fake: FakeService, ana: Person) -> None:
    def write() -> None:
        with fake.client(ana) as client:
            for value in (1, 2, 3, 4, 5):
                client.logs.record(Mood(mood=value))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logs = fake.entries(ana)
    assert len(logs) == 40
    assert len({log.seq for log in logs}) == 40


def test_a_stream_is_for_clients_that_wait_too(fake: FakeService, ana: Person) -> None:
    seen: list[int] = []
    with fake.client(ana) as client, client.sync.stream() as hints:
        for hint in hints:
            seen.append(hint.seq)
            if len(seen) == 2:
                break
            stored = fake.record(ana, Mood(mood=4))
    assert seen == [0, stored.seq]


async def test_in_the_silence_a_stream_gives_a_sign_of_life(
    fake: FakeService, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("companion_sdk.testing._carrier._HEARTBEAT", 0.2)
    monkeypatch.setattr("companion_sdk.testing._carrier._LOOK", 0.05)
    headers = {"Authorization": f"Bearer {ana.token}"}
    http = httpx2.AsyncClient(transport=fake.transport, base_url=fake.url, headers=headers)  # type: ignore[arg-type]
    async with asyncio.timeout(5), http, http.stream("GET", "/v1/patients/me/sync/stream") as response:
        async for line in response.aiter_lines():
            if line == ": still open":
                break
