"""What the fake service holds: people, tokens, consents, diaries. Knows no request and no rule."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from companion_sdk.wire import Clinic, Consent, Log
from companion_sdk.wire.sync import Outcome

Role = Literal["patient", "clinician"]


class Account(msgspec.Struct, frozen=True):
    """A person the service knows."""

    id: UUID
    role: Role
    clinic: UUID
    name: str
    zone: str
    language: str = "en"


class Held(msgspec.Struct, frozen=True):
    """A token: ``kind`` is device (a patient's), session (a clinician's) or app (a third party's, for a patient)."""

    id: UUID
    kind: Literal["device", "session", "app"]
    owner: UUID
    name: str
    zone: str
    created_at: datetime
    expires_at: datetime
    device: UUID | None = None
    scopes: frozenset[str] | None = None
    revoked: bool = False

    def live(self, now: datetime) -> bool:
        """Whether it signs anybody in."""
        return not self.revoked and now < self.expires_at


class Invited(msgspec.Struct, frozen=True):
    """An invite, by its code."""

    id: UUID
    patient: UUID
    expires_at: datetime
    used_at: datetime | None = None
    device: UUID | None = None


class Coded(msgspec.Struct, frozen=True):
    """A clinician's one-time code."""

    clinician: UUID
    expires_at: datetime
    used: bool = False


class Kept(msgspec.Struct, frozen=True):
    """What became of one operation of a device, as it is told again at each repeat."""

    op: UUID
    outcome: Outcome
    revision: int = 0
    seq: int = 0
    word: str = ""
    detail: str = ""
    errors: tuple[tuple[str, str], ...] = ()


class Made(msgspec.Struct, frozen=True):
    """What a POST with an ``Idempotency-Key`` made, and the body it came with."""

    id: UUID
    body: bytes
    at: datetime


class Feed(msgspec.Struct):
    """One patient's order of changes. ``newest`` holds each entry's newest revision in that order; what was purged is not
    in it and stays in ``histories``. ``devices`` holds the outcomes of each device's operations, the first is number 1.
    """

    epoch: int = 1
    seq: int = 0
    floor: int = 0
    histories: dict[UUID, list[Log]] = {}
    newest: dict[UUID, Log] = {}
    devices: dict[UUID, list[Kept]] = {}

    def next(self) -> int:
        """The next place in the order."""
        self.seq += 1
        return self.seq

    def current(self, log: UUID) -> Log | None:
        """The newest revision of one entry, a tombstone too."""
        history = self.histories.get(log)
        return history[-1] if history else None

    def add(self, log: Log) -> Log:
        """Append a revision that took the next place."""
        self.histories.setdefault(log.id, []).append(log)
        self.newest.pop(log.id, None)
        self.newest[log.id] = log
        return log

    def copy(self) -> "Feed":
        """The same, independent of what follows."""
        return Feed(
            self.epoch,
            self.seq,
            self.floor,
            {log: list(history) for log, history in self.histories.items()},
            dict(self.newest),
            {device: list(kept) for device, kept in self.devices.items()},
        )


class World(msgspec.Struct):
    """Everything that a backup of the service would hold."""

    clinics: dict[UUID, Clinic] = {}
    people: dict[UUID, Account] = {}
    tokens: dict[str, Held] = {}
    invites: dict[str, Invited] = {}
    codes: dict[str, Coded] = {}
    consents: dict[UUID, dict[UUID, Consent]] = {}
    feeds: dict[UUID, Feed] = {}
    repeats: dict[str, Made] = {}

    def copy(self) -> "World":
        """The same, independent of what follows."""
        return World(
            dict(self.clinics),
            dict(self.people),
            dict(self.tokens),
            dict(self.invites),
            dict(self.codes),
            {patient: dict(given) for patient, given in self.consents.items()},
            {patient: feed.copy() for patient, feed in self.feeds.items()},
            dict(self.repeats),
        )
