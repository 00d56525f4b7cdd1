"""Storing one entry: what a patient does with a phone, and what the phone is told."""

from uuid import uuid4

from support.cast import Person, monday


async def test_an_entry_comes_back_as_it_was_written(ana: Person) -> None:
    log = uuid4()
    path = f"/v1/patients/me/logs/{log}"
    made = await ana.put(path, ana.entry("2026-03-02T08:00:00-05:00", kind="mood", mood=4, note="slept well"))
    assert made.status_code == 201
    assert made.headers["etag"] == '"1"'
    body = made.json()
    assert body["at"] == "2026-03-02T13:00:00Z"
    assert body["day"] == "2026-03-02"
    assert body["body"] == {"kind": "mood", "mood": 4, "note": "slept well"}
    read = await ana.get(path)
    assert read.status_code == 200
    assert read.json() == body


async def test_the_same_entry_again_is_the_same_entry(ana: Person) -> None:
    path = f"/v1/patients/me/logs/{uuid4()}"
    entry = ana.entry(monday(), kind="mood", mood=4)
    first = await ana.put(path, entry)
    for headers in ({}, {"If-Match": '"7"'}, {"If-None-Match": "*"}):
        again = await ana.put(path, entry, headers=headers)
        assert again.status_code == 200
        assert again.json() == first.json()
    assert len((await ana.get("/v1/patients/me/logs")).json()["items"]) == 1
