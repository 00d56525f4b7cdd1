"""Who may what in the fake service: the caller of one request, and the consents that let a clinician see.

The same answers as the service's own gate; what a caller may not see does not exist.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from companion_sdk.wire import KINDS, Consent

from ._exchange import Heard
from ._refusals import Refused, not_found, unauthenticated
from ._site import Site
from ._world import Feed, World

ALL = frozenset(KINDS)


class Actor(msgspec.Struct, frozen=True):
    """Who asks. ``scopes`` is None where the person's own rights decide, a set for a third-party token."""

    role: Literal["patient", "clinician", "app", "anonymous"]
    id: UUID
    clinic: UUID | None = None
    patient_id: UUID | None = None
    token: str = ""
    scopes: frozenset[str] | None = None

    def known(self) -> None:
        """401 for nobody."""
        if self.role == "anonymous":
            raise unauthenticated()

    def may(self, scope: str) -> None:
        """401 for nobody, 403 for a token without the scope."""
        self.known()
        if self.scopes is not None and scope not in self.scopes:
            raise Refused("insufficient-scope")

    def person(self) -> None:
        """403 for a third-party token: some things are only for people."""
        self.known()
        if self.scopes is not None:
            raise Refused("insufficient-scope")

    def patient(self) -> UUID:
        """The id of the signed-in patient; the hidden 404 for anyone else."""
        self.person()
        if self.role != "patient" or self.patient_id is None:
            raise not_found()
        return self.patient_id

    def clinician(self) -> UUID:
        """The id of her clinic; the hidden 404 for anyone but a clinician."""
        self.person()
        if self.role != "clinician" or self.clinic is None:
            raise not_found()
        return self.clinic


NOBODY = Actor("anonymous", UUID(int=0))
FORGED = Actor("anonymous", UUID(int=1))
"""Whoever comes with a token that signs nobody in; refused even where no token is needed but one is looked at."""


class Grant(msgspec.Struct, frozen=True):
    """Leave to touch one patient's data of ``categories``."""

    patient: UUID
    actor: UUID
    categories: frozenset[str]


class Unit(msgspec.Struct, frozen=True):
    """One request being answered: what there is, when, by whom, what was asked."""

    world: World
    site: Site
    now: datetime
    actor: Actor
    heard: Heard

    def feed(self, patient: UUID) -> Feed:
        """The patient's order of changes."""
        return self.world.feeds[patient]


def resolve(world: World, now: datetime, token: str | None) -> Actor:
    """Who a token is now; nobody without one."""
    if token is None:
        return NOBODY
    held = world.tokens.get(token)
    if held is None or not held.live(now):
        return FORGED
    owner = world.people[held.owner]
    match held.kind:
        case "app":
            return Actor("app", held.id, owner.clinic, owner.id, token, held.scopes)
        case "device":
            return Actor("patient", owner.id, owner.clinic, owner.id, token)
        case "session":
            return Actor("clinician", owner.id, owner.clinic, None, token)


def patient_id(actor: Actor, patient: str) -> UUID:
    """The id a path names; ``me`` is the signed-in patient."""
    if patient == "me":
        if actor.patient_id is None:
            raise not_found()
        return actor.patient_id
    try:
        named = UUID(patient)
    except ValueError:
        raise not_found() from None
    if str(named) != patient.lower():
        raise not_found()
    return named


def own(unit: Unit, patient: str) -> Grant:
    """All of the caller's own record; whoever asks has checked scope or person."""
    named = patient_id(unit.actor, patient)
    if unit.actor.patient_id != named:
        raise not_found()
    return Grant(named, unit.actor.id, ALL)


def to_write_diary(unit: Unit, patient: str) -> Grant:
    """The patient's own diary, by the patient or an app with ``logs:write``; staff write no diary."""
    unit.actor.may("logs:write")
    return own(unit, patient)


def to_find(unit: Unit, patient: str, scope: str = "logs:read") -> Grant:
    """The caller's own record, or what a clinician's consents cover."""
    unit.actor.may(scope)
    named = patient_id(unit.actor, patient)
    if unit.actor.patient_id == named:
        return Grant(named, unit.actor.id, ALL)
    return Grant(named, unit.actor.id, consented(unit, named))


def consented(unit: Unit, patient: UUID) -> frozenset[str]:
    """The kinds that the patient's consents let this clinician, or her clinic, see now; the hidden 404 without one."""
    actor = unit.actor
    given = unit.world.consents.get(patient, {}).values()
    found = [one for one in given if one.recipient in (actor.id, actor.clinic) and is_active(one, unit.now)]
    if actor.role != "clinician" or not found:
        raise not_found()
    return frozenset(category for one in found for category in one.categories)


def is_active(consent: Consent, now: datetime) -> bool:
    """From (inclusive) to until (exclusive), unless revoked."""
    begun = consent.revoked_at is None and consent.from_ <= now
    return begun and (consent.until is None or now < consent.until)


def shown(unit: Unit, grant: Grant, kinds: Iterable[str] = ()) -> None:
    """A look by whoever is not the patient is a link of the patient's chain: it takes a place in the order."""
    if unit.actor.role in ("clinician", "app"):
        unit.feed(grant.patient).next()
