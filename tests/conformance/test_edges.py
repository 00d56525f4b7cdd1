"""What every call has in common: who is asked first, which bodies are read, which headers come back."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest
from conformance.backends import Backend, Person
from conformance.words import LOGS, PLAN, SYNC, faults, mood, new, note, same_id, told, where, word

from companion_sdk import wire
from companion_sdk.wire import KINDS

JSON = {"Content-Type": "application/json"}


async def test_without_a_token_everything_is_the_same_401(backend: Backend, ana: Person) -> None:
    log, rid = new(), same_id()
    await ana.put(where(log), mood())
    seen: set[tuple[int, bytes, str]] = set()
    for method, path, body in (
        ("GET", "/v1/me", b""),
        ("GET", where(log), b""),
        ("GET", where(new()), b""),
        ("GET", f"/v1/patients/{ana.id}/logs", b""),
        ("GET", f"{LOGS}?kind=unheard", b""),
        ("PUT", where(log), b"{"),
        ("PUT", where(log), b"x" * 70_000),
        ("DELETE", where(log), b""),
        ("POST", f"{SYNC}/push", b"{}"),
        ("GET", f"{SYNC}/pull", b""),
        ("GET", f"{SYNC}/pull?cursor=x", b""),
        ("GET", f"{SYNC}/stream", b""),
        ("GET", f"{SYNC}/digest", b""),
        ("GET", PLAN, b""),
        ("POST", "/v1/sign-out", b""),
        ("PATCH", where(log), b""),
        ("GET", "/nowhere", b""),
    ):
        for token in ({}, {"Authorization": f"Bearer {backend.eve.token}"}, {"Authorization": "Basic x"}):
            answer = await backend.http.request(method, path, content=body, headers={**JSON, **rid, **token})
            seen.add((answer.status_code, answer.content, answer.headers["www-authenticate"]))
    assert len(seen) == 1
    assert seen.pop()[0] == 401


async def test_a_token_given_twice_or_in_another_scheme_is_nobodys(backend: Backend, ana: Person) -> None:
    for headers, status in (
        ([("Authorization", f"Bearer {ana.token}")], 200),
        ([("Authorization", f"bearer  {ana.token}")], 200),
        ([("Authorization", f"Bearer {ana.token}")] * 2, 401),
        ([("Authorization", ana.token)], 401),
        ([("Authorization", "Bearer")], 401),
    ):
        assert (await backend.http.get("/v1/me", headers=headers)).status_code == status, headers


async def test_a_request_id_comes_back_if_it_is_a_uuid_and_is_made_if_not(ana: Person) -> None:
    mine = str(uuid4())
    for given in (mine, mine.upper()):
        assert (await ana.get("/v1/me", headers={"X-Request-Id": given})).headers["x-request-id"] == given
    for given in ("", "7", mine.replace("-", ""), f"{{{mine}}}"):
        made = (await ana.get("/v1/me", headers={"X-Request-Id": given})).headers["x-request-id"]
        assert len(made) == 36
        assert made != given
    refused = await ana.get(where(new()), headers={"X-Request-Id": mine})
    assert refused.json()["request_id"] == mine
    assert refused.json()["instance"] == f"urn:uuid:{mine}"


async def test_a_problem_is_the_same_bytes_everywhere(ana: Person) -> None:
    rid = {"X-Request-Id": "0192e4a0-0000-7000-8000-000000000001"}
    answer = await ana.get(where(new()), headers=rid)
    assert answer.content == (
        b'{"type":"/problems/not-found","title":"Not found","status":404,"detail":"Not found",'
        b'"instance":"urn:uuid:0192e4a0-0000-7000-8000-000000000001",'
        b'"request_id":"0192e4a0-0000-7000-8000-000000000001","errors":[]}'
    )
    assert told(answer) == {
        "content-type": "application/problem+json",
        "content-length": str(len(answer.content)),
        "x-request-id": rid["X-Request-Id"],
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }


async def test_every_problem_has_its_words_status_and_title(backend: Backend, ana: Person) -> None:
    log = new()
    await ana.put(where(log), mood())
    answers = [
        await backend.http.get("/v1/me"),
        await (await backend.app(ana, "logs:read")).put(where(log), mood()),
        await ana.get(where(new())),
        await ana.post("/v1/me"),
        await ana.put(where(log), note()),
        await ana.put(where(log), mood(2)),
        await ana.put(where(log), mood(2), headers={"If-Match": '"7"'}),
        await ana.put(where(log), {}),
        await ana.call("PUT", where(log), content=b"x" * 70_000, headers=JSON),
        await ana.call("PUT", where(log), content=b"{}"),
    ]
    seen = {word(answer): answer.status_code for answer in answers}
    assert len(seen) == len(answers)
    for answer in answers:
        assert (answer.status_code, answer.json()["title"]) == wire.WORDS[word(answer)]


@pytest.mark.parametrize(
    "media",
    ["text/plain", "", "application/jsonx", "application/json; charset=latin-1", "multipart/form-data; boundary=x"],
)
async def test_another_media_type_is_415(ana: Person, media: str) -> None:
    answer = await ana.call("PUT", where(new()), content=b"{}", headers={"Content-Type": media})
    assert (answer.status_code, word(answer)) == (415, "unsupported-media")


async def test_json_by_any_of_its_names_is_read_and_compressed_bodies_are_not(ana: Person) -> None:
    import json

    raw = json.dumps(mood()).encode()
    for media in ("application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'):
        assert (await ana.call("PUT", where(new()), content=raw, headers={"Content-Type": media})).status_code == 201
    squeezed = await ana.call("PUT", where(new()), content=raw, headers={**JSON, "Content-Encoding": "gzip"})
    assert squeezed.status_code == 415


async def test_a_body_has_64_kib_and_is_not_empty(ana: Person) -> None:
    answer = await ana.call("PUT", where(new()), content=b" " * (64 * 1024 + 1), headers=JSON)
    assert (answer.status_code, word(answer)) == (413, "too-large")
    assert (await ana.call("PUT", where(new()), content=b" " * 64 * 1024, headers=JSON)).status_code == 400
    empty = await ana.call("PUT", where(new()), headers=JSON)
    assert (empty.status_code, faults(empty)) == (400, [("", "json")])


AT = b'"at":"2026-03-02T11:00:00Z","zone":"UTC"'
MOOD = b'"body":{"kind":"mood","mood":4}'
BROKEN: list[tuple[bytes, tuple[str, str]]] = [
    (b"", ("", "json")),
    (b"{", ("", "json")),
    (b"[]", ("", "type")),
    (b"\xff", ("", "json")),
    (b'{%s,"body":{"kind":"note","text":"\xff"}}' % AT, ("", "utf-8")),
    (b'{"at":NaN}', ("", "json")),
    (b"{%s,%s,%s}" % (AT, MOOD, MOOD), ("", "duplicate-key")),
    (b"{%s}" % MOOD, ("/at", "required")),
    (b"{%s}" % AT, ("/body", "required")),
    (b'{%s,%s,"day":"2026-03-02"}' % (AT, MOOD), ("", "unknown-field")),
    (b'{%s,"body":{"kind":"mood","mood":4,"colour":1}}' % AT, ("/body", "unknown-field")),
    (b'{%s,"body":{"kind":"weight","kg":4}}' % AT, ("/body/kind", "unknown-word")),
    (b'{%s,"body":{"mood":4}}' % AT, ("/body/kind", "required")),
    (b'{%s,"body":{"kind":"mood","mood":6}}' % AT, ("/body/mood", "out-of-range")),
    (b'{%s,"body":{"kind":"mood","mood":"4"}}' % AT, ("/body/mood", "type")),
    (b'{%s,"body":{"kind":"mood","mood":4.5}}' % AT, ("/body/mood", "type")),
    (b'{%s,"body":{"kind":"mood","mood":true}}' % AT, ("/body/mood", "type")),
    (b'{%s,"body":{"kind":"mood","mood":4,"sleep_hours":7.3}}' % AT, ("/body/sleep_hours", "step")),
    (b'{%s,"body":{"kind":"note","text":"a\\u0000b"}}' % AT, ("/body/text", "control-character")),
    (b'{%s,"body":{"kind":"note","text":""}}' % AT, ("/body/text", "length")),
    (b'{%s,"body":{"kind":"sobriety","sober":false}}' % AT, ("/body/uses", "required")),
    (b'{%s,"source":"web",%s}' % (AT, MOOD), ("/source", "unknown-word")),
    (b'{"at":"2026-03-02T11:00:00","zone":"UTC",%s}' % MOOD, ("/at", "time-offset")),
    (b'{"at":"2026-03-02 11:00:00Z","zone":"UTC",%s}' % MOOD, ("/at", "time-format")),
    (b'{"at":"2026-03-02T11:00:00.1234567Z","zone":"UTC",%s}' % MOOD, ("/at", "time-format")),
    (b'{"at":"2026-03-02T11:00:00+15:00","zone":"UTC",%s}' % MOOD, ("/at", "time-format")),
    (b'{"at":1772449200,"zone":"UTC",%s}' % MOOD, ("/at", "type")),
    (b'{"at":"2026-03-02T11:00:00Z","zone":"Nowhere/Land",%s}' % MOOD, ("/zone", "unknown-zone")),
    (b'{"at":"1999-12-31T23:59:59Z","zone":"UTC",%s}' % MOOD, ("/at", "out-of-range")),
    (b'{"at":"2026-03-03T12:00:00.000001Z","zone":"UTC",%s}' % MOOD, ("/at", "out-of-range")),
]


async def test_a_body_that_breaks_the_contract_is_400_with_pointer_and_code(ana: Person) -> None:
    log = where(new())
    for raw, fault in BROKEN:
        answer = await ana.call("PUT", log, content=raw, headers=JSON)
        assert (answer.status_code, faults(answer)) == (400, [fault]), raw
    assert (await ana.get(log)).status_code == 404


async def test_the_same_words_in_a_push_are_rejected_at_the_same_place(ana: Person) -> None:
    for raw, (pointer, code) in BROKEN:
        if not raw.startswith(b'{"at') or raw == b'{"at":NaN}' or code == "utf-8":
            continue
        op = b'{"n":1,"op":"%s","id":"%s","base":0,"log":%s}' % (new().encode(), new().encode(), raw)
        push = b'{"device":"%s","sent_at":"2026-03-02T12:00:00Z","ops":[%s]}' % (new().encode(), op)
        answer = await ana.call("POST", f"{SYNC}/push", content=push, headers=JSON)
        assert answer.status_code == 200, raw
        (result,) = answer.json()["results"]
        assert (result["outcome"], result["problem"]["type"]) == ("rejected", "/problems/invalid-request"), raw
        expected = ("/ops/0", code) if code == "duplicate-key" else (f"/ops/0/log{pointer}", code)
        assert faults(result["problem"]) == [expected], raw


async def test_nesting_without_end_is_400(ana: Person) -> None:
    answer = await ana.call("PUT", where(new()), content=b"[" * 30_000, headers=JSON)
    assert answer.status_code == 400


async def test_text_is_stored_in_nfc(ana: Person) -> None:
    stored = await ana.put(where(new()), note("cafe\u0301\nand\ttea"))
    assert stored.json()["body"]["text"] == "caf\u00e9\nand\ttea"


async def test_a_query_belongs_to_routes_that_have_one(ana: Person) -> None:
    for method, path in (
        ("GET", "/v1/me?x=1"),
        ("GET", f"{where(new())}?x=1"),
        ("DELETE", f"{where(new())}?x=1"),
        ("GET", f"{PLAN}?x=1"),
        ("GET", f"{SYNC}/stream?x=1"),
        ("GET", f"{SYNC}/pull?x=1"),
        ("GET", f"{SYNC}/digest?x=1"),
        ("POST", "/v1/sign-out?x=1"),
        ("GET", "/v1/crisis?x=1"),
    ):
        answer = await ana.call(method, path)
        assert (answer.status_code, faults(answer)) == (400, [("", "unknown-parameter")]), path


async def test_unknown_paths_are_404_and_wrong_methods_405(backend: Backend, ana: Person) -> None:
    for path in ("/nowhere", "/v1", "/v1/patients", f"/v1/patients/me/sync/{new()}", f"{LOGS}/7", f"{LOGS}/{uuid4().hex}"):
        assert (await ana.get(path)).status_code == 404, path
    for method, path, allowed in (
        ("POST", "/v1/me", {"GET", "PATCH"}),
        ("GET", "/v1/sign-in", {"POST"}),
        ("PATCH", where(new()), {"PUT", "GET", "DELETE"}),
        ("DELETE", LOGS, {"GET"}),
        ("GET", f"{SYNC}/push", {"POST"}),
        ("POST", f"{SYNC}/pull", {"GET"}),
        ("DELETE", PLAN, {"GET", "PUT"}),
    ):
        answer = await ana.call(method, path)
        assert (answer.status_code, word(answer)) == (405, "method-not-allowed"), path
        assert set(answer.headers["allow"].split(", ")) - {"OPTIONS", "HEAD"} == allowed, path
    assert (await backend.http.post("/v1/service")).status_code == 405


async def test_head_is_a_get_without_its_body(ana: Person) -> None:
    log = where(new())
    await ana.put(log, mood())
    get, head = await ana.get(log, headers=same_id()), await ana.call("HEAD", log)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", '"1"')
    assert head.headers["content-length"] == str(len(get.content))
    assert (await ana.call("HEAD", where(new()))).status_code == 404


async def test_me_and_the_own_id_are_one_place_and_other_spellings_are_none(ana: Person) -> None:
    log = new()
    mine = await ana.put(where(log), mood())
    for named in (str(ana.id), str(ana.id).upper()):
        assert (await ana.get(f"/v1/patients/{named}/logs/{log}")).content == mine.content
    for named in (ana.id.hex, f"{{{ana.id}}}", f"urn:uuid:{ana.id}", f"{ana.id} ", "ME", "%00"):
        assert (await ana.get(f"/v1/patients/{named}/logs")).status_code == 404, named


async def test_the_service_says_what_it_understands_to_anyone(backend: Backend) -> None:
    answer = await backend.http.get("/v1/service")
    assert answer.status_code == 200
    facts = answer.json()
    assert set(facts["kinds"]) == set(KINDS)
    for kind, struct in KINDS.items():
        assert facts["kinds"][kind] == list(struct.__struct_encode_fields__)
    assert facts["limits"]["body_bytes"] == 64 * 1024
    assert facts["version"]
    assert {"diary", "consents"} <= set(facts["features"])


async def test_help_is_there_without_a_sign_in_and_in_ones_language(backend: Backend, ana: Person) -> None:
    async def helped(query: str = "", **more: Any) -> httpx2.Response:
        return await backend.http.get(f"/v1/crisis{query}", **more)

    english, spanish = await helped(), await helped("?language=es-MX")
    assert english.json()["resources"][0]["call"] == spanish.json()["resources"][0]["call"] == "988"
    assert english.json()["text"].startswith("Thank you")
    assert spanish.json()["text"].startswith("Gracias")
    assert english.json()["monitored"] is False
    assert (await helped("?language=tlh")).content == english.content
    assert (await helped(headers={"Authorization": "Bearer forged"})).content == english.content
    assert faults(await helped("?language=x")) == [("/language", "length")]
    assert faults(await helped("?language=en&language=es")) == [("/language", "repeated")]


async def test_health_is_told_to_anyone(backend: Backend) -> None:
    live, ready = await backend.http.get("/health/live"), await backend.http.get("/health/ready")
    assert (live.status_code, live.content) == (200, b'{"status":"ok","checks":{}}')
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert set(ready.json()["checks"]) == {"storage", "heartbeat"}
