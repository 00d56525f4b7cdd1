"""What reaches the service and what comes from it: once, in order, whatever the network does."""

from datetime import timedelta
from uuid import NAMESPACE_OID, uuid4, uuid5

import msgspec
import pytest

from companion_sdk import (
    ConnectionFailed,
    Coping,
    InvalidEntry,
    Mood,
    NoSuchEntry,
    Note,
    PlanSection,
    SafetyPlan,
    safety_plan_id,
)
from companion_sdk.testing import Network

PUSH = "/v1/patients/{patient}/sync/push"
PULL = "/v1/patients/{patient}/sync/pull"


def plan(*titles: str) -> SafetyPlan:
    return SafetyPlan(sections=[PlanSection(title=title, text="…") for title in titles])


def test_what_ana_wrote_offline_arrives_once(phone, fake, ana, agree):
    with phone.network.offline():
        made = [phone.diary.record(Mood(mood=1 + number % 5)) for number in range(5)]
        report = phone.diary.sync()
        assert isinstance(report.error, ConnectionFailed)
        assert (report.pushed, report.unsent, report.done) == (0, 5, False)
        assert phone.diary.last_synced is None
    report = phone.diary.sync()
    assert (report.pushed, report.applied, report.unsent, report.error, report.more) == (5, 5, 0, None, False)
    assert {log.id for log in fake.entries(ana)} == {entry.id for entry in made}
    assert phone.diary.last_synced == fake.clock.now()
    assert phone.diary.patient_id == ana.id
    agree(phone)
    again = phone.diary.sync()
    assert (again.pushed, again.pulled) == (0, 0)
    assert len(fake.entries(ana)) == 5


def test_a_second_phone_has_what_the_first_one_wrote(phones, agree, fake, ana):
    one, two = phones("one"), phones("two")
    entry = one.diary.record(Mood(mood=4))
    fake.record(ana, Note(text="By the browser"))
    one.sync()
    two.sync()
    assert two.diary.get(entry.id).body == Mood(mood=4)
    assert two.diary.get(entry.id).state == "sent"
    agree(one, two)


def test_of_two_corrections_the_later_to_arrive_wins_on_both_phones(phones, agree, fake, ana):
    one, two = phones("one"), phones("two")
    entry = one.diary.record(Mood(mood=1))
    one.sync()
    two.sync()
    two.diary.correct(entry.id, Mood(mood=2))
    one.diary.correct(entry, Mood(mood=3))
    one.sync()
    two.sync()
    one.sync()
    agree(one, two)
    assert one.diary.get(entry.id).body == Mood(mood=2)
    with fake.client(ana) as client:
        assert [log.body for log in client.logs.history(entry.id)] == [Mood(mood=1), Mood(mood=3), Mood(mood=2)]


def test_a_deletion_beats_a_correction_and_the_words_are_kept_for_her(phones, agree):
    one, two = phones("one"), phones("two")
    entry = one.diary.record(Mood(mood=1), at=None)
    one.sync()
    two.sync()
    one.diary.delete(entry.id)
    two.diary.correct(entry.id, Mood(mood=5, note="Better now"))
    one.sync()
    report = two.diary.sync()
    assert report.attention == 1
    assert two.diary.get(entry.id) is None
    (refused,) = two.diary.needs_attention()
    assert (refused.reason, refused.entry_id, refused.body) == ("gone", entry.id, Mood(mood=5, note="Better now"))
    with pytest.raises(NoSuchEntry):
        two.diary.record(Mood(mood=5), id=entry.id)
    kept = two.diary.fix(refused)
    assert kept.id != entry.id
    two.sync()
    one.sync()
    agree(one, two)
    assert one.diary.get(kept.id).body == refused.body
    assert two.diary.needs_attention() == []


def test_two_deletions_of_one_entry_are_one(phones, agree):
    one, two = phones("one"), phones("two")
    entry = one.diary.record(Mood(mood=1))
    one.sync()
    two.sync()
    one.diary.delete(entry.id)
    two.diary.delete(entry.id)
    assert (two.diary.get(entry.id), two.diary.unsent) == (None, 1)
    one.sync()
    two.sync()
    agree(one, two)
    assert two.diary.needs_attention() == []
    two.diary.delete(entry.id)
    assert two.diary.unsent == 0


def test_what_she_changes_while_it_is_on_its_way_is_not_lost(phone, fake, ana, agree):
    entry = phone.diary.record(Mood(mood=1))
    phone.network.lose_reply(next=9, of="sync/push")
    assert phone.diary.sync().error is not None
    phone.diary.correct(entry, Mood(mood=5))
    phone.network.heal()
    phone.sync()
    assert phone.diary.get(entry.id).body == Mood(mood=5)
    assert [log.revision for log in fake.entries(ana)] == [2]
    agree(phone)


def test_what_she_deletes_while_it_is_on_its_way_is_deleted(phone, fake, ana, agree):
    entry = phone.diary.record(Mood(mood=1))
    phone.network.lose_reply(next=9, of="sync/push")
    phone.diary.sync()
    phone.diary.delete(entry)
    assert phone.diary.unsent == 1
    phone.network.heal()
    phone.sync()
    assert list(fake.entries(ana)) == []
    agree(phone)


@pytest.mark.parametrize("fault", ["lose_request", "lose_reply", "duplicate", "corrupt"])
def test_a_bad_network_changes_nothing_in_the_end(fault, phone, fake, ana, agree):
    made = [phone.diary.record(Note(text=f"{number}")).id for number in range(20)]
    for of in ("sync/push", "sync/pull", "/me", "/service", "/crisis"):
        getattr(phone.network, fault)(next=3, of=of)
    for _ in range(20):
        if phone.diary.sync().done:
            break
    assert sorted(log.id for log in fake.entries(ana)) == sorted(made)
    agree(phone)


def test_one_refused_entry_holds_up_nothing(phone, fake, ana, agree):
    """The service is more careful than the phone could know: an instant that is past for the phone is not for it."""
    phone.options["now"] = lambda: fake.clock.now() + timedelta(days=400)
    phone.reopen()
    good = [phone.diary.record(Note(text="a"), at=fake.clock.now()) for _ in range(3)]
    phone.diary.record(Note(text="From the future"), at=fake.clock.now() + timedelta(days=300))
    more = [phone.diary.record(Note(text="b"), at=fake.clock.now()) for _ in range(3)]
    phone.options.pop("now")
    phone.diary.close()
    phone.reopen()
    report = phone.diary.sync()
    assert (report.pushed, report.applied, report.attention, report.unsent) == (7, 6, 1, 0)
    assert {log.id for log in fake.entries(ana)} == {entry.id for entry in good + more}
    (refused,) = phone.diary.needs_attention()
    assert [(fault.pointer, fault.code) for fault in refused.faults] == [("/at", "out-of-range")]
    assert (refused.reason, refused.body) == ("rejected", Note(text="From the future"))
    shown = phone.diary.get(refused.entry_id)
    assert (shown.state, shown.body, shown.revision) == ("needs attention", Note(text="From the future"), 0)
    assert shown in phone.diary.entries()
    with pytest.raises(InvalidEntry):
        phone.diary.fix(refused, Note(text=""))
    assert phone.diary.needs_attention() == [refused]
    fixed = phone.diary.fix(refused, at=fake.clock.now())
    assert (fixed.id, fixed.state, phone.diary.needs_attention()) == (refused.entry_id, "kept", [])
    phone.sync()
    agree(phone)


def test_a_refused_entry_can_be_given_up(phone, fake, ana, agree):
    entry = phone.diary.record(Note(text="a"), id=uuid4())
    phone.network.go_offline()
    phone.diary.sync()
    phone.network.go_online()
    fake.record(ana, Mood(mood=3), id=entry.id)
    phone.sync()
    (refused,) = phone.diary.needs_attention()
    assert (refused.reason, refused.detail) == ("rejected", "An entry keeps its kind; delete it and make another")
    assert (phone.diary.get(entry.id).body, phone.diary.get(entry.id).state) == (Mood(mood=3), "needs attention")
    phone.diary.discard(refused)
    assert phone.diary.get(entry.id).state == "sent"
    agree(phone)


def test_two_phones_change_the_crisis_plan_and_neither_overwrites_the_other(phones, agree, ana):
    one, two = phones("one"), phones("two")
    one.diary.record(plan("A"))
    one.sync()
    two.sync()
    assert one.diary.safety_plan().id == two.diary.safety_plan().id == safety_plan_id(ana.id)
    one.diary.correct(one.diary.safety_plan(), plan("A", "B"))
    two.diary.correct(two.diary.safety_plan(), plan("A", "C"))
    one.sync()
    two.sync()
    (refused,) = two.diary.needs_attention()
    assert (refused.reason, refused.body, refused.current.body) == ("conflict", plan("A", "C"), plan("A", "B"))
    assert two.diary.safety_plan().body == plan("A", "B")
    two.diary.record(plan("A", "D"))
    two.sync()
    (refused,) = two.diary.needs_attention()
    assert refused.body == plan("A", "D"), "words written without having seen the other's are not sent over them"
    two.diary.fix(refused, plan("A", "B", "D"))
    two.sync()
    one.sync()
    agree(one, two)
    assert one.diary.safety_plan().body == plan("A", "B", "D")


def test_a_plan_written_from_an_old_screen_is_a_conflict_though_the_phone_knows_the_new_one(phones):
    one, two = phones("one"), phones("two")
    one.diary.record(plan("A"))
    one.sync()
    two.sync()
    on_the_screen = two.diary.safety_plan()
    one.diary.record(plan("B"))
    one.sync()
    two.sync()
    two.diary.correct(on_the_screen, plan("A", "mine"))
    two.sync()
    assert [refused.reason for refused in two.diary.needs_attention()] == ["conflict"]


def test_a_plan_changed_twice_offline_goes_one_after_the_other(phone, fake, ana, agree):
    phone.diary.record(plan("A"))
    phone.network.lose_reply(next=9, of="sync/push")
    phone.diary.sync()
    phone.diary.record(plan("A", "B"))
    phone.network.heal()
    phone.sync()
    assert phone.diary.needs_attention() == []
    assert [log.body for log in fake.entries(ana)] == [plan("A", "B")]
    agree(phone)


def test_words_written_before_a_conflict_was_known_wait_with_it(phones, agree):
    """The second version was written on top of the first, and neither has seen what the other phone wrote."""
    one, two = phones("one"), phones("two")
    one.diary.record(plan("A"))
    one.sync()
    two.sync()
    one.diary.record(plan("theirs"))
    one.sync()
    two.diary.record(plan("mine"))
    two.network.lose_reply(next=9, of="sync/push")
    two.diary.sync()
    two.diary.record(plan("mine", "and more"))
    two.network.heal()
    two.sync()
    (refused,) = two.diary.needs_attention()
    assert (refused.reason, refused.body) == ("conflict", plan("mine", "and more"))
    assert two.diary.safety_plan().body == plan("theirs")
    agree(one)


def test_a_reply_that_comes_late_does_not_take_back_what_came_meanwhile(phones, fake, ana, agree):
    """Another program on the same phone has already pulled another phone's correction."""
    phone = phones("phone")
    entry = phone.diary.record(Mood(mood=1))
    steps, link = phone.diary._engine.sync(), phone.client._link
    call = next(steps)
    while "push" not in call.route:
        call = steps.send(link.send(call))
    late = link.send(call)
    with fake.client(ana) as elsewhere:
        elsewhere.logs.correct(elsewhere.logs.get(entry.id), Mood(mood=5))
    assert phones("phone").diary.verify().here == 1
    steps.send(late)
    assert phone.diary.get(entry.id).body == Mood(mood=5)
    assert phone.diary.get(entry.id).revision == 2
    phone.sync()
    agree(phone)


def test_a_plan_from_before_the_first_sync_finds_its_place(phones, ana, agree):
    one, two = phones("one"), phones("two")
    early = two.diary.record(plan("mine"))
    one.diary.record(plan("theirs"))
    one.sync()
    two.sync()
    (refused,) = two.diary.needs_attention()
    assert refused.entry_id == safety_plan_id(ana.id)
    assert two.diary.get(early.id).body == plan("theirs")
    two.diary.fix(refused)
    two.sync()
    one.sync()
    agree(one, two)


def test_many_entries_take_several_pushes_and_pages(phones, agree, fake, ana):
    one, two = phones("one"), phones("two")
    for number in range(450):
        one.diary.record(Coping(skill=f"skill {number}"))
    report = one.diary.sync()
    assert (report.pushed, report.applied, report.unsent) == (450, 450, 0)
    pushes = [exchange for exchange in fake.requests if exchange.path.endswith("/push")]
    assert len(pushes) == 3
    two.sync()
    agree(one, two)


def test_a_service_that_takes_less_at_once_gets_less(phone, fake, ana, agree):
    for number in range(30):
        phone.diary.record(Note(text=f"{number}"))
    fake.answer("POST", PUSH, "too-large", times=2)
    report = phone.diary.sync()
    assert report.applied == 30
    agree(phone)


def test_a_push_stays_below_a_mebibyte(phone, agree, fake):
    for number in range(150):
        phone.diary.record(Note(text=f"{number}" + "\u2713" * 3990))
    report = phone.diary.sync()
    assert report.applied == 150
    assert len([exchange for exchange in fake.requests if exchange.path.endswith("/push")]) == 2
    agree(phone)


def test_one_sync_is_bounded_and_says_that_there_is_more(phone, fake, ana, monkeypatch):
    monkeypatch.setattr("companion_sdk._diary.engine.PUSHES", 1)
    monkeypatch.setattr("companion_sdk._diary.engine.PAGES", 1)
    for number in range(250):
        phone.diary.record(Note(text=f"{number}"))
    report = phone.diary.sync()
    assert report.more
    assert not report.done
    assert phone.diary.last_synced is None
    phone.sync()
    assert len(fake.entries(ana)) == 250


def test_danger_that_was_sent_brings_the_sites_own_help(phone, fake):
    phone.diary.record(Mood(mood=1, safe="no"))
    assert phone.diary.sync().crisis is not None
    with fake.client() as client:
        of_the_site = msgspec.to_builtins(client.crisis.get("en")) | {"hours": "Monday at nine"}
    fake.answer("GET", "/v1/crisis", of_the_site)
    phone.reopen()
    phone.sync()
    phone.network.go_offline()
    assert phone.diary.record(Mood(mood=1, safe="unsure")).crisis.hours == "Monday at nine"


def test_a_phone_whose_clock_is_wrong_is_told_and_not_punished(phones, fake, agree):
    phone = phones("ahead")
    phone.options["now"] = lambda: fake.clock.now() + timedelta(minutes=7)
    phone.reopen()
    phone.diary.record(Mood(mood=4))
    report = phone.diary.sync()
    assert report.skew == phone.diary.skew == -timedelta(minutes=7)
    assert report.attention == 0
    agree(phone)


@pytest.mark.parametrize(("word", "kind"), [("busy", "Busy"), ("rate-limited", "RateLimited"), ("internal", "ServerError")])
def test_a_service_that_cannot_now_is_in_the_report(phone, fake, word, kind):
    phone.diary.record(Mood(mood=4))
    fake.answer("POST", PUSH, word, headers={"Retry-After": "1"})
    report = phone.diary.sync()
    assert type(report.error).__name__ == kind
    assert report.unsent == 1


def test_seventy_two_hours_offline_and_a_network_that_loses_a_third_of_everything(phones, fake, ana, agree, say):
    phone = phones("basement")
    phone.network.go_offline()
    for _ in range(300):
        fake.advance(minutes=14, seconds=24)
        phone.diary.record(Note(text="a"))
    phone.diary.close()
    phone.client.close()
    phone.network = Network(fake.transport, loses=1 / 3, seed=7)
    phone.client = fake.client(ana, over=phone.network)
    phone.reopen()
    syncs = 0
    while phone.diary.unsent or not phone.diary.last_synced:
        phone.diary.sync()
        syncs += 1
        assert syncs < 200
    assert len(fake.entries(ana)) == 300
    assert {log.revision for log in fake.entries(ana)} == {1}
    phone.network.heal()
    agree(phone)
    say(f"300 entries once, by {syncs} syncs, {dict(phone.network.counts)}")


def test_a_second_import_changes_nothing(phone, fake, ana, agree):
    rows = [(uuid5(NAMESPACE_OID, f"{number}"), fake.clock.now() - timedelta(hours=number)) for number in range(50)]
    for _ in range(2):
        for own, at in rows:
            phone.diary.record(Mood(mood=3), at, id=own)
        phone.sync()
        assert phone.diary.unsent == 0
        agree(phone)
    assert {log.revision for log in fake.entries(ana)} == {1}
    phone.diary.delete(rows[0][0])
    with pytest.raises(NoSuchEntry):
        phone.diary.record(Mood(mood=3), rows[0][1], id=rows[0][0])
