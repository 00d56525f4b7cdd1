"""PUT and DELETE of an entry, sentence by sentence as DESIGN.md's "What the words mean" has them."""

from datetime import timedelta
from typing import Any

from conformance.backends import Backend, Person
from conformance.words import LOGS, at, entry, faults, mood, new, note, told, where, word


async def test_a_new_id_is_201_and_says_what_get_says(backend: Backend, ana: Person) -> None:
    log = new()
    answer = await ana.put(where(log), mood(4, at(-2.5), note="as written"))
    assert answer.status_code == 201
    stored = answer.json()
    assert stored.pop("seq") > 0
    assert stored == {
        "id": log,
        "patient_id": str(ana.id),
        "kind": "mood",
        "at": "2026-03-02T09:30:00Z",
        "zone": "America/New_York",
        "day": "2026-03-02",
        "source": "app",
        "revision": 1,
        "recorded_at": "2026-03-02T12:00:00Z",
        "deleted": False,
        "skewed": False,
        "author_id": str(ana.id),
        "body": {"kind": "mood", "mood": 4, "note": "as written"},
    }
    assert set(told(answer)) == {
        *("content-type", "content-length", "etag", "x-request-id"),
        *("cache-control", "x-content-type-options", "referrer-policy"),
    }
    read = await ana.get(where(log))
    assert (read.content, read.headers["etag"]) == (answer.content, answer.headers["etag"])
    assert read.headers["etag"] == '"1"'


async def test_an_identical_body_is_200_whatever_the_headers(ana: Person) -> None:
    log = where(new())
    stored = await ana.put(log, mood())
    for headers in (
        {},
        {"If-Match": '"1"'},
        {"If-Match": '"999"'},
        {"If-None-Match": "*"},
        {"If-None-Match": '"1"'},
        {"If-Match": '"3"', "If-None-Match": "*"},
    ):
        again = await ana.put(log, mood(), headers=headers)
        assert (again.status_code, again.content) == (200, stored.content), headers
    assert len((await ana.get(f"{log}/history")).json()["items"]) == 1


SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"kind": "mood", "mood": 4}, {"kind": "mood", "mood": 4, "emotions": []}),
    ({"kind": "mood", "mood": 4, "emotions": []}, {"kind": "mood", "mood": 4}),
    ({"kind": "mood", "mood": 4}, {"kind": "mood", "mood": 4, "note": None, "safe": None}),
    ({"kind": "mood", "mood": 4, "sleep_hours": 8}, {"sleep_hours": 8.0, "mood": 4, "kind": "mood"}),
    ({"kind": "sobriety", "sober": True}, {"kind": "sobriety", "sober": True, "uses": [], "triggers": []}),
    ({"kind": "note", "text": "caf\u00e9"}, {"kind": "note", "text": "cafe\u0301"}),
    (
        {"kind": "sobriety", "sober": False, "uses": [{"substance": "alcohol", "at": "2026-03-02T10:00:00Z"}]},
        {"kind": "sobriety", "sober": False, "uses": [{"substance": "alcohol", "at": "2026-03-02T05:00:00-05:00"}]},
    ),
    (
        {"kind": "medication", "medication": "M", "status": "late", "due_at": "2026-03-02T10:00:00Z"},
        {"kind": "medication", "medication": "M", "status": "late", "due_at": "2026-03-02T11:00:00+01:00"},
    ),
]


async def test_the_same_is_judged_by_what_was_decoded_with_defaults_filled(ana: Person) -> None:
    for first, second in SAME:
        log = where(new())
        assert (await ana.put(log, entry(**first))).status_code == 201
        assert (await ana.put(log, entry(**second))).status_code == 200, second


async def test_the_same_instant_in_another_offset_and_the_source_by_its_name_are_the_same(ana: Person) -> None:
    log = where(new())
    assert (await ana.put(log, entry("2026-03-02T11:00:00Z"))).status_code == 201
    again = {**entry("2026-03-02T06:00:00.000-05:00"), "source": "app"}
    assert (await ana.put(log, again)).status_code == 200


async def test_another_envelope_is_another_body(ana: Person) -> None:
    log = where(new())
    await ana.put(log, mood())
    for change in ({"zone": "Asia/Kathmandu"}, {"source": "sdk"}, {"at": "2026-03-02T11:00:00.000001Z"}):
        assert (await ana.put(log, mood() | change)).status_code == 428, change


async def test_another_body_without_if_match_is_428_and_names_the_revision(ana: Person) -> None:
    log = where(new())
    await ana.put(log, mood())
    answer = await ana.put(log, mood(5))
    assert (answer.status_code, word(answer), answer.headers["etag"]) == (428, "revision-required", '"1"')
    assert "current" not in answer.json()
    assert (await ana.get(log)).json()["body"]["mood"] == 4


async def test_the_current_if_match_makes_a_new_revision(backend: Backend, ana: Person) -> None:
    log = where(new())
    first = (await ana.put(log, mood())).json()
    backend.advance(minutes=3)
    answer = await ana.put(log, mood(5), headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    second = answer.json()
    assert second["seq"] > first["seq"]
    assert second == first | {
        "revision": 2,
        "seq": second["seq"],
        "recorded_at": "2026-03-02T12:03:00Z",
        "body": {"kind": "mood", "mood": 5},
    }


async def test_a_stale_if_match_is_412_with_the_current_one(ana: Person) -> None:
    log = where(new())
    await ana.put(log, mood())
    await ana.put(log, mood(5), headers={"If-Match": '"1"'})
    current = (await ana.get(log)).json()
    for tag in ('"1"', '"7"', '"0"'):
        answer = await ana.put(log, mood(1), headers={"If-Match": tag})
        assert (answer.status_code, word(answer), answer.headers["etag"]) == (412, "revision-mismatch", '"2"')
        assert answer.json()["current"] == current


async def test_a_malformed_if_match_is_400_and_one_on_an_unknown_id_412(ana: Person) -> None:
    known, unknown = where(new()), where(new())
    await ana.put(known, mood())
    for tag in ("1", "*", "", '"', '""', '"a"', '"-1"', '"1.0"', "'1'", 'W/"1"', '"1", "2"', '"' + "9" * 16 + '"', '"\xb2"'):
        for log in (known, unknown):
            for method in ("PUT", "DELETE"):
                answer = await ana.call(method, log, headers={"If-Match": tag.encode("latin-1")}, json=mood(5))
                assert (answer.status_code, faults(answer)) == (400, [("/if-match", "entity-tag")]), (method, tag)
    answer = await ana.put(unknown, mood(), headers={"If-Match": '"1"'})
    assert (answer.status_code, word(answer)) == (412, "revision-mismatch")
    assert "current" not in answer.json()
    assert (await ana.get(unknown)).status_code == 404


async def test_if_none_match_star_creates_only(ana: Person) -> None:
    log = where(new())
    made = await ana.put(log, mood(), headers={"If-None-Match": "*"})
    assert made.status_code == 201
    other = await ana.put(log, mood(1), headers={"If-None-Match": "*"})
    assert (other.status_code, other.json()["current"]) == (412, made.json())
    odd = await ana.put(log, mood(1), headers={"If-None-Match": "x"})
    assert (odd.status_code, faults(odd)) == (400, [("/if-none-match", "entity-tag")])


async def test_another_kind_is_409(ana: Person) -> None:
    log = where(new())
    await ana.put(log, mood())
    for headers in ({}, {"If-Match": '"1"'}, {"If-Match": '"9"'}):
        answer = await ana.put(log, note(), headers=headers)
        assert (answer.status_code, word(answer)) == (409, "conflict"), headers


async def test_a_tombstoned_id_is_410_for_ever(backend: Backend, ana: Person) -> None:
    log = where(new())
    await ana.put(log, mood())
    assert (await ana.delete(log)).status_code == 204
    backend.advance(days=100)
    for body in (mood(), mood(1), note()):
        for headers in ({}, {"If-Match": '"1"'}, {"If-Match": '"2"'}, {"If-None-Match": "*"}):
            answer = await ana.put(log, body, headers=headers)
            assert (answer.status_code, word(answer)) == (410, "gone"), headers


async def test_deleting_twice_is_204_and_what_never_was_is_404(ana: Person) -> None:
    log = where(new())
    await ana.put(log, mood())
    for headers in ({}, {}, {"If-Match": '"1"'}, {"If-Match": '"9"'}):
        answer = await ana.delete(log, headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-length" not in answer.headers
    assert word(await ana.get(log)) == "gone"
    assert (await ana.delete(where(new()))).status_code == 404


async def test_deleting_a_stale_revision_is_412_and_deletes_nothing(ana: Person) -> None:
    log = where(new())
    stored = await ana.put(log, mood())
    answer = await ana.delete(log, headers={"If-Match": '"2"'})
    assert (answer.status_code, answer.headers["etag"], answer.json()["current"]) == (412, '"1"', stored.json())
    assert (await ana.get(log)).status_code == 200
    assert (await ana.delete(log, headers={"If-Match": '"1"'})).status_code == 204


async def test_what_happened_lies_between_2000_and_a_day_from_now(backend: Backend, ana: Person) -> None:
    second = timedelta(seconds=1)
    for when, status in (
        ("2000-01-01T00:00:00Z", 201),
        ("1999-12-31T23:59:59.999999Z", 400),
        ("2000-01-01T00:00:00+00:01", 400),
        ((backend.now + timedelta(days=1)).isoformat(), 201),
        ((backend.now + timedelta(days=1) + second).isoformat(), 400),
    ):
        log = where(new())
        assert (await ana.put(log, mood(3, when))).status_code == status, when
        assert (await ana.get(log)).status_code == (200 if status == 201 else 404)
        use = {"kind": "sobriety", "sober": False, "uses": [{"substance": "alcohol", "at": when}]}
        answer = await ana.put(where(new()), entry(**use))
        assert answer.status_code == status, when
        if status == 400:
            assert faults(answer) == [("/body/uses/0/at", "out-of-range")]


async def test_the_day_is_the_local_date_and_instants_come_out_in_utc(ana: Person) -> None:
    answer = await ana.put(
        where(new()), mood(3, "2026-03-02T01:59:59.123456+05:45", note="early") | {"zone": "Asia/Kathmandu"}
    )
    assert (answer.json()["at"], answer.json()["day"]) == ("2026-03-01T20:14:59.123456Z", "2026-03-02")
    dose = {"kind": "medication", "medication": "M", "status": "late", "due_at": "2026-03-02T11:00:00+01:00"}
    assert (await ana.put(where(new()), entry(**dose))).json()["body"]["due_at"] == "2026-03-02T10:00:00Z"


async def test_an_entry_from_more_than_five_minutes_ahead_is_marked_and_kept(ana: Person) -> None:
    seen = {
        minutes: (await ana.put(where(new()), mood(3, at(0, minutes=minutes)))).json()["skewed"]
        for minutes in (-600, 0, 5, 6)
    }
    assert seen == {-600: False, 0: False, 5: False, 6: True}


async def test_help_comes_with_a_red_flag_also_on_repeat_and_correction(ana: Person) -> None:
    for safe, crisis in (("yes", False), ("unsure", True), ("no", True), (None, False)):
        log = where(new())
        first = await ana.put(log, mood(1, safe=safe))
        again = await ana.put(log, mood(1, safe=safe))
        corrected = await ana.put(log, mood(2, safe=safe), headers={"If-Match": '"1"'})
        assert [answer.status_code for answer in (first, again, corrected)] == [201, 200, 200]
        for answer in (first, again, corrected):
            assert ("crisis" in answer.json()) is crisis, safe
        assert "crisis" not in (await ana.get(log)).json()


async def test_help_is_in_the_persons_language(backend: Backend, ana: Person) -> None:
    await ana.patch("/v1/me", {"language": "es-MX"})
    helped = (await ana.put(where(new()), mood(1, safe="no"))).json()["crisis"]
    assert helped == (await backend.http.get("/v1/crisis?language=es")).json()


async def test_nobody_else_writes_a_diary(backend: Backend, ana: Person) -> None:
    log = f"/v1/patients/{ana.id}/logs/{new()}"
    for before in (True, False):
        for person in (backend.ben, backend.cleo, backend.dan):
            assert (await person.put(log, mood())).status_code == 404
            assert (await person.delete(log)).status_code == 404
        assert before is ((await ana.put(log, mood())).status_code == 201)


async def test_every_kind_is_kept_as_it_was_written(ana: Person) -> None:
    bodies: list[dict[str, Any]] = [
        {"kind": "mood", "mood": 1, "energy": 5, "anxiety": 0, "sleep_hours": 7.25, "emotions": ["calm"]},
        {
            "kind": "sobriety",
            "sober": False,
            "uses": [{"substance": "other:glue", "amount": 2.5, "unit": "g"}],
            "craving": 9,
        },
        {"kind": "coping", "skill": "walk", "urge_before": 8, "urge_after": 3, "minutes": 20, "helpful": 4},
        {"kind": "note", "text": "words"},
        {"kind": "medication", "medication": "Naltrexone", "status": "taken", "dose": "50 mg"},
        {"kind": "meeting", "fellowship": "NA", "format": "online", "step": 4, "sponsor_contact": True},
        {"kind": "eating", "meals_kept": "most", "urge_binge": 4, "acted": False},
        {"kind": "functioning", "work": 0, "self_care": 4, "home_supportive": "partly"},
        {"kind": "withdrawal", "severity": 7, "symptoms": ["shaking"], "medical_concern": True},
        {"kind": "activity", "what": "Swimming", "enjoyed": 4},
        {"kind": "goal", "goal": "Call my sister", "progress": "done"},
    ]
    for body in bodies:
        log = where(new())
        assert (await ana.put(log, entry(**body))).status_code == 201, body
        assert (await ana.get(log)).json()["body"] == body
    assert {item["kind"] for item in (await ana.get(LOGS)).json()["items"]} == {body["kind"] for body in bodies}
