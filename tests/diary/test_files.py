"""The file on the device: what is no diary is not touched, what is shared is safe, what is wiped is gone."""

import contextlib
import os
import sqlite3
import stat
import threading
from datetime import UTC, datetime

import pytest
from support.diaries import check, fingerprint

from companion_sdk import Diary, DiaryError, DiaryUnavailable, Mood, Note, UnreadableDiary, UnsentEntries
from companion_sdk._diary import lock, store
from companion_sdk._diary.lock import FileLock

ZONE = "America/New_York"


def made(path, entries: int = 50) -> None:
    with Diary(path, zone=ZONE) as diary:
        for number in range(entries):
            diary.record(Note(text=f"{number}" * 50))


def foreign_text(path):
    path.write_text("This is a letter and no diary." * 500)


def foreign_database(path):
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE photos (id); INSERT INTO photos VALUES (1)")
    connection.close()


def foreign_with_a_log(path):
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE photos (id)")
    connection.close()


def cut_short(path):
    made(path)
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path):
    made(path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)


def headless(path):
    made(path)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM meta WHERE name = 'seal'")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "spoil", [foreign_text, foreign_database, foreign_with_a_log, cut_short, overwritten, headless], ids=lambda f: f.__name__
)
def test_what_is_no_whole_diary_is_told_and_not_touched(spoil, tmp_path):
    path = tmp_path / "ana.diary"
    spoil(path)
    before = fingerprint(path)
    with pytest.raises(UnreadableDiary) as caught:
        Diary(path, zone=ZONE)
    assert "photos" not in str(caught.value)
    assert fingerprint(path) == before


def test_a_file_of_a_newer_sdk_is_refused_by_name_and_not_touched(tmp_path):
    path = tmp_path / "ana.diary"
    made(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {store.SCHEMA + 1}")
    connection.close()
    before = fingerprint(path)
    with pytest.raises(UnreadableDiary, match=rf"form {store.SCHEMA + 1}.*update companion-sdk"):
        Diary(path)
    assert fingerprint(path) == before


def test_damage_that_shows_later_is_told_in_the_sdks_words(tmp_path):
    path = tmp_path / "ana.diary"
    with Diary(path, zone=ZONE) as diary:
        diary.record(Mood(mood=4))
        diary._book.store._connection.execute("DROP TABLE outbox")
        with pytest.raises(UnreadableDiary):
            diary.record(Mood(mood=4))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, DiaryUnavailable),
        (sqlite3.SQLITE_READONLY, DiaryUnavailable),
        (sqlite3.SQLITE_IOERR, DiaryUnavailable),
        (sqlite3.SQLITE_BUSY, DiaryUnavailable),
        (sqlite3.SQLITE_CORRUPT, UnreadableDiary),
        (sqlite3.SQLITE_NOTADB, UnreadableDiary),
    ],
)
def test_every_failure_of_sqlite_has_a_name_here(code, kind):
    error = sqlite3.OperationalError("secret words")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_SOMETHING"
    failure = store._failure(error)
    assert type(failure) is kind
    assert "secret" not in str(failure)


@pytest.mark.parametrize("name", [n for n in dir(sqlite3) if n.endswith("Error") and n != "Error"])
def test_every_exception_of_sqlite_is_a_diary_error(name):
    assert isinstance(store._failure(getattr(sqlite3, name)("words")), DiaryError)


def test_a_full_disk_is_told_and_the_diary_lives_on(tmp_path):
    with Diary(tmp_path / "ana.diary", zone=ZONE) as diary:
        kept = diary.record(Note(text="before"))
        pages = diary._book.store._connection.execute("PRAGMA page_count").fetchone()[0]
        diary._book.store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with contextlib.suppress(DiaryUnavailable):
            for number in range(100):
                kept = diary.record(Note(text="x" * 4000))
                assert number < 99, "the disk is never full"
        with pytest.raises(DiaryUnavailable, match="SQLITE_FULL"):
            diary.record(Note(text="x" * 4000))
        diary._book.store._connection.execute("PRAGMA max_page_count = 1000000")
        after = diary.record(Note(text="after"))
        assert {kept.id, after.id} <= {entry.id for entry in diary.entries()}
        check(tmp_path / "ana.diary")


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DiaryUnavailable, match="No such file"):
        Diary(tmp_path / "nowhere" / "ana.diary")


def test_an_empty_file_becomes_a_diary(tmp_path):
    (tmp_path / "ana.diary").touch()
    made(tmp_path / "ana.diary", 1)
    check(tmp_path / "ana.diary")


def test_a_log_left_by_an_earlier_file_is_not_read_into_a_new_one(tmp_path):
    path = tmp_path / "ana.diary"
    with Diary(path, zone=ZONE) as diary:
        diary.record(Note(text="of the earlier file"))
        left = (tmp_path / "ana.diary-wal").read_bytes()
    path.unlink()
    (tmp_path / "ana.diary-wal").write_bytes(left)
    with Diary(path, zone=ZONE) as diary:
        assert diary.entries() == []
    check(path)


def test_nobody_else_on_the_machine_can_read_it(tmp_path):
    made(tmp_path / "ana.diary", 1)
    with Diary(tmp_path / "ana.diary"):
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file.name


def test_closing_twice_is_fine_and_a_closed_diary_says_so(tmp_path):
    diary = Diary(tmp_path / "ana.diary", zone=ZONE)
    diary.close()
    diary.close()
    for use in (lambda: diary.record(Mood(mood=4)), diary.entries, lambda: diary.unsent):
        with pytest.raises(DiaryUnavailable, match="closed"):
            use()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ana.diary", "ana.diary-lock"]


# shared


def test_many_threads_write_one_diary(tmp_path):
    def write(diary: Diary, name: str) -> None:
        for number in range(30):
            entry = diary.record(Note(text=f"{name} {number}"))
            diary.correct(entry, Note(text=f"{name} {number} again"))
            diary.entries(limit=3)

    with Diary(tmp_path / "ana.diary", zone=ZONE) as one, Diary(tmp_path / "ana.diary", zone=ZONE) as two:
        threads = [threading.Thread(target=write, args=(diary, f"{n}")) for n, diary in enumerate((one, one, two, two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(one.entries()) == len(two.entries()) == one.unsent == 120
    check(tmp_path / "ana.diary")


def test_two_that_make_a_file_at_once_make_one(tmp_path):
    made_by: list[Diary] = []
    go = threading.Barrier(4)

    def make() -> None:
        go.wait()
        made_by.append(Diary(tmp_path / "ana.diary", zone=ZONE))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({diary.device_id for diary in made_by}) == 1
    for diary in made_by:
        diary.record(Mood(mood=4))
    assert {diary.unsent for diary in made_by} == {4}
    for diary in made_by:
        diary.close()


def test_a_lock_that_is_never_let_go_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "WAIT", 0.05)
    with Diary(tmp_path / "ana.diary", zone=ZONE) as diary:
        held = FileLock(tmp_path / "ana.diary-lock")
        held.acquire()
        with pytest.raises(DiaryUnavailable, match="another process"):
            diary.record(Mood(mood=4))
        held.release()
        held.close()
        diary.record(Mood(mood=4))


def test_a_lock_is_on_the_file_that_stands_there_now(tmp_path):
    """Whoever waited while a sign-out took the file away does not hold a lock that nobody else sees."""
    waiting = FileLock(tmp_path / "ana.diary-lock")
    (tmp_path / "ana.diary-lock").unlink()
    waiting.acquire_fresh()
    assert (tmp_path / "ana.diary-lock").exists()
    waiting.release()
    waiting.close()


# signing out


def test_signing_out_wipes_the_file_and_ends_the_sign_in(phone, fake, ana, tmp_path):
    phone.diary.record(Note(text="CANARY"))
    phone.sync()
    phone.diary.sign_out()
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("phone.diary")] == []
    with pytest.raises(DiaryUnavailable):
        phone.diary.entries()
    assert fake.requests[-1].path == "/v1/sign-out"
    phone.reopen()
    assert phone.diary.entries() == []
    assert phone.diary.patient_id is None


def test_signing_out_does_not_lose_what_was_not_sent(phone, fake, ana):
    phone.diary.record(Note(text="a"))
    with pytest.raises(UnsentEntries) as caught:
        phone.diary.sign_out()
    assert (caught.value.unsent, caught.value.needs_attention) == (1, 0)
    assert all(one.path != "/v1/sign-out" for one in fake.requests)
    assert phone.diary.unsent == 1
    phone.diary.sign_out(discard_unsent=True)
    assert not phone.path.exists()


def test_without_a_client_signing_out_does_not_lose_anything_either(tmp_path):
    with Diary(tmp_path / "ana.diary", zone=ZONE) as diary:
        diary.record(Note(text="a"))
        with pytest.raises(UnsentEntries):
            diary.sign_out()
        assert diary.unsent == 1


def test_signing_out_does_not_lose_what_needs_attention(phone, fake, ana):
    entry = phone.diary.record(Note(text="a"))
    fake.record(ana, Mood(mood=3), id=entry.id)
    phone.sync()
    with pytest.raises(UnsentEntries, match="1 in need of attention"):
        phone.diary.sign_out()


def test_signing_out_without_a_network_does_nothing(phone):
    phone.sync()
    with phone.network.offline(), pytest.raises(Exception, match="could not reach"):
        phone.diary.sign_out()
    phone.diary.record(Mood(mood=4))
    phone.sync()


def test_a_sign_in_that_ended_already_is_no_reason_to_keep_the_file(phone, fake, ana):
    phone.sync()
    fake.revoke(ana)
    phone.diary.sign_out()
    assert not phone.path.exists()


def test_another_program_with_the_wiped_file_open_loses_nothing_in_silence(tmp_path):
    one, two = Diary(tmp_path / "ana.diary", zone=ZONE), Diary(tmp_path / "ana.diary", zone=ZONE)
    one.sign_out()
    with pytest.raises(DiaryUnavailable, match="signed out and wiped"):
        two.record(Note(text="a"))
    two.close()
    with Diary(tmp_path / "ana.diary", zone=ZONE, now=lambda: datetime(2026, 3, 2, tzinfo=UTC)) as fresh:
        assert fresh.entries() == []


def test_wiped_words_are_not_left_in_the_bytes(tmp_path):
    path = tmp_path / "ana.diary"
    with Diary(path, zone=ZONE) as diary:
        for _ in range(50):
            diary.record(Note(text="CANARY" * 100))
        os.link(path, tmp_path / "kept by the disk")
        diary.sign_out(discard_unsent=True)
    assert b"CANARY" not in (tmp_path / "kept by the disk").read_bytes()
