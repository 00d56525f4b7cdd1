"""Idempotency-Key: a repeated POST makes one thing; no secret is ever kept to be told again."""

from typing import Any
from uuid import uuid4

from support.cast import Cast, Person
from support.clocks import ManualClock
from support.stage import stage

TOKEN = {"name": "Watch", "scopes": ["logs:read"]}


def key(text: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": text or str(uuid4())}


async def test_a_repeat_names_the_same_token_with_a_new_secret(cast: Cast) -> None:
    """The first secret ends: what was told once is stored nowhere, so it cannot be told again."""
    once = key()
    first, second = [await cast.ana.post("/v1/me/tokens", TOKEN, headers=once) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    a, b = first.json(), second.json()
    assert {k: v for k, v in a.items() if k != "token"} == {k: v for k, v in b.items() if k != "token"}
    assert a["token"] != b["token"]
    assert (await Person("W", a["token"], cast.http).get("/v1/me")).status_code == 401
    assert (await Person("W", b["token"], cast.http).get("/v1/me")).status_code == 200
    assert len((await cast.ana.get("/v1/me/tokens")).json()["items"]) == 1


async def test_a_repeated_invite_is_one_patient(cast: Cast) -> None:
    once = key()
    first, second = [(await cast.cleo.post("/v1/invites", {"name": "Noor"}, headers=once)).json() for _ in range(2)]
    assert first["patient_id"] == second["patient_id"]
    assert first["code"] != second["code"]
    statuses: list[int] = []
    for made in (first, second):
        request = {"method": "invite", "code": made["code"], "device": {"name": "p", "zone": "UTC"}}
        statuses.append((await cast.http.post("/v1/sign-in", json=request)).status_code)
    assert statuses == [401, 200]
    used = await cast.cleo.post("/v1/invites", {"name": "Noor"}, headers=once)
    assert used.status_code == 409


async def test_another_body_is_409(cast: Cast) -> None:
    once = key()
    assert (await cast.ana.post("/v1/me/tokens", TOKEN, headers=once)).status_code == 201
    for other in (TOKEN | {"name": "Other"}, TOKEN | {"days": 91}, {"name": "Watch", "scopes": ["logs:write"]}):
        answer = await cast.ana.post("/v1/me/tokens", other, headers=once)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    same = {"days": 90, "scopes": ["logs:read"], "name": "Watch"}
    assert (await cast.ana.post("/v1/me/tokens", same, headers=once)).status_code == 201
    assert len((await cast.ana.get("/v1/me/tokens")).json()["items"]) == 1


async def test_a_key_is_bound_to_caller_and_route(cast: Cast) -> None:
    once = key()
    made = [
        (await cast.ana.post("/v1/me/tokens", TOKEN, headers=once)).json()["id"],
        (await cast.ben.post("/v1/me/tokens", TOKEN, headers=once)).json()["id"],
    ]
    assert len(set(made)) == 2
    assert (await cast.ana.post("/v1/me/invites", {}, headers=once)).status_code == 201
    assert (await cast.cleo.post("/v1/invites", {"name": "N"}, headers=once)).status_code == 201
    answer = await cast.dan.post("/v1/invites", {"name": "M"}, headers=once)
    assert answer.status_code == 201


async def test_a_key_is_remembered_for_a_day(start: Any, clock: ManualClock) -> None:
    async with stage(start, clock=clock) as cast:
        once = key()
        ids: list[str] = []
        for hours in (0, 23.9, 0.2, 0):
            clock.advance(hours=hours)
            ids.append((await cast.ana.post("/v1/me/tokens", TOKEN, headers=once)).json()["id"])
        assert ids[0] == ids[1]
        assert ids[1] != ids[2]
        assert ids[2] == ids[3]


async def test_a_token_that_was_ended_is_not_made_again_by_a_repeat(cast: Cast) -> None:
    once = key()
    made = (await cast.ana.post("/v1/me/tokens", TOKEN, headers=once)).json()
    await cast.ana.delete(f"/v1/me/tokens/{made['id']}")
    assert (await cast.ana.post("/v1/me/tokens", TOKEN, headers=once)).status_code == 409


async def test_a_malformed_key_is_400(cast: Cast) -> None:
    for bad in ("", "x" * 201, "a\tb", "caf\u00e9"):
        header = [(b"idempotency-key", bad.encode())]
        answer = await cast.ana.http.post("/v1/me/tokens", json=TOKEN, headers=[*cast.ana.headers.items(), *header])
        assert answer.status_code == 400, bad
    assert (await cast.ana.get("/v1/me/tokens")).json()["items"] == []


async def test_without_a_key_each_post_makes_one(cast: Cast) -> None:
    made = {(await cast.ana.post("/v1/me/tokens", TOKEN)).json()["id"] for _ in range(2)}
    assert len(made) == 2
