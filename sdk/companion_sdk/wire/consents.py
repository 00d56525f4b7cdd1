"""Consent in the elements of 42 CFR 2.31, and the list of what was disclosed under it (2.25)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from .base import Instant, Name, Reply, Sent
from .kinds import KindName

Purpose = Literal["treatment", "payment", "operations", "research", "other"]


class ConsentIn(Sent, frozen=True):
    """Who (``recipient``: a clinician's or a clinic's id) may see which ``categories``, for what, from when until when.

    Without ``from`` it starts now; without ``until`` it lasts until it is revoked. ``signature`` is the name the patient
    typed; the signed-in session is recorded beside it.
    """

    recipient: UUID
    categories: Annotated[Sequence[KindName], Meta(min_length=1, max_length=32)]
    purpose: Purpose = "treatment"
    from_: Instant | None = msgspec.field(name="from", default=None)
    until: Instant | None = None
    text_version: Annotated[str, Meta(min_length=1, max_length=40)] = "1"
    signature: Name | None = None


class Consent(Reply, frozen=True):
    """A consent as it stands. ``active`` is judged at the moment of the answer."""

    id: UUID
    patient_id: UUID
    recipient: UUID
    categories: Sequence[str]
    purpose: str
    from_: datetime = msgspec.field(name="from")
    until: datetime | None
    text_version: str
    signature: str | None
    revision: int
    recorded_at: datetime
    revoked_at: datetime | None
    active: bool


class ConsentList(Reply, frozen=True):
    items: Sequence[Consent]


class Disclosure(Reply, frozen=True):
    """One look at a patient's record: who, when, what, under which consent."""

    id: UUID
    at: datetime
    recipient: UUID
    recipient_name: str
    consent_id: UUID | None
    purpose: str
    action: str
    categories: Sequence[str]


class DisclosurePage(Reply, frozen=True):
    """Newest first; ``next`` is the cursor of the following page or null."""

    items: Sequence[Disclosure]
    next: str | None
