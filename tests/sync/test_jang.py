"""Forty-three people's evening diaries (Jang et al. 2024), with their real gaps, brought in by ``Diary``.

The data stay where they are; without them this is skipped. Columns: positive and negative feelings and energies, 0–3 and
−3–0, together a mood and an energy of 1–5; anxiety and annoyance 0–3, here 0–10; hours of sleep; whether they drank.
"""

import csv
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.sync_real import HttpService

from companion_sdk import Companion, Diary, Mood, Sobriety, Use
from companion_sdk.wire import Body, daily_id

DATA = Path(__file__).parents[3] / "shared/data/jang_daily.csv"
SEOUL = "Asia/Seoul"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the people's diaries are not here (shared/data/jang_daily.csv)")


def people() -> dict[str, list[dict[str, str]]]:
    """Each person's rows, in the order of the file."""
    found: dict[str, list[dict[str, str]]] = {}
    with DATA.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["id"], []).append(row)
    return found


def bodies(row: dict[str, str]) -> Iterator[Body]:
    """What one evening says."""

    def of(*columns: str) -> float:
        return sum(float(row[column]) for column in columns)

    yield Mood(
        mood=round(3 + of("positive_feeling", "negative_feeling") * 2 / 3),
        energy=round(3 + of("positive_energy", "negative_energy") * 2 / 3),
        anxiety=round(of("anxiety") * 10 / 3),
        irritability=round(of("annoying") * 10 / 3),
        sleep_hours=round(of("sleep_duration") * 4) / 4,
    )
    drank = of("alcohol") > 0
    yield Sobriety(sober=not drank, uses=[Use(substance="alcohol")] if drank else ())


def bring_in(diary: Diary, service: HttpService, rows: list[dict[str, str]]) -> int:
    """Record every evening under the id that its day has; how many entries that were."""
    count = 0
    for row in rows:
        day = date.fromisoformat(row["date"])
        evening = datetime(day.year, day.month, day.day, 21, tzinfo=ZoneInfo(SEOUL))
        for body in bodies(row):
            kind = "mood" if isinstance(body, Mood) else "sobriety"
            diary.record(body, evening, SEOUL, id=daily_id(service.names.patient, kind, day))
            count += 1
    return count


def test_each_diary_comes_in_whole_once_and_the_same_on_another_phone(
    patients: Callable[[], HttpService], tmp_path: Path, full: bool, say: Callable[[object], None]
) -> None:
    """Every person by ``--full``; in CI the one with most entries, the one with fewest and one between."""
    chosen = sorted(people().items(), key=lambda person: len(person[1]))
    chosen = chosen if full else [chosen[0], chosen[len(chosen) // 2], chosen[-1]]
    evenings = entries = 0
    name = ""
    for person, rows in chosen:
        service = patients()
        name, evenings = service.name, evenings + len(rows)
        entries += _one_person(service, rows, tmp_path / f"{person}.diary", tmp_path / f"{person} again.diary")
    say(f"sync, Jang, {name}: {len(chosen)} people, {evenings} evenings, {entries} entries once")


def _one_person(service: HttpService, rows: list[dict[str, str]], file: Path, other: Path) -> int:
    """How many entries the diary has."""
    days = {date.fromisoformat(row["date"]) for row in rows}
    with Companion(service.url, service.sign_in(), transport=service.transport()) as client, Diary(file, client) as diary:
        count = bring_in(diary, service, rows)
        _synced(diary)
        proof = diary.verify()
        assert (proof.agrees, proof.here, proof.there) == (True, count, count)
        assert {entry.day for entry in diary.entries(kind="mood")} == days
        before = client.sync.digest()

        bring_in(diary, service, rows)
        assert diary.unsent == 0
        _synced(diary)
        assert client.sync.digest() == before

        with Diary(other, client) as second:
            bring_in(second, service, rows)
            assert second.unsent == count
            _synced(second)
            assert second.verify().agrees
            assert {(one.id, one.day) for one in second.entries()} == {(one.id, one.day) for one in diary.entries()}
        assert client.sync.digest() == before
    return count


def _synced(diary: Diary) -> None:
    while not (report := diary.sync()).done:
        assert report.error is None
    assert diary.needs_attention() == []
