"""Rows without anything sealed carry a stamp, and what somebody else wrote into them is not believed."""

from support.cast import OPERATOR, Cast
from support.life import Hand

from companion.people import service as people


async def test_a_code_turned_to_another_clinician_signs_nobody_in(cast: Cast, hand: Hand) -> None:
    code = await cast.running.db.write(OPERATOR, people.clinician_code, cast.dan.id)
    row = hand.one("codes", "used_at IS NULL")
    after = hand.change("codes", row, clinician_id=cast.cleo.id.bytes)
    body = {"method": "code", "code": code}
    assert (await cast.http.post("/v1/sign-in", json=body)).status_code == 500
    hand.change("codes", after, clinician_id=row["clinician_id"])
    signed_in = await cast.http.post("/v1/sign-in", json=body)
    assert signed_in.json()["me"]["name"] == "Dan"


async def test_a_used_code_made_new_again_signs_nobody_in(cast: Cast, hand: Hand) -> None:
    code = await cast.running.db.write(OPERATOR, people.clinician_code, cast.dan.id)
    body = {"method": "code", "code": code}
    assert (await cast.http.post("/v1/sign-in", json=body)).status_code == 200
    row = hand.one("codes", "clinician_id = ? ORDER BY created_at DESC", cast.dan.id.bytes)
    hand.change("codes", row, used_at=None)
    assert (await cast.http.post("/v1/sign-in", json=body)).status_code == 500


async def test_a_clinic_renamed_from_outside_is_not_shown(cast: Cast, hand: Hand) -> None:
    row = hand.one("clinics", "id = ?", cast.north.bytes)
    hand.change("clinics", row, name="Elsewhere")
    answer = await cast.ana.get("/v1/me")
    assert answer.status_code == 500
    assert "Elsewhere" not in answer.text


async def test_a_repeat_turned_to_another_thing_makes_nothing(cast: Cast, hand: Hand) -> None:
    headers = {"Idempotency-Key": "a phone"}
    assert (await cast.ana.post("/v1/me/invites", headers=headers)).status_code == 201
    other = hand.one("invites", "patient_id = ?", cast.ben.id.bytes)
    hand.change("repeats", hand.one("repeats"), made_id=other["id"])
    assert (await cast.ana.post("/v1/me/invites", headers=headers)).status_code == 500
    assert hand.one("invites", "id = ?", other["id"]) == other
