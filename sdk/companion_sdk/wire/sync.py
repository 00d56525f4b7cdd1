"""Sync, version 1: what a device sends and gets, and the ids on which two devices meet.

A device numbers its operations 1, 2, 3 …, each with an id of its own, so that each is applied exactly once however often it
is sent. A cursor is a place in the patient's own order of changes.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID, uuid5

from msgspec import Meta

from .base import Count, Instant, Reply, Sent
from .diary import Log
from .kinds import LogIn
from .problems import Problem
from .service import Crisis

MAX_OPS = 200
"""Operations in one push."""

MAX_PUSH_BYTES = 1024 * 1024
"""Bytes in one push."""

MAX_CHANGES = 1000
"""Changes in one page of a pull."""

Outcome = Literal["applied", "rejected", "gone", "conflict", "gap", "rewound"]
"""What became of an operation.

``applied``: it is stored. ``rejected``: it breaks a rule (``problem`` says which); consumed. ``gone``: its entry was
deleted, or it corrects or deletes one the service never had; consumed. ``conflict``: another revision of a guarded record
is stored (``current``); consumed. ``gap``: an operation before it is missing; nothing from here on was looked at.
``rewound``: another operation bore this number; nothing from here on was looked at.
"""


class PushOp(Sent, frozen=True):
    """One operation: store ``log`` under ``id``, or delete it (null).

    ``n`` is its number on the device, ``op`` its own id, ``base`` the revision the device last saw (0: none).
    """

    n: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    op: UUID
    id: UUID
    base: Count
    log: LogIn | None


class Push(Sent, frozen=True):
    """Operations in the order of their numbers; ``sent_at`` is the device's clock, so that its skew is known."""

    device: UUID
    sent_at: Instant
    ops: Annotated[Sequence[PushOp], Meta(max_length=MAX_OPS)]


class PushResult(Reply, frozen=True):
    """What became of one operation; ``revision`` and ``seq`` are the entry's after it, 0 where there is none."""

    n: int
    outcome: Outcome
    revision: int
    seq: int
    problem: Problem | None = None
    current: Log | None = None


class Pushed(Reply, frozen=True):
    """A result an operation, up to the one that stopped the push.

    ``last_n`` is the last number the service has from this device. ``crisis`` comes when a stored entry raises a red flag.
    """

    results: Sequence[PushResult]
    last_n: int
    epoch: int
    server_time: datetime
    crisis: Crisis | None = None


class Changes(Reply, frozen=True):
    """Entries at their newest revision, deleted ones too, in the patient's own order; ``more``: pull again at once."""

    changes: Sequence[Log]
    cursor: str
    more: bool
    epoch: int


class Digest(Reply, frozen=True):
    """Proof of what is stored up to the change ``through``: live entries, and SHA-256 over them (``wire.canonical``)."""

    count: int
    sha256: str
    through: int


class Changed(Reply, frozen=True):
    """A hint of the stream: there are changes up to ``seq``. What they are, a pull tells."""

    seq: int


def safety_plan_id(patient: UUID) -> UUID:
    """The one id of the patient's crisis plan: UUIDv5 (RFC 9562 §5.5) of the patient and ``safety_plan``."""
    return uuid5(patient, "safety_plan")


def daily_id(patient: UUID, kind: str, day: date) -> UUID:
    """The id on which devices meet for a kind that exists once a day: UUIDv5 of patient and ``kind/day``."""
    return uuid5(patient, f"{kind}/{day.isoformat()}")
