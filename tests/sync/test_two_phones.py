"""Ana's two phones change one entry, neither knowing of the other: all end with the same, and nothing is forgotten."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.sync_real import DiaryPhone, HttpService
from support.sync_words import PLAN, Content

ENTRY = 10


class Pair:
    """Two phones that have both seen the entry as its first writer left it."""

    def __init__(self, service: HttpService, folder: Path) -> None:
        self.service = service
        self.phones = [DiaryPhone(service.names, service, folder) for _ in range(2)]
        for phone in self.phones:
            phone.sign_in(service.sign_in())
        self.write(0, 1)
        self.sync(0, 1)

    def write(self, phone: int, word: int, entry: int = ENTRY) -> None:
        assert self.phones[phone].write(entry, Content("plan" if entry == PLAN else "mood", word))

    def sync(self, *order: int) -> None:
        """Phones sync in an order."""
        for phone in order:
            errand = self.phones[phone].begin()
            while errand.request is not None:
                errand.answer(self.service.begin(errand.request)())

    def words(self, entry: int = ENTRY) -> list[int | None]:
        """Every revision of the entry on the service; None for a tombstone."""
        return [None if one.content is None else one.content.word for one in self.service.history()[entry]]

    def shown(self, entry: int = ENTRY) -> list[int | None]:
        """What each phone shows."""
        views = [phone.view().get(entry) for phone in self.phones]
        return [None if seen is None else seen.word for seen in views]


@pytest.fixture
def pair(service: HttpService, tmp_path: Path) -> Iterator[Pair]:
    made = Pair(service, tmp_path)
    yield made
    for phone in made.phones:
        phone.kill()


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
def test_the_last_to_sync_wins_everywhere_and_the_loser_is_in_the_history(pair: Pair, first: int, second: int) -> None:
    pair.write(0, 20)
    pair.write(1, 21)
    pair.sync(first, second, first)
    assert pair.shown() == [20 + second, 20 + second]
    assert pair.words() == [1, 20 + first, 20 + second]
    assert all(phone.proves(pair.service) for phone in pair.phones)


@pytest.mark.parametrize("order", [(0, 1, 0), (1, 0, 1)])
def test_a_deletion_beats_a_correction_and_the_words_wait_for_ana(pair: Pair, order: tuple[int, ...]) -> None:
    pair.phones[0].delete(ENTRY)
    pair.write(1, 21)
    pair.sync(*order)
    assert pair.shown() == [None, None]
    if order[0] == 0:
        assert pair.words() == [1, None]
        assert pair.phones[1].words() == {21}
    else:
        assert pair.words() == [1, 21, None]
        assert pair.phones[1].words() == set()


def test_of_two_changes_of_the_crisis_plan_the_second_is_shown_and_not_stored(pair: Pair) -> None:
    pair.write(0, 30, PLAN)
    pair.sync(0, 1)
    pair.write(0, 31, PLAN)
    pair.write(1, 32, PLAN)
    pair.sync(0, 1, 0)
    assert pair.shown(PLAN) == [31, 31]
    assert pair.words(PLAN) == [30, 31]
    assert [phone.words() for phone in pair.phones] == [set(), {32}]


def test_both_make_the_entry_of_a_day_and_meet_on_one(pair: Pair) -> None:
    pair.write(0, 40, 1)
    pair.write(1, 41, 1)
    pair.sync(1, 0, 1)
    assert pair.shown(1) == [40, 40]
    assert pair.words(1) == [41, 40]
