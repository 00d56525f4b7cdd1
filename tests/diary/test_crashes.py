"""The power goes at every step: what was written is on the service once or still in the outbox, never twice, never lost."""

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from support import killed_phone
from support.diaries import check

from companion_sdk import Companion, Mood, Note
from companion_sdk.testing import serve


class PowerCut(BaseException):
    """The power goes; nothing in the program may catch it."""


class Fuse:
    """Blows at the count that it was made for; ``blown`` when it did."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.blown = False

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.blown = True
            raise PowerCut


class Wire:
    """A connection to SQLite with a fuse before (or after) each statement."""

    def __init__(self, connection: Any, fuse: Fuse, after: bool) -> None:
        self._connection, self._fuse, self._after = connection, fuse, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def _run(self, how: Callable[..., Any], *given: Any) -> Any:
        if not self._after:
            self._fuse.count()
        done = how(*given)
        if self._after:
            self._fuse.count()
        return done

    def execute(self, *given: Any) -> Any:
        return self._run(self._connection.execute, *given)

    def executemany(self, *given: Any) -> Any:
        return self._run(self._connection.executemany, *given)


class Journal:
    """What Ana did and was told is done; what she was doing when the power went may or may not be."""

    def __init__(self) -> None:
        self.stands: dict[UUID, Any] = {}
        self.doubt: tuple[UUID, Any] | None = None
        self.unknown = 0

    def doing(self, id: UUID, body: Any) -> None:
        self.doubt = (id, body)

    def did(self, id: UUID, body: Any) -> None:
        self.stands[id] = body
        self.doubt = None

    def holds(self, found: dict[UUID, Any]) -> None:
        wanted = {own: body for own, body in self.stands.items() if body is not None}
        if self.doubt is not None:
            doubtful, body = self.doubt
            if found.get(doubtful) == body:
                wanted[doubtful] = body
                wanted = {key: value for key, value in wanted.items() if value is not None}
        assert found == wanted


def a_day(phone: Any, fake: Any, ana: Any, journal: Journal) -> None:
    """Everything a diary does, in one short script."""
    ids = [UUID(int=(0x0195 << 112) | (7 << 76) | (2 << 62) | number) for number in range(4)]

    def record(number: int, body: Any) -> None:
        journal.doing(ids[number], body)
        phone.diary.record(body, id=ids[number], at=fake.clock.now())
        journal.did(ids[number], body)

    def delete(number: int) -> None:
        journal.doing(ids[number], None)
        phone.diary.delete(ids[number])
        journal.did(ids[number], None)

    record(0, Note(text="a"))
    record(1, Mood(mood=1))
    phone.diary.sync()
    record(0, Note(text="a again"))
    record(2, Note(text="b"))
    phone.network.lose_reply(next=9, of="sync/push")
    phone.diary.sync()
    phone.network.heal()
    record(0, Note(text="a for the third time"))
    delete(1)
    phone.diary.sync()
    fake.advance(minutes=1)
    saved = fake.snapshot()
    record(3, Mood(mood=4))
    delete(2)
    phone.diary.sync()
    fake.advance(minutes=1)
    fake.restore(saved)
    phone.diary.sync()
    phone.diary.verify()


def lived_through(phone: Any, fake: Any, ana: Any, journal: Journal) -> None:
    """The app is started again, and everything comes to rest where it should."""
    phone.network.heal()
    check(phone.path)
    phone.reopen()
    phone.sync()
    phone.sync()
    journal.holds({log.id: log.body for log in fake.entries(ana)})
    journal.holds(phone.shows())
    assert phone.diary.verify().agrees
    assert phone.diary.unsent == 0
    assert phone.diary.needs_attention() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_power_may_go_at_any_statement(after, phones, fake, full):
    at, step = 1, 1 if full else 7
    while True:
        person = fake.patient(f"Ana {at}")
        phone, fuse, journal = phones(f"phone-{at}", person), Fuse(at), Journal()
        store = phone.diary._book.store
        store._connection = store._tx._connection = Wire(store._connection, fuse, after)
        try:
            a_day(phone, fake, person, journal)
        except PowerCut:
            store._connection.rollback()  # what the dead process held is let go by the system
        lived_through(phone, fake, person, journal)
        if not fuse.blown:
            assert at > 150
            return
        at += step


@pytest.mark.parametrize("after", [False, True], ids=["request", "reply"])
def test_the_power_may_go_at_any_request(after, phones, fake, monkeypatch):
    at = 1
    while True:
        person = fake.patient(f"Ana {at}")
        phone, fuse, journal = phones(f"phone-{at}", person), Fuse(at), Journal()
        carry = phone.network.handle_request

        def cut(request: httpx2.Request, fuse: Fuse = fuse, carry: Any = carry) -> httpx2.Response:
            if not after:
                fuse.count()
            answer = carry(request)
            if after:
                fuse.count()
            return answer

        phone.network.handle_request = cut
        with contextlib.suppress(PowerCut):
            a_day(phone, fake, person, journal)
        phone.network.handle_request = carry
        lived_through(phone, fake, person, journal)
        if not fuse.blown:
            assert at > 12
            return
        at += 1


# processes


@pytest.fixture(scope="module")
def served() -> Iterator[Any]:
    with serve({"caller_rate": "100000"}) as one:
        yield one


def start(path: Path, served: Any, token: str, log: Path, most: int, name: str) -> "subprocess.Popen[bytes]":
    program = [sys.executable, killed_phone.__file__, path, served.base_url, token, log, str(most), name]
    return subprocess.Popen([str(word) for word in program])


def told(log: Path) -> tuple[dict[UUID, str | None], set[UUID]]:
    """What stands (id to its corrected words, or None) and what was deleted, by what the phones wrote down."""
    stands: dict[UUID, str | None] = {}
    deleted: set[UUID] = set()
    for line in log.read_text().splitlines():
        own = UUID(line[1:37])
        if line[0] == "-":
            deleted.add(own)
        else:
            stands[own] = line[38:] or stands.get(own)
    return {own: words for own, words in stands.items() if own not in deleted}, deleted


def compare(client: Companion, log: Path, doubtful: int) -> None:
    """Everything that was told is on the service once; beyond it at most what was being written at each kill."""
    stands, deleted = told(log)
    stored = list(client.logs.list(limit=500))
    ids = [one.id for one in stored]
    assert len(ids) == len(set(ids))
    missing = stands.keys() - set(ids)
    assert len(missing) <= doubtful, "at most a deletion that was done and not yet told"
    assert not deleted & set(ids)
    assert len(set(ids) - stands.keys()) <= doubtful
    words = {one.id: one.body.text for one in stored}
    wrong = [own for own, text in stands.items() if text is not None and words.get(own, text) != text]
    assert wrong == []
    assert [one.revision for one in stored if one.revision > 2] == []


def test_a_phone_killed_at_random_moments_loses_and_doubles_nothing(served, tmp_path, full, say):
    kills, chance = 200 if full else 8, random.Random(7)
    client = served.patient("Ana")
    path, log = tmp_path / "ana.diary", tmp_path / "log"
    log.touch()
    for number in range(kills):
        process = start(path, served, client._link.state.token, log, 10_000, f"life {number}")
        before = log.stat().st_size
        while log.stat().st_size == before:
            time.sleep(0.005)
            assert process.poll() is None
        time.sleep(chance.random() * 0.25)
        process.kill()
        process.wait()
        check(path)
    assert start(path, served, client._link.state.token, log, 1, "last").wait(60) == 0
    compare(client, log, kills)
    say(f"{kills} kills, {len(told(log)[0])} entries, each once")


def test_two_processes_share_one_file(served, tmp_path):
    client = served.patient("Ana")
    path, log = tmp_path / "ana.diary", tmp_path / "log"
    log.touch()
    both = [start(path, served, client._link.state.token, log, 60, name) for name in ("one", "two")]
    assert [process.wait(60) for process in both] == [0, 0]
    check(path)
    compare(client, log, 0)
    stands, deleted = told(log)
    assert len(stands) + len(deleted) == 120
