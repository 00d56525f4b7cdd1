"""Plans that make nudges, the addresses nudges go to, and the ledger of what became of each."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from .base import Reply, Sent
from .kinds import KINDS
from .people import Email

TimeOfDay = Annotated[str, Meta(pattern=r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5)]
"""Wall-clock time "HH:MM" in the patient's zone."""

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
if TYPE_CHECKING:
    About = str
else:
    About = Literal[(*KINDS, "medication", "session", "custom")]
Channel = Literal["email", "webhook"]
NudgeState = Literal["pending", "leased", "sent", "withheld", "expired", "superseded", "suppressed", "failed", "uncertain"]


class QuietHours(Sent, frozen=True):
    """No nudge between ``from`` and ``to``, wall-clock; over midnight too."""

    from_: TimeOfDay = msgspec.field(name="from")
    to: TimeOfDay


class PlanIn(Sent, frozen=True):
    """When to remind of what. Times are the patient's own wall clock and follow the patient's zone.

    ``window_minutes``: how long after its time a nudge may still go out. ``skip_if_logged``: keep quiet when an entry of
    the kind the plan is about already exists for that day. ``start`` and ``until`` are local dates, both inclusive.
    """

    about: About
    times: Annotated[Sequence[TimeOfDay], Meta(min_length=1, max_length=24)]
    window_minutes: Annotated[int, Meta(ge=1, le=1440)]
    channels: Annotated[Sequence[Channel], Meta(min_length=1, max_length=8)]
    days: Annotated[Sequence[Weekday], Meta(min_length=1, max_length=7)] | None = None
    quiet: QuietHours | None = None
    start: date | None = None
    until: date | None = None
    skip_if_logged: bool = True
    gap_minutes: Annotated[int, Meta(ge=0, le=10080)] | None = None
    jitter_minutes: Annotated[int, Meta(ge=0, le=720)] | None = None
    text: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class Plan(Reply, frozen=True):
    """A plan as it stands. ``author_id`` is the patient or the clinician who made it."""

    id: UUID
    patient_id: UUID
    author_id: UUID
    revision: int
    recorded_at: datetime
    plan: PlanIn
    next_due: datetime | None


class PlanList(Reply, frozen=True):
    items: Sequence[Plan]


class EmailEndpoint(Sent, frozen=True, tag_field="channel", tag="email"):
    """An address for neutral e-mail."""

    address: Email


class WebhookEndpoint(Sent, frozen=True, tag_field="channel", tag="webhook"):
    """A URL that gets signed POSTs (Standard Webhooks 1.0). Without ``secret`` the service makes one."""

    url: Annotated[str, Meta(min_length=8, max_length=2000, pattern=r"^https?://[^\s]+$")]
    secret: Annotated[str, Meta(min_length=30, max_length=100, pattern=r"^whsec_[A-Za-z0-9+/=]+$")] | None = None


EndpointIn = EmailEndpoint | WebhookEndpoint


class Endpoint(Reply, frozen=True):
    """An address nudges can go to. ``secret`` is shown once, when the service made it."""

    id: UUID
    channel: str
    created_at: datetime
    state: Literal["on", "off"]
    secret: str | None = None


class NudgeDecision(Reply, frozen=True):
    """One decision about a nudge: the state it gave, when and why."""

    at: datetime
    state: NudgeState
    reason: str


class Delivery(Reply, frozen=True):
    """One attempt to hand a nudge to a channel."""

    at: datetime
    channel: str
    outcome: Literal["accepted", "temporary", "permanent"]
    attempt: int
    status: int | None = None


class Nudge(Reply, frozen=True):
    """One due message and what became of it."""

    id: UUID
    plan_id: UUID
    occurrence: str
    due_at: datetime
    window_end: datetime
    zone: str
    state: NudgeState
    reason: str
    attempts: int
    decisions: Sequence[NudgeDecision]
    deliveries: Sequence[Delivery]


class NudgePage(Reply, frozen=True):
    """Newest due first; ``next`` is the cursor of the following page or null."""

    items: Sequence[Nudge]
    next: str | None
