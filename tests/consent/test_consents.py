"""Giving, changing and ending consents, and what each lets a clinician see."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from support.cast import Cast, Person, monday, new_clinician
from support.clocks import ManualClock
from support.stage import stage

from companion_sdk.wire import SCOPES

CONSENTS = "/v1/patients/me/consents"


def terms(recipient: Any, *categories: str, **more: Any) -> dict[str, Any]:
    return {"recipient": str(recipient), "categories": list(categories or ("mood",)), **more}


async def sees(person: Person, patient: Person) -> int:
    return (await person.get(f"/v1/patients/{patient.id}/logs")).status_code


async def test_a_consent_comes_back_as_it_was_given(cast: Cast) -> None:
    where = f"{CONSENTS}/{uuid4()}"
    given = terms(cast.dan.id, "note", "mood", "mood", purpose="research", text_version="2026-1", signature="Ana Ortiz") | {
        "from": "2026-03-02T07:00:00-05:00",
        "until": "2999-01-01T00:00:00Z",
    }
    answer = await cast.ana.put(where, given)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["categories"], told["purpose"], told["signature"]) == (["mood", "note"], "research", "Ana Ortiz")
    assert (told["from"], told["until"], told["revision"]) == ("2026-03-02T12:00:00Z", "2999-01-01T00:00:00Z", 1)
    assert (told["active"], told["revoked_at"]) == (True, None)
    again = await cast.ana.put(where, given)
    assert (again.status_code, again.json()) == (200, told)
    listed = (await cast.ana.get(CONSENTS)).json()["items"]
    assert told in listed
    assert len(listed) == 2


async def test_a_consent_without_from_starts_now_and_a_repeat_does_not_move_it(start: Any, clock: ManualClock) -> None:
    async with stage(start, clock=clock) as cast:
        where = f"{CONSENTS}/{uuid4()}"
        first = (await cast.ana.put(where, terms(cast.dan.id))).json()
        clock.advance(hours=3)
        assert (await cast.ana.put(where, terms(cast.dan.id))).json() == first
        changed = (await cast.ana.put(where, terms(cast.dan.id, "note"))).json()
        assert (changed["revision"], changed["from"]) == (2, first["from"])
        assert [one["id"] for one in (await cast.ana.get(CONSENTS)).json()["items"]].count(first["id"]) == 1


async def test_a_recipient_is_a_clinician_or_a_clinic(cast: Cast) -> None:
    """A clinic's consent reaches whoever works there, also who comes later, and nobody of another clinic."""
    sue = await new_clinician(cast.running, cast.http, cast.south, "Sue II")
    assert await sees(cast.dan, cast.ana) == 404
    await cast.ana.consent(cast.north)
    late = await new_clinician(cast.running, cast.http, cast.north, "Late")
    assert [await sees(one, cast.ana) for one in (cast.dan, late, cast.cleo, sue)] == [200, 200, 200, 404]
    await cast.ana.consent(sue.id)
    assert await sees(sue, cast.ana) == 200
    for stranger in (uuid4(), cast.ana.id, cast.ben.id):
        refused = await cast.ana.put(f"{CONSENTS}/{uuid4()}", terms(stranger))
        assert refused.status_code == 400
        assert refused.json()["errors"] == [{"pointer": "/recipient", "code": "unknown-recipient"}]


async def test_an_app_is_no_recipient(cast: Cast) -> None:
    token = (await cast.ana.post("/v1/me/tokens", {"name": "W", "scopes": ["logs:read"]})).json()["id"]
    assert (await cast.ana.put(f"{CONSENTS}/{uuid4()}", terms(token))).status_code == 400


async def test_from_and_until_hold_to_the_microsecond(start: Any, clock: ManualClock) -> None:
    """From is inclusive, until is exclusive."""
    async with stage(start, clock=clock) as cast:
        micro = timedelta(microseconds=1)
        first, last = clock.now() + timedelta(hours=1), clock.now() + timedelta(hours=2)
        bounds = {"from": first.isoformat(), "until": last.isoformat()}
        given = await cast.ana.put(f"{CONSENTS}/{uuid4()}", terms(cast.dan.id) | bounds)
        assert (given.status_code, given.json()["active"]) == (200, False)
        seen: list[int] = []
        for at in (clock.now(), first - micro, first, last - micro, last, last + micro):
            clock.set(at)
            seen.append(await sees(cast.dan, cast.ana))
        assert seen == [404, 404, 200, 200, 404, 404]
        assert [one["active"] for one in (await cast.ana.get(CONSENTS)).json()["items"] if one["until"]] == [False]


async def test_until_lies_after_from(cast: Cast) -> None:
    for bounds in (
        {"from": "2026-03-02T12:00:00Z", "until": "2026-03-02T12:00:00Z"},
        {"from": "2026-03-02T12:00:00Z", "until": "2026-03-02T11:00:00Z"},
        {"until": "2020-01-01T00:00:00Z"},
    ):
        answer = await cast.ana.put(f"{CONSENTS}/{uuid4()}", terms(cast.dan.id) | bounds)
        assert answer.status_code == 400, bounds
        assert answer.json()["errors"][0]["pointer"] == "/until"


async def test_revoking_counts_at_once_and_for_good(cast: Cast) -> None:
    ana, dan = cast.ana, cast.dan
    given = await ana.consent(dan.id)
    where = f"{CONSENTS}/{given['id']}"
    assert await sees(dan, ana) == 200
    first = await ana.post(f"{where}/revoke")
    assert (first.status_code, first.json()["active"]) == (200, False)
    assert await sees(dan, ana) == 404
    assert (await ana.post(f"{where}/revoke")).json() == first.json()
    for body in (terms(dan.id), terms(dan.id, "note"), terms(cast.cleo.id)):
        answer = await ana.put(where, body)
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/gone")
    assert await sees(dan, ana) == 404
    assert (await ana.post(f"{CONSENTS}/{uuid4()}/revoke")).status_code == 404
    await ana.consent(dan.id)
    assert await sees(dan, ana) == 200, "a new consent is a new id"


async def test_revoking_one_of_two_leaves_what_the_other_covers(cast: Cast) -> None:
    ana, dan = cast.ana, cast.dan
    await ana.mood(monday())
    note = await ana.log(monday(), kind="note", text="x")
    await ana.consent(dan.id, ["mood"])
    second = await ana.consent(cast.north, ["note"])
    base = f"/v1/patients/{ana.id}/logs"
    assert len((await dan.get(base)).json()["items"]) == 2
    await ana.post(f"{CONSENTS}/{second['id']}/revoke")
    assert [one["kind"] for one in (await dan.get(base)).json()["items"]] == ["mood"]
    assert (await dan.get(f"{base}/{note['id']}")).status_code == 404


async def test_changing_the_categories_changes_what_is_seen(cast: Cast) -> None:
    ana, dan = cast.ana, cast.dan
    note = await ana.log(monday(), kind="note", text="x")
    given = await ana.consent(dan.id, ["mood", "note"])
    read = f"/v1/patients/{ana.id}/logs/{note['id']}"
    assert (await dan.get(read)).status_code == 200
    assert (await ana.put(f"{CONSENTS}/{given['id']}", terms(dan.id, "mood"))).status_code == 200
    assert (await dan.get(read)).status_code == 404
    assert (await ana.put(f"{CONSENTS}/{given['id']}", terms(cast.cleo.id, "note"))).status_code == 200
    assert await sees(dan, ana) == 404


async def test_only_the_patient_in_person_handles_consents(cast: Cast) -> None:
    ana = cast.ana
    given = await ana.consent(cast.dan.id)
    base = f"/v1/patients/{ana.id}/consents"
    made = await ana.post("/v1/me/tokens", {"name": "W", "scopes": list(SCOPES)})
    watch = Person("W", made.json()["token"], cast.http)
    for person, status in ((cast.cleo, 404), (cast.dan, 404), (cast.ben, 404), (watch, 403)):
        assert (await person.put(f"{base}/{uuid4()}", terms(cast.dan.id))).status_code == status, person.name
        assert (await person.put(f"{base}/{given['id']}", terms(cast.dan.id, "note"))).status_code == status
        assert (await person.post(f"{base}/{given['id']}/revoke")).status_code == status
    assert [one["revision"] for one in (await ana.get(base)).json()["items"]] == [1, 1]
    for person, status in ((cast.cleo, 404), (cast.ben, 404), (watch, 200)):
        assert (await person.get(base)).status_code == status
        assert (await person.get(f"/v1/patients/{ana.id}/disclosures")).status_code == status


async def test_a_consent_id_of_another_patient_is_free(cast: Cast) -> None:
    """Ids are a patient's own: Ben's consent under the id of Ana's is Ben's, and hers stays as it was."""
    given = await cast.ana.consent(cast.dan.id)
    answer = await cast.ben.put(f"{CONSENTS}/{given['id']}", terms(cast.cleo.id))
    assert answer.status_code == 200
    assert answer.json()["patient_id"] == str(cast.ben.id)
    assert given in (await cast.ana.get(CONSENTS)).json()["items"]
    await cast.ben.post(f"{CONSENTS}/{given['id']}/revoke")
    assert await sees(cast.dan, cast.ana) == 200
