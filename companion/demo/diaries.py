"""Made-up diaries, the same ones every time: ninety days of a person who does not exist. Pure but for its seed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from companion_sdk import wire

DAYS = 90
_EMOTIONS = ("calm", "tired", "hopeful", "restless", "lonely", "proud", "tense", "grateful")
_TRIGGERS = ("an argument", "payday", "the old bar", "being alone", "a bad night")
_SKILLS = ("urge surfing", "call someone", "paced breathing", "a walk", "opposite action")
_NOTES = ("made-up note: slept better", "made-up note: long day", "made-up note: group helped", "made-up note: quiet day")


def diary(seed: str, zone: str, today: date, substance: str) -> list[wire.LogIn]:
    """The entries of the ``DAYS`` days before ``today``: moods, check-ins, skills and notes, with a few days left out."""
    random = Random(seed)  # noqa: S311 - made-up answers, no secret
    first = today - timedelta(days=DAYS)
    lapses = {first + timedelta(days=random.randrange(10, 40)), first + timedelta(days=random.randrange(45, 70))}
    silent = {first + timedelta(days=random.randrange(5, DAYS - 5)) for _ in range(6)}
    entries: list[wire.LogIn] = []
    for place in range(DAYS):
        day = first + timedelta(days=place)
        if day not in silent:
            entries += _day(random, day, ZoneInfo(zone), place / DAYS, substance if day in lapses else None)
    return entries


def _day(random: Random, day: date, zone: ZoneInfo, progress: float, used: str | None) -> Iterator[wire.LogIn]:
    level = 2.4 + 1.4 * progress + random.gauss(0, 0.6) - (1.0 if used else 0.0)
    yield _entry(day, zone, time(7, 40), _mood(random, level))
    craving = min(10, max(0, round(6 - 3.5 * progress + random.gauss(0, 1.6) + (2 if used else 0))))
    yield _entry(day, zone, time(20, 55), _check_in(random, craving, used))
    yield _entry(day, zone, time(21, 10), _mood(random, level + random.gauss(0, 0.4)))
    if craving >= 3 or random.random() < 0.5:
        yield _entry(day, zone, time(18, 15), _skill(random, craving))
    yield _entry(day, zone, time(12, 5), _skill(random, max(craving - 1, 0)))
    if random.random() < 0.75:
        yield _entry(day, zone, time(22, 0), wire.Note(text=random.choice(_NOTES)))


def _entry(day: date, zone: ZoneInfo, at: time, body: wire.Body) -> wire.LogIn:
    local = datetime.combine(day, at, zone)
    return wire.LogIn(at=local.astimezone(UTC), zone=zone.key, body=body, source="app")


def _mood(random: Random, level: float) -> wire.Mood:
    mood = min(5, max(1, round(level)))
    return wire.Mood(
        mood=mood,
        energy=min(5, max(1, mood + random.choice((-1, 0, 0, 1)))),
        anxiety=min(10, max(0, round(8 - 1.4 * level + random.gauss(0, 1)))),
        sleep_hours=round(4 * min(10, max(3, 5.5 + 0.5 * level + random.gauss(0, 0.8)))) / 4,
        emotions=random.sample(_EMOTIONS, 2),
        safe="yes",
    )


def _check_in(random: Random, craving: int, used: str | None) -> wire.Sobriety:
    uses = [wire.Use(substance=used, amount=2, unit="drinks")] if used else []
    return wire.Sobriety(
        sober=not used,
        uses=uses,
        craving=craving,
        craving_peak=min(10, craving + random.randrange(3)),
        triggers=[random.choice(_TRIGGERS)] if craving >= 5 else [],
        recall="live",
    )


def _skill(random: Random, craving: int) -> wire.Coping:
    return wire.Coping(
        skill=random.choice(_SKILLS),
        urge_before=min(10, craving + 1),
        urge_after=max(0, craving - random.randrange(3)),
        minutes=random.choice((5, 10, 15, 20)),
        helpful=random.randrange(5),
    )
