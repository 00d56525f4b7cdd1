"""The walk of a chain, driven over made-up chains: whatever one does to a row is found where it was done."""

from hypothesis import given
from hypothesis import strategies as some

from companion.core import audit
from companion.custody.rules import Broken, Link, Revision, currents, walk

FIRST = audit.genesis(b"a" * 16)


def chain(length: int) -> list[Link]:
    """A chain as the service writes it."""
    links: list[Link] = []
    before = FIRST
    for seq in range(1, length + 1):
        bound, sealed = b"bound %d" % seq, b"sealed %d" % seq
        before = audit.link(before, bound, sealed)
        links.append(Link(seq, "logs", bound, sealed, before))
    return links


def broken(links: list[Link], whole: list[Link]) -> list[Broken]:
    """The walk of what is there, held against the head of what was written."""
    return list(walk(FIRST, links, len(whole), whole[-1].link if whole else FIRST))


LENGTHS = some.integers(1, 12)


@given(some.integers(0, 12))
def test_a_chain_as_it_was_written_is_right(length: int) -> None:
    whole = chain(length)
    assert broken(whole, whole) == []
    assert broken(whole[::-1], whole) == [], "the order of reading does not matter"


@given(LENGTHS, some.data())
def test_a_removed_row_is_one_fault_at_its_place(length: int, data: some.DataObject) -> None:
    whole = chain(length)
    place = data.draw(some.integers(0, length - 1))
    assert broken(whole[:place] + whole[place + 1 :], whole) == [Broken(place + 1, "", "is missing")]


@given(LENGTHS, some.data())
def test_a_cut_tail_is_a_fault_at_each_place_of_it(length: int, data: some.DataObject) -> None:
    whole = chain(length)
    kept = data.draw(some.integers(0, length - 1))
    assert [one.seq for one in broken(whole[:kept], whole)] == list(range(kept + 1, length + 1))


@given(LENGTHS, some.data(), some.sampled_from(["bound", "sealed", "link"]))
def test_a_changed_row_is_one_fault_at_its_place(length: int, data: some.DataObject, part: str) -> None:
    whole = chain(length)
    place = data.draw(some.integers(0, length - 1))
    row = whole[place]
    parts = {"bound": row.bound, "sealed": row.sealed, "link": row.link, part: b"\x01other" + getattr(row, part)}
    links = [*whole[:place], Link(row.seq, row.table, parts["bound"], parts["sealed"], parts["link"]), *whole[place + 1 :]]
    assert broken(links, whole) == [Broken(place + 1, "logs", "breaks the chain")]


@given(some.integers(2, 12), some.data())
def test_two_swapped_rows_are_found_at_both_places(length: int, data: some.DataObject) -> None:
    whole = chain(length)
    one, two = sorted(data.draw(some.lists(some.integers(0, length - 1), min_size=2, max_size=2, unique=True)))
    links = list(whole)
    for place, other in ((one, two), (two, one)):
        links[place] = Link(whole[place].seq, "logs", whole[place].bound, whole[other].sealed, whole[other].link)
    assert {one + 1, two + 1} <= {found.seq for found in broken(links, whole)}


@given(LENGTHS, some.data())
def test_a_row_put_in_twice_is_found_at_its_place(length: int, data: some.DataObject) -> None:
    whole = chain(length)
    place = data.draw(some.integers(0, length - 1))
    row = whole[place]
    found = broken([*whole, Link(row.seq, "plans", b"x", b"y", b"z")], whole)
    assert [one.seq for one in found] == [place + 1]


@given(LENGTHS)
def test_a_row_behind_the_end_and_one_without_a_place_are_found(length: int) -> None:
    whole = chain(length + 1)
    assert [one.seq for one in broken(whole, whole[:-1])] == [length + 1]
    none = Link(0, "logs", b"x", b"y", b"z")
    assert broken([none, *whole], whole) == [Broken(0, "logs", "has no place in the chain")]


def test_a_head_of_another_chain_is_found() -> None:
    whole = chain(3)
    assert list(walk(FIRST, whole, 3, b"\x01other")) == [Broken(3, "feeds", "the head is not this link")]
    assert list(walk(FIRST, [], 0, b"\x01other")) == [Broken(0, "feeds", "the head is not this link")]


def test_a_long_hole_is_one_line() -> None:
    whole = chain(1000)
    assert broken(whole[:1], whole) == [Broken(2, "", "and all up to 1000 are missing")]


def test_exactly_the_newest_revision_is_current() -> None:
    def found(*current: int) -> list[int]:
        rows = [Revision(b"one", number, number * 10, "logs", flag) for number, flag in enumerate(current, 1)]
        return [one.seq for one in currents(rows)]

    assert found(1) == []
    assert found(0, 0, 1) == []
    assert found(0, 0, 0) == [30]
    assert found(0, 1, 1) == [20]
    assert found(1, 0, 0) == [10, 30]
    same = [Revision(b"one", 1, 1, "logs", 1), Revision(b"one", 1, 2, "plans", 1), Revision(b"two", 1, 3, "logs", 1)]
    assert list(currents(same)) == []
