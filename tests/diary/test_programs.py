"""Two programs of one phone on one file, and what an old phone must not do for the sake of mending."""

from companion_sdk import Mood, Note
from companion_sdk._diary.driving import Done, advance

LATER = {"days": 401}


def up_to_the_pull(phone):
    """A sync that has asked for its page and waits."""
    steps, link = phone.diary._engine.sync(), phone.client._link
    call = advance(steps, None, None)
    while not isinstance(call, Done) and "pull" not in call.route:
        call = advance(steps, link.send(call), None)
    return steps, link.send(call)


def test_a_page_that_comes_too_late_brings_nothing_back(phones, fake, ana, agree):
    """It was asked for before the entry was deleted and purged, and the other program has walked anew meanwhile."""
    one, two = phones("one"), phones("two")
    entry = one.diary.record(Note(text="gone for ever"))
    one.diary.record(Note(text="stays"))
    two.sync()
    one.sync()
    steps, late = up_to_the_pull(two)
    one.diary.delete(entry.id)
    one.sync()
    fake.advance(**LATER)
    fake.purge()
    for phone in (one, two):
        phone.sign_in(ana)
    other = phones("two", two.client._link.state.token)
    other.sync()
    advance(steps, late, None)
    assert two.diary.get(entry.id) is None
    two.sync()
    one.sync()
    agree(one, two)


def test_a_phone_that_was_away_does_not_send_what_others_deleted(phones, fake, ana, agree):
    """Only a service that was restored is given anything back."""
    one, two = phones("one"), phones("two")
    for mood in (1, 2, 3):
        one.diary.record(Mood(mood=mood))
    one.sync()
    two.sync()
    for entry in one.diary.entries()[:2]:
        one.diary.delete(entry.id)
    one.diary.record(Note(text="newer than all of them"))
    one.sync()
    fake.advance(**LATER)
    fake.purge()
    for phone in (one, two):
        phone.sign_in(ana)
    report = two.diary.sync()
    assert report.done
    assert report.pushed == 0
    agree(one, two)


def test_a_restored_phone_can_write_while_its_new_numbers_are_on_their_way(phone, fake, ana, agree):
    phone.diary.record(Note(text="before"))
    phone.sync()
    saved = phone.backup()
    phone.diary.record(Note(text="on the lost phone"))
    phone.sync()
    phone.restore(saved)
    phone.diary.record(Note(text="restored 1"))
    phone.diary.record(Note(text="restored 2"))
    steps, link = phone.diary._engine.sync(), phone.client._link
    call, pushes = advance(steps, None, None), 0
    while not isinstance(call, Done) and pushes < 2:
        pushes += "push" in call.route
        answer = link.send(call)
        call = advance(steps, answer, None) if pushes < 2 else call
    phone.diary.record(Note(text="meanwhile"))
    phone.sync()
    texts = sorted(log.body.text for log in fake.entries(ana))
    assert texts == ["before", "meanwhile", "on the lost phone", "restored 1", "restored 2"]
    agree(phone)
