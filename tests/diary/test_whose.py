"""Whose diary a file is: signing in and out, other people's tokens, apps that were let in."""

import pytest

from companion_sdk import Conflict, Mood, Note, Unauthenticated, WrongPerson

PUSH = "/v1/patients/{patient}/sync/push"


def test_a_sign_in_that_ended_is_raised_and_nothing_is_lost(phone, fake, ana, agree):
    phone.diary.record(Mood(mood=4))
    fake.revoke(ana)
    with pytest.raises(Unauthenticated):
        phone.diary.sync()
    assert phone.diary.unsent == 1
    signed = phone.diary.sign_in(fake.invite(ana), device="Ana's phone")
    assert signed.me.patient_id == ana.id
    phone.sync()
    agree(phone)


def test_any_other_refusal_of_a_whole_push_is_raised(phone, fake):
    phone.diary.record(Mood(mood=4))
    fake.answer("POST", PUSH, "conflict", times=1)
    with pytest.raises(Conflict):
        phone.diary.sync()
    phone.sync()


def test_another_persons_sign_in_gets_nothing_of_the_file(phone, fake, ana):
    ben = fake.patient("Ben")
    phone.diary.record(Mood(mood=4))
    phone.sync()
    phone.diary.record(Note(text="Ana's own"))
    with fake.client(ben) as client:
        phone.diary.client = client
        with pytest.raises(WrongPerson):
            phone.diary.sync()
    assert list(fake.entries(ben)) == []
    assert phone.diary.unsent == 1
    phone.diary.client = phone.client
    phone.sync()
    assert len(fake.entries(ana)) == 2


def test_a_token_exchanged_in_the_middle_cannot_mix_two_diaries(phone, fake, ana):
    """Every call of a sync names the file's own patient, so another's token meets a 404."""
    phone.diary.record(Mood(mood=4))
    ben = fake.patient("Ben")
    steps = phone.diary._engine.sync()
    link = phone.client._link
    call = next(steps)
    while "push" not in call.route:
        call = steps.send(link.send(call))
    link.state.token = ben.token
    with pytest.raises(Exception, match="not-found"):
        link.send(call)
    assert list(fake.entries(ben)) == []


def test_nobody_without_a_diary_can_sync_one(phone, fake, ana):
    cleo = fake.clinician("Cleo")
    with fake.client(cleo) as client:
        phone.diary.client = client
        with pytest.raises(WrongPerson, match="patient's"):
            phone.diary.sync()
    assert phone.diary.patient_id is None


def test_an_app_that_was_let_in_keeps_a_diary_too(phones, fake, ana, agree):
    token = fake.token(ana, ["logs:read", "logs:write", "profile:read"])
    app, phone = phones("app", token), phones("phone")
    app.diary.record(Mood(mood=4))
    app.sync()
    phone.sync()
    agree(phone, app)


def test_signing_in_names_the_files_own_device(phones, fake, ana):
    phone = phones("fresh", None)
    with pytest.raises(Unauthenticated):
        phone.diary.sync()
    phone.diary.sign_in(fake.invite(ana), device="New phone", zone="America/New_York")
    assert phone.diary.patient_id == ana.id
    assert phone.diary.device_id in {device.id for device in phone.client.devices.list()}
    ben = fake.patient("Ben")
    with pytest.raises(WrongPerson):
        phone.diary.sign_in(fake.invite(ben), device="New phone")
