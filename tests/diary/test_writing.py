"""What Ana does to her diary without any network."""

import sqlite3
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from companion_sdk import (
    Coping,
    Diary,
    InvalidEntry,
    Medication,
    Mood,
    NoSuchEntry,
    Note,
    PlanSection,
    SafetyPlan,
    Sobriety,
    Use,
)
from companion_sdk.clinical.crisis import us_resources

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ZONE = "America/New_York"


@pytest.fixture
def diary(tmp_path):
    with Diary(tmp_path / "ana.diary", zone=ZONE, now=lambda: NOW) as made:
        yield made


def outbox(diary: Diary) -> int:
    with diary._book.store.read() as tx:
        return tx.all("SELECT count(*) FROM outbox")[0][0]


def plan(*titles: str) -> SafetyPlan:
    return SafetyPlan(sections=[PlanSection(title=title, text="…") for title in titles])


def test_an_entry_is_there_when_the_app_starts_again(diary, tmp_path):
    entry = diary.record(Mood(mood=4, note="A walk helped"))
    assert (entry.state, entry.revision, entry.kind, entry.source) == ("kept", 0, "mood", "app")
    with Diary(tmp_path / "ana.diary") as again:
        assert again.get(entry.id) == entry
        assert again.entries() == [entry]
        assert again.unsent == 1
        assert (again.last_synced, again.patient_id, again.skew) == (None, None, None)


def test_what_record_returned_from_is_on_the_disk(diary):
    """Also right after something that need not last as long."""
    connection = diary._book.store._connection
    settings: list[str] = []
    connection.set_trace_callback(lambda statement: settings.append(statement))
    with diary._book.store.write(lasting=False):
        pass
    diary.record(Mood(mood=4))
    connection.set_trace_callback(None)
    wanted = [one for one in settings if "synchronous" in one or one == "COMMIT"]
    assert wanted == ["PRAGMA synchronous = NORMAL", "COMMIT", "PRAGMA synchronous = FULL", "COMMIT"]
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert not connection.in_transaction


def test_when_and_where_are_now_and_here(diary):
    entry = diary.record(Mood(mood=4))
    assert (entry.at, entry.zone, entry.day) == (NOW, ZONE, date(2026, 3, 2))
    late = diary.record(Mood(mood=2), at=datetime(2026, 3, 2, 3, 0, tzinfo=UTC))
    assert late.day == date(2026, 3, 1)
    tokyo = diary.record(Mood(mood=2), at=datetime(2026, 3, 2, 23, 0, tzinfo=UTC), zone="Asia/Tokyo")
    assert (tokyo.zone, tokyo.day) == ("Asia/Tokyo", date(2026, 3, 3))


def test_the_zone_is_the_devices_where_nobody_says_another(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Vienna")
    with Diary(tmp_path / "ana.diary") as diary:
        assert diary.record(Mood(mood=4)).zone == "Europe/Vienna"


def test_without_any_zone_words_are_kept_in_utc(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    with Diary(tmp_path / "nowhere.diary") as nowhere:
        assert nowhere.record(Mood(mood=3), at=NOW).zone == "UTC"


def test_words_are_kept_as_the_service_would_keep_them(diary):
    entry = diary.record(Note(text="Cafe\u0301"))
    assert entry.body == Note(text="Café")
    due = datetime(2026, 3, 2, 8, 0, tzinfo=ZoneInfo(ZONE))
    taken = diary.record(Medication(medication="Naltrexone", status="taken", due_at=due))
    assert taken.body.due_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("body", "more", "faults"),
    [
        (Mood(mood=9), {}, [("/body/mood", "out-of-range")]),
        (Mood(mood="good"), {}, [("/body/mood", "type")]),
        (Note(text="a\x00b"), {}, [("/body/text", "control-character")]),
        (Mood(mood=4), {"zone": "Mars/Olympus"}, [("/zone", "unknown-zone")]),
        (Mood(mood=4), {"at": NOW + timedelta(days=2)}, [("/at", "out-of-range")]),
        (Mood(mood=4), {"at": datetime(1999, 12, 31, tzinfo=UTC)}, [("/at", "out-of-range")]),
        (
            Sobriety(sober=False, uses=[Use(substance="alcohol", at=NOW + timedelta(days=3))]),
            {"zone": "Mars/Olympus"},
            [("/zone", "unknown-zone"), ("/body/uses/0/at", "out-of-range")],
        ),
    ],
)
def test_what_the_service_would_refuse_is_refused_at_once(diary, body, more, faults):
    with pytest.raises(InvalidEntry) as caught:
        diary.record(body, **more)
    assert [(fault.pointer, fault.code) for fault in caught.value.faults] == faults
    assert faults[0][1] in str(caught.value)
    assert outbox(diary) == 0


def test_a_moment_without_an_offset_is_the_programs_mistake(diary):
    with pytest.raises(ValueError, match="offset"):
        diary.record(Mood(mood=4), at=NOW.replace(tzinfo=None))
    entry = diary.record(Mood(mood=4))
    with pytest.raises(ValueError, match="offset"):
        diary.correct(entry, at=NOW.replace(tzinfo=None))


def test_a_phone_that_lost_its_clock_still_keeps_a_diary(tmp_path):
    with Diary(tmp_path / "ana.diary", zone=ZONE, now=lambda: datetime(1970, 1, 1, tzinfo=UTC)) as diary:
        assert diary.record(Mood(mood=4)).at.year == 1970


def test_corrections_before_anything_was_sent_are_operations_on_one_entry(diary):
    entry = diary.record(Mood(mood=2, note="Tired"), at=NOW - timedelta(hours=3))
    corrected = diary.correct(entry, Mood(mood=3))
    assert (corrected.id, corrected.at, corrected.body) == (entry.id, entry.at, Mood(mood=3))
    moved = diary.correct(entry.id, at=NOW, zone="America/Chicago")
    assert (moved.body, moved.at, moved.zone) == (Mood(mood=3), NOW, "America/Chicago")
    assert diary.entries() == [moved]
    assert (outbox(diary), diary.unsent) == (3, 1)


def test_a_deletion_before_anything_was_sent_is_sent_as_well(diary):
    entry = diary.record(Note(text="CANARY in the wrong field"))
    diary.delete(entry)
    diary.delete(entry)
    diary.delete(str(uuid4()))
    assert (diary.get(entry.id), diary.entries(), outbox(diary)) == (None, [], 2)


def test_an_id_that_exists_is_corrected(diary):
    one = uuid4()
    first = diary.record(Mood(mood=2), id=one, at=NOW - timedelta(days=1))
    again = diary.record(Mood(mood=2), id=str(one))
    assert again == first
    other = diary.record(Mood(mood=5), id=one)
    assert (other.at, other.body) == (first.at, Mood(mood=5))
    assert (outbox(diary), len(diary.entries())) == (2, 1)


def test_an_entry_keeps_its_kind(diary):
    entry = diary.record(Mood(mood=2))
    with pytest.raises(InvalidEntry, match="/body/kind another-kind"):
        diary.correct(entry, Note(text="a"))
    with pytest.raises(InvalidEntry):
        diary.record(Note(text="a"), id=entry.id)
    assert diary.get(entry.id) == entry


def test_what_is_not_there_cannot_be_corrected(diary):
    with pytest.raises(NoSuchEntry):
        diary.correct(uuid4(), Mood(mood=2))
    with pytest.raises(ValueError, match="an id is a UUID"):
        diary.get("../meta")


def test_entries_are_newest_first_and_can_be_chosen(diary):
    made = [diary.record(Mood(mood=1 + day % 5), at=NOW - timedelta(days=day)) for day in range(6)]
    note = diary.record(Note(text="a"), at=NOW - timedelta(days=2, hours=1))
    assert [entry.id for entry in diary.entries("mood")] == [entry.id for entry in made]
    assert diary.entries("note") == [note]
    assert [entry.day for entry in diary.entries(from_=date(2026, 2, 28), to=date(2026, 3, 1))] == [
        date(2026, 3, 1),
        date(2026, 2, 28),
        date(2026, 2, 28),
    ]
    assert [entry.id for entry in diary.entries(limit=2)] == [made[0].id, made[1].id]
    assert [entry.id for entry in diary.entries("mood", to=date(2026, 2, 28), limit=2)] == [made[2].id, made[3].id]
    assert diary.entries(limit=0) == []
    with pytest.raises(TypeError, match="days"):
        diary.entries(from_=NOW)


def test_at_one_moment_the_greater_id_comes_first(diary):
    ids = [UUID(int=number << 100) for number in (5, 9, 7)]
    for one in ids:
        diary.record(Note(text="a"), at=NOW, id=one)
    assert [entry.id for entry in diary.entries()] == sorted(ids, reverse=True)


def test_the_crisis_plan_is_one_before_anybody_knows_whose(diary):
    assert diary.safety_plan() is None
    first = diary.record(plan("I can call"))
    second = diary.record(plan("I can call", "I can go to"))
    assert diary.safety_plan() == second
    assert (second.id, len(diary.entries()), outbox(diary)) == (first.id, 1, 2)
    third = diary.correct(first, plan())
    assert diary.get(first.id) == third


def test_the_crisis_plan_is_emptied_and_never_deleted(diary):
    entry = diary.record(plan("I can call"))
    with pytest.raises(ValueError, match="emptied"):
        diary.delete(entry)
    with pytest.raises(InvalidEntry, match="one-per-patient"):
        diary.record(plan("a"), id=uuid4())
    with pytest.raises(InvalidEntry, match="one-per-patient"):
        diary.record(Mood(mood=4), id=entry.id)


def test_danger_brings_help_at_once_without_a_network(diary, tmp_path):
    assert diary.record(Mood(mood=1)).crisis is None
    entry = diary.record(Mood(mood=1, safe="no"))
    assert [resource.name for resource in entry.crisis.resources] == [one.name for one in us_resources("en")]
    assert entry.crisis.monitored is False
    assert diary.get(entry.id).crisis is None
    assert diary.correct(entry, Mood(mood=2, safe="unsure")).crisis is not None
    assert diary.correct(entry, Mood(mood=2, safe="yes")).crisis is None
    with Diary(tmp_path / "spanish.diary", zone=ZONE, language="es-MX") as spanish:
        crisis = spanish.record(Mood(mood=1, safe="no")).crisis
        assert [resource.name for resource in crisis.resources] == [one.name for one in us_resources("es")]


def test_a_diary_without_a_client_says_so(diary):
    for call in (diary.sync, diary.verify, diary.keep_synced):
        with pytest.raises(ValueError, match="has no client"):
            call()


def test_every_kind_can_be_written(diary):
    from companion_sdk import KINDS, Activity, Eating, Functioning, Goal, Meeting, Withdrawal

    bodies = [
        Mood(mood=4, sleep_hours=7.25, emotions=["calm"]),
        Sobriety(sober=False, uses=[Use(substance="other:kratom", amount=2.5)]),
        Coping(skill="urge surfing", urge_before=8),
        Note(text="a"),
        Medication(medication="Naltrexone", status="missed"),
        Meeting(fellowship="AA", step=4),
        Eating(meals_kept="most", acted=False),
        Functioning(work=3),
        Withdrawal(severity=4, symptoms=["sweating"]),
        Activity(what="A walk"),
        Goal(goal="Call my sister", progress="some"),
        plan("I can call"),
    ]
    entries = [diary.record(body) for body in bodies]
    assert {entry.kind for entry in entries} == set(KINDS)
    assert {entry.id: entry for entry in entries} == {entry.id: entry for entry in diary.entries()}


def test_a_statement_of_the_check_sees_what_is_broken(diary, tmp_path):
    from support.diaries import check

    diary.record(Mood(mood=4))
    check(tmp_path / "ana.diary")
    for breaking in ("UPDATE outbox SET n = 7", "UPDATE outbox SET n = NULL", "UPDATE outbox SET held_for = '1', n = 1"):
        connection = sqlite3.connect(tmp_path / "ana.diary")
        connection.execute(breaking)
        connection.commit()
        connection.close()
        with pytest.raises(AssertionError):
            check(tmp_path / "ana.diary")
