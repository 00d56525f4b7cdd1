"""What ends in the middle: a close while nothing happens, a killed wipe, a walk that a push overtakes, a body too large."""

import asyncio
import subprocess
import sys
import time

import pytest

from companion_sdk import AsyncDiary, Diary, Mood, Note
from companion_sdk._diary import engine

ZONE = "America/New_York"


async def test_a_close_right_after_a_record_ends(fake, ana, tmp_path):
    """On Python 3.11 ``asyncio.wait_for`` may swallow the cancellation that close sends."""
    async with fake.async_client(ana) as client:
        for number in range(3):
            diary = AsyncDiary(tmp_path / f"{number}.diary", client, zone=ZONE)
            await diary.keep_synced()
            await asyncio.sleep(0.5)
            await diary.record(Note(text="and good night"))
            async with asyncio.timeout(5):
                await diary.close()


WIPED = """
import os, sys
from companion_sdk import Diary, Note
from companion_sdk._diary.store import Store
diary = Diary(sys.argv[1], zone="UTC")
diary.record(Note(text="CANARY"))
Store._checkpoint = lambda self, how: os._exit(9)
diary.sign_out(discard_unsent=True)
"""


def test_a_wipe_that_is_killed_half_way_is_finished_at_the_next_opening(tmp_path):
    path = tmp_path / "ana.diary"
    killed = subprocess.run([sys.executable, "-c", WIPED, str(path)])
    assert killed.returncode == 9
    with Diary(path, zone=ZONE) as diary:
        assert diary.entries() == []
        diary.record(Note(text="the next person's"))
    assert all(b"CANARY" not in path.read_bytes() for path in tmp_path.iterdir())


def test_an_entry_sent_between_the_last_page_and_the_sweep_stays(phone, fake, ana, agree, monkeypatch):
    monkeypatch.setattr(engine, "PAGES", 2)
    for number in range(engine.PAGE * 2 - 10):
        fake.record(ana, Note(text=f"{number}"))
    assert phone.diary.sync().more
    mine = phone.diary.record(Note(text="in between"))
    while not phone.diary.sync().done:
        pass
    assert phone.diary.get(mine.id) is not None
    agree(phone)


def test_an_entry_too_large_for_the_way_needs_attention_and_holds_up_nothing(phone, fake, ana, agree):
    phone.sync()
    fake.answer("POST", "/v1/patients/{patient}/sync/push", "too-large", times=2)
    phone.diary.record(Note(text="larger than the proxy lets pass"))
    phone.diary.record(Mood(mood=3))
    fake.record(ana, Note(text="from elsewhere"))
    while not phone.diary.sync().done:
        pass
    (refused,) = phone.diary.needs_attention()
    assert [fault.code for fault in refused.faults] == ["too-large"]
    assert len(fake.entries(ana)) == 2
    phone.diary.fix(refused, Note(text="shorter"))
    phone.sync()
    assert len(fake.entries(ana)) == 3
    agree(phone)


def test_a_hint_after_a_restore_is_heard_although_its_place_is_lower(phone, fake, ana):
    saved = fake.snapshot()
    entries = [phone.diary.record(Note(text=f"{number}")) for number in range(10)]
    for entry in entries:
        phone.diary.delete(entry)
    phone.sync()
    phone.diary.keep_synced()
    time.sleep(0.5)
    fake.restore(saved)
    fake.advance(minutes=1)
    fake.record(ana, Note(text="from another phone"))
    until = time.monotonic() + 10
    while not phone.diary.entries():
        assert time.monotonic() < until, "the hint was taken for an old one"
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch):
    monkeypatch.setattr("companion_sdk._diary.pace._FIRST", 0.1)
