"""The histories of ``sync_vectors.json``: true to the contract, replayed by clients, and failed by those with a mistake."""

import json
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from support import plain_client
from support.diary_client import DiaryClient
from support.documented import Documented
from support.plain_client import PlainClient
from support.replay import HISTORIES, VECTORS, Names, Replay, completed, digest_of, refusal, written

from companion import app
from companion.web import openapi
from companion_sdk import wire
from companion_sdk.wire.canonical import body_hash, canonical, digest

Json = dict[str, Any]
PATHS = "/v1/patients/{patient}/sync/"


@pytest.fixture(scope="module")
def documented() -> Documented:
    return Documented(openapi.encoded(app.build()))


def exchanges(history: Json) -> list[Json]:
    return [exchange for step in history["steps"] for exchange in step.get("exchanges", ())]


def without_the_future(answer: Json) -> Json:
    """The same without the content of kinds that this version does not know."""
    for change in answer.get("changes", ()):
        change["body"] = change["body"] if change["kind"] in wire.KINDS else None
    return answer


# true to the contract


@pytest.mark.parametrize("name", HISTORIES)
def test_every_request_and_answer_is_a_documented_one(name: str, documented: Documented) -> None:
    names = Names()
    schemas = documented.document["components"]["schemas"]
    seen = 0
    for exchange in exchanges(HISTORIES[name]):
        route, method = ("pull", "get") if "pull" in exchange else ("push", "post")
        operation = documented.document["paths"][PATHS + route][method]
        if route == "push":
            ops = [{**op, "log": op["log"] and written(op["log"])} for op in exchange["push"]["ops"]]
            whole = {**exchange["push"], "sent_at": "2026-03-02T13:00:00Z", "ops": ops}
            documented.fits(schemas["Push"], names.filled(json.loads(json.dumps(whole).replace('"*"', '"$any"'))))
        if "refused" in exchange:
            told = refusal(exchange)
            assert told["title"] == wire.WORDS[told["type"].removeprefix("/problems/")][1]
            assert str(told["status"]) in operation["responses"]
            documented.fits(schemas["Problem"], told)
        elif exchange["answer"] is not None:
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            answer = names.filled(completed(exchange["answer"]))
            documented.fits(schema, without_the_future(answer))
            asked = {op["n"] for op in exchange["push"]["ops"]} if route == "push" else set()
            assert {result["n"] for result in answer.get("results", ())} <= asked
        seen += 1
    assert seen >= 1


def test_the_facts_around_are_documented_answers(documented: Documented) -> None:
    for asked, answer in VECTORS["around"].items():
        method, path = asked.split()
        good = documented.document["paths"][path][method.lower()]["responses"]["200"]
        documented.fits(good["content"]["application/json"]["schema"], answer)
    assert VECTORS["around"]["GET /v1/service"]["kinds"].keys() == wire.KINDS.keys()


def test_every_rule_and_every_outcome_has_a_history() -> None:
    rules = {rule for history in HISTORIES.values() for rule in history["rules"]}
    assert rules | {10} == set(range(1, 14)), "rule 10 is about ids, below"
    outcomes = {
        result["outcome"]
        for history in HISTORIES.values()
        for exchange in exchanges(history)
        for result in (exchange.get("answer") or {}).get("results", ())
    }
    assert outcomes == {"applied", "rejected", "gone", "conflict", "gap", "rewound"}
    assert len(HISTORIES) == len(VECTORS["histories"])


# ids and the digest


def test_ids_on_which_devices_meet() -> None:
    ids = VECTORS["ids"]
    patient = UUID(ids["patient"])
    assert str(wire.safety_plan_id(patient)) == ids["safety_plan"]
    for one in ids["daily"]:
        assert str(wire.daily_id(patient, one["kind"], date.fromisoformat(one["day"]))) == one["id"]


@pytest.mark.parametrize("one", VECTORS["bodies"], ids=lambda one: one["proves"])
def test_the_bytes_of_a_body(one: Json) -> None:
    assert canonical(one["body"]).decode() == one["canonical"]
    assert body_hash(one["body"]).hex() == one["sha256"]
    if one["body"]["kind"] in wire.KINDS:
        assert canonical(wire.decode(wire.Body, json.dumps(one["body"]).encode())).decode() == one["canonical"]


@pytest.mark.parametrize("one", VECTORS["digests"], ids=lambda one: f"{one['count']} entries")
def test_the_bytes_of_a_digest(one: Json) -> None:
    entries = [(UUID(row["id"]), row["revision"], bytes.fromhex(row["sha256"])) for row in one["entries"]]
    assert len(entries) == one["count"]
    assert digest(entries) == digest_of(entries) == one["sha256"]


# replayed


@pytest.mark.parametrize("name", HISTORIES)
def test_a_client_written_from_the_page_lives_through_it(name: str) -> None:
    Replay(HISTORIES[name], lambda replay: PlainClient(replay.answer)).run()


def fails(history: Json, *mistakes: str) -> bool:
    try:
        Replay(history, lambda replay: PlainClient(replay.answer, *mistakes)).run()
    except (AssertionError, KeyError):
        return True
    return False


@pytest.mark.parametrize("mistake", sorted(plain_client.MISTAKES))
def test_a_client_with_a_mistake_fails(mistake: str) -> None:
    assert [name for name, history in HISTORIES.items() if fails(history, mistake)] != []


def test_every_history_finds_a_mistake() -> None:
    """One that every client lives through proves nothing."""
    blind = [name for name, history in HISTORIES.items() if not any(fails(history, one) for one in plain_client.MISTAKES)]
    assert blind == []


@pytest.mark.parametrize("name", HISTORIES)
def test_the_diary_lives_through_it(name: str, tmp_path: Path) -> None:
    with ExitStack() as stack:

        def make(replay: Replay) -> DiaryClient:
            client = DiaryClient(replay, tmp_path / "ana.diary")
            stack.callback(client.close)
            return client

        Replay(HISTORIES[name], make).run()
