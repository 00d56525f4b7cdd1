"""What a channel is given and what it answers. A message has no room for a plan's words, a name or a clinic.

Every word that leaves this service in a nudge is a constant of a channel; the rest is the few opaque values here.
"""

from datetime import datetime
from typing import Literal, Protocol, TypeVar
from uuid import UUID

import msgspec

A = TypeVar("A", contravariant=True)


class Message(msgspec.Struct, frozen=True):
    """One nudge as it leaves.

    ``occurrence`` and ``patient`` are keyed hashes (32 hexadecimal digits): the same for a repeat, so that a receiver can
    drop it, and telling nothing. ``language`` (BCP 47) chooses among the fixed sentences.
    """

    nudge_id: UUID
    occurrence: str
    patient: str
    sent_at: datetime
    language: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of one attempt.

    ``temporary`` may be tried again, ``permanent`` not at this address; ``gone`` says that the address itself is dead.
    ``reason`` is one of our own words, ``status`` the provider's number, ``retry_after`` seconds the provider asked for.
    """

    result: Literal["accepted", "temporary", "permanent"]
    reason: str
    status: int | None = None
    retry_after: float | None = None
    gone: bool = False


class Channel(Protocol[A]):
    """A way out."""

    async def send(self, address: A, message: Message, seconds: float) -> Outcome:
        """Hand the message over within ``seconds``. Never raises for what the other side does."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
