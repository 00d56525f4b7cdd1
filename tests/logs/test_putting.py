"""PUT, line by line as "What the words mean" has it: create, repeat, correct, refuse."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from support.cast import Cast, Person, monday
from support.clocks import ManualClock
from support.stage import stage

from companion.core.clock import SystemClock
from companion_sdk.clinical.crisis import us_resources


def path() -> str:
    return f"/v1/patients/me/logs/{uuid4()}"


async def made(ana: Person, where: str, **body: Any) -> dict[str, Any]:
    entry = ana.entry(monday(), **({"kind": "mood", "mood": 4} | body))
    answer = await ana.put(where, entry)
    assert answer.status_code == 201, answer.text
    return entry


async def test_a_new_id_is_201_and_the_answer_is_what_get_says(ana: Person) -> None:
    where = path()
    answer = await ana.put(where, ana.entry(monday(), kind="note", text="first"))
    assert answer.status_code == 201
    read = await ana.get(where)
    assert (read.content, read.headers["etag"]) == (answer.content, answer.headers["etag"])
    assert answer.headers["cache-control"] == "no-store"


async def test_an_identical_body_is_200_whatever_the_headers(ana: Person) -> None:
    where = path()
    entry = await made(ana, where)
    stored = (await ana.get(where)).json()
    for headers in (
        {},
        {"If-Match": '"1"'},
        {"If-Match": '"999"'},
        {"If-Match": '"0"'},
        {"If-None-Match": "*"},
        {"If-None-Match": '"1"'},
        {"If-Match": '"3"', "If-None-Match": "*"},
    ):
        again = await ana.put(where, entry, headers=headers)
        assert (again.status_code, again.json()) == (200, stored), headers
    assert len((await ana.get(f"{where}/history")).json()["items"]) == 1


SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"kind": "mood", "mood": 4}, {"kind": "mood", "mood": 4, "emotions": []}),
    ({"kind": "mood", "mood": 4, "emotions": []}, {"kind": "mood", "mood": 4}),
    ({"kind": "mood", "mood": 4}, {"kind": "mood", "mood": 4, "note": None, "safe": None}),
    ({"kind": "mood", "mood": 4, "sleep_hours": 8}, {"sleep_hours": 8.0, "mood": 4, "kind": "mood"}),
    ({"kind": "mood", "mood": 4, "sleep_hours": 8}, {"kind": "mood", "mood": 4, "sleep_hours": 8e0}),
    ({"kind": "sobriety", "sober": True}, {"kind": "sobriety", "sober": True, "uses": [], "triggers": []}),
    ({"kind": "note", "text": "caf\u00e9"}, {"kind": "note", "text": "cafe\u0301"}),
    (
        {"kind": "sobriety", "sober": False, "uses": [{"substance": "alcohol", "at": "2026-03-02T10:00:00Z"}]},
        {"kind": "sobriety", "sober": False, "uses": [{"substance": "alcohol", "at": "2026-03-02T05:00:00-05:00"}]},
    ),
]


async def test_equality_is_of_the_decoded_body_with_defaults_filled(ana: Person) -> None:
    for first, second in SAME:
        where = path()
        assert (await ana.put(where, ana.entry(monday(), **first))).status_code == 201
        assert (await ana.put(where, ana.entry(monday(), **second))).status_code == 200, second


async def test_the_same_instant_in_another_offset_and_the_default_source_are_the_same_entry(ana: Person) -> None:
    where = path()
    body = {"kind": "mood", "mood": 4}
    one = {"at": "2026-03-02T12:00:00Z", "zone": "America/New_York", "body": body}
    two = {"at": "2026-03-02T07:00:00.000-05:00", "zone": "America/New_York", "source": "app", "body": body}
    assert (await ana.put(where, one)).status_code == 201
    assert (await ana.put(where, two)).status_code == 200


async def test_another_envelope_is_another_body(ana: Person) -> None:
    where = path()
    entry = await made(ana, where)
    for change in ({"zone": "Asia/Kathmandu"}, {"source": "sdk"}, {"at": "2026-03-02T12:00:00.000001Z"}):
        assert (await ana.put(where, entry | change)).status_code == 428, change


async def test_another_body_without_if_match_is_428_and_names_the_revision(ana: Person) -> None:
    where = path()
    await made(ana, where)
    answer = await ana.put(where, ana.entry(monday(), kind="mood", mood=5))
    assert answer.status_code == 428
    assert answer.headers["etag"] == '"1"'
    assert answer.json()["type"] == "/problems/revision-required"
    assert (await ana.get(where)).json()["body"]["mood"] == 4


async def test_the_current_if_match_makes_a_new_revision(ana: Person) -> None:
    where = path()
    await made(ana, where)
    answer = await ana.put(where, ana.entry(monday(), kind="mood", mood=5), headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["etag"], answer.json()["revision"]) == (200, '"2"', 2)
    assert answer.json()["seq"] > 1


async def test_a_stale_if_match_is_412_with_the_current_entry(ana: Person) -> None:
    where = path()
    await made(ana, where)
    await ana.put(where, ana.entry(monday(), kind="mood", mood=5), headers={"If-Match": '"1"'})
    for tag in ('"1"', '"7"', '"0"'):
        answer = await ana.put(where, ana.entry(monday(), kind="mood", mood=1), headers={"If-Match": tag})
        assert answer.status_code == 412
        assert answer.headers["etag"] == '"2"'
        assert answer.json()["current"] == (await ana.get(where)).json()


async def test_if_match_on_an_unknown_id_is_412_and_nothing_is_stored(ana: Person) -> None:
    where = path()
    answer = await ana.put(where, ana.entry(monday(), kind="mood", mood=5), headers={"If-Match": '"1"'})
    assert answer.status_code == 412
    assert "current" not in answer.json()
    assert (await ana.get(where)).status_code == 404


async def test_a_malformed_if_match_is_400(ana: Person) -> None:
    known, unknown = path(), path()
    await made(ana, known)
    entry = ana.entry(monday(), kind="mood", mood=5)
    tags = (
        "1",
        "*",
        "",
        '"',
        '""',
        '"a"',
        '"-1"',
        '"1.0"',
        "'1'",
        'W/"1"',
        '"1", "2"',
        '"' + "9" * 400 + '"',
        '"+1"',
        '"\xb2"',
    )
    for tag in tags:
        for where in (known, unknown):
            for method in ("PUT", "DELETE"):
                answer = await ana.call(method, where, headers={"If-Match": tag.encode("latin-1")}, json=entry)
                assert answer.status_code == 400, (method, tag)
                assert answer.json()["errors"] == [{"pointer": "/if-match", "code": "entity-tag"}]
    assert (await ana.get(known)).json()["body"]["mood"] == 4


async def test_if_none_match_star_creates_only(ana: Person) -> None:
    where = path()
    new = await ana.put(where, ana.entry(monday(), kind="mood", mood=5), headers={"If-None-Match": "*"})
    assert new.status_code == 201
    other = await ana.put(where, ana.entry(monday(), kind="mood", mood=1), headers={"If-None-Match": "*"})
    assert other.status_code == 412
    assert other.json()["current"] == new.json()


async def test_another_kind_is_409(ana: Person) -> None:
    where = path()
    await made(ana, where)
    for headers in ({}, {"If-Match": '"1"'}, {"If-Match": '"9"'}):
        answer = await ana.put(where, ana.entry(monday(), kind="note", text="x"), headers=headers)
        assert answer.status_code == 409, headers
        assert answer.json()["type"] == "/problems/conflict"


async def test_a_deleted_id_never_lives_again(ana: Person) -> None:
    where = path()
    entry = await made(ana, where)
    assert (await ana.delete(where)).status_code == 204
    for body in (entry, ana.entry(monday(), kind="mood", mood=1), ana.entry(monday(), kind="note", text="x")):
        for headers in ({}, {"If-Match": '"1"'}, {"If-Match": '"2"'}, {"If-None-Match": "*"}):
            answer = await ana.put(where, body, headers=headers)
            assert answer.status_code == 410, headers
            assert answer.json()["type"] == "/problems/gone"


async def test_utc_comes_out_whatever_went_in(ana: Person) -> None:
    stored = await ana.log("2026-03-02T23:59:59.123456+05:45", zone="Asia/Kathmandu", kind="mood", mood=3)
    assert stored["at"] == "2026-03-02T18:14:59.123456Z"
    assert stored["recorded_at"].endswith("Z")
    assert stored["day"] == "2026-03-02"


async def test_what_happened_lies_between_2000_and_a_day_from_now(start: Any, clock: ManualClock) -> None:
    """To the second on both sides; what was refused is not stored."""
    async with stage(start, clock=clock) as cast:
        ana = cast.ana
        now: datetime = clock.now()
        second = timedelta(seconds=1)
        for at, status in (
            ("2000-01-01T00:00:00Z", 201),
            ("1999-12-31T23:59:59.999999Z", 400),
            ("2000-01-01T00:00:00+00:01", 400),
            ((now + timedelta(days=1)).isoformat(), 201),
            ((now + timedelta(days=1) + second).isoformat(), 400),
        ):
            where = path()
            answer = await ana.put(where, ana.entry(at, kind="mood", mood=3))
            assert answer.status_code == status, at
            assert (await ana.get(where)).status_code == (200 if status == 201 else 404)
            use = {"kind": "sobriety", "sober": False, "uses": [{"substance": "alcohol", "at": at}]}
            answer = await ana.put(path(), ana.entry(monday(), **use))
            assert answer.status_code == status, at
            if status == 400:
                assert answer.json()["errors"] == [{"pointer": "/body/uses/0/at", "code": "out-of-range"}]


async def test_a_phone_clock_more_than_five_minutes_ahead_is_flagged(start: Any, clock: ManualClock) -> None:
    async with stage(start, clock=clock) as cast:
        ana = cast.ana
        flagged = {
            minutes: (await ana.log(clock.now() + timedelta(minutes=minutes), kind="mood", mood=3))["skewed"]
            for minutes in (-600, 0, 5, 6)
        }
        assert flagged == {-600: False, 0: False, 5: False, 6: True}
        edge = clock.now() + timedelta(minutes=5, microseconds=1)
        stored = await ana.log(edge, kind="mood", mood=3)
        assert stored["skewed"] is True
        clock.advance(hours=1)
        assert (await ana.get(f"/v1/patients/me/logs/{stored['id']}")).json()["skewed"] is True


async def test_crisis_resources_come_with_a_red_flag_also_on_repeat_and_correction(ana: Person) -> None:
    for safe, crisis in (("yes", False), ("unsure", True), ("no", True), (None, False)):
        where = path()
        entry = ana.entry(monday(), kind="mood", mood=1, safe=safe)
        changed = ana.entry(monday(), kind="mood", mood=2, safe=safe)
        first, again = await ana.put(where, entry), await ana.put(where, entry)
        corrected = await ana.put(where, changed, headers={"If-Match": '"1"'})
        assert [answer.status_code for answer in (first, again, corrected)] == [201, 200, 200]
        for answer in (first, again, corrected):
            assert ("crisis" in answer.json()) is crisis, safe
            if crisis:
                assert answer.json()["crisis"]["monitored"] is False
                assert answer.json()["crisis"]["resources"]
        assert "crisis" not in (await ana.get(where)).json()


async def test_a_person_in_danger_is_answered_in_their_own_language(ana: Person) -> None:
    """Words, names and hours; also for a region's tag; a language we do not have is English."""
    entry = ana.entry(monday(), kind="mood", mood=1, safe="no")
    for language, word, hours in (("es-MX", "Gracias", "el siguiente día hábil"), ("xx", "Thank", "the next working day")):
        assert (await ana.patch("/v1/me", {"language": language})).status_code == 200
        told = (await ana.put(path(), entry)).json()["crisis"]
        assert told == (await ana.get(f"/v1/crisis?language={language}")).json()
        assert (told["hours"], told["text"].startswith(word), told["text"].endswith(f"{hours}.")) == (hours, True, True)
        assert told["resources"][0]["name"] == us_resources(language)[0].name


async def test_a_sites_own_crisis_words_stay_as_they_are(start: Any) -> None:
    hours = {
        "crisis_hours": "Monday 9 am",
        "crisis_resources": '[{"name":"House","call":"1","languages":["en"],"hours":"9-5"}]',
    }
    async with stage(start, **hours) as cast:
        told = (await cast.http.get("/v1/crisis?language=es")).json()
    assert (told["hours"], [one["name"] for one in told["resources"]]) == ("Monday 9 am", ["House"])


async def test_nobody_else_writes_a_diary(cast: Cast) -> None:
    where = f"/v1/patients/{cast.ana.id}/logs/{uuid4()}"
    entry = cast.ana.entry(SystemClock().now(), kind="mood", mood=3)
    for person in (cast.ben, cast.cleo, cast.dan):
        assert (await person.put(where, entry)).status_code == 404
        assert (await person.delete(where)).status_code == 404
    assert (await cast.ana.put(where, entry)).status_code == 201
    for person in (cast.ben, cast.cleo, cast.dan):
        assert (await person.put(where, entry)).status_code == 404
        assert (await person.delete(where)).status_code == 404
