"""Daily series over HTTP: what Ana sees, what Cleo sees with consent, what nobody else sees."""

from datetime import date, timedelta
from uuid import uuid4

import pytest
from support.cast import Cast, Person, monday

DAY = timedelta(days=1)


async def week_of_moods(ana: Person, values: list[int | None]) -> None:
    for place, value in enumerate(values):
        if value is not None:
            await ana.mood(monday(15) + place * DAY, value)


async def test_a_day_is_the_mean_of_its_answers_and_a_gap_stays_a_gap(ana: Person) -> None:
    await week_of_moods(ana, [3, None, 4, 2])
    await ana.mood(monday(22), 5)
    answer = await ana.get("/v1/patients/me/trends?from=2026-03-02&to=2026-03-08&series=mood")
    assert answer.status_code == 200
    mood = answer.json()["series"]["mood"]
    assert mood["points"] == [
        {"day": "2026-03-02", "n": 2, "value": 4.0},
        {"day": "2026-03-04", "n": 1, "value": 4.0},
        {"day": "2026-03-05", "n": 1, "value": 2.0},
    ]
    assert mood["missing"] == {"days": 4, "share": pytest.approx(4 / 7)}
    assert [mean["value"] for mean in mood["means"]["7"]] == [4.0, 4.0, pytest.approx(10 / 3)]
    assert mood["not_yet"] == ["not_enough_answers"]
    assert mood["baseline"] is None
    assert list(answer.json()["series"]) == ["mood"]


async def test_means_reach_back_before_the_range_and_only_over_answered_days(ana: Person) -> None:
    await week_of_moods(ana, [1, 1, None, 5])
    answer = await ana.get("/v1/patients/me/trends?from=2026-03-05&to=2026-03-05&series=mood")
    mood = answer.json()["series"]["mood"]
    assert mood["points"] == [{"day": "2026-03-05", "n": 1, "value": 5.0}]
    assert mood["means"]["7"] == [{"day": "2026-03-05", "value": pytest.approx(7 / 3)}]


async def test_a_correction_and_a_deletion_move_the_trend(ana: Person) -> None:
    first = await ana.mood(monday(), 1)
    second = await ana.mood(monday(13), 2)
    entry = ana.entry(monday(), kind="mood", mood=5)
    corrected = await ana.put(f"/v1/patients/me/logs/{first['id']}", entry, headers={"If-Match": '"1"'})
    assert corrected.status_code == 200
    await ana.delete(f"/v1/patients/me/logs/{second['id']}")
    answer = await ana.get("/v1/patients/me/trends?from=2026-03-02&to=2026-03-02&series=mood,anxiety")
    series = answer.json()["series"]
    assert series["mood"]["points"] == [{"day": "2026-03-02", "n": 1, "value": 5.0}]
    assert series["anxiety"]["points"] == []


async def test_without_a_range_the_last_ninety_days(ana: Person) -> None:
    answer = (await ana.get("/v1/patients/me/trends")).json()
    assert date.fromisoformat(answer["to"]) - date.fromisoformat(answer["from"]) == timedelta(days=89)
    assert set(answer["series"]) >= {"mood", "craving", "energy", "sleep_hours"}


@pytest.mark.parametrize(
    "query", ["from=2026-03-05&to=2026-03-01", "from=1900-01-01&to=2026-01-01", "series=weight", "from=yesterday", "x=1"]
)
async def test_a_range_that_makes_no_sense_is_refused(ana: Person, query: str) -> None:
    assert (await ana.get(f"/v1/patients/me/trends?{query}")).status_code == 400


async def test_a_clinician_sees_the_series_of_consented_kinds_only(cast: Cast) -> None:
    await cast.ana.mood(monday(), 4)
    await cast.ana.log(monday(), kind="sobriety", sober=True, craving=7)
    path = f"/v1/patients/{cast.ana.id}/trends?from=2026-03-01&to=2026-03-03"
    assert {"mood", "craving"} <= set((await cast.cleo.get(path)).json()["series"])
    await cast.ana.consent(cast.dan.id, ["mood"])
    seen = (await cast.dan.get(path)).json()["series"]
    assert "mood" in seen
    assert "craving" not in seen
    assert (await cast.dan.get(f"/v1/patients/{cast.ana.id}/sobriety")).status_code == 404


async def test_others_see_nothing(cast: Cast) -> None:
    for person in (cast.dan, cast.ben):
        for patient in (cast.ana.id, uuid4()):
            assert (await person.get(f"/v1/patients/{patient}/trends")).status_code == 404
            assert (await person.get(f"/v1/patients/{patient}/sobriety")).status_code == 404
