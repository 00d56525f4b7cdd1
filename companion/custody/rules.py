"""How the links of one patient's chain must follow each other. Pure: no database, no key, no clock."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ..core import audit

_NAMED = 100
"""Missing places that are named one by one; of more, the first and last."""


class Link(msgspec.Struct, frozen=True):
    """A row's place in the chain."""

    seq: int
    table: str
    bound: bytes
    sealed: bytes
    link: bytes


class Broken(msgspec.Struct, frozen=True):
    """What is wrong at a place of the chain; ``table`` is empty where there is no row."""

    seq: int
    table: str
    what: str


def walk(first: bytes, links: Sequence[Link], seq: int, head: bytes) -> Iterator[Broken]:
    """Everything wrong with a chain that starts at ``first`` and should end at place ``seq`` with ``head``.

    After a broken link both the stored and the right one may be what the next is chained to, so that one changed link is
    one fault. After a hole the next row's link cannot be checked, and the hole is the fault.
    """
    expected = 1
    before = {first}
    for link in sorted(links, key=lambda link: (link.seq, link.table)):
        if link.seq < expected:
            yield Broken(link.seq, link.table, "stands twice at this place" if link.seq > 0 else "has no place in the chain")
            continue
        if link.seq > expected:
            yield from _missing(expected, link.seq - 1)
            before = set[bytes]()
        right = {audit.link(previous, link.bound, link.sealed) for previous in before}
        if before and link.link not in right:
            yield Broken(link.seq, link.table, "breaks the chain")
        if link.seq > seq:
            yield Broken(link.seq, link.table, "stands behind the end of the chain")
        before = {link.link, *right}
        expected = link.seq + 1
    if expected <= seq:
        yield from _missing(expected, seq)
    elif expected == seq + 1 and head not in before:
        yield Broken(seq, "feeds", "the head is not this link")


def _missing(start: int, stop: int) -> Iterator[Broken]:
    if stop - start < _NAMED:
        for place in range(start, stop + 1):
            yield Broken(place, "", "is missing")
    else:
        yield Broken(start, "", f"and all up to {stop} are missing")


class Revision(msgspec.Struct, frozen=True):
    """One revision of one thing; ``purged``: a tombstone that was taken out of the feed."""

    id: bytes
    revision: int
    seq: int
    table: str
    current: int
    purged: bool = False


def currents(found: Iterable[Revision]) -> Iterator[Broken]:
    """Revisions whose ``current`` is not what it must be: 1 on the highest of an id that is not purged, 0 on the others."""
    revisions = list(found)
    highest: dict[tuple[str, bytes], int] = {}
    for one in revisions:
        key = (one.table, one.id)
        highest[key] = max(highest.get(key, 0), one.revision)
    for one in revisions:
        if one.current != int(one.revision == highest[one.table, one.id] and not one.purged):
            why = "it was purged" if one.purged else "it is not the newest"
            yield Broken(one.seq, one.table, f"is current although {why}" if one.current else "is not current")
