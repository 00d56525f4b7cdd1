"""Every operation is called for real, well and badly, and each answer is held against the document."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import jsonschema
import msgspec
import pytest
from support.cast import OPERATOR, Cast, Person, monday
from support.documented import Documented

from companion import app
from companion.logs import sync
from companion.web import openapi
from companion_sdk import wire

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def documented() -> Documented:
    return Documented(openapi.encoded(app.build()))


class Story:
    """What the cast does, each call checked; ``ids`` are those of things that were made."""

    def __init__(self, cast: Cast, documented: Documented) -> None:
        self.cast = cast
        self.documented = documented
        self.log, self.consent, self.plan, self.endpoint = (uuid4() for _ in range(4))

    async def call(self, who: Person, method: str, path: str, body: Any = None, *status: int, **headers: str) -> Any:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await who.call(method, path, headers=sent, **({} if body is None else {"json": body}))
        self.documented.check(answer)
        assert answer.status_code in (status or (200,)), answer.text
        is_json = answer.headers.get("content-type", "").partition(";")[0].endswith("json")
        return answer.json() if is_json else answer.text


async def the_diary(story: Story) -> None:
    ana, path = story.cast.ana, f"/v1/patients/me/logs/{story.log}"
    entry = ana.entry(monday(), kind="mood", mood=1, anxiety=0, safe="no", emotions=["low"], note="Not a good day")
    await story.call(ana, "PUT", path, entry, 201, If_None_Match="*")
    await story.call(ana, "PUT", path, entry)
    await story.call(ana, "PUT", path, {**entry, "source": "device"}, 428)
    await story.call(ana, "PUT", path, {**entry, "source": "device"}, 412, If_Match='"7"')
    await story.call(ana, "PUT", path, ana.entry(monday(), kind="note", text="Better"), 409)
    await story.call(ana, "PUT", path, {**entry, "source": "device"}, If_Match='"1"')
    await story.call(ana, "PUT", path, {"at": "yesterday"}, 400)
    await story.call(ana, "GET", path)
    await story.call(ana, "GET", path, None, 304, If_None_Match='"2"')
    used = [{"substance": "alcohol", "amount": 1.5, "unit": "drinks", "at": "2026-03-01T23:00:00Z"}]
    await ana.log(monday(13), kind="sobriety", sober=False, uses=used)
    await ana.log(monday(14), kind="coping", skill="urge-surfing", urge_before=8)
    await story.call(ana, "GET", "/v1/patients/me/logs?limit=1&kind=mood&from=2026-03-01&to=2026-03-03")
    await story.call(ana, "GET", "/v1/patients/me/logs?limit=1")
    await story.call(ana, "GET", "/v1/patients/me/logs?kind=nothing", None, 400)
    await story.call(ana, "GET", "/v1/patients/me/trends?from=2026-02-01&to=2026-03-03&series=mood,anxiety")
    await story.call(ana, "GET", "/v1/patients/me/sobriety?substance=alcohol&on=2026-03-03")
    await story.call(ana, "DELETE", path, None, 412, If_Match='"1"')
    await story.call(ana, "DELETE", path, None, 204)
    await story.call(ana, "DELETE", path, None, 204)
    await story.call(ana, "GET", path, None, 410)
    await story.call(ana, "PUT", path, entry, 410)
    await story.call(ana, "GET", f"{path}/history")


async def the_sync(story: Story) -> None:
    """What a device sends and gets, with each outcome once; and the crisis plan, which may conflict."""
    ana, path, plan = story.cast.ana, "/v1/patients/me/sync", "/v1/patients/me/safety-plan"
    await story.call(ana, "GET", plan, None, 404)
    sections = {"kind": "safety_plan", "sections": [{"title": "People I can call", "text": "Cleo"}]}
    await story.call(ana, "PUT", plan, sections, 201, If_None_Match="*")
    await story.call(ana, "PUT", plan, {**sections, "sections": []}, 428)
    await story.call(ana, "PUT", plan, {**sections, "sections": []}, If_Match='"1"')
    await story.call(ana, "PUT", plan, sections, 412, If_Match='"1"')
    stored = await story.call(ana, "GET", plan)
    await story.call(ana, "GET", plan, None, 304, If_None_Match='"2"')
    device, mood = str(uuid4()), ana.entry(monday(), kind="mood", mood=2, safe="unsure")
    plan_op = {"id": stored["id"], "base": 1, "log": ana.entry(monday(), **sections)}
    ops = [
        {"n": 1, "op": str(uuid4()), "id": str(uuid4()), "base": 0, "log": mood},
        {"n": 2, "op": str(uuid4()), "id": str(uuid4()), "base": 0, "log": {**mood, "zone": "Nowhere"}},
        {"n": 3, "op": str(uuid4()), "id": str(uuid4()), "base": 4, "log": mood},
        {"n": 4, "op": str(uuid4()), **plan_op},
        {"n": 9, "op": str(uuid4()), "id": str(uuid4()), "base": 0, "log": mood},
    ]
    sent = {"device": device, "sent_at": monday().isoformat(), "ops": ops}
    pushed = await story.call(ana, "POST", f"{path}/push", sent)
    assert [one["outcome"] for one in pushed["results"]] == ["applied", "rejected", "gone", "conflict", "gap"]
    assert pushed["crisis"]["resources"]
    assert pushed["results"][1]["problem"]["errors"] == [{"pointer": "/ops/1/log/zone", "code": "unknown-zone"}]
    assert pushed["results"][3]["current"]["revision"] == 2
    again = await story.call(ana, "POST", f"{path}/push", {**sent, "ops": [{**ops[0], "op": str(uuid4())}]})
    assert [one["outcome"] for one in again["results"]] == ["rewound"]
    await story.call(ana, "POST", f"{path}/push", {"device": device, "ops": []}, 400)
    page = await story.call(ana, "GET", f"{path}/pull?limit=1")
    assert page["more"]
    await story.call(ana, "GET", f"{path}/pull?cursor={page['cursor']}&limit=1000")
    await story.call(ana, "GET", f"{path}/pull?cursor=forged", None, 400)
    await story.cast.running.db.write(OPERATOR, sync.raise_epoch, ana.id)
    await story.call(ana, "GET", f"{path}/pull?cursor={page['cursor']}", None, 410)
    await story.call(ana, "GET", f"{path}/digest?through=1")
    await story.call(ana, "GET", f"{path}/digest?through=-1", None, 400)
    assert "event: changed" in await story.call(ana, "GET", f"{path}/stream", Last_Event_ID="1")


async def the_consents(story: Story) -> None:
    ana, cleo, dan = story.cast.ana, story.cast.cleo, story.cast.dan
    path = f"/v1/patients/me/consents/{story.consent}"
    terms = {"recipient": str(dan.id), "categories": ["mood"], "until": "2099-01-01T00:00:00Z", "signature": "Ana"}
    await story.call(ana, "PUT", path, terms)
    await story.call(ana, "GET", "/v1/patients/me/consents")
    await story.call(ana, "POST", f"{path}/revoke")
    await story.call(ana, "PUT", path, terms, 410)
    await story.call(cleo, "GET", f"/v1/patients/{ana.id}")
    await story.call(dan, "GET", f"/v1/patients/{ana.id}", None, 404)
    await story.call(cleo, "GET", f"/v1/patients/{ana.id}/logs?limit=2")
    await story.call(ana, "GET", "/v1/patients/me/disclosures?limit=1")


async def the_plans(story: Story) -> None:
    ana = story.cast.ana
    plan = {"about": "mood", "times": ["20:30"], "window_minutes": 90, "channels": ["email"]}
    await story.call(ana, "PUT", f"/v1/patients/me/plans/{story.plan}", plan)
    await story.call(ana, "GET", f"/v1/patients/me/plans/{story.plan}")
    await story.call(ana, "GET", "/v1/patients/me/plans")
    endpoint = {"channel": "email", "address": "ana@example.org"}
    await story.call(ana, "PUT", f"/v1/me/endpoints/{story.endpoint}", endpoint)
    await story.call(ana, "GET", "/v1/patients/me/nudges?limit=10")
    await story.call(ana, "DELETE", f"/v1/me/endpoints/{story.endpoint}", None, 204)
    await story.call(ana, "DELETE", f"/v1/patients/me/plans/{story.plan}", None, 204)


async def the_people(story: Story) -> None:
    ana, cleo, eve, http = story.cast.ana, story.cast.cleo, story.cast.eve, story.cast.http
    await story.call(cleo, "GET", "/v1/me")
    await story.call(ana, "PATCH", "/v1/me", {"name": "Ana Q."})
    made = await story.call(ana, "POST", "/v1/me/tokens", {"name": "Steps", "scopes": ["trends:read"]}, 201)
    app_of_ana = Person("Steps", made["token"], http)
    await story.call(app_of_ana, "GET", "/v1/me")
    await story.call(app_of_ana, "GET", "/v1/patients/me/logs", None, 403)
    await story.call(ana, "GET", "/v1/me/tokens")
    await story.call(ana, "DELETE", f"/v1/me/tokens/{made['id']}", None, 204)
    invite = await story.call(cleo, "POST", "/v1/invites", {"name": "Finn"}, 201, Idempotency_Key="one")
    await story.call(cleo, "POST", "/v1/invites", {"name": "Gwen"}, 409, Idempotency_Key="one")
    await story.call(ana, "POST", "/v1/me/invites", {}, 201)
    device = {"name": "Finn's phone", "zone": "America/New_York"}
    answer = await http.post("/v1/sign-in", json={"method": "invite", "code": invite["code"], "device": device})
    assert story.documented.check(answer) == "signIn"
    finn = Person("Finn", answer.json()["access_token"], http)
    await story.call(finn, "GET", "/v1/me/devices")
    await story.call(finn, "DELETE", f"/v1/me/devices/{uuid4()}", None, 404)
    device_id = (await finn.get("/v1/me/devices")).json()["items"][0]["id"]
    await story.call(ana, "POST", "/v1/sign-out", {}, 204)
    await story.call(finn, "DELETE", f"/v1/me/devices/{device_id}", None, 204)
    await story.call(eve, "GET", "/v1/me", None, 401)


async def the_service(story: Story) -> None:
    for path in ("/v1/service", "/v1/crisis?language=es", "/health/live", "/health/ready"):
        answer = await story.cast.http.get(path)
        assert answer.status_code == 200, answer.text
        story.documented.check(answer)


STORIES: list[Callable[[Story], Any]] = [the_service, the_diary, the_sync, the_consents, the_plans, the_people]


async def test_every_operation_answers_as_the_document_says(cast: Cast, documented: Documented) -> None:
    story = Story(cast, documented)
    for tell in STORIES:
        await tell(story)
    good = {operation for operation, status in documented.seen if status < 300}
    assert {operation["operationId"] for _, _, operation in documented.operations()} == good


async def test_whatever_is_sent_the_answer_is_a_documented_one(cast: Cast, documented: Documented) -> None:
    """Nobody, a stranger, a token without the scope; a body of nonsense, of another media type, one that is too large."""
    made = await cast.ana.post("/v1/me/tokens", {"name": "Steps", "scopes": ["nudges:read"]})
    narrow = Person("Steps", made.json()["token"], cast.http)
    callers = {
        "nobody": {},
        "eve": cast.eve.headers,
        "app": narrow.headers,
        "dan": cast.dan.headers,
        "ana": cast.ana.headers,
    }
    bodies: list[dict[str, Any]] = [
        {},
        {"json": [1]},
        {"json": {"unheard_of": 1}},
        {"content": b"{", "headers": {"content-type": "application/json"}},
        {"content": b"a=1", "headers": {"content-type": "text/plain"}},
        {"content": b" " * 1_100_000, "headers": {"content-type": "application/json"}},
    ]
    for method, path, operation in documented.operations():
        if operation["operationId"] == "signOut":
            continue  # it ends the tokens the others call with
        for who, headers in callers.items():
            for body in bodies if "requestBody" in operation else bodies[:1]:
                sent = {**headers, **body.get("headers", {})}
                content = {key: value for key, value in body.items() if key != "headers"}
                for ids in (str(uuid4()), "not-a-uuid"):
                    target = path.replace("{patient}", str(cast.ben.id))
                    for name in ("log", "consent", "device", "token", "plan", "endpoint"):
                        target = target.replace(f"{{{name}}}", ids)
                    answer = await cast.http.request(method.upper(), target, headers=sent, **content)
                    assert answer.status_code != 500, (who, method, path)
                    documented.check(answer)
    statuses = {status for _, status in documented.seen}
    assert {400, 401, 403, 404, 413, 415} <= statuses


# the schemas and the decoder agree


@pytest.mark.parametrize("path", sorted(GOLDEN.iterdir()), ids=lambda path: path.stem)
def test_a_golden_file_fits_its_schema(path: Path, documented: Documented) -> None:
    schema = documented.document["components"]["schemas"].get(path.stem)
    assert schema is not None, "no route uses this type"
    documented.fits(schema, msgspec.json.decode(path.read_bytes()))


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "mood", "mood": 0},
        {"kind": "mood", "mood": 5.5},
        {"kind": "mood", "mood": 3, "anxiety": 11},
        {"kind": "mood", "mood": 3, "sleep_hours": 7.1},
        {"kind": "mood", "mood": 3, "emotions": ["x"] * 13},
        {"kind": "mood", "mood": 3, "unheard_of": 1},
        {"kind": "mood", "mood": "3"},
        {"kind": "mood"},
        {"kind": "nothing"},
        {"kind": "note", "text": ""},
        {"kind": "note", "text": "x" * 4001},
        {"kind": "sobriety", "sober": False, "uses": [{"substance": "tea"}]},
        {"kind": "medication", "medication": "Naltrexone", "status": "forgotten"},
        {"kind": "medication", "medication": "Naltrexone", "status": "late", "due_at": "2026-03-02 08:00"},
        {"kind": "meeting", "fellowship": "The Club"},
        {"kind": "meeting", "fellowship": "AA", "step": 13},
        {"kind": "eating", "weight": 60},
        {"kind": "functioning", "work": 5},
        {"kind": "withdrawal", "symptoms": ["shaking"]},
        {"kind": "activity", "what": ""},
        {"kind": "goal", "goal": "Call my sister", "progress": "half"},
        {"kind": "safety_plan", "sections": [{"title": "People I can call"}]},
        {"kind": "safety_plan", "sections": [{"title": "x", "text": "x"}] * 21},
    ],
    ids=str,
)
def test_what_the_decoder_refuses_the_schema_refuses(body: dict[str, Any], documented: Documented) -> None:
    with pytest.raises(wire.Invalid):
        wire.decode(wire.Body, msgspec.json.encode(body))
    with pytest.raises((AssertionError, jsonschema.ValidationError)):
        documented.fits({"$ref": "#/components/schemas/Body"}, body)


def test_an_answer_that_is_not_documented_is_seen(documented: Documented) -> None:
    request = httpx2.Request("GET", "http://test/v1/service")
    with pytest.raises(AssertionError, match="getService answered 418"):
        documented.check(httpx2.Response(418, request=request, json={}))
    with pytest.raises(AssertionError, match="version"):
        documented.check(httpx2.Response(200, request=request, json={"kinds": {}, "limits": {}, "features": []}))
    with pytest.raises(AssertionError, match="date-time"):
        documented.fits({"type": "string", "format": "date-time"}, "2026-03-02 08:00")
    documented.fits({"type": "string", "format": "uuid"}, str(UUID(int=7)))
