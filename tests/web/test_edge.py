"""What surrounds every answer: headers, CORS, proxies, limits."""

from typing import Any
from uuid import uuid4

import httpx2
from support.cast import Cast, Person, monday
from support.clocks import ManualClock
from support.stage import stage
from web.table import ROUTES, furnish

from companion.core.ids import new_code, new_token
from companion.web.limits import Buckets

ORIGIN = "https://app.example"
ASK = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "authorization,if-match",
}


def cors(answer: httpx2.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control-")]


async def test_every_answer_forbids_storing_and_sniffing(cast: Cast) -> None:
    place = await furnish(cast)
    for route in ROUTES:
        for person in (None, cast.ana, cast.dan):
            headers = {} if person is None else person.headers
            answer = await cast.http.request(route.method, place.at(route), headers=headers, json={})
            assert answer.headers["cache-control"] == "no-store", route.name
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "server" not in answer.headers
            assert "set-cookie" not in answer.headers
            assert len(answer.headers.get_list("x-request-id")) == 1
            if answer.status_code == 401:
                break


async def test_cors_is_off_by_default(cast: Cast) -> None:
    where = f"/v1/patients/me/logs/{uuid4()}"
    preflight = await cast.http.request("OPTIONS", where, headers=ASK)
    assert preflight.status_code == 401
    assert not cors(preflight)
    read = await cast.ana.get("/v1/me", headers={"Origin": ORIGIN})
    assert read.status_code == 200
    assert not cors(read)
    assert not cors(await cast.http.get("/v1/service", headers={"Origin": ORIGIN}))


async def test_named_origins_get_their_preflight_before_the_401(start: Any) -> None:
    async with stage(start, cors_origins=f"{ORIGIN}, https://other.example") as cast:
        for path in ("/v1/me", f"/v1/patients/{uuid4()}/logs/{uuid4()}", "/v1/nothing"):
            answer = await cast.http.request("OPTIONS", path, headers=ASK)
            assert (answer.status_code, answer.content) == (204, b"")
            assert "content-length" not in answer.headers
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert {"PUT", "PATCH", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
            allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
            assert {"authorization", "content-type", "if-match", "if-none-match", "idempotency-key"} <= set(allowed)
            assert "access-control-allow-credentials" not in answer.headers
            assert answer.headers["vary"] == "Origin"
        for headers in (
            {"Origin": ORIGIN},
            {**ASK, "Origin": "https://evil.example"},
            {**ASK, "Origin": "null"},
            {**ASK, "Origin": f"{ORIGIN}.evil.example"},
            {**ASK, "Origin": ORIGIN.upper()},
        ):
            answer = await cast.http.request("OPTIONS", "/v1/me", headers=headers)
            assert answer.status_code == 401, headers
            assert headers["Origin"] == ORIGIN or not cors(answer)


async def test_a_named_origin_may_read_the_headers_it_needs(start: Any) -> None:
    async with stage(start, cors_origins=ORIGIN) as cast:
        log = await cast.ana.mood(monday())
        for path, status in ((f"/v1/patients/me/logs/{log['id']}", 200), ("/v1/patients/me/logs/x", 404)):
            answer = await cast.ana.get(path, headers={"Origin": ORIGIN})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            exposed = answer.headers["access-control-expose-headers"].split(", ")
            assert set(exposed) == {"ETag", "Link", "Retry-After", "X-Request-Id"}
        stranger = await cast.http.get("/v1/me", headers={"Origin": ORIGIN})
        assert stranger.headers["access-control-allow-origin"] == ORIGIN, "a page must be able to read the 401"
        assert not cors(await cast.ana.get("/v1/me", headers={"Origin": "https://evil.example"}))
        assert not cors(await cast.ana.get("/v1/me"))


async def test_strangers_are_kept_waiting_by_address(start: Any, clock: ManualClock) -> None:
    """Tokenless calls, forged tokens and wrong codes draw on one bucket; whoever is signed in does not."""
    async with stage(start, clock=clock, anonymous_burst=6, anonymous_rate=0.5) as cast:
        code = {"method": "code", "code": new_code()}

        async def knock() -> list[httpx2.Response]:
            return [
                await cast.http.get("/v1/me"),
                await Person("Eve", new_token(), cast.http).get("/v1/me"),
                await Person("Eve", "nonsense", cast.http).get("/v1/nothing"),
                await cast.http.post("/v1/sign-in", json=code),
                await cast.http.post("/v1/sign-in", json=code, headers={"Authorization": f"Bearer {cast.dan.token}"}),
            ]

        assert {answer.status_code for answer in await knock()} == {401}
        assert (await cast.http.get("/v1/me")).status_code == 401
        refused = await knock()
        assert {answer.status_code for answer in refused} == {429}
        for answer in refused:
            assert answer.headers["retry-after"] == "2"
            assert answer.headers["ratelimit"] == '"calls";r=0;t=2'
            assert answer.json()["type"] == "/problems/rate-limited"
            assert answer.headers["x-request-id"] == answer.json()["request_id"]
        right = (await cast.ana.post("/v1/me/invites")).json()["code"]
        guess = {"method": "invite", "code": right, "device": {"name": "p", "zone": "UTC"}}
        for headers in ({}, cast.dan.headers, {"Authorization": f"Bearer {new_token()}"}):
            answer = await cast.http.post("/v1/sign-in", json=guess, headers=headers)
            assert answer.status_code == 429, "no code is tried any more, not even the right one"
        for path in ("/v1/service", "/v1/crisis", "/health/live"):
            assert (await cast.http.get(path)).status_code == 200, "help and health are for everybody"
        for _ in range(20):
            assert (await cast.ana.get("/v1/me")).status_code == 200
            assert (await cast.ana.get("/v1/nothing")).status_code == 404
        clock.advance(seconds=2)
        assert (await cast.http.get("/v1/me")).status_code == 401
        assert (await cast.http.get("/v1/me")).status_code == 429


async def test_signing_in_rightly_costs_nothing(start: Any, clock: ManualClock) -> None:
    async with stage(start, clock=clock, anonymous_burst=1, anonymous_rate=0.001) as cast:
        for _ in range(5):
            code = (await cast.ana.post("/v1/me/invites")).json()["code"]
            request = {"method": "invite", "code": code, "device": {"name": "p", "zone": "UTC"}}
            assert (await cast.http.post("/v1/sign-in", json=request)).status_code == 200


async def test_a_thousand_calls_of_one_person_at_once_are_answered(start: Any, clock: ManualClock) -> None:
    """The clock stands still: all of them are within one second."""
    async with stage(start, clock=clock) as cast:
        statuses = [(await cast.ana.get("/v1/nothing")).status_code for _ in range(1000)]
        assert set(statuses) == {404}
    async with stage(start, clock=clock, caller_rate=5) as cast:
        statuses = [(await cast.ana.get("/v1/me")).status_code for _ in range(20)]
        assert statuses.count(429) > 0
        assert (await cast.ben.get("/v1/me")).status_code == 200, "each token has a bucket of its own"


async def test_of_a_forged_token_as_long_as_a_header_only_the_beginning_is_remembered(
    start: Any, clock: ManualClock
) -> None:
    """Or a stranger could fill the memory with them: twenty thousand callers are remembered."""
    async with stage(start, clock=clock, caller_rate=0.5) as cast:
        forged = [Person("Eve", "x" * 20_000 + str(number), cast.http) for number in range(2)]
        assert [(await eve.get("/v1/me")).status_code for eve in forged] == [401, 429]


async def test_forwarded_addresses_are_believed_from_a_trusted_proxy_only(start: Any, clock: ManualClock) -> None:
    async def statuses(cast: Cast, *forwarded: str) -> list[int]:
        return [
            (await cast.http.get("/v1/me", headers=[(b"x-forwarded-for", one.encode())])).status_code for one in forwarded
        ]

    options = {"clock": clock, "anonymous_burst": 2, "anonymous_rate": 0.001}
    seven = [f"203.0.113.{number}" for number in range(7)]
    async with stage(start, **options) as cast:
        assert await statuses(cast, *seven) == [401, 401, 429, 429, 429, 429, 429]
    async with stage(start, trusted_proxies="127.0.0.1, 10.0.0.1", **options) as cast:
        assert await statuses(cast, *seven) == [401] * 7
        mine = "198.51.100.7"
        # whatever the caller wrote before the proxy's own word does not count, nor does a further proxy of ours
        told = [f"{seven[0]}, {mine}", f"{seven[1]}, {mine}, 10.0.0.1", f"{seven[2]},{mine}", mine]
        assert await statuses(cast, *told) == [401, 401, 429, 429]
        twice = [(b"x-forwarded-for", b"203.0.113.200"), (b"x-forwarded-for", mine.encode())]
        assert (await cast.http.get("/v1/me", headers=twice)).status_code == 429
        assert await statuses(cast, "", ",", "", "") == [401, 401, 429, 429]


def test_a_bucket_fills_with_time_and_forgets_the_oldest() -> None:
    buckets = Buckets(2, 1)
    for wait in (0, 0, 1):
        assert buckets.wait("a", 100) == wait
        buckets.take("a", 100)
    assert buckets.wait("a", 100.25) == 0.75
    assert buckets.wait("b", 100) == 0
    assert buckets.wait("a", 1e9) == 0
    for number in range(20_001):
        buckets.take(str(number), 100)
    assert buckets.wait("a", 100) == 0


async def test_what_anybody_may_read(cast: Cast) -> None:
    told = (await cast.http.get("/v1/service")).json()
    assert set(told) == {"version", "kinds", "limits", "features"}
    assert told["kinds"]["note"] == ["text"]
    assert told["limits"] == {
        "body_bytes": 65_536,
        "page": 500,
        "note_characters": 4_000,
        "push_bytes": 1_048_576,
        "push_ops": 200,
        "pull_changes": 1_000,
    }
    crisis = (await cast.http.get("/v1/crisis")).json()
    assert crisis["resources"]
    assert crisis["monitored"] is False
    for query, status in (("language=es", 200), ("language=e", 400), ("language=en&language=es", 400), ("x=1", 400)):
        assert (await cast.http.get(f"/v1/crisis?{query}")).status_code == status, query
    for path, status in (("/health/live", 200), ("/health/ready", 200), ("/openapi.json", 200), ("/docs", 200)):
        assert (await cast.http.get(path)).status_code == status
        head = await cast.http.request("HEAD", path)
        assert (head.status_code, head.content) == (status, b"")
