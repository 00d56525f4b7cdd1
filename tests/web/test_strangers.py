"""Without a valid token there is one answer, everywhere; what one may not see is what is not there."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

import httpx2
from support.cast import Cast, Person, new_patient
from support.clocks import ManualClock
from support.stage import stage
from web.table import CLOSED, Place, Route, app_of, furnish, told

from companion.core.ids import new_token
from companion_sdk.wire import SCOPES

RID = {"X-Request-Id": "0f8fad5b-d9cb-469f-a165-70867728950e"}
BROKEN = (
    {},
    {"content": b"{", "headers": {"Content-Type": "application/json"}},
    {"content": b"x=1", "headers": {"Content-Type": "text/plain"}},
    {"content": b"x" * 70_000, "headers": {"Content-Type": "application/json"}},
    {"content": b"\x1f\x8b", "headers": {"Content-Type": "application/json", "Content-Encoding": "gzip"}},
)


async def ended(cast: Cast, clock: ManualClock) -> dict[str, str]:
    """Authorization headers of everybody who was somebody once, or never."""
    short = await cast.ana.post("/v1/me/tokens", {"name": "W", "scopes": list(SCOPES), "days": 1})
    clock.advance(days=1)
    gone = await cast.ana.post("/v1/me/tokens", {"name": "W", "scopes": list(SCOPES)})
    await cast.ana.delete(f"/v1/me/tokens/{gone.json()['id']}")
    token = gone.json()["token"]
    return {
        "forged": f"Bearer {new_token()}",
        "expired": f"Bearer {short.json()['token']}",
        "revoked": f"Bearer {token}",
        "misspelt": f"Bearer {token[:-1]}{'A' if token[-1] != 'A' else 'B'}",
        "no scheme": cast.ana.token,
        "basic": "Basic QW5hOmFuYQ==",
        "no token": "Bearer",
        "two": f"Bearer {cast.ana.token} {cast.ana.token}",
        "comma": f"Bearer {cast.ana.token},",
        "long": "Bearer " + "A" * 5000,
        "letters": "Bearer caf\u00e9",
    }


async def send(http: httpx2.AsyncClient, method: str, path: str, token: str | None, more: dict[str, Any]) -> Any:
    headers = {**RID, **more.get("headers", {})}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    if token is not None:
        pairs.append((b"authorization", token.encode("latin-1")))
    return told(await http.request(method, path, headers=pairs, content=more.get("content", b"")))


def places(route: Route, place: Place) -> Iterable[str]:
    """Where things are and where they are not."""
    yield place.at(route)
    yield route.at()
    yield route.at(**{**place.ids, "log": uuid4(), "consent": uuid4(), "device": uuid4(), "token": uuid4()})
    yield place.at(route) + "?access_token=x&from=1"


async def test_every_401_is_the_same_bytes(start: Any, clock: ManualClock) -> None:
    async with stage(start, clock=clock) as cast:
        place = await furnish(cast)
        tokens: dict[str, str | None] = {"missing": None, **(await ended(cast, clock))}
        model = await send(cast.http, "GET", "/v1/me", None, {})
        assert model[0] == 401
        assert dict(model[1])[b"www-authenticate"] == b"Bearer"
        for route in CLOSED:
            for who, token in tokens.items():
                for path in places(route, place):
                    assert await send(cast.http, route.method, path, token, {}) == model, (route.name, who, path)
            for who in ("missing", "forged", "revoked"):
                for more in BROKEN:
                    answer = await send(cast.http, route.method, place.at(route), tokens[who], more)
                    assert answer == model, (route.name, who, more.get("headers"))


async def test_paths_and_methods_that_are_none_are_the_same_401(start: Any, clock: ManualClock) -> None:
    async with stage(start, clock=clock) as cast:
        place = await furnish(cast)
        model = await send(cast.http, "GET", "/v1/me", None, {})
        log = f"/v1/patients/{cast.ana.id}/logs/{place.ids['log']}"
        for token in (None, f"Bearer {new_token()}", "nonsense"):
            for path in (
                "/",
                "/v2",
                "/v1",
                "/v1/nothing",
                "/v1/patients",
                f"{log}/x",
                "/v1/me/logs/%ff",
                "/%D9%A1",
                "/schema",
            ):
                for method in ("GET", "PUT", "POST", "DELETE", "PATCH"):
                    assert await send(cast.http, method, path, token, {}) == model, (method, path)
            for method in ("POST", "PATCH", "TRACE", "OPTIONS", "PROPFIND"):
                assert await send(cast.http, method, log, token, {}) == model, method
            head = await send(cast.http, "HEAD", log, token, {})
            assert (head[0], head[1], head[2]) == (401, model[1], b"")


async def test_a_known_caller_hears_what_is_wrong(cast: Cast) -> None:
    """400, 404, 405, 413 and 415 leave only to somebody known."""
    ana, log = cast.ana, f"/v1/patients/me/logs/{uuid4()}"
    json = {"Content-Type": "application/json"}
    for method, path, more, status in (
        ("GET", "/v1/nothing", {}, 404),
        ("GET", "/", {}, 404),
        ("POST", log, {}, 405),
        ("TRACE", log, {}, 405),
        ("GET", "/v1/patients/me/logs/%ff", {}, 400),
        ("GET", "/v1/patients/%D9%A1", {}, 404),
        ("PUT", log, {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415),
        ("PUT", log, {"content": b"x" * 70_000, "headers": json}, 413),
        ("PUT", log, {"content": b"{", "headers": json}, 400),
    ):
        answer = await ana.call(method, path, **more)
        assert answer.status_code == status, (method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert body["status"] == status
        assert body["instance"] == f"urn:uuid:{body['request_id']}"
        assert answer.headers["x-request-id"] == body["request_id"]
    wrong = await ana.call("POST", log)
    assert set(wrong.headers["allow"].replace(" ", "").split(",")) >= {"GET", "PUT", "DELETE"}
    options = await ana.call("OPTIONS", log)
    assert (options.status_code, options.content) == (204, b"")
    assert "access-control-allow-origin" not in options.headers


async def test_what_is_hidden_is_missing(start: Any) -> None:
    """Dan, Ben, and an app of Ben's, at everything of Ana's and at nothing at all: the same bytes and headers."""
    async with stage(start) as cast:
        place = await furnish(cast)
        newcomer = await new_patient(cast.http, cast.cleo, "Noor")
        watch = await app_of(cast.ben, *SCOPES)
        for person in (cast.dan, cast.ben, newcomer, watch):
            for route in CLOSED:
                if "{" not in route.path or (person is watch and "{patient}" not in route.path):
                    continue
                sent: dict[str, Any] = {"json": place.bodies[route.name]} if route.body else {}
                answers = [
                    told(await person.call(route.method, path, headers={**RID, "If-None-Match": "*"}, **sent))
                    for path in (place.at(route), route.at(), route.at(**{**place.ids, "patient": uuid4()}))
                ]
                if "{patient}" in route.path:
                    assert answers[0][0] in (403, 404), (person.name, route.name)
                    assert answers[0] == answers[1] == answers[2], (person.name, route.name)
                elif route.method != "PUT":
                    assert answers[0] == answers[1], (person.name, route.name)
        assert (await cast.ana.get(f"/v1/patients/me/logs/{place.ids['log']}")).status_code == 200


async def test_a_bad_request_about_somebody_else_is_400_whether_they_exist_or_not(cast: Cast) -> None:
    """415, 413 and 400 stand before 404: they say nothing of the record."""
    dan, entry = cast.dan, {"at": "1999-01-01T00:00:00Z", "zone": "UTC", "body": {"kind": "note", "text": "x"}}
    for patient in (cast.ana.id, uuid4()):
        where = f"/v1/patients/{patient}/logs/{uuid4()}"
        assert (await dan.put(where, {"x": 1})).status_code == 400
        assert (await dan.put(where, entry)).status_code == 400
        assert (await dan.call("PUT", where, content=b"x", headers={"Content-Type": "text/plain"})).status_code == 415
        assert (await dan.get(f"/v1/patients/{patient}/logs?limit=0")).status_code == 400
        assert (await dan.get(f"/v1/patients/{patient}/logs")).status_code == 404
    watch = await app_of(cast.ana, "trends:read")
    assert (await watch.put(f"/v1/patients/me/logs/{uuid4()}", entry)).status_code == 400
    assert (await watch.get("/v1/patients/me/logs?limit=0")).status_code == 400
    assert (await watch.get("/v1/patients/me/logs?limit=1")).status_code == 403


async def test_a_request_id_is_echoed_if_it_is_a_uuid(cast: Cast) -> None:
    for given in (str(uuid4()), str(uuid4()).upper(), "00000000-0000-0000-0000-000000000000"):
        answer = await cast.ana.get("/v1/nothing", headers={"X-Request-Id": given})
        assert answer.headers["x-request-id"] == given
        assert answer.json()["request_id"] == given
    made: set[str] = set()
    for bad in ("", "1", "x" * 36, uuid4().hex, f"{{{uuid4()}}}", f"{uuid4()}\t.", "\u00b2" * 36, "a" * 3000):
        pairs = [(b"authorization", f"Bearer {cast.ana.token}".encode()), (b"x-request-id", bad.encode("latin-1"))]
        answer = await cast.http.get("/v1/nothing", headers=pairs)
        assert str(UUID(answer.headers["x-request-id"])) == answer.headers["x-request-id"]
        assert answer.json()["request_id"] == answer.headers["x-request-id"] != bad
        made.add(answer.headers["x-request-id"])
    assert len(made) == 8


async def test_two_authorization_headers_are_nobody(cast: Cast) -> None:
    """One proxy would read the first, another the last."""
    eve = Person("Eve", new_token(), cast.http)
    for tokens in ((cast.ana.token, eve.token), (eve.token, cast.ana.token), (cast.ana.token, cast.ana.token)):
        pairs = [(b"authorization", f"Bearer {token}".encode()) for token in tokens]
        assert (await cast.http.get("/v1/me", headers=pairs)).status_code == 401
