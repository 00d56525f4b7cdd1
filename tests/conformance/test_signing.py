"""Signing in and out, and the person who is signed in."""

from datetime import timedelta
from uuid import uuid4

from conformance.backends import Backend, Person, invited
from conformance.words import LOGS, at, faults, mood, new, same_id, word


async def invite(cleo: Person, **terms: str) -> str:
    answer = await cleo.post("/v1/invites", {"name": "Noor", **terms})
    assert answer.status_code == 201, answer.text
    return answer.json()["code"]


async def test_an_invite_signs_one_phone_in_once(backend: Backend, cleo: Person) -> None:
    code = await invite(cleo, zone="Asia/Kathmandu", email="noor@example.org")
    first = await backend.http.post("/v1/sign-in", json=invited(code, zone="Asia/Kathmandu"))
    assert first.status_code == 200
    assert set(first.json()) == {"access_token", "expires_at", "me"}
    me = first.json()["me"]
    assert (me["role"], me["name"], me["zone"], me["scopes"]) == ("patient", "Noor", "Asia/Kathmandu", ["patient"])
    assert me["patient_id"] == me["id"]
    assert me["clinic"]["name"] == "North"
    assert {one["name"] for one in me["clinicians"]} == {"Cleo", "Dan"}
    assert first.json()["expires_at"] == (backend.now + timedelta(days=180)).isoformat().replace("+00:00", "Z")
    assert (await backend.http.post("/v1/sign-in", json=invited(code))).status_code == 401


async def test_the_same_phone_within_ten_minutes_signs_in_again_and_its_first_token_ends(
    backend: Backend, cleo: Person
) -> None:
    code, device = await invite(cleo), uuid4()
    tokens: list[str] = []
    for _ in range(3):
        answer = await backend.http.post("/v1/sign-in", json=invited(code, device))
        assert answer.status_code == 200
        tokens.append(answer.json()["access_token"])
        backend.advance(minutes=5)
    live = [(await Person("Noor", token, backend.http).get("/v1/me")).status_code for token in tokens]
    assert live == [401, 401, 200]
    backend.advance(seconds=1)
    assert (await backend.http.post("/v1/sign-in", json=invited(code, device))).status_code == 401
    assert (await Person("Noor", tokens[2], backend.http).get("/v1/me")).status_code == 200


async def test_another_phone_within_the_ten_minutes_does_not(backend: Backend, cleo: Person) -> None:
    code = await invite(cleo)
    first = await backend.http.post("/v1/sign-in", json=invited(code))
    assert (await backend.http.post("/v1/sign-in", json=invited(code))).status_code == 401
    assert (await Person("Noor", first.json()["access_token"], backend.http).get("/v1/me")).status_code == 200


async def test_without_a_device_id_there_is_no_second_time(backend: Backend, cleo: Person) -> None:
    request = invited(await invite(cleo))
    del request["device"]["id"]
    assert (await backend.http.post("/v1/sign-in", json=request)).status_code == 200
    assert (await backend.http.post("/v1/sign-in", json=request)).status_code == 401


async def test_an_invite_lasts_seven_days_and_the_ten_minutes_run_past_them(backend: Backend, cleo: Person) -> None:
    code, late, device = await invite(cleo), await invite(cleo), uuid4()
    backend.advance(days=7, microseconds=-1)
    assert (await backend.http.post("/v1/sign-in", json=invited(code, device))).status_code == 200
    backend.advance(minutes=1)
    assert (await backend.http.post("/v1/sign-in", json=invited(code, device))).status_code == 200
    assert (await backend.http.post("/v1/sign-in", json=invited(late))).status_code == 401


async def test_a_code_survives_sloppy_typing(backend: Backend, cleo: Person) -> None:
    for sloppy in (
        lambda code: code.lower(),
        lambda code: code.replace("-", " "),
        lambda code: f"  {code}\t".replace("0", "o").replace("1", "l"),
        lambda code: code.replace("1", "I").replace("0", "O").replace("-", ""),
    ):
        code = await invite(cleo)
        assert (await backend.http.post("/v1/sign-in", json=invited(sloppy(code)))).status_code == 200, sloppy(code)


async def test_a_clinicians_code_is_for_once_and_fifteen_minutes(backend: Backend, cleo: Person) -> None:
    code, late = await backend.code(cleo), await backend.code(cleo)
    for status in (200, 401):
        answer = await backend.http.post("/v1/sign-in", json={"method": "code", "code": code.lower()})
        assert answer.status_code == status
    backend.advance(minutes=15)
    assert (await backend.http.post("/v1/sign-in", json={"method": "code", "code": late})).status_code == 401


async def test_a_clinician_is_signed_in_for_twelve_hours(backend: Backend, cleo: Person) -> None:
    answer = await backend.http.post("/v1/sign-in", json={"method": "code", "code": await backend.code(cleo)})
    assert answer.json()["me"]["role"] == "clinician"
    again = Person("Cleo", answer.json()["access_token"], backend.http)
    backend.advance(hours=12, microseconds=-1)
    assert (await again.get("/v1/me")).status_code == 200
    backend.advance(microseconds=1)
    assert (await again.get("/v1/me")).status_code == 401


async def test_a_phone_is_signed_in_for_half_a_year(backend: Backend, ana: Person) -> None:
    backend.advance(days=180, microseconds=-1)
    assert (await ana.get("/v1/me")).status_code == 200
    backend.advance(microseconds=1)
    assert (await ana.get("/v1/me")).status_code == 401


async def test_codes_of_one_kind_are_not_codes_of_the_other(backend: Backend, cleo: Person) -> None:
    clinicians, patients = await backend.code(cleo), await invite(cleo)
    assert (await backend.http.post("/v1/sign-in", json=invited(clinicians))).status_code == 401
    assert (await backend.http.post("/v1/sign-in", json={"method": "code", "code": patients})).status_code == 401
    assert (await backend.http.post("/v1/sign-in", json=invited(patients))).status_code == 200


async def test_a_zone_that_is_none_uses_no_code_up(backend: Backend, cleo: Person) -> None:
    code = await invite(cleo)
    bad = await backend.http.post("/v1/sign-in", json=invited(code, zone="Nowhere/Land"))
    assert (bad.status_code, faults(bad)) == (400, [("/device/zone", "unknown-zone")])
    assert (await backend.http.post("/v1/sign-in", json=invited(code))).status_code == 200
    assert (await cleo.post("/v1/invites", {"name": "N", "zone": "Nowhere/Land"})).status_code == 400


async def test_every_wrong_sign_in_is_the_same_401(backend: Backend, cleo: Person) -> None:
    used, rid = await invite(cleo), same_id()
    await backend.http.post("/v1/sign-in", json=invited(used))
    wrong = ("2" if used[0] != "2" else "3") + used[1:]
    answers: set[tuple[int, bytes]] = set()
    for request in (
        invited(used),
        invited(wrong),
        invited("nonsense"),
        invited("\u0130\u0131"),
        {"method": "code", "code": wrong},
        {"method": "code", "code": used},
    ):
        answer = await backend.http.post("/v1/sign-in", json=request, headers=rid)
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    assert answers.pop()[0] == 401


async def test_a_sign_in_that_breaks_the_contract_is_400_where_it_breaks(backend: Backend) -> None:
    device = {"name": "phone", "zone": "UTC"}
    for request, fault in (
        ({}, ("", "required")),
        ({"method": "magic", "code": "x"}, ("/method", "unknown-word")),
        ({"method": "invite", "code": "x"}, ("/device", "required")),
        ({"method": "invite", "code": "", "device": device}, ("/code", "length")),
        ({"method": "invite", "code": "x", "device": {**device, "id": "7"}}, ("/device/id", "format")),
        ({"method": "invite", "code": "x", "device": device, "more": 1}, ("", "unknown-field")),
        ({"method": "code", "code": 7}, ("/code", "type")),
    ):
        answer = await backend.http.post("/v1/sign-in", json=request)
        pointer, code = faults(answer)[0]
        assert answer.status_code == 400, request
        assert code == fault[1], request
        assert pointer in (fault[0], f"{fault[0]}/method"), request


async def test_signing_out_ends_this_token_and_no_other(backend: Backend, ana: Person, cleo: Person) -> None:
    second = await backend.sign_in(ana)
    answer = await second.post("/v1/sign-out")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await second.get("/v1/me")).status_code == 401
    assert (await second.post("/v1/sign-out")).status_code == 401
    for person in (ana, cleo):
        assert (await person.get("/v1/me")).status_code == 200


async def test_me_says_who_is_signed_in(backend: Backend, ana: Person, cleo: Person) -> None:
    mine, hers = (await ana.get("/v1/me")).json(), (await cleo.get("/v1/me")).json()
    assert mine == {
        "id": str(ana.id),
        "role": "patient",
        "name": "Ana",
        "zone": "America/New_York",
        "scopes": ["patient"],
        "language": "en",
        "patient_id": str(ana.id),
        "clinic": {"id": mine["clinic"]["id"], "name": "North", "site": "North Street"},
        "clinicians": mine["clinicians"],
    }
    assert {one["id"] for one in mine["clinicians"]} == {str(cleo.id), str(backend.dan.id)}
    assert (hers["role"], hers["scopes"], hers["clinician_id"]) == ("clinician", ["clinician"], str(cleo.id))
    assert "patient_id" not in hers
    app = (await (await backend.app(ana, "profile:read", "logs:read")).get("/v1/me")).json()
    assert (app["role"], app["name"], app["scopes"]) == ("app", "App", ["logs:read", "profile:read"])
    assert app["patient_id"] == str(ana.id)
    assert "clinic" not in app


async def test_a_person_changes_name_zone_and_language(backend: Backend, ana: Person, cleo: Person) -> None:
    changed = await ana.patch("/v1/me", {"name": "Ana M.", "zone": "Asia/Tokyo", "language": "es-MX"})
    assert changed.status_code == 200
    assert [changed.json()[name] for name in ("name", "zone", "language")] == ["Ana M.", "Asia/Tokyo", "es-MX"]
    assert (await ana.get("/v1/me")).content == changed.content
    assert (await ana.patch("/v1/me", {})).content == changed.content
    assert (await cleo.patch("/v1/me", {"name": "Dr Cleo"})).json()["name"] == "Dr Cleo"
    for change, fault in (
        ({"zone": "Nowhere/Land"}, ("/zone", "unknown-zone")),
        ({"language": "x"}, ("/language", "length")),
        ({"name": ""}, ("/name", "length")),
        ({"role": "clinician"}, ("", "unknown-field")),
    ):
        answer = await ana.patch("/v1/me", change)
        assert (answer.status_code, faults(answer)) == (400, [fault])
    app = await backend.app(ana, "profile:read")
    assert word(await app.patch("/v1/me", {"name": "App"})) == "insufficient-scope"


async def test_the_profile_follows_the_phone(backend: Backend, ana: Person) -> None:
    code = await backend.invite(ana)
    await backend.http.post("/v1/sign-in", json=invited(code, zone="Asia/Kathmandu"))
    assert (await ana.get("/v1/me")).json()["zone"] == "Asia/Kathmandu"


async def test_a_patient_adds_a_phone_sees_it_and_signs_it_out(backend: Backend, ana: Person, cleo: Person) -> None:
    made = await ana.post("/v1/me/invites")
    assert (made.status_code, made.json()["patient_id"]) == (201, str(ana.id))
    device = uuid4()
    signed = await backend.http.post("/v1/sign-in", json=invited(made.json()["code"], device))
    second = Person("Ana", signed.json()["access_token"], backend.http)
    log = new()
    stored = await ana.put(f"{LOGS}/{log}", mood())
    assert (await second.get(f"{LOGS}/{log}")).content == stored.content
    phones = (await second.get("/v1/me/devices")).json()["items"]
    assert [phone["current"] for phone in sorted(phones, key=lambda one: one["id"] == str(device))] == [False, True]
    where = f"/v1/me/devices/{device}"
    assert [(await ana.delete(where)).status_code for _ in range(2)] == [204, 204]
    assert (await second.get("/v1/me")).status_code == 401
    assert len((await ana.get("/v1/me/devices")).json()["items"]) == 1
    assert (await ana.delete(f"/v1/me/devices/{uuid4()}")).status_code == 404
    assert (await cleo.post("/v1/me/invites")).status_code == 404


async def test_a_token_for_a_third_party_is_shown_once_lasts_as_said_and_ends(backend: Backend, ana: Person) -> None:
    made = await ana.post("/v1/me/tokens", {"name": "App", "scopes": ["logs:write", "logs:read"], "days": 30})
    assert made.status_code == 201
    assert made.json()["scopes"] == ["logs:read", "logs:write"]
    listed = (await ana.get("/v1/me/tokens")).json()["items"]
    assert listed == [{name: value for name, value in made.json().items() if name != "token"}]
    app = Person("App", made.json()["token"], backend.http)
    assert (await app.get(LOGS)).status_code == 200
    assert (await app.get("/v1/me/tokens")).status_code == 403
    backend.advance(days=30)
    assert (await app.get(LOGS)).status_code == 401
    again = await backend.app(ana, "logs:read")
    token = (await ana.get("/v1/me/tokens")).json()["items"][0]["id"]
    assert [(await ana.delete(f"/v1/me/tokens/{token}")).status_code for _ in range(2)] == [204, 204]
    assert (await again.get(LOGS)).status_code == 401
    assert (await ana.delete(f"/v1/me/tokens/{uuid4()}")).status_code == 404


async def test_a_token_does_what_its_scopes_say(backend: Backend, ana: Person) -> None:
    reads, writes = await backend.app(ana, "logs:read"), await backend.app(ana, "logs:write")
    log = f"{LOGS}/{new()}"
    assert word(await reads.put(log, mood())) == "insufficient-scope"
    stored = await writes.put(log, mood())
    assert stored.status_code == 201
    assert stored.json()["author_id"] not in (str(ana.id), "")
    assert (await writes.get(log)).status_code == 403
    assert (await reads.get(log)).content == stored.content
    assert (await writes.put(log, mood(1), headers={"If-Match": '"9"'})).json().get("current") is None
    both = await backend.app(ana, "logs:read", "logs:write")
    assert (await both.put(log, mood(1), headers={"If-Match": '"9"'})).json()["current"] == stored.json()


async def test_a_repeated_invite_is_one_invite(backend: Backend, cleo: Person) -> None:
    key = {"Idempotency-Key": "invite-1"}
    first = await cleo.post("/v1/invites", {"name": "Noor"}, headers=key)
    again = await cleo.post("/v1/invites", {"name": "Noor"}, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["patient_id"] == again.json()["patient_id"]
    assert word(await cleo.post("/v1/invites", {"name": "Other"}, headers=key)) == "conflict"
    assert (await backend.http.post("/v1/sign-in", json=invited(first.json()["code"]))).status_code == 401
    assert (await backend.http.post("/v1/sign-in", json=invited(again.json()["code"]))).status_code == 200
    assert word(await cleo.post("/v1/invites", {"name": "Noor"}, headers=key)) == "conflict"


async def test_a_clinician_invites_a_patient_she_has_and_nobody_else(
    backend: Backend, ana: Person, cleo: Person, dan: Person
) -> None:
    made = await cleo.post("/v1/invites", {"patient_id": str(ana.id)})
    assert (made.status_code, made.json()["patient_id"]) == (201, str(ana.id))
    rid = same_id()
    hidden = await dan.post("/v1/invites", {"patient_id": str(ana.id)}, headers=rid)
    missing = await dan.post("/v1/invites", {"patient_id": new()}, headers=rid)
    assert (hidden.status_code, hidden.content) == (missing.status_code, missing.content)
    assert hidden.status_code == 404
    await backend.ben.consent(cleo.id, ["mood"])
    assert (await cleo.post("/v1/invites", {"patient_id": str(backend.ben.id)})).status_code == 404
    assert (await ana.post("/v1/invites", {"name": "x"})).status_code == 404
    assert at() == backend.now
