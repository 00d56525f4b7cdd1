"""People and how they sign in: invites, devices, tokens, the signed-in person."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from .base import Name, Reply, Sent, Zone

SCOPES = (
    "logs:read",
    "logs:write",
    "trends:read",
    "plans:read",
    "plans:write",
    "nudges:read",
    "consents:read",
    "profile:read",
)
"""What a third-party token may be allowed; a person's own sign-in may do everything that person may."""

Scope = Literal[
    "logs:read",
    "logs:write",
    "trends:read",
    "plans:read",
    "plans:write",
    "nudges:read",
    "consents:read",
    "profile:read",
]
Language = Annotated[str, Meta(min_length=2, max_length=35, pattern=r"^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*$")]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r'^[^@\s<>,;:"()\[\]\\]+@[^@\s<>,;:"()\[\]\\]+$')]
Code = Annotated[str, Meta(min_length=1, max_length=200)]


class DeviceIn(Sent, frozen=True):
    """The phone that signs in. The same ``id`` within ten minutes may use the same invite again."""

    name: Name
    zone: Zone
    id: UUID | None = None


class InviteSignIn(Sent, frozen=True, tag_field="method", tag="invite"):
    """A patient's first sign-in on a device, by the code of an invite."""

    code: Code
    device: DeviceIn


class CodeSignIn(Sent, frozen=True, tag_field="method", tag="code"):
    """A clinician's sign-in by a one-time code."""

    code: Code


SignIn = InviteSignIn | CodeSignIn


class Clinic(Reply, frozen=True):
    """The clinic a person belongs to, with the site they visit."""

    id: UUID
    name: str
    site: str


class Colleague(Reply, frozen=True):
    """A clinician of the patient's clinic, to name in a consent."""

    id: UUID
    name: str


class Me(Reply, frozen=True):
    """The signed-in person."""

    id: UUID
    role: Literal["patient", "clinician", "app"]
    name: str
    zone: str
    scopes: Sequence[str]
    language: str
    patient_id: UUID | None = None
    clinician_id: UUID | None = None
    clinic: Clinic | None = None
    clinicians: Sequence[Colleague] = ()


class MePatch(Sent, frozen=True):
    """Changes to one's own profile; a field left out stays."""

    name: Name | None = None
    zone: Zone | None = None
    language: Language | None = None


class SignedIn(Reply, frozen=True):
    """The answer to a sign-in. The token is shown here and nowhere again."""

    access_token: str
    expires_at: datetime
    me: Me
    refresh_token: str | None = None


class InviteIn(Sent, frozen=True):
    """A clinician invites a new patient, or (``patient_id``) one the clinic has, to a new phone."""

    name: Name | None = None
    zone: Zone | None = None
    email: Email | None = None
    patient_id: UUID | None = None


class MyInviteIn(Sent, frozen=True):
    """A patient invites a second phone of their own; nothing to fill in."""


class Invite(Reply, frozen=True):
    """A one-use code of seven days."""

    code: str
    patient_id: UUID
    expires_at: datetime


class Device(Reply, frozen=True):
    """A device that is signed in."""

    id: UUID
    name: str
    zone: str
    created_at: datetime
    expires_at: datetime
    current: bool


class DeviceList(Reply, frozen=True):
    items: Sequence[Device]


class TokenIn(Sent, frozen=True):
    """A token for a third-party app, limited to ``scopes`` and ``days`` (at most 365)."""

    name: Name
    scopes: Annotated[Sequence[Scope], Meta(min_length=1, max_length=16)]
    days: Annotated[int, Meta(ge=1, le=365)] = 90


class Token(Reply, frozen=True):
    """A third-party token; ``token`` itself is shown once, in the answer that makes it."""

    id: UUID
    name: str
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime
    token: str | None = None


class TokenList(Reply, frozen=True):
    items: Sequence[Token]


class Patient(Reply, frozen=True):
    """A patient as a consented clinician, or the patient, sees them."""

    id: UUID
    name: str
    zone: str
    clinic: Clinic
