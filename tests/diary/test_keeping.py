"""A diary that keeps itself synced, from threads: nobody calls ``sync``, nothing gets into the app, and it stops at once."""

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from companion_sdk import Mood, Note, Unauthenticated
from companion_sdk._diary import keeping, pace

LONG = 10.0


def until(what: Callable[[], object], seconds: float = LONG) -> None:
    late = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < late, "it did not happen"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    yield
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("companion-")])


@pytest.fixture(autouse=True)
def no_thread_fails(monkeypatch) -> Iterator[None]:
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    yield
    assert failed == []


def test_an_entry_is_sent_without_anybody_asking(phone, fake, ana):
    phone.diary.keep_synced()
    phone.diary.keep_synced()
    phone.diary.record(Mood(mood=4))
    until(lambda: len(fake.entries(ana)) == 1)
    until(lambda: phone.diary.unsent == 0)
    entry = phone.diary.entries()[0]
    phone.diary.correct(entry, Mood(mood=5))
    until(lambda: fake.entries(ana)[0].body == Mood(mood=5))
    phone.diary.delete(entry.id)
    until(lambda: list(fake.entries(ana)) == [])


def test_several_entries_at_once_are_one_push(phone, fake, ana):
    phone.diary.keep_synced()
    until(lambda: phone.diary.last_synced is not None)
    time.sleep(0.3)
    pushes = sum(one.path.endswith("/push") for one in fake.requests)
    for number in range(20):
        phone.diary.record(Note(text=f"{number}"))
        time.sleep(0.005)
    until(lambda: phone.diary.unsent == 0)
    assert sum(one.path.endswith("/push") for one in fake.requests) - pushes <= 2


def test_what_another_phone_wrote_comes_by_itself(phones, fake, ana):
    one, two = phones("one"), phones("two")
    one.diary.keep_synced()
    two.diary.keep_synced()
    entry = one.diary.record(Mood(mood=4))
    until(lambda: two.diary.get(entry.id) is not None)
    two.diary.correct(entry.id, Mood(mood=5))
    until(lambda: one.diary.get(entry.id).body == Mood(mood=5))


def test_its_own_push_makes_no_further_pull(phone, fake, ana):
    phone.diary.keep_synced()
    until(lambda: phone.diary.last_synced is not None)
    until(lambda: any(one.path.endswith("/stream") for one in fake.requests))
    time.sleep(0.5)
    pulls = sum(one.path.endswith("/pull") for one in fake.requests)
    phone.diary.record(Mood(mood=4))
    until(lambda: phone.diary.unsent == 0)
    time.sleep(1.0)
    assert sum(one.path.endswith("/pull") for one in fake.requests) == pulls + 1


def test_the_network_comes_back_and_everything_goes(phone, fake, ana, monkeypatch):
    """The stream's first hint says so: nobody waits for the next try, which is far away."""
    monkeypatch.setattr(pace, "_FIRST", 1e9)
    monkeypatch.setattr(pace, "_LONGEST", 1e9)
    monkeypatch.setattr(fake.clock, "wait", lambda event, seconds: event.wait(min(seconds, 60)))
    phone.diary.keep_synced()
    until(lambda: phone.diary.last_synced is not None)
    phone.network.go_offline()
    for number in range(5):
        phone.diary.record(Note(text=f"{number}"))
    until(lambda: phone.diary.last_error is not None)
    assert phone.diary.unsent == 5
    phone.network.go_online()
    until(lambda: phone.diary.unsent == 0)
    assert len(fake.entries(ana)) == 5
    until(lambda: phone.diary.last_error is None)


def test_a_sign_in_that_ended_stops_it_until_there_is_another(phone, fake, ana):
    phone.diary.keep_synced()
    until(lambda: phone.diary.last_synced is not None)
    fake.revoke(ana)
    phone.diary.record(Mood(mood=4))
    until(lambda: isinstance(phone.diary.last_error, Unauthenticated))
    time.sleep(0.5)
    asked = len(fake.requests)
    time.sleep(1.0)
    assert len(fake.requests) == asked, "a token that is no longer good is not tried again and again"
    phone.diary.sign_in(fake.invite(ana), device="Ana's phone")
    until(lambda: phone.diary.unsent == 0)
    until(lambda: phone.diary.last_error is None)


def test_an_error_of_any_kind_does_not_end_it(phone, fake, ana, monkeypatch):
    real, failing = phone.diary._engine.sync, threading.Event()

    def sync():
        if not failing.is_set():
            failing.set()
            raise RuntimeError("CANARY")
        return real()

    monkeypatch.setattr(phone.diary._engine, "sync", sync)
    phone.diary.keep_synced()
    until(failing.is_set)
    phone.diary.record(Mood(mood=4))
    until(lambda: phone.diary.unsent == 0)
    until(lambda: phone.diary.last_error is None)


def test_closing_takes_less_than_a_second_in_the_middle_of_everything(phones, fake, ana, monkeypatch):
    """One thread waits for a stream, one for a reply that does not come."""
    phone = phones("phone")
    held, hanging = threading.Event(), threading.Event()
    carry = phone.network.handle_request

    def hang(request):
        if request.url.path.endswith("/push"):
            hanging.set()
            held.wait(20)
        return carry(request)

    phone.network.handle_request = hang
    phone.diary.keep_synced()
    until(lambda: phone.diary.last_synced is not None)
    until(lambda: any(one.path.endswith("/stream") for one in fake.requests))
    phone.diary.record(Mood(mood=4))
    until(hanging.is_set)
    began = time.monotonic()
    phone.diary.close()
    assert time.monotonic() - began < 1.0
    held.set()
    until(lambda: not [one for one in threading.enumerate() if one.name == "companion-sync"])
    phone.network.handle_request = carry
    phone.reopen()
    phone.sync()
    assert len(fake.entries(ana)) == 1


def test_without_a_stream_it_syncs_all_the_same(phone, fake, ana):
    fake.answer("GET", "/v1/patients/{patient}/sync/stream", "not-found")
    phone.diary.keep_synced()
    phone.diary.record(Mood(mood=4))
    until(lambda: phone.diary.unsent == 0)
    until(lambda: phone.diary.last_error is None)


def test_an_idle_diary_asks_now_and_then(phones, fake, ana, monkeypatch):
    monkeypatch.setattr(keeping, "IDLE", 0.2)
    fake.answer("GET", "/v1/patients/{patient}/sync/stream", "not-found")
    one = phones("one")
    one.diary.keep_synced()
    until(lambda: one.diary.last_synced is not None)
    log = fake.record(ana, Note(text="elsewhere"))
    until(lambda: one.diary.get(log.id) is not None)


def test_another_client_takes_over_while_it_is_kept(phone, fake, ana):
    phone.diary.keep_synced()
    until(lambda: phone.diary.last_synced is not None)
    with fake.client(ana) as other:
        phone.diary.client = other
        phone.diary.record(Mood(mood=4))
        until(lambda: phone.diary.unsent == 0)
        phone.diary.client = None
    phone.diary.record(Mood(mood=4))
    assert phone.diary.unsent == 1


def test_what_is_logged_names_nobody(phone, fake, ana, caplog):
    caplog.set_level(logging.DEBUG)
    phone.diary.keep_synced()
    entry = phone.diary.record(Note(text="CANARY"))
    until(lambda: phone.diary.get(entry.id).state == "sent" and phone.diary.last_synced is not None)
    until(lambda: any("background: ok" in record.getMessage() for record in caplog.records))
    phone.network.go_offline()
    phone.diary.record(Note(text="CANARY"))
    until(lambda: phone.diary.last_error is not None)
    phone.diary.close()
    told = [record for record in caplog.records if getattr(record, "action", "") == "sdk.sync"]
    assert {record.getMessage() for record in told} >= {"sync in the background: ok"}
    for record in caplog.records:
        line = f"{record.getMessage()} {record.__dict__}"
        assert all(word not in line for word in ("CANARY", str(entry.id), str(ana.id), ana.token))


# the pace, as a rule


def test_waits_grow_to_five_minutes_and_are_spread():
    slow, quick = pace.Pace(lambda: 0.999999), pace.Pace(lambda: 0.0)
    waits = [slow.after(Exception()) for _ in range(14)]
    assert waits[:4] == pytest.approx([1, 2, 4, 8], rel=1e-3)
    assert max(waits) == pytest.approx(300, rel=1e-3)
    assert [quick.after(Exception()) for _ in range(3)] == [0, 0, 0]
    slow.went_well()
    assert slow.after(Exception()) == pytest.approx(1, rel=1e-3)


def test_a_service_that_asks_to_wait_is_given_that_time(fake):
    from companion_sdk import ApiError, Problem

    problem = Problem(type="/problems/busy", title="", status=503, detail="", instance="", request_id="")
    assert pace.Pace(lambda: 0.0).after(ApiError(problem, retry_after=30)) == 30
    assert pace.Pace(lambda: 0.0).after(ApiError(problem, retry_after=9999)) == 300
