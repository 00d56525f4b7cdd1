"""What a diary file remembers besides entries: a record each, by name. Knows no table and no call."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from companion_sdk.wire import Crisis, Fault


class Device(msgspec.Struct, frozen=True):
    """As whom this file pushes: its id, the last number it gave, whose diary it is (None before the first sync)."""

    id: UUID
    last_n: int = 0
    patient: UUID | None = None


class Walk(msgspec.Struct, frozen=True):
    """A snapshot under way into ``generation``.

    ``top`` is the highest ``seq`` of a live entry when it began, ``seen`` the highest that it brought, ``epoch`` the
    service's; ``ended``: all pages came, and what they lacked is being swept; ``acks`` is the place's as the last page came.
    """

    generation: int
    top: int = 0
    seen: int = 0
    epoch: int | None = None
    ended: bool = False
    acks: int = 0


class Place(msgspec.Struct, frozen=True):
    """How far the mirror has come: the pull cursor, the service's epoch, the generation of whole rows.

    ``acks`` counts the answers to pushes that were taken in during a walk: a page that was asked for before one of them
    may show what stood before it. ``restored``: the service was once put back to an earlier state, so another device may
    bring back what was deleted here.
    """

    cursor: str | None = None
    epoch: int | None = None
    generation: int = 0
    walk: Walk | None = None
    acks: int = 0
    restored: bool = False

    @property
    def stamp(self) -> int:
        """The generation of what is written now."""
        return self.generation if self.walk is None else self.walk.generation


class Person(msgspec.Struct, frozen=True):
    """What the file knows of its person. ``app``: it is kept by an app that was let in, not by the person."""

    zone: str
    language: str
    app: bool = False


class Site(msgspec.Struct, frozen=True):
    """Help in a crisis as the site last told it."""

    crisis: Crisis


class Facts(msgspec.Struct, frozen=True):
    """What the service understands, when it said so, and a stamp that changes when it understands something else."""

    stamp: str
    kinds: Mapping[str, Sequence[str]]
    read_at: datetime


class Synced(msgspec.Struct, frozen=True):
    """When a sync last came to its end; by how many seconds the service's clock was ahead of this device's."""

    at: datetime | None = None
    skew: float | None = None


class Refusal(msgspec.Struct, frozen=True):
    """What is kept of a refused operation: ``log`` is the LogIn as JSON, None for a deletion, ``current`` the Log."""

    reason: str
    detail: str
    faults: Sequence[Fault]
    base: int
    log: bytes | None = None
    current: bytes | None = None


class Envelope(msgspec.Struct, frozen=True):
    """What the mirror needs to know of an entry without reading what it says."""

    id: UUID
    at: datetime
    revision: int
    seq: int
    recorded_at: datetime
    deleted: bool = False


class Page(msgspec.Struct, frozen=True):
    """A page of a pull: each entry's envelope, and the entry as it came, so that fields of a newer service are kept."""

    changes: Sequence[tuple[Envelope, bytes]]
    cursor: str
    more: bool
    epoch: int


class Op(msgspec.Struct, frozen=True):
    """One operation in the outbox.

    ``n`` and ``op`` were given when it was done; ``n`` is None only while it waits for a service that understands it, and
    then ``held_for`` says what the service was that did not. ``offered``: it gives back what a restored service lost, and
    is not the person's. ``log`` is the LogIn as JSON, None to delete.
    """

    place: int
    n: int | None
    op: UUID
    id: UUID
    base: int
    offered: bool
    held_for: str | None
    log: bytes | None


class Row(msgspec.Struct, frozen=True):
    """One entry of the mirror; ``log`` is the Log as JSON, None for a tombstone."""

    id: UUID
    at: int
    revision: int
    seq: int
    deleted: bool
    generation: int
    log: bytes | None
