"""A sealed file tells nothing to whoever finds the phone, and opens with its own key alone."""

import re
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import pytest
from support.diaries import fingerprint

from companion_sdk import Diary, Mood, Note, PlanSection, SafetyPlan, Sobriety, Use, WrongKey
from companion_sdk._diary import seal

KEY = bytes(range(32))
PHRASE = "a made-up passphrase"
CANARIES = ["CANARY", "kratom", "Pacific/Chatham", "Tired", "mood", "sobriety", "safety_plan", "988"]


@pytest.mark.parametrize("secret", [{"passphrase": PHRASE}, {"key": KEY}], ids=["passphrase", "key"])
def test_a_sealed_file_holds_no_word_of_what_was_written(secret, phones, fake, ana, agree, tmp_path):
    phone = phones("sealed", **secret)
    phone.diary.record(Note(text="CANARY words"), zone="Pacific/Chatham")
    phone.diary.record(Sobriety(sober=False, uses=[Use(substance="other:kratom")]))
    phone.diary.record(SafetyPlan(sections=[PlanSection(title="CANARY title", text="CANARY text")]))
    phone.sync()
    phone.diary.record(Mood(mood=1, safe="no", note="Tired"))
    files = [file for file in tmp_path.iterdir() if file.name.startswith("sealed.diary")]
    assert {file.name for file in files} >= {"sealed.diary", "sealed.diary-wal", "sealed.diary-shm", "sealed.diary-lock"}
    tokens = [str(ana.id), ana.id.hex, ana.token]
    for file in files:
        held = file.read_bytes()
        assert [word for word in [*CANARIES, *tokens] if word.encode() in held] == [], file.name
        assert ana.id.bytes not in held
    phone.sync()
    agree(phone)


def test_the_search_for_canaries_finds_them_in_a_file_that_is_not_sealed(phones, ana, tmp_path):
    phone = phones("plain")
    phone.diary.record(Note(text="CANARY words"), zone="Pacific/Chatham")
    phone.diary.record(Mood(mood=1))
    phone.sync()
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert all(word in held for word in (b"CANARY", b"Pacific/Chatham", b"mood", str(ana.id).encode()))


def test_what_was_refused_is_sealed_too(phones, fake, ana, tmp_path):
    phone = phones("sealed", key=KEY)
    entry = phone.diary.record(Note(text="CANARY refused"))
    fake.record(ana, Mood(mood=3), id=entry.id)
    phone.sync()
    assert len(phone.diary.needs_attention()) == 1
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"CANARY" not in held


@pytest.mark.parametrize(
    "wrong", [{}, {"passphrase": "another"}, {"key": KEY}], ids=["none", "another passphrase", "a key instead"]
)
def test_without_the_passphrase_the_file_does_not_open(wrong, tmp_path):
    path = tmp_path / "ana.diary"
    with Diary(path, passphrase=PHRASE, zone="UTC") as diary:
        entry = diary.record(Note(text="a"))
    before = fingerprint(path)
    with pytest.raises(WrongKey) as caught:
        Diary(path, **wrong)
    assert PHRASE not in str(caught.value)
    assert fingerprint(path) == before
    with Diary(path, passphrase=PHRASE) as diary:
        assert diary.entries() == [entry]


def test_a_key_opens_no_file_of_another_key_and_no_open_one(tmp_path):
    with Diary(tmp_path / "one", key=KEY):
        pass
    with pytest.raises(WrongKey, match="does not open"):
        Diary(tmp_path / "one", key=KEY[::-1])
    with pytest.raises(WrongKey, match="sealed"):
        Diary(tmp_path / "one", passphrase=PHRASE)
    with Diary(tmp_path / "two"):
        pass
    with pytest.raises(WrongKey, match="not sealed"):
        Diary(tmp_path / "two", key=KEY)


@pytest.mark.parametrize(
    "given", [{"passphrase": "a", "key": KEY}, {"passphrase": ""}, {"key": b"short"}], ids=["both", "empty", "short"]
)
def test_a_secret_that_is_none_is_the_programs_mistake(given, tmp_path):
    with pytest.raises(ValueError, match=r"passphrase|32 bytes"):
        Diary(tmp_path / "ana.diary", **given)
    assert list(tmp_path.iterdir()) == []


def everything(diary):
    """Read all that there is in a file."""
    diary.entries()
    diary.sync()


def test_nothing_can_be_moved_or_changed_unseen(phones, fake, ana, tmp_path):
    """A value is bound to its row: exchanging two entries, or touching a byte, is seen."""
    phone = phones("sealed", key=KEY)
    for text in ("one", "two"):
        phone.diary.record(Note(text=text))
    phone.sync()
    phone.diary.close()
    for change in (
        "UPDATE entries SET log = (SELECT log FROM entries e WHERE e.id <> entries.id)",
        "UPDATE entries SET at = at - 1",
        "UPDATE entries SET log = CAST(substr(log, 1, length(log) - 1) || x'00' AS BLOB)",
        "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'person') WHERE name = 'place'",
    ):
        shutil.copy(tmp_path / "sealed.diary", tmp_path / "touched.diary")
        connection = sqlite3.connect(tmp_path / "touched.diary")
        connection.execute(change)
        connection.commit()
        connection.close()
        with Diary(tmp_path / "touched.diary", phone.client, key=KEY) as touched, pytest.raises(WrongKey):
            everything(touched)
    phone.reopen()


def test_two_seals_of_one_word_differ():
    sealed = seal.Sealed(KEY)
    one, two = sealed.shut(b"here", b"word"), sealed.shut(b"here", b"word")
    assert one != two
    assert one[:1] == b"\x01"
    assert sealed.open(b"here", one) == sealed.open(b"here", two) == b"word"
    with pytest.raises(WrongKey):
        sealed.open(b"there", one)


def test_a_passphrase_costs_what_the_page_says(tmp_path):
    with Diary(tmp_path / "ana.diary", passphrase=PHRASE):
        pass
    connection = sqlite3.connect(tmp_path / "ana.diary")
    (raw,) = connection.execute("SELECT value FROM meta WHERE name = 'seal'").fetchone()
    connection.close()
    terms = msgspec.msgpack.decode(raw, type=seal.Terms)
    assert (terms.by, terms.n, terms.r, terms.p, len(terms.salt)) == ("scrypt", 2**15, 8, 1, 16)


def test_a_file_cannot_make_the_phone_work_for_ever(tmp_path):
    with Diary(tmp_path / "ana.diary", passphrase=PHRASE):
        pass
    connection = sqlite3.connect(tmp_path / "ana.diary")
    connection.execute(
        "UPDATE meta SET value = ? WHERE name = 'seal'",
        (msgspec.msgpack.encode(seal.Terms("scrypt", salt=b"s" * 16, n=2**40)),),
    )
    connection.commit()
    connection.close()
    with pytest.raises(WrongKey, match="cost"):
        Diary(tmp_path / "ana.diary", passphrase=PHRASE)


def test_without_the_extra_the_error_says_how_to_get_it(tmp_path):
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from companion_sdk import Diary\n"
        f"Diary({str(tmp_path / 'plain')!r}).close()\n"
        f"Diary({str(tmp_path / 'ana.diary')!r}, passphrase='made-up')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(r"ImportError: .*pip install companion-sdk\[sealed\]", done.stderr)
    assert not (tmp_path / "ana.diary").exists()


def test_the_secret_is_not_shown(tmp_path):
    with Diary(tmp_path / "ana.diary", passphrase=PHRASE, now=lambda: datetime(2026, 3, 2, tzinfo=UTC)) as diary:
        for shown in (repr(diary), repr(diary._book._settings), repr(seal.secret(PHRASE, None))):
            assert PHRASE not in shown
    assert (tmp_path / "ana.diary").stat().st_mode & 0o077 == 0
