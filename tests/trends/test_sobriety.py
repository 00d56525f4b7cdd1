"""The sobriety ledger over HTTP: days are local days, a lapse never erases what was."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.cast import Person, monday

DAY = timedelta(days=1)


async def ledger(person: Person, on: str, substance: str | None = None) -> dict[str, Any]:
    query = f"on={on}" + (f"&substance={substance}" if substance else "")
    answer = await person.get(f"/v1/patients/me/sobriety?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("sent_in_utc", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "on", "streak"),
    [
        ("2026-03-02T08:00", "2026-03-03T21:00", "2026-03-03", 2),
        ("2026-03-02T08:00", "2026-03-02T21:00", "2026-03-02", 1),
    ],
)
async def test_new_york_evenings_are_their_own_days(
    ana: Person, first: str, second: str, on: str, streak: int, sent_in_utc: bool
) -> None:
    for stamp in (first, second):
        local = datetime.fromisoformat(stamp).replace(tzinfo=ZoneInfo("America/New_York"))
        await ana.log(local.astimezone(UTC) if sent_in_utc else local, kind="sobriety", sober=True)
    assert (await ledger(ana, on))["check_in_streak"] == streak


async def test_a_lapse_keeps_the_longest_run(ana: Person) -> None:
    await ana.sober(monday(), days=10)
    await ana.used("alcohol", monday() + 10 * DAY)
    await ana.sober(monday() + 11 * DAY, days=2)
    now = await ledger(ana, "2026-03-14", "alcohol")
    assert (now["longest"], now["total_confirmed"], now["days_since_use"], now["confirmed"]) == (10, 12, 2, 2)
    assert (now["last_use"], now["lapses"]) == ("2026-03-12", 1)


async def test_a_use_recalled_inside_a_run_splits_it_and_deleting_it_restores_it(ana: Person) -> None:
    await ana.sober(monday(), days=9)
    before = await ledger(ana, "2026-03-10")
    assert (before["longest"], before["total_confirmed"]) == (9, 9)
    recalled = await ana.used("alcohol", monday() + 3 * DAY)
    split = await ledger(ana, "2026-03-10")
    assert (split["longest"], split["total_confirmed"], split["days_since_use"]) == (5, 8, 5)
    await ana.delete(f"/v1/patients/me/logs/{recalled['id']}")
    assert await ledger(ana, "2026-03-10") == before


async def test_correcting_a_check_in_to_a_use_takes_that_day_back(ana: Person) -> None:
    await ana.sober(monday(), days=5)
    listed = (await ana.get("/v1/patients/me/logs?from=2026-03-04&to=2026-03-04")).json()["items"]
    entry = ana.entry(monday() + 2 * DAY, kind="sobriety", sober=False, uses=[{"substance": "alcohol"}])
    changed = await ana.put(f"/v1/patients/me/logs/{listed[0]['id']}", entry, headers={"If-Match": '"1"'})
    assert changed.status_code == 200
    now = await ledger(ana, "2026-03-06")
    assert (now["longest"], now["total_confirmed"], now["last_use"]) == (2, 4, "2026-03-04")


async def test_one_substance_says_nothing_of_another(ana: Person) -> None:
    await ana.sober(monday(), days=3)
    await ana.used("cannabis", monday() + 3 * DAY)
    assert (await ledger(ana, "2026-03-05", "cannabis"))["days_since_use"] == 0
    assert (await ledger(ana, "2026-03-05", "alcohol"))["last_use"] is None


async def test_nothing_is_known_of_somebody_who_wrote_nothing(ana: Person) -> None:
    empty = await ledger(ana, "2026-03-05")
    assert empty["days_since_use"] is None
    assert empty["percent_abstinent"] == {"reported": None, "missing_as_use": 0.0}


@pytest.mark.parametrize("query", ["substance=tea", "on=today", "substance=alcohol&substance=cannabis"])
async def test_a_question_that_makes_no_sense_is_refused(ana: Person, query: str) -> None:
    assert (await ana.get(f"/v1/patients/me/sobriety?{query}")).status_code == 400
