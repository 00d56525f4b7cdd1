"""Days are local calendar dates, stored once; ``from`` and ``to`` are inclusive in the entry's own zone."""

from datetime import date, datetime, timedelta
from itertools import pairwise
from uuid import uuid4
from zoneinfo import ZoneInfo

from support.cast import Person

LOGS = "/v1/patients/me/logs"
EDGES = {
    "Asia/Kathmandu": date(2026, 2, 10),
    "Australia/Lord_Howe": date(2026, 4, 5),
    "Pacific/Apia": date(2026, 2, 10),
    "Pacific/Kiritimati": date(2026, 1, 1),
    "Etc/GMT+12": date(2026, 1, 31),
    "America/St_Johns": date(2025, 11, 2),
    "America/New_York": date(2025, 11, 2),
    "America/Los_Angeles": date(2025, 3, 9),
}


async def test_from_and_to_are_inclusive_local_days(ana: Person) -> None:
    """In each zone the first and last microsecond of a day belong to it, and their neighbours do not."""
    for zone, day in EDGES.items():
        place = ZoneInfo(zone)
        midnights = [datetime(one.year, one.month, one.day, tzinfo=place) for one in (day, day + timedelta(days=1))]
        first, following = (midnight.astimezone(ZoneInfo("UTC")) for midnight in midnights)
        micro = timedelta(microseconds=1)
        logs = [
            await ana.log(at, zone=zone, kind="note", text="edge")
            for at in (first - micro, first, following - micro, following)
        ]
        days = [(day + timedelta(days=offset)).isoformat() for offset in (-1, 0, 0, 1)]
        assert [log["day"] for log in logs] == days, zone
        found = (await ana.get(f"{LOGS}?kind=note&from={day}&to={day}")).json()["items"]
        assert {item["id"] for item in found} == {logs[1]["id"], logs[2]["id"]}, zone
        for log in logs:
            assert (await ana.delete(f"{LOGS}/{log['id']}")).status_code == 204


async def test_both_changes_of_the_clock_in_new_york(ana: Person) -> None:
    """The day of 23 hours and the day of 25: every hour of both is in its day and in no other."""
    place = ZoneInfo("America/New_York")
    for day, hours in ((date(2025, 3, 9), 23), (date(2025, 11, 2), 25)):
        at = datetime(day.year, day.month, day.day, tzinfo=place).astimezone(ZoneInfo("UTC"))
        ids = [
            (await ana.log(at + timedelta(hours=hour), kind="note", text=str(hour)))["id"] for hour in range(-1, hours + 1)
        ]
        found = [item["id"] for item in (await ana.get(f"{LOGS}?from={day}&to={day}")).json()["items"]]
        assert found == ids[1:-1][::-1], day


async def test_the_repeated_hour_keeps_its_two_instants(ana: Person) -> None:
    daylight = await ana.log("2025-11-02T01:30:00-04:00", kind="note", text="before")
    standard = await ana.log("2025-11-02T01:30:00-05:00", kind="note", text="after")
    items = (await ana.get(f"{LOGS}?from=2025-11-02&to=2025-11-02")).json()["items"]
    assert [item["id"] for item in items] == [standard["id"], daylight["id"]]
    assert [item["at"] for item in items] == ["2025-11-02T06:30:00Z", "2025-11-02T05:30:00Z"]


async def test_the_day_samoa_skipped_belongs_to_nobody(ana: Person) -> None:
    before = await ana.log("2011-12-30T09:59:59Z", zone="Pacific/Apia", kind="note", text="before")
    after = await ana.log("2011-12-30T10:00:00Z", zone="Pacific/Apia", kind="note", text="after")
    assert (before["day"], after["day"]) == ("2011-12-29", "2011-12-31")
    assert (await ana.get(f"{LOGS}?from=2011-12-30&to=2011-12-30")).json()["items"] == []


async def test_one_instant_has_the_day_of_its_zone(ana: Person) -> None:
    at = "2026-02-28T23:30:00Z"
    days = {
        zone: (await ana.log(at, zone=zone, kind="note", text="x"))["day"]
        for zone in ("UTC", "Asia/Kathmandu", "America/New_York", "Pacific/Kiritimati", "America/St_Johns")
    }
    assert days == {
        "UTC": "2026-02-28",
        "Asia/Kathmandu": "2026-03-01",
        "America/New_York": "2026-02-28",
        "Pacific/Kiritimati": "2026-03-01",
        "America/St_Johns": "2026-02-28",
    }


async def test_a_correction_of_the_zone_moves_the_day(ana: Person) -> None:
    log = await ana.log("2026-02-28T23:30:00Z", zone="America/New_York", kind="note", text="x")
    entry = ana.entry("2026-02-28T23:30:00Z", zone="Asia/Kathmandu", kind="note", text="x")
    changed = await ana.put(f"{LOGS}/{log['id']}", entry, headers={"If-Match": '"1"'})
    assert changed.json()["day"] == "2026-03-01"
    assert (await ana.get(f"{LOGS}?to=2026-02-28")).json()["items"] == []
    assert len((await ana.get(f"{LOGS}?from=2026-03-01")).json()["items"]) == 1


async def test_zones_are_iana_names_spelled_as_iana_spells_them(ana: Person) -> None:
    for zone in ("Nowhere/Land", "america/new_york", "EST5EDT4", "+05:00", "localtime", "posix/UTC", "../UTC", "UTC\n", ""):
        answer = await ana.put(f"{LOGS}/{uuid4()}", ana.entry("2026-03-02T12:00:00Z", zone=zone, kind="note", text="x"))
        assert answer.status_code == 400, zone
        assert answer.json()["errors"][0]["pointer"] == "/zone", zone
    assert (await ana.get(LOGS)).json()["items"] == []


async def test_days_follow_one_another_over_a_walk_of_weeks(ana: Person) -> None:
    """Three weeks of noon entries across a change of the clock: each day once, paging by day finds each."""
    start = date(2025, 10, 25)
    for offset in range(14):
        day = start + timedelta(days=offset)
        await ana.log(datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo("America/New_York")), kind="mood", mood=3)
    days = [item["day"] for item in (await ana.get(f"{LOGS}?limit=500")).json()["items"]]
    assert all(
        date.fromisoformat(later) - date.fromisoformat(sooner) == timedelta(days=1) for later, sooner in pairwise(days)
    )
    found = (await ana.get(f"{LOGS}?from=2025-11-01&to=2025-11-03")).json()["items"]
    assert [item["day"] for item in found] == ["2025-11-03", "2025-11-02", "2025-11-01"]
