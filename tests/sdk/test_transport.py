"""What goes over the wire: headers, retries, deadlines, connections; by a mock transport."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import httpx2
import pytest

from companion_sdk import (
    AsyncCompanion,
    Companion,
    CompanionError,
    ConnectionFailed,
    ConsentIn,
    LogIn,
    Mood,
    Note,
    PlanIn,
    ServerError,
    TimedOut,
)

NOW = datetime(2026, 11, 2, 20, 30, tzinfo=UTC)
CLEO = UUID("0192e4a0-0000-7000-8000-00000000000c")
TOKEN = "cmp_fake_token_of_ana"
LOG = "0192e4a0-0000-7000-8000-000000000001"
REFUSED = httpx2.ConnectError("refused")
LATE = httpx2.ReadTimeout("late")
WELL = {"status": "ok", "checks": {}}
MOOD = LogIn(at=NOW, zone="UTC", body=Mood(mood=3))


def test_a_call_says_who_and_which(client, service):
    client.me.get()
    sent = service.seen[0].headers
    assert sent["authorization"] == f"Bearer {TOKEN}"
    assert UUID(sent["x-request-id"]).version == 4
    assert sent["user-agent"].startswith("companion-sdk/")
    assert "application/json" in sent["accept"]
    assert "content-type" not in sent


def test_every_call_has_its_own_request_id_and_its_attempts_share_it(service, clock):
    ids: list[str] = []

    def busy_once(request: httpx2.Request) -> httpx2.Response:
        ids.append(request.headers["x-request-id"])
        return httpx2.Response(503) if len(ids) == 1 else service(request)

    with Companion("https://companion.example", TOKEN, transport=httpx2.MockTransport(busy_once)) as client:
        client.me.get()
        client.me.get()
    assert ids[0] == ids[1] != ids[2]


def test_a_log_is_put_under_a_uuid7_with_its_kind(client, service):
    entry = client.logs.record(Mood(mood=4))
    request = service.seen[-1]
    assert request.method == "PUT"
    assert request.url.path == f"/v1/patients/me/logs/{entry.id}"
    assert entry.id.version == 7
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content)["body"] == {"kind": "mood", "mood": 4}


def test_a_correction_names_the_revision_and_the_patient(client, service):
    entry = client.logs.correct(client.logs.record(Mood(mood=2)), Mood(mood=3))
    assert service.seen[-1].headers["if-match"] == '"1"'
    assert f"/patients/{entry.patient_id}/" in service.seen[-1].url.path
    assert (entry.revision, entry.body) == (2, Mood(mood=3))


def test_create_only_says_so(client, service):
    client.logs.put(LOG, MOOD, create_only=True)
    assert service.seen[-1].headers["if-none-match"] == "*"


def test_one_revision_alone_can_be_deleted(client, service):
    client.logs.delete(LOG, if_match=3)
    assert service.seen[-1].headers["if-match"] == '"3"'
    client.logs.delete(LOG)
    assert "if-match" not in service.seen[-1].headers


def test_the_filters_of_a_list_are_sent(client, service):
    list(client.logs.list("mood", NOW.date(), NOW.date(), 5))
    assert str(service.seen[-1].url.query, "ascii") == "kind=mood&from=2026-11-02&to=2026-11-02&limit=5"


def test_several_series_are_sent_as_several_parameters(client, service):
    client.trends.get(series=["mood", "craving"])
    assert service.seen[-1].url.params.get_list("series") == ["mood", "craving"]
    client.trends.get(series="mood")
    assert service.seen[-1].url.params.get_list("series") == ["mood"]


def test_words_of_a_person_are_quoted(client, service):
    client.sobriety.get(substance="other:a&b=c/d ü")
    assert service.seen[-1].url.params["substance"] == "other:a&b=c/d ü"


@pytest.mark.parametrize("wrong", ["../../me", "", "me/../x", "1", "me"])
def test_nothing_but_an_id_gets_into_a_path(client, wrong, service):
    with pytest.raises(ValueError, match="UUID"):
        client.logs.get(wrong)
    assert service.seen == []


def test_a_day_is_a_date(client):
    with pytest.raises(TypeError, match="calendar day"):
        client.logs.list(from_=NOW)


def test_all_pages_are_walked_and_one_can_be_resumed(client, service):
    made = [client.logs.record(Note(text=f"{number}")).id for number in range(5)]
    assert [entry.id for entry in client.logs.list(limit=2)] == made[::-1]
    pages = list(client.logs.list(limit=2).pages())
    assert [len(page.items) for page in pages] == [2, 2, 1]
    assert pages[-1].next is None
    assert [entry.id for entry in client.logs.list(limit=2, cursor=pages[0].next)] == made[::-1][2:]


async def test_all_pages_are_walked_without_blocking(async_client):
    made = [(await async_client.logs.record(Note(text=f"{number}"))).id for number in range(5)]
    assert [entry.id async for entry in async_client.logs.list(limit=2)] == made[::-1]
    assert [len(page.items) async for page in async_client.logs.list(limit=2).pages()] == [2, 2, 1]


def test_nothing_is_fetched_before_the_first_step(client, service):
    client.logs.list()
    assert service.seen == []


# -- retries -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [REFUSED, LATE, httpx2.ReadError("reset"), httpx2.Response(503)])
def test_what_is_safe_to_repeat_is_tried_three_times(trouble, against, clock):
    client = against(trouble)
    with pytest.raises(CompanionError):
        client.logs.put(LOG, MOOD)
    assert clock.slept == [0.25, 0.5]


def test_trouble_that_passes_is_not_seen(against, clock):
    assert against(REFUSED, httpx2.Response(502), httpx2.Response(200, json=WELL)).health.live().status == "ok"
    assert len(clock.slept) == 2


def test_retry_after_is_kept(against, clock):
    against(httpx2.Response(429, headers={"retry-after": "7"}), httpx2.Response(200, json=WELL)).health.live()
    assert clock.slept == [7.0]


def test_a_wait_past_the_deadline_is_not_begun(against, clock):
    with pytest.raises(ServerError):
        against(httpx2.Response(503, headers={"retry-after": "30"}), deadline=20).me.get()
    assert clock.slept == []


def test_retries_can_be_switched_off(against, clock):
    with pytest.raises(ConnectionFailed):
        against(REFUSED, retries=0).me.get()
    assert clock.slept == []


def test_a_revoked_consent_may_be_revoked_again(against, clock):
    with pytest.raises(TimedOut):
        against(LATE).consents.revoke(LOG)
    assert len(clock.slept) == 2


@pytest.mark.parametrize("trouble", [LATE, httpx2.ReadError("reset"), httpx2.Response(502), httpx2.Response(503)])
def test_a_one_time_code_is_not_sent_twice(trouble, against, clock):
    with pytest.raises(CompanionError):
        against(trouble).sign_in_with_code("W3XT")
    assert clock.slept == []


@pytest.mark.parametrize("trouble", [REFUSED, httpx2.Response(429)])
def test_a_one_time_code_that_was_not_looked_at_is_sent_again(trouble, against, clock):
    with pytest.raises(CompanionError):
        against(trouble).sign_in_with_code("W3XT")
    assert len(clock.slept) == 2


def test_an_invite_is_sent_again_with_the_same_device(clock, service):
    bodies: list[bytes] = []

    def lose_the_answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        if len(bodies) == 1:
            raise LATE
        return service(request)

    with Companion("https://companion.example", transport=httpx2.MockTransport(lose_the_answer)) as client:
        client.sign_in("K7QF", device="Phone", zone="UTC")
    assert bodies[0] == bodies[1]
    assert UUID(json.loads(bodies[0])["device"]["id"]).version == 7


MAKES: list[Callable[[Companion], object]] = [
    lambda client: client.tokens.create("App", ["logs:read"]),
    lambda client: client.invites.create(name="Ana"),
    lambda client: client.invites.add_phone(),
]


@pytest.mark.parametrize("make", MAKES)
def test_a_post_that_makes_something_carries_one_key_for_all_attempts(make, clock):
    keys: list[str] = []

    def down(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["idempotency-key"])
        raise LATE

    with Companion("https://companion.example", TOKEN, transport=httpx2.MockTransport(down)) as client:
        for _ in range(2):
            with pytest.raises(TimedOut):
                make(client)
    assert keys[:3] == keys[:1] * 3
    assert keys[3] != keys[0]


async def test_the_async_client_retries_the_same_way(clock):
    answers = iter(
        [httpx2.Response(503, headers={"retry-after": "3"}), httpx2.Response(502), httpx2.Response(200, json=WELL)]
    )
    transport = httpx2.MockTransport(lambda _: next(answers))
    async with AsyncCompanion("https://companion.example", transport=transport) as client:
        assert (await client.health.live()).status == "ok"
    assert clock.slept == [3.0, 0.5]


async def test_the_async_client_raises_the_same_errors(clock):
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise REFUSED

    async with AsyncCompanion("https://companion.example", transport=httpx2.MockTransport(refuse)) as client:
        with pytest.raises(ConnectionFailed, match="refused"):
            await client.me.get()


# -- who speaks --------------------------------------------------------------------------------------------------------


def test_signing_in_and_out_changes_who_speaks(service, clock):
    with Companion("https://companion.example", transport=httpx2.MockTransport(service)) as client:
        client.sign_in("K7QF", device="Phone", zone="UTC", device_id=LOG)
        client.me.get()
        client.sign_out()
        client.service.get()
        client.me.get()
    tokens = [request.headers.get("authorization") for request in service.seen]
    assert tokens == [None, f"Bearer {TOKEN}", f"Bearer {TOKEN}", None, None]
    assert json.loads(service.seen[0].content) == {
        "method": "invite",
        "code": "K7QF",
        "device": {"name": "Phone", "zone": "UTC", "id": LOG},
    }


async def test_a_clinician_signs_in_with_a_code(service, clock):
    async with AsyncCompanion("https://companion.example", transport=httpx2.MockTransport(service)) as client:
        await client.sign_in_with_code("W3XT")
        await client.me.get()
    assert json.loads(service.seen[0].content) == {"method": "code", "code": "W3XT"}
    assert service.seen[1].headers["authorization"] == f"Bearer {TOKEN}"


def test_help_in_a_crisis_needs_no_token(client, service):
    assert client.crisis.get("es").resources[0].call == "988"
    assert "authorization" not in service.seen[0].headers


def test_no_cookie_is_ever_sent_back(clock):
    seen: list[httpx2.Request] = []

    def baker(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=WELL, headers={"set-cookie": "session=ben; Path=/"})

    with Companion("https://companion.example", transport=httpx2.MockTransport(baker)) as client:
        client.health.live()
        client.health.live()
    assert "cookie" not in seen[1].headers


@pytest.mark.parametrize("client_class", [Companion, AsyncCompanion])
def test_a_token_is_never_shown(client_class):
    client = client_class("https://companion.example", TOKEN)
    shown = f"{client!r} {client} {client._link!r} {client._link.state!r} {client.logs!r} {client.logs.list()!r}"
    assert "for item in" in shown
    assert "companion.example" in shown
    assert TOKEN not in shown


@pytest.mark.parametrize("token", ["", "cmp_…", "cmp a\n", " cmp", "cmp\r\nx-evil: 1"])
def test_a_token_that_cannot_be_one_is_refused_without_showing_it(token):
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        Companion("https://companion.example", token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("address", ["http://companion.example", "http://10.0.0.1:8000", "http://127.0.0.1.evil.example"])
@pytest.mark.parametrize("client_class", [Companion, AsyncCompanion])
def test_plain_http_is_refused_off_this_machine(address, client_class):
    with pytest.raises(ValueError, match="https"):
        client_class(address, TOKEN)
    assert client_class(address, TOKEN, allow_insecure=True)


def test_plain_http_is_fine_over_a_transport_of_ones_own():
    answering = httpx2.MockTransport(lambda request: httpx2.Response(200, json=WELL))
    with Companion("http://companion.test", TOKEN, transport=answering) as client:
        assert client.health.live().status == "ok"


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:1", "http://a.localhost"])
def test_plain_http_is_fine_on_this_machine(address):
    assert Companion(address)


@pytest.mark.parametrize(
    "address", ["companion.example", "ftp://x", "", "https://", "https://u:p@x", "https://x?a=b", "https://x/v1/"]
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ValueError, match="base_url"):
        Companion(address)


def test_a_service_below_a_path_is_reached(service, clock):
    seen: list[str] = []

    def note(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return httpx2.Response(200, json=WELL)

    with Companion("https://clinic.example/companion/", transport=httpx2.MockTransport(note)) as client:
        client.health.live()
    assert seen == ["https://clinic.example/companion/health/live"]


def test_bodies_are_whole(client, service):
    client.plans.put(LOG, PlanIn(about="mood", times=["20:30"], window_minutes=60, channels=["email"]))
    assert json.loads(service.seen[-1].content)["times"] == ["20:30"]
    client.consents.put(LOG, ConsentIn(recipient=CLEO, categories=["mood"], from_=NOW))
    assert json.loads(service.seen[-1].content)["from"] == "2026-11-02T20:30:00Z"


def test_a_transport_of_another_library_is_refused_by_name():
    class Other:
        def close(self) -> None: ...

    with pytest.raises(TypeError, match="httpx2"):
        Companion("https://companion.example", transport=Other())


def test_one_client_serves_many_threads(service, clock):
    with Companion("https://companion.example", TOKEN, transport=httpx2.MockTransport(service), zone="UTC") as client:
        threads = [threading.Thread(target=client.logs.record, args=(Note(text=f"{n}"),)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(client.logs.list(limit=7))) == 20
