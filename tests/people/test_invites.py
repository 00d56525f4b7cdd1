"""Signing in by invite and by a clinician's code: once, in time, on one phone."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from support.cast import OPERATOR, Cast, Person, new_patient
from support.clocks import ManualClock
from support.stage import stage

from companion.core.ids import new_code, normal_code
from companion.people import service as people


def body(code: str, device: Any = None, zone: str = "America/New_York") -> dict[str, Any]:
    return {"method": "invite", "code": code, "device": {"id": str(device or uuid4()), "name": "phone", "zone": zone}}


async def invite(cleo: Person, **terms: Any) -> str:
    answer = await cleo.post("/v1/invites", terms)
    assert answer.status_code == 201, answer.text
    return answer.json()["code"]


async def test_an_invite_signs_one_phone_in_once(cast: Cast) -> None:
    code = await invite(cast.cleo, name="Noor", zone="Asia/Kathmandu", email="noor@example.org")
    first = await cast.http.post("/v1/sign-in", json=body(code, zone="Asia/Kathmandu"))
    assert first.status_code == 200
    assert set(first.json()) == {"access_token", "expires_at", "me"}
    me = first.json()["me"]
    assert (me["role"], me["name"], me["zone"], me["scopes"]) == ("patient", "Noor", "Asia/Kathmandu", ["patient"])
    assert me["patient_id"] == me["id"]
    assert {one["name"] for one in me["clinicians"]} == {"Cleo", "Dan"}
    other = await cast.http.post("/v1/sign-in", json=body(code))
    assert other.status_code == 401


async def test_the_same_phone_within_ten_minutes_signs_in_again_and_ends_the_first_token(
    start: Any, clock: ManualClock
) -> None:
    async with stage(start, clock=clock) as cast:
        code, device = await invite(cast.cleo, name="Noor"), uuid4()
        tokens: list[str] = []
        for _ in range(3):
            answer = await cast.http.post("/v1/sign-in", json=body(code, device))
            assert answer.status_code == 200
            tokens.append(answer.json()["access_token"])
            clock.advance(minutes=5)
        live = [(await Person("Noor", token, cast.http).get("/v1/me")).status_code for token in tokens]
        assert live == [401, 401, 200]
        clock.advance(seconds=1)
        late = await cast.http.post("/v1/sign-in", json=body(code, device))
        assert late.status_code == 401
        assert (await Person("Noor", tokens[2], cast.http).get("/v1/me")).status_code == 200


async def test_without_a_device_id_there_is_no_second_time(cast: Cast) -> None:
    code = await invite(cast.cleo, name="Noor")
    request = body(code)
    del request["device"]["id"]
    assert (await cast.http.post("/v1/sign-in", json=request)).status_code == 200
    assert (await cast.http.post("/v1/sign-in", json=request)).status_code == 401


async def test_an_invite_lasts_seven_days(start: Any, clock: ManualClock) -> None:
    async with stage(start, clock=clock) as cast:
        made = await cast.cleo.post("/v1/invites", {"name": "Noor"})
        clock.advance(days=5)
        late = await cast.ana.post("/v1/me/invites")
        assert made.json()["expires_at"] == "2026-03-09T12:00:00Z"
        clock.set(clock.now() + timedelta(days=2) - timedelta(microseconds=1))
        device = uuid4()
        assert (await cast.http.post("/v1/sign-in", json=body(made.json()["code"], device))).status_code == 200
        clock.advance(minutes=1)
        again = await cast.http.post("/v1/sign-in", json=body(made.json()["code"], device))
        assert again.status_code == 200, "the ten minutes run past the seventh day"
        clock.set(datetime.fromisoformat(late.json()["expires_at"]))
        assert (await cast.http.post("/v1/sign-in", json=body(late.json()["code"]))).status_code == 401


async def test_a_code_has_eighty_bits_and_survives_sloppy_typing(cast: Cast) -> None:
    codes = {new_code() for _ in range(2000)}
    assert len(codes) == 2000
    assert all(len(normal_code(code)) * 5 >= 80 for code in codes)
    assert set("".join(codes)) == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-")
    for sloppy in (
        lambda code: code.lower(),
        lambda code: code.replace("-", " "),
        lambda code: code.replace("-", ""),
        lambda code: f"  {code}\t".replace("0", "o").replace("1", "l"),
        lambda code: code.replace("1", "I").replace("0", "O"),
    ):
        code = await invite(cast.cleo, name="Noor")
        assert (await cast.http.post("/v1/sign-in", json=body(sloppy(code)))).status_code == 200, sloppy(code)
    code = await invite(cast.cleo, name="Noor")
    wrong = ("2" if code[0] != "2" else "3") + code[1:]
    for bad in (wrong, code[:-1], code + "2", "", "x" * 200):
        assert (await cast.http.post("/v1/sign-in", json=body(bad))).status_code in (400, 401)


async def test_a_new_phone_for_a_patient_one_has(cast: Cast) -> None:
    """Cleo has Ana's consent, Dan has not: for him Ana is nobody."""
    again = await cast.cleo.post("/v1/invites", {"patient_id": str(cast.ana.id)})
    assert again.status_code == 201
    assert again.json()["patient_id"] == str(cast.ana.id)
    signed = await cast.http.post("/v1/sign-in", json=body(again.json()["code"]))
    assert signed.json()["me"]["id"] == str(cast.ana.id)
    assert (await cast.ana.get("/v1/me")).status_code == 200, "the first phone stays signed in"
    rid = {"X-Request-Id": str(uuid4())}
    hidden = await cast.dan.post("/v1/invites", {"patient_id": str(cast.ana.id)}, headers=rid)
    missing = await cast.dan.post("/v1/invites", {"patient_id": str(uuid4())}, headers=rid)
    assert (hidden.status_code, hidden.content) == (missing.status_code, missing.content)
    assert hidden.status_code == 404
    assert (await cast.ana.post("/v1/invites", {"name": "x"})).status_code == 404


async def test_only_the_own_clinic_hands_out_a_code_that_signs_in_as_the_patient(cast: Cast) -> None:
    """Ben's consent lets Cleo of another clinic read; it does not let her become Ben."""
    await cast.ben.consent(cast.cleo.id, ["mood"])
    assert (await cast.cleo.get(f"/v1/patients/{cast.ben.id}/logs")).status_code == 200
    assert (await cast.cleo.post("/v1/invites", {"patient_id": str(cast.ben.id)})).status_code == 404


async def test_a_patient_adds_a_phone(cast: Cast) -> None:
    made = await cast.ana.post("/v1/me/invites")
    assert made.status_code == 201
    assert made.json()["patient_id"] == str(cast.ana.id)
    signed = await cast.http.post("/v1/sign-in", json=body(made.json()["code"]))
    second = Person("Ana", signed.json()["access_token"], cast.http)
    log = await cast.ana.log("2026-03-02T12:00:00Z", kind="note", text="mine")
    assert (await second.get(f"/v1/patients/me/logs/{log['id']}")).json() == log
    assert len((await second.get("/v1/me/devices")).json()["items"]) == 2
    for person in (cast.cleo, cast.dan):
        assert (await person.post("/v1/me/invites")).status_code == 404


async def test_a_clinician_code_is_for_once_and_fifteen_minutes(start: Any, clock: ManualClock) -> None:
    async with stage(start, clock=clock) as cast:
        write = cast.running.db.write
        code, late = [await write(OPERATOR, people.clinician_code, cast.cleo.id) for _ in range(2)]
        for status in (200, 401):
            answer = await cast.http.post("/v1/sign-in", json={"method": "code", "code": code.lower()})
            assert answer.status_code == status
        clock.advance(minutes=15)
        assert (await cast.http.post("/v1/sign-in", json={"method": "code", "code": late})).status_code == 401


async def test_codes_of_one_kind_are_not_codes_of_the_other(cast: Cast) -> None:
    code = await cast.running.db.write(OPERATOR, people.clinician_code, cast.cleo.id)
    assert (await cast.http.post("/v1/sign-in", json=body(code))).status_code == 401
    patient = await invite(cast.cleo, name="Noor")
    assert (await cast.http.post("/v1/sign-in", json={"method": "code", "code": patient})).status_code == 401
    assert (await cast.http.post("/v1/sign-in", json=body(patient))).status_code == 200


async def test_a_zone_that_is_none_is_refused_and_uses_no_code_up(cast: Cast) -> None:
    code = await invite(cast.cleo, name="Noor")
    bad = await cast.http.post("/v1/sign-in", json=body(code, zone="Nowhere/Land"))
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (400, "/device/zone")
    assert (await cast.http.post("/v1/sign-in", json=body(code))).status_code == 200
    assert (await cast.cleo.post("/v1/invites", {"name": "N", "zone": "Nowhere/Land"})).status_code == 400


async def test_every_wrong_sign_in_is_the_same_401(cast: Cast) -> None:
    used = await invite(cast.cleo, name="Noor")
    await cast.http.post("/v1/sign-in", json=body(used))
    answers: set[tuple[int, bytes]] = set()
    rid = {"X-Request-Id": str(uuid4())}
    for request in (
        body(used),
        body(new_code()),
        body("nonsense"),
        body("\u0130\u0131"),
        {"method": "code", "code": new_code()},
        {"method": "code", "code": used},
    ):
        answer = await cast.http.post("/v1/sign-in", json=request, headers=rid)
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    assert answers.pop()[0] == 401


async def test_signing_out_ends_this_token_and_no_other(cast: Cast) -> None:
    noor = await new_patient(cast.http, cast.cleo, "Noor")
    assert (await noor.post("/v1/sign-out")).status_code == 204
    assert (await noor.get("/v1/me")).status_code == 401
    assert (await noor.post("/v1/sign-out")).status_code == 401
    for person in (cast.ana, cast.cleo):
        assert (await person.get("/v1/me")).status_code == 200
    assert (await cast.cleo.post("/v1/sign-out")).status_code == 204
    assert (await cast.cleo.get("/v1/me")).status_code == 401
