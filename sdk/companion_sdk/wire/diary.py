"""The diary as the service answers it: one entry, a page of them, the history of one."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from .base import Reply
from .kinds import Body, Source
from .service import Crisis


class Log(Reply, frozen=True):
    """One diary entry at one revision.

    ``at`` and ``recorded_at`` are UTC; ``day`` is the patient's local date at ``at`` in ``zone``, stored once. ``seq`` is
    the entry's place in the patient's own order of changes. ``skewed`` tells that the phone's clock was more than five
    minutes ahead of the service's. ``body`` is null for a deleted entry. ``crisis`` comes with the answer to an entry
    that raises a red flag.
    """

    id: UUID
    patient_id: UUID
    kind: str
    at: datetime
    zone: str
    day: date
    source: Source
    revision: int
    seq: int
    recorded_at: datetime
    deleted: bool
    skewed: bool
    author_id: UUID
    body: Body | None
    crisis: Crisis | None = None


class LogPage(Reply, frozen=True):
    """Entries, newest first; ``next`` is the cursor of the following page or null."""

    items: Sequence[Log]
    next: str | None


class LogHistory(Reply, frozen=True):
    """Every revision of one entry, oldest first."""

    items: Sequence[Log]
