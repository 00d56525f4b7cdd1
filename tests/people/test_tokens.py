"""Phones, third-party tokens and what each scope may reach."""

import re
from typing import Any
from uuid import UUID, uuid4

from support.cast import Cast, Person
from support.clocks import ManualClock
from support.stage import stage

from companion.core.ids import is_token, new_token
from companion_sdk.wire import SCOPES


async def app(ana: Person, *scopes: str, days: int | None = None) -> Person:
    """A third party with a token of Ana's."""
    terms: dict[str, Any] = {"name": "Watch", "scopes": list(scopes)} | ({} if days is None else {"days": days})
    made = await ana.post("/v1/me/tokens", terms)
    assert made.status_code == 201, made.text
    return Person("Watch", made.json()["token"], ana.http, UUID(made.json()["id"]))


async def test_phones_are_listed_and_signed_out(cast: Cast) -> None:
    ana = cast.ana
    code = (await ana.post("/v1/me/invites")).json()["code"]
    device = str(uuid4())
    request = {"method": "invite", "code": code, "device": {"id": device, "name": "tablet", "zone": "Asia/Kathmandu"}}
    second = Person("Ana", (await cast.http.post("/v1/sign-in", json=request)).json()["access_token"], cast.http)
    items = (await ana.get("/v1/me/devices")).json()["items"]
    assert [(item["name"], item["zone"], item["current"]) for item in items] == [
        ("Ana's phone", "America/New_York", True),
        ("tablet", "Asia/Kathmandu", False),
    ]
    assert items[1]["id"] == device
    for _ in range(2):
        assert (await ana.delete(f"/v1/me/devices/{device}")).status_code == 204
        assert (await second.get("/v1/me")).status_code == 401
    assert len((await ana.get("/v1/me/devices")).json()["items"]) == 1
    for person, where in ((ana, uuid4()), (cast.ben, ana.device), (cast.cleo, ana.device)):
        assert (await person.delete(f"/v1/me/devices/{where}")).status_code == 404
    assert (await ana.get("/v1/me")).status_code == 200


async def test_a_token_is_told_once_and_can_be_ended(cast: Cast) -> None:
    ana = cast.ana
    made = (await ana.post("/v1/me/tokens", {"name": "Watch", "scopes": ["logs:read", "logs:read"]})).json()
    assert re.fullmatch(r"cmp_[0-9A-Za-z]{49}", made["token"])
    assert made["scopes"] == ["logs:read"]
    listed = (await ana.get("/v1/me/tokens")).json()["items"]
    assert listed == [{name: value for name, value in made.items() if name != "token"}]
    watch = Person("Watch", made["token"], cast.http)
    assert (await watch.get("/v1/patients/me/logs")).status_code == 200
    for person in (cast.ben, cast.cleo):
        assert (await person.delete(f"/v1/me/tokens/{made['id']}")).status_code == 404
    assert (await watch.delete(f"/v1/me/tokens/{made['id']}")).status_code == 403
    for _ in range(2):
        assert (await ana.delete(f"/v1/me/tokens/{made['id']}")).status_code == 204
        assert (await watch.get("/v1/patients/me/logs")).status_code == 401
    assert (await ana.get("/v1/me/tokens")).json()["items"] == []
    assert (await ana.delete(f"/v1/me/tokens/{uuid4()}")).status_code == 404


async def test_a_phone_is_not_ended_as_a_token_nor_a_token_as_a_phone(cast: Cast) -> None:
    watch = await app(cast.ana, "logs:read")
    assert (await cast.ana.delete(f"/v1/me/devices/{watch.id}")).status_code == 404
    assert (await cast.ana.delete(f"/v1/me/tokens/{cast.ana.device}")).status_code == 404
    assert (await watch.get("/v1/patients/me/logs")).status_code == 200


async def test_what_a_token_may_be(cast: Cast) -> None:
    for terms in (
        {"name": "W", "scopes": []},
        {"name": "W", "scopes": ["everything"]},
        {"name": "W", "scopes": ["logs:read"], "days": 366},
        {"name": "W", "scopes": ["logs:read"], "days": 0},
        {"name": "W", "scopes": ["logs:read"], "days": 5.0},
        {"name": "W", "scopes": ["logs:read"], "days": "5"},
        {"name": "W", "scopes": ["logs:read"], "days": True},
        {"name": "", "scopes": ["logs:read"]},
        {"name": "W", "scopes": "logs:read"},
    ):
        assert (await cast.ana.post("/v1/me/tokens", terms)).status_code == 400, terms
    assert (await cast.ana.get("/v1/me/tokens")).json()["items"] == []
    assert (await cast.cleo.post("/v1/me/tokens", {"name": "W", "scopes": ["logs:read"]})).status_code == 404


async def test_a_token_ends_on_its_day(start: Any, clock: ManualClock) -> None:
    async with stage(start, clock=clock) as cast:
        short, usual, longest = [await app(cast.ana, "logs:read", days=days) for days in (1, None, 365)]
        phone = cast.ana
        for passed, live in ((0, 4), (1, 3), (89, 2), (180 - 90, 1), (185, 0)):
            clock.advance(days=passed)
            answers = [await one.get("/v1/patients/me/logs") for one in (short, usual, longest, phone)]
            assert sum(answer.status_code == 200 for answer in answers) == live, passed
            assert all(answer.status_code in (200, 401) for answer in answers)


async def test_a_clinician_session_ends_after_twelve_hours(start: Any, clock: ManualClock) -> None:
    async with stage(start, clock=clock) as cast:
        clock.advance(hours=11, minutes=59, seconds=59)
        assert (await cast.cleo.get("/v1/me")).status_code == 200
        clock.advance(seconds=1)
        assert (await cast.cleo.get("/v1/me")).status_code == 401


def test_a_token_with_one_letter_changed_fails_its_checksum() -> None:
    token = new_token()
    assert is_token(token)
    for place in range(4, len(token)):
        other = "A" if token[place] != "A" else "B"
        assert not is_token(token[:place] + other + token[place + 1 :]), place
    for bad in ("", "cmp_", token[:-1], token + "A", token.replace("cmp_", "CMP_"), f" {token}", token + "\n"):
        assert not is_token(bad)


async def test_me_says_who_one_is(cast: Cast) -> None:
    ana = (await cast.ana.get("/v1/me")).json()
    assert (ana["role"], ana["name"], ana["clinic"]["name"]) == ("patient", "Ana", "North")
    cleo = (await cast.cleo.get("/v1/me")).json()
    assert (cleo["role"], cleo["clinician_id"], cleo["scopes"]) == ("clinician", str(cast.cleo.id), ["clinician"])
    assert "patient_id" not in cleo
    watch = await app(cast.ana, "logs:read", "plans:read")
    told = (await watch.get("/v1/me")).json()
    assert (told["role"], told["id"], told["name"]) == ("app", str(watch.id), "Watch")
    assert told["scopes"] == ["logs:read", "plans:read"]
    assert told["patient_id"] == str(cast.ana.id)
    assert "clinicians" not in told


async def test_one_changes_oneself(cast: Cast) -> None:
    for person in (cast.ana, cast.cleo):
        before = (await person.get("/v1/me")).json()
        changed = await person.patch("/v1/me", {"name": "Anna", "zone": "Asia/Kathmandu", "language": "es-US"})
        assert changed.status_code == 200, person.name
        expected = before | {"name": "Anna", "zone": "Asia/Kathmandu", "language": "es-US"}
        assert (await person.get("/v1/me")).json() == changed.json()
        assert {k: v for k, v in changed.json().items() if k != "clinicians"} == {
            k: v for k, v in expected.items() if k != "clinicians"
        }
        assert (await person.patch("/v1/me", {})).json() == changed.json()
        for bad in ({"zone": "Nowhere/Land"}, {"name": ""}, {"language": "e"}, {"role": "clinician"}, {"id": str(uuid4())}):
            assert (await person.patch("/v1/me", bad)).status_code == 400, bad
        assert (await person.get("/v1/me")).json() == changed.json()
    watch = await app(cast.ana, *SCOPES)
    assert (await watch.patch("/v1/me", {"name": "Mallory"})).status_code == 403


async def test_what_an_app_wrote_has_the_app_as_its_author(cast: Cast) -> None:
    watch = await app(cast.ana, "logs:write")
    log = await watch.log("2026-03-02T12:00:00Z", kind="mood", mood=3)
    assert (log["author_id"], log["patient_id"]) == (str(watch.id), str(cast.ana.id))
    where = f"/v1/patients/me/logs/{log['id']}"
    assert (await watch.get(where)).status_code == 403
    assert (await cast.ana.get(where)).json()["author_id"] == str(watch.id)


async def test_a_refusal_shows_an_app_only_what_it_may_read(cast: Cast) -> None:
    """412 carries the stored entry: to a token that may write but not read it carries nothing."""
    log = await cast.ana.log("2026-03-02T12:00:00Z", kind="note", text="between us")
    where = f"/v1/patients/me/logs/{log['id']}"
    other = cast.ana.entry("2026-03-02T12:00:00Z", kind="note", text="x")
    writer, both = await app(cast.ana, "logs:write"), await app(cast.ana, "logs:write", "logs:read")
    for method in ("PUT", "DELETE"):
        blind = await writer.call(method, where, json=other, headers={"If-Match": '"9"'})
        assert (blind.status_code, blind.headers["etag"]) == (412, '"1"')
        assert "between us" not in blind.text
        seeing = await both.call(method, where, json=other, headers={"If-Match": '"9"'})
        assert seeing.json()["current"] == log
    looks = (await cast.ana.get("/v1/patients/me/disclosures")).json()["items"]
    assert [(look["recipient"], look["action"], look["categories"]) for look in looks] == [
        (str(both.id), "entry", ["note"]),
        (str(both.id), "entry", ["note"]),
    ]
