"""Sync and the crisis plan, one request at a time: what goes over the wire, and answers of a newer service."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest

import companion_sdk
from companion_sdk import AsyncCompanion, Companion, LogIn, Mood, Note, UnknownLog, wire
from companion_sdk.wire import PlanSection, Push, PushOp, SafetyPlan

NOW = datetime(2026, 11, 2, 20, 30, tzinfo=UTC)
ANA = UUID("0192e4a0-0000-7000-8000-00000000000a")
DEVICE = UUID("0192e4a0-0000-7000-8000-0000000000dd")
LOG = UUID("0192e4a0-0000-7000-8000-000000000001")
OP = UUID("0192e4a0-0000-7000-8000-000000000002")
TOKEN = "cmp_fake_token_of_ana"
PLAN = [PlanSection(title="I can call", text="Cleo")]
DREAM = {"kind": "dream", "vivid": 4}


def push(*ops: PushOp) -> Push:
    return Push(device=DEVICE, sent_at=NOW, ops=list(ops))


def said(text: str = "a") -> LogIn:
    return LogIn(at=NOW, zone="UTC", body=Note(text=text))


CREATE = PushOp(n=1, op=OP, id=LOG, base=0, log=said())
DELETE = PushOp(n=2, op=ANA, id=LOG, base=1, log=None)


def test_a_push_is_sent_whole_and_in_order(client, service):
    pushed = client.sync.push(push(CREATE, DELETE))
    request = service.seen[-1]
    assert (request.method, request.url.path) == ("POST", "/v1/patients/me/sync/push")
    assert "idempotency-key" not in request.headers, "every operation has its own id"
    first, second = json.loads(request.content)["ops"]
    assert first["log"]["body"] == {"kind": "note", "text": "a"}
    assert second["log"] is None, "null deletes: it must be there"
    assert [(result.n, result.outcome) for result in pushed.results] == [(1, "applied"), (2, "applied")]
    assert (pushed.last_n, pushed.epoch, pushed.server_time) == (2, 1, NOW)


def test_a_push_reads_the_same_for_the_service(client, service):
    client.sync.push(push(CREATE, DELETE))
    assert wire.decode(Push, service.seen[-1].content) == push(CREATE, DELETE)


def test_a_push_that_got_no_answer_is_sent_again_byte_for_byte(clock):
    bodies: list[bytes] = []
    given = push(CREATE, DELETE)

    def lose(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        given.ops.clear()  # type: ignore[attr-defined]
        raise httpx2.ReadTimeout("late")

    transport = httpx2.MockTransport(lose)
    with Companion("https://companion.example", TOKEN, transport=transport) as client, pytest.raises(companion_sdk.TimedOut):
        client.sync.push(given)
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert b'"n":2' in bodies[0]


def test_a_pull_asks_from_a_cursor_on(client, service):
    client.logs.record(Mood(mood=4))
    changes = client.sync.pull()
    assert str(service.seen[-1].url.query, "ascii") == "limit=500"
    client.sync.pull(changes.cursor, 7, patient=ANA)
    assert service.seen[-1].url.path == f"/v1/patients/{ANA}/sync/pull"
    assert str(service.seen[-1].url.query, "ascii") == "cursor=c1&limit=7"
    assert [entry.body for entry in changes.changes] == [Mood(mood=4)]


def test_a_digest_is_of_now_or_up_to_a_change(client, service):
    assert client.sync.digest().count == 0
    assert service.seen[-1].url.query == b""
    client.sync.digest(0)
    assert service.seen[-1].url.query == b"through=0"


def test_a_crisis_plan_is_written_read_and_corrected(client, service):
    with pytest.raises(companion_sdk.NotFound):
        client.safety_plan.get()
    plan = client.safety_plan.put(PLAN)
    assert wire.decode(SafetyPlan, service.seen[-1].content) == SafetyPlan(sections=PLAN)
    assert "if-match" not in service.seen[-1].headers
    assert client.safety_plan.get() == plan
    assert plan.body == SafetyPlan(sections=PLAN)
    with pytest.raises(companion_sdk.RevisionRequired):
        client.safety_plan.put([])
    emptied = client.safety_plan.put([], if_match=plan.revision)
    assert service.seen[-1].headers["if-match"] == '"1"'
    assert emptied.body == SafetyPlan(sections=[])
    with pytest.raises(companion_sdk.RevisionMismatch) as caught:
        client.safety_plan.put(PLAN, if_match=plan.revision)
    assert caught.value.current == emptied


async def test_the_async_client_says_the_same(async_client, service):
    assert (await async_client.sync.push(push(CREATE))).last_n == 1
    assert [entry.id for entry in (await async_client.sync.pull()).changes] == [LOG]
    assert (await async_client.sync.digest()).count == 1
    assert (await async_client.safety_plan.put(PLAN)).revision == 1
    assert (await async_client.safety_plan.get()).body == SafetyPlan(sections=PLAN)
    async with async_client.sync.stream() as hints:
        async for hint in hints:
            assert hint.seq == 2
            break


WRONG: list[Callable[[Companion, Any], object]] = [
    lambda client, patient: client.sync.push(push(), patient=patient),
    lambda client, patient: client.sync.pull(patient=patient),
    lambda client, patient: client.sync.digest(patient=patient),
    lambda client, patient: client.sync.stream(patient=patient),
    lambda client, patient: client.safety_plan.get(patient),
    lambda client, patient: client.safety_plan.put(PLAN, patient=patient),
]


@pytest.mark.parametrize("call", WRONG)
@pytest.mark.parametrize("patient", ["../me", "", "ana"])
def test_nothing_but_a_patient_gets_into_a_path(call, patient, client, service):
    with pytest.raises(ValueError, match="UUID"):
        call(client, patient)
    assert service.seen == []


# -- of a newer service ------------------------------------------------------------------------------------------------


def entry(client: Companion, body: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
    """An entry as the service answers it, with another body."""
    told = msgspec.to_builtins(client.logs.record(Note(text="a")))
    return {**told, "id": str(LOG), **({"kind": body["kind"], "body": body} if body else {}), **other}


def test_a_page_with_entries_of_the_future_is_read_whole(client, against):
    page = [
        entry(client),
        entry(client, DREAM),
        entry(client, {"kind": "mood", "mood": 4, "weather": "rain"}),
        entry(client, DREAM),
    ]
    gone = {**entry(client, deleted=True, kind="dream"), "body": None}
    told = {"changes": [*page, gone], "cursor": "c", "more": True, "epoch": 3, "hint": {"of": "the future"}}
    changes = against(httpx2.Response(200, json=told)).sync.pull()
    known, unknown, mood, _, deleted = changes.changes
    assert (changes.cursor, changes.more, changes.epoch) == ("c", True, 3)
    assert (known.body, mood.body) == (Note(text="a"), Mood(mood=4))
    assert isinstance(unknown, UnknownLog)
    assert (unknown.kind, unknown.raw) == ("dream", DREAM)
    assert (deleted.kind, deleted.deleted, deleted.body) == ("dream", True, None)
    assert type(deleted) is wire.Log


def test_what_became_of_an_operation_is_read_in_words_of_the_future(client, against):
    refused = {"type": "/problems/stale", "title": "Stale", "status": 409, "detail": "", "instance": "", "request_id": "r"}
    results = [
        {"n": 1, "outcome": "merged", "revision": 2, "seq": 3, "into": str(LOG)},
        {"n": 2, "outcome": "conflict", "revision": 4, "seq": 5, "current": entry(client, DREAM)},
        {"n": 3, "outcome": "rejected", "revision": 0, "seq": 0, "problem": {**refused, "shelf": 3}},
    ]
    told = {"results": results, "last_n": 3, "epoch": 1, "server_time": "2026-11-02T20:30:00Z", "weather": "rain"}
    merged, conflict, rejected = against(httpx2.Response(200, json=told)).sync.push(push()).results
    assert (merged.outcome, merged.revision) == ("merged", 2)
    assert isinstance(conflict.current, UnknownLog)
    assert conflict.current.raw == DREAM
    assert rejected.problem is not None
    assert rejected.problem.type == "/problems/stale"


def test_a_crisis_plan_of_a_later_shape_is_read_and_never_written_back(client, against):
    later = {"kind": "safety_plan", "sections": [{"title": "Signs", "steps": ["a", "b"]}]}
    plan = against(httpx2.Response(200, json=entry(client, later))).safety_plan.get()
    assert isinstance(plan, UnknownLog)
    with pytest.raises(ValueError, match="unknown kind"):
        client.logs.correct(plan)


def test_a_cursor_that_expired_is_its_own_error(against):
    problem = {"type": "/problems/cursor-expired", "title": "Cursor expired", "status": 410, "detail": "", "instance": ""}
    client = against(httpx2.Response(410, json={**problem, "request_id": "0192e4a0-0000-7000-8000-0000000000ff"}))
    with pytest.raises(companion_sdk.CursorExpired) as caught:
        client.sync.pull("c")
    assert caught.value.request_id in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b'{"changes":{}}', b'{"changes":[{"id":"CANARY"}],"cursor":"c","more":false,"epoch":1}'],
)
async def test_a_captive_portal_is_no_page_of_changes(body, clock):
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=body))
    async with AsyncCompanion("https://companion.example", TOKEN, transport=transport) as client:
        with pytest.raises(companion_sdk.InvalidResponse) as caught:
            await client.sync.pull()
    assert "CANARY" not in str(caught.value)
