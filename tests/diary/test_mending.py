"""What mends itself: restored phones and services, cursors that expired, services that are too old, walks that broke."""

import msgspec
import pytest

from companion_sdk import CompanionError, Goal, Mood, Note, PlanSection, SafetyPlan
from companion_sdk._diary import mirror
from companion_sdk._diary.driving import Done, advance
from companion_sdk._diary.records import Facts, Place
from companion_sdk.wire.canonical import body_hash, digest

PULL = "/v1/patients/{patient}/sync/pull"


def walks(fake) -> int:
    """Cursors that had expired so far."""
    return len([one for one in fake.requests if one.path.endswith("/pull") and one.status == 410])


def a_year_and_a_month_later(fake, ana, *phones) -> None:
    """Old tombstones are purged, and every sign-in has ended."""
    fake.advance(days=401)
    fake.purge()
    for phone in phones:
        phone.sign_in(ana)


def place(phone) -> Place:
    with phone.diary._book.store.read() as tx:
        return tx.get(Place)


def one_page(phone) -> None:
    """A sync that is killed after its first page was taken in, or its cursor refused."""
    steps, link = phone.diary._engine.sync(), phone.client._link
    call, pages = advance(steps, None, None), 0
    while not isinstance(call, Done) and pages == 0:
        pages += "pull" in call.route
        try:
            answer, failure = link.send(call), None
        except CompanionError as error:
            answer, failure = None, error
        call = advance(steps, answer, failure)


# the phone was restored from a backup


def test_a_restored_phone_becomes_another_device_and_loses_nothing(phone, fake, ana, agree):
    phone.diary.record(Note(text="before the backup"))
    phone.sync()
    saved = phone.backup()
    phone.diary.record(Note(text="on the lost phone"))
    phone.sync()
    old = phone.diary.device_id
    phone.restore(saved)
    phone.diary.record(Note(text="on the restored phone"))
    phone.sync()
    assert phone.diary.device_id != old
    assert {log.body.text for log in fake.entries(ana)} == {
        "before the backup",
        "on the lost phone",
        "on the restored phone",
    }
    agree(phone)


def test_what_was_numbered_before_the_backup_is_not_sent_as_new(phone, fake, ana, agree):
    entry = phone.diary.record(Mood(mood=1))
    phone.network.lose_reply(next=9, of="sync/push")
    phone.diary.sync()
    phone.network.heal()
    saved = phone.backup()
    phone.sync()
    with fake.client(ana) as client:
        client.logs.correct(client.logs.get(entry.id), Mood(mood=5))
    phone.restore(saved)
    phone.sync()
    assert phone.diary.get(entry.id).body == Mood(mood=5)
    agree(phone)


def test_two_phones_from_one_backup_each_find_their_own_way(phones, fake, ana, agree, tmp_path):
    import shutil

    one = phones("one")
    one.diary.record(Note(text="first"))
    one.sync()
    shutil.copy(one.backup(), tmp_path / "two.diary")
    two = phones("two")
    for number in range(3):
        one.diary.record(Note(text=f"one {number}"))
        two.diary.record(Note(text=f"two {number}"))
    one.sync()
    two.sync()
    one.sync()
    assert len(fake.entries(ana)) == 7
    agree(one, two)


def test_edits_of_two_phones_after_one_backup_are_two_operations(phones, fake, ana, agree, tmp_path):
    """Both phones number their words 2 on one device: neither may be told that its words are stored when they are not."""
    import shutil

    one = phones("one")
    entry = one.diary.record(Note(text="draft"))
    shutil.copy(one.backup(), tmp_path / "two.diary")
    two = phones("two")
    one.diary.correct(entry, Note(text="one's words"))
    two.diary.correct(entry, Note(text="two's words"))
    one.sync()
    two.sync()
    one.sync()
    with fake.client(ana) as client:
        assert [log.body.text for log in client.logs.history(entry.id)] == ["draft", "one's words", "two's words"]
    agree(one, two)


def test_a_service_restored_without_a_word_is_noticed_by_its_order_of_changes(phone, fake, ana, agree):
    saved = fake.snapshot()
    phone.diary.record(Note(text="lost by the service"))
    phone.sync()
    fake.restore(saved, announced=False)
    phone.sync()
    phone.diary.record(Note(text="after"))
    phone.sync()
    assert {log.body.text for log in fake.entries(ana)} == {"lost by the service", "after"}
    agree(phone)


# the service was restored by its operator


def test_what_a_restored_service_lost_is_given_back(phones, fake, ana, agree):
    one, two = phones("one"), phones("two")
    kept = one.diary.record(Note(text="kept"))
    corrected = one.diary.record(Mood(mood=1))
    deleted = one.diary.record(Note(text="deleted"))
    one.sync()
    two.sync()
    saved = fake.snapshot()
    lost = one.diary.record(Note(text="lost"))
    one.diary.correct(corrected.id, Mood(mood=5))
    one.diary.delete(deleted.id)
    one.sync()
    two.sync()
    fake.restore(saved)
    assert len(fake.entries(ana)) == 3
    one.sync()
    two.sync()
    one.sync()
    assert {log.id: log.body for log in fake.entries(ana)} == {
        kept.id: Note(text="kept"),
        corrected.id: Mood(mood=5),
        lost.id: Note(text="lost"),
    }
    agree(one, two)
    assert one.diary.needs_attention() == two.diary.needs_attention() == []


def test_a_correction_of_what_the_service_lost_is_no_correction_of_nothing(phone, fake, ana, agree):
    saved = fake.snapshot()
    entry = phone.diary.record(Mood(mood=1))
    phone.sync()
    fake.restore(saved)
    phone.diary.correct(entry.id, Mood(mood=4))
    phone.sync()
    assert [log.body for log in fake.entries(ana)] == [Mood(mood=4)]
    assert phone.diary.needs_attention() == []
    agree(phone)


def test_a_deletion_of_what_the_service_lost_stays_one(phone, fake, ana, agree):
    saved = fake.snapshot()
    entry = phone.diary.record(Mood(mood=1))
    phone.sync()
    fake.restore(saved)
    phone.diary.delete(entry.id)
    phone.sync()
    assert list(fake.entries(ana)) == []
    assert phone.diary.needs_attention() == []
    agree(phone)


def test_what_was_written_elsewhere_since_the_restore_stands(phones, fake, ana, agree):
    one, two = phones("one"), phones("two")
    entry = one.diary.record(Mood(mood=1))
    one.sync()
    two.sync()
    saved = fake.snapshot()
    fake.advance(minutes=1)
    one.diary.correct(entry.id, Mood(mood=2))
    one.sync()
    fake.advance(minutes=1)
    fake.restore(saved)
    two.diary.correct(entry.id, Mood(mood=3))
    fake.advance(minutes=1)
    two.sync()
    one.sync()
    two.sync()
    assert one.diary.get(entry.id).body == Mood(mood=3)
    agree(one, two)


def test_a_crisis_plan_that_the_service_lost_is_given_back(phone, fake, ana, agree):
    saved = fake.snapshot()
    plan = SafetyPlan(sections=[PlanSection(title="I can call", text="Cleo")])
    phone.diary.record(plan)
    phone.sync()
    fake.restore(saved)
    phone.sync()
    assert [log.body for log in fake.entries(ana)] == [plan]
    agree(phone)


def test_what_was_deleted_and_purged_is_not_brought_back_by_a_restored_service(phones, fake, ana, agree):
    one, two = phones("one"), phones("two")
    entry = one.diary.record(Note(text="gone for ever"))
    one.diary.record(Note(text="stays"))
    one.sync()
    two.sync()
    one.diary.delete(entry.id)
    one.sync()
    a_year_and_a_month_later(fake, ana, one, two)
    fake.raise_epoch()
    two.sync()
    one.sync()
    assert [log.body for log in fake.entries(ana)] == [Note(text="stays")]
    assert two.diary.needs_attention() == [], "an entry that was only offered again was nobody's edit"
    agree(one, two)


# the cursor expired


def test_after_four_hundred_days_a_deleted_entry_does_not_come_back(phones, fake, ana, agree):
    one, two = phones("one"), phones("two")
    dead = one.diary.record(Note(text="gone for ever"))
    one.diary.record(Note(text="stays"))
    one.sync()
    two.sync()
    one.diary.delete(dead.id)
    one.diary.record(Note(text="later"))
    one.sync()
    a_year_and_a_month_later(fake, ana, one, two)
    waiting = two.diary.record(Note(text="written on the old phone"))
    two.sync()
    assert walks(fake) == 1
    assert two.diary.get(dead.id) is None
    assert two.diary.get(waiting.id).state == "sent"
    one.sync()
    agree(one, two)


def test_a_correction_of_what_was_purged_is_told(phones, fake, ana, agree):
    one, two = phones("one"), phones("two")
    dead = one.diary.record(Mood(mood=1))
    one.sync()
    two.sync()
    one.diary.delete(dead.id)
    one.sync()
    a_year_and_a_month_later(fake, ana, one, two)
    two.diary.correct(dead.id, Mood(mood=5))
    two.sync()
    assert [refused.reason for refused in two.diary.needs_attention()] == ["gone"]
    agree(one, two)


def test_a_cursor_that_the_service_cannot_read_is_thrown_away(phone, fake, ana, agree):
    phone.diary.record(Note(text="a"))
    phone.sync()
    fake.answer("GET", PULL, "invalid-request", times=1)
    phone.sync()
    agree(phone)


def test_a_walk_that_broke_off_goes_on_where_it_was(phones, fake, ana, agree, monkeypatch):
    monkeypatch.setattr("companion_sdk._diary.engine.PAGE", 5)
    one, two = phones("one"), phones("two")
    for number in range(23):
        one.diary.record(Note(text=f"{number}"))
    one.sync()
    two.sync()
    for entry in one.diary.entries()[:7]:
        one.diary.delete(entry.id)
    one.sync()
    a_year_and_a_month_later(fake, ana, one, two)
    for _ in range(12):
        one_page(two)
        two.reopen()
    assert place(two).walk is None
    agree(one, two)


def test_a_sweep_takes_a_bite_at_a_time_and_may_be_interrupted(phones, fake, ana, agree, monkeypatch):
    monkeypatch.setattr("companion_sdk._diary.mirror.SWEPT", 2)
    monkeypatch.setattr("companion_sdk._diary.engine.PAGES", 3)
    one, two = phones("one"), phones("two")
    for number in range(11):
        one.diary.record(Note(text=f"{number}"))
    one.sync()
    two.sync()
    for entry in one.diary.entries():
        one.diary.delete(entry.id)
    one.diary.record(Note(text="stays"))
    one.sync()
    a_year_and_a_month_later(fake, ana, one, two)
    report = two.diary.sync()
    assert report.more
    assert place(two).walk.ended
    two.reopen()
    two.sync()
    agree(one, two)


def test_an_entry_acknowledged_during_a_walk_is_not_swept(phones, fake, ana, agree, monkeypatch):
    """Two programs on one phone: one walks, the other sends."""
    monkeypatch.setattr("companion_sdk._diary.engine.PAGE", 2)
    one = phones("one")
    for number in range(7):
        one.diary.record(Note(text=f"{number}"))
    one.sync()
    fake.raise_epoch()
    for _ in range(3):
        one_page(one)
    assert place(one).walk is not None
    sent = one.diary.record(Note(text="during the walk"))
    phones("one").sync()
    one.sync()
    assert one.diary.get(sent.id).state == "sent"
    agree(one)


# the service is too old


def test_an_entry_that_the_service_is_too_old_for_waits_and_is_nobodys_error(phone, fake, ana, agree):
    fake.older("0.0.9", without=["goal", "mood.energy"])
    goal = phone.diary.record(Goal(goal="Call my sister", progress="some"))
    mood = phone.diary.record(Mood(mood=4, energy=3))
    plain = phone.diary.record(Mood(mood=4))
    report = phone.diary.sync()
    assert (report.applied, report.attention, report.held, report.unsent) == (1, 0, 2, 2)
    assert phone.diary.needs_attention() == []
    assert {phone.diary.get(entry.id).state for entry in (goal, mood)} == {"kept"}
    assert phone.diary.get(plain.id).state == "sent"
    pushes = sum(one.path.endswith("/push") for one in fake.requests)
    assert phone.diary.sync().held == 2
    assert sum(one.path.endswith("/push") for one in fake.requests) == pushes, "what waits is not sent again and again"
    fake.older("0.1.0", without=["goal"])
    assert phone.diary.sync().held == 1
    fake.older("0.1.1")
    report = phone.diary.sync()
    assert (report.applied, report.held, report.unsent) == (1, 0, 0)
    agree(phone)


def test_a_word_that_the_service_does_not_know_yet_waits_too(phone, fake, ana, agree):
    """Kinds and fields are listed, words are not: the service's own refusal says that it is too old."""
    phone.sync()
    fake.older("0.0.9", without=["goal"])
    goal = phone.diary.record(Goal(goal="Call my sister", progress="some"))
    with phone.diary._book.store.write() as tx:
        facts = tx.get(Facts)
        tx.put(msgspec.structs.replace(facts, kinds={**facts.kinds, "goal": ["goal", "progress", "note"]}))
    report = phone.diary.sync()
    assert (report.pushed, report.attention, report.held) == (1, 0, 1)
    later = phone.diary.correct(goal, Goal(goal="Call my sister", progress="done"))
    phone.sync()
    assert phone.diary.unsent == 1
    fake.older("0.1.0")
    phone.sync()
    assert phone.diary.get(goal.id).body == later.body
    agree(phone)


def test_what_waits_can_be_deleted(phone, fake, ana):
    fake.older("0.0.9", without=["goal"])
    goal = phone.diary.record(Goal(goal="Call my sister", progress="some"))
    phone.sync()
    phone.diary.delete(goal)
    fake.older("0.1.0")
    phone.sync()
    assert (phone.diary.entries(), phone.diary.unsent, list(fake.entries(ana))) == ([], 0, [])


# kinds and fields of the future


def test_an_entry_of_a_kind_of_the_future_is_kept_as_it_came(phone, fake, ana):
    log = fake.record(ana, Note(text="x"))
    change = msgspec.to_builtins(log) | {"kind": "dream", "body": {"kind": "dream", "vivid": 4, "about": ["sea"]}}
    page = {"changes": [change], "cursor": "c", "more": False, "epoch": 1}
    fake.answer("GET", PULL, page, times=1)
    phone.diary.sync()
    (entry,) = phone.diary.entries("dream")
    assert (entry.body, entry.raw) == (None, {"kind": "dream", "vivid": 4, "about": ["sea"]})
    assert entry.state == "sent"
    with pytest.raises(ValueError, match="can write back"):
        phone.diary.correct(entry, at=entry.at)
    phone.diary.delete(entry)
    assert phone.diary.entries() == []


def test_a_field_of_the_future_counts_in_the_digest(phone, fake, ana):
    log = fake.record(ana, Mood(mood=4))
    change = msgspec.to_builtins(log)
    change["body"]["weather"] = "rain"
    fake.answer("GET", PULL, {"changes": [change], "cursor": "c", "more": False, "epoch": 1}, times=1)
    phone.diary.sync()
    (entry,) = phone.diary.entries()
    assert entry.body == Mood(mood=4)
    expected = digest([(log.id, 1, body_hash({"kind": "mood", "mood": 4, "weather": "rain"}))])
    assert mirror.digest(phone.diary._book.store).sha256 == expected


# proof


def test_the_proof_fails_where_the_service_lost_something(phone, fake, ana):
    phone.diary.record(Mood(mood=4))
    phone.diary.record(Mood(mood=5))
    phone.sync()
    with phone.diary._book.store.write() as tx:
        tx.run("DELETE FROM entries WHERE revision = 1 AND at = (SELECT max(at) FROM entries) AND rowid = 1")
    proof = phone.diary.verify()
    assert not proof.agrees
    assert (proof.here, proof.there) == (1, 2)


def test_the_proof_fetches_first_and_counts_what_was_not_sent(phones):
    one, two = phones("one"), phones("two")
    one.diary.record(Mood(mood=4))
    one.sync()
    two.diary.record(Mood(mood=5))
    proof = two.diary.verify()
    assert (proof.agrees, proof.here, proof.there, proof.unsent) == (True, 1, 1, 1)
