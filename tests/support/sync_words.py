"""The words in which the sync machine speaks of any service and any device: the pure model, the fake, the real ones.

Entries are small numbers here; whoever drives a real service turns them into UUIDs. Every content carries a word that no
other content has, so that each can be followed wherever it goes. Knows no I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

PLAN = 0
"""The id of the one guarded record (the crisis plan)."""

DAILY = (1, 2, 3)
"""Ids on which devices meet, each making the entry by itself (API.md rule 10)."""

STOPS = ("gap", "rewound")
"""Outcomes that end a push."""


class Content(NamedTuple):
    """What an entry says. ``bad``: the service must refuse it, though the device could not know."""

    kind: str
    word: int
    bad: bool = False


class Told(NamedTuple):
    """One result of a push as it went over the network: which device sent which operation, and what became of it."""

    device: object
    n: int
    op: object
    id: int
    base: int
    content: Content | None
    outcome: str
    revision: int
    seq: int


class Revision(NamedTuple):
    """One line of the service's log: the entry's ``revision``, its place ``seq``, its content (None: a tombstone)."""

    revision: int
    seq: int
    content: Content | None


class Errand(Protocol):
    """A sync under way on a device: the request that waits on the network, or None when it has ended."""

    request: Any

    def answer(self, reply: Any) -> None:
        """The reply came: go on to the next request or to the end."""
        ...

    def fail(self) -> None:
        """No answer came in time."""
        ...


class Device(Protocol):
    """A phone. What it was told before ``kill`` or ``backup`` is on its disk; nothing else is."""

    def write(self, id: int, content: Content) -> bool:
        """Record or correct an entry; False where the device itself says no (it knows that the id is dead)."""
        ...

    def delete(self, id: int) -> None: ...

    def begin(self) -> Errand:
        """Start one sync, beside any that is under way (another process of the same phone)."""
        ...

    def kill(self) -> None:
        """Its processes end at once, with what they had received and not yet written."""
        ...

    def backup(self) -> Any: ...

    def restore(self, backup: Any) -> None:
        """The whole phone as it was, or a new one from the same backup."""
        ...

    def sign_in(self, token: Any) -> None: ...

    def view(self) -> dict[int, Content]:
        """Every live entry as the person sees it."""
        ...

    def words(self) -> set[int]:
        """The words of refused entries, waiting for the person."""
        ...

    def unsent(self) -> int: ...

    def proves(self, service: Any) -> bool:
        """Whether the digest of the mirror is the service's."""
        ...

    def place(self) -> tuple[int, int] | None:
        """(epoch, seq) of the cursor, or None where there is none or the device does not show it."""
        ...


@dataclass
class Flight:
    """A request: who waits for its answer, what has arrived of it, what came back."""

    phone: int
    errand: Errand | None
    request: Any
    token: Any
    arrived: list[Callable[[], Any]] = field(default_factory=list)
    replies: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Made:
    """What a person did on a phone: wrote a word under an id, or deleted it (0)."""

    id: int
    word: int


class Service(Protocol):
    """A service with one patient."""

    limit: int
    """Records in a page."""

    def begin(self, request: Any) -> Callable[[], Any]:
        """The request arrives; the function that comes back does it, commits and gives the reply."""
        ...

    def told(self, request: Any, reply: Any) -> list[Told]:
        """The results that a reply carries, if it answers a push."""
        ...

    def page(self, request: Any, reply: Any) -> bool | None:
        """Whether ``more`` follows, for the page of a pull; None for anything else."""
        ...

    def history(self) -> dict[int, list[Revision]]:
        """Every revision of every entry, in order; purged ones too."""
        ...

    def sign_in(self) -> Any: ...

    def revoke(self, token: Any) -> None: ...

    def purge(self) -> bool:
        """400 days later: tombstones leave the feed. False where the service cannot do it."""
        ...

    def backup(self) -> Any: ...

    def restore(self, backup: Any) -> None:
        """The operator puts an older state back and raises the epoch."""
        ...
