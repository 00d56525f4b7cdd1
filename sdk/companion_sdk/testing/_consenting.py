"""Consents of the fake service as the patient handles them; a clinician's read asks ``_gate``."""

from datetime import UTC
from uuid import UUID

import msgspec

from companion_sdk import wire

from . import _gate
from ._exchange import Said, answer
from ._gate import Unit
from ._refusals import Refused, invalid, not_found


def patient(unit: Unit, patient: str) -> Said:
    """A patient's name, zone and site."""
    unit.heard.no_query()
    grant = _gate.to_find(unit, patient, "profile:read")
    person = unit.world.people.get(grant.patient)
    if person is None:
        raise not_found()
    _gate.shown(unit, grant)
    clinic = unit.world.clinics[person.clinic]
    return answer(wire.Patient(id=person.id, name=person.name, zone=person.zone, clinic=clinic))


def consents(unit: Unit, patient: str) -> Said:
    """Every consent the patient gave, revoked ones too."""
    unit.heard.no_query()
    unit.actor.may("consents:read")
    grant = _gate.own(unit, patient)
    _gate.shown(unit, grant)
    given = unit.world.consents.get(grant.patient, {}).values()
    return answer(wire.ConsentList(items=[_as_of_now(unit, one) for one in given]))


def _as_of_now(unit: Unit, consent: wire.Consent) -> wire.Consent:
    return msgspec.structs.replace(consent, active=_gate.is_active(consent, unit.now))


def give(unit: Unit, patient: str, consent: str) -> Said:
    """Give or change a consent; the same again is the same; one that was revoked stays revoked."""
    request = unit.heard.read(wire.ConsentIn)
    unit.heard.no_query()
    unit.actor.person()
    grant = _gate.own(unit, patient)
    return answer(_as_of_now(unit, keep(unit, grant.patient, UUID(consent), request)))


def keep(unit: Unit, patient: UUID, consent: UUID, request: wire.ConsentIn) -> wire.Consent:
    """Store what a patient agreed to."""
    given = unit.world.consents.setdefault(patient, {})
    before = given.get(consent)
    after = _asked(unit, patient, consent, request, before)
    if before is not None:
        if before.revoked_at is not None:
            raise Refused("gone", "This consent was revoked; give a new one")
        same = msgspec.structs.replace(after, revision=before.revision, recorded_at=before.recorded_at)
        if same == before:
            return before
    unit.feed(patient).next()
    given[consent] = after
    return after


def _asked(unit: Unit, patient: UUID, consent: UUID, request: wire.ConsentIn, before: wire.Consent | None) -> wire.Consent:
    known = unit.world.clinics.keys() | {one.id for one in unit.world.people.values() if one.role == "clinician"}
    if request.recipient not in known:
        raise invalid(("/recipient", "unknown-recipient"))
    begins = (request.from_ or (unit.now if before is None else before.from_)).astimezone(UTC)
    ends = None if request.until is None else request.until.astimezone(UTC)
    if ends is not None and ends <= begins:
        raise invalid(("/until", "before-from"))
    return wire.Consent(
        id=consent,
        patient_id=patient,
        recipient=request.recipient,
        categories=tuple(sorted(set(request.categories))),
        purpose=request.purpose,
        from_=begins,
        until=ends,
        text_version=request.text_version,
        signature=request.signature,
        revision=1 if before is None else before.revision + 1,
        recorded_at=unit.now,
        revoked_at=None,
        active=True,
    )


def revoke(unit: Unit, patient: str, consent: str) -> Said:
    """End a consent now; again is the same."""
    unit.heard.no_query()
    unit.actor.person()
    grant = _gate.own(unit, patient)
    return answer(_as_of_now(unit, end(unit, grant.patient, UUID(consent))))


def end(unit: Unit, patient: UUID, consent: UUID) -> wire.Consent:
    """End a consent of a patient's."""
    given = unit.world.consents.get(patient, {})
    before = given.get(consent)
    if before is None:
        raise not_found()
    if before.revoked_at is not None:
        return before
    unit.feed(patient).next()
    after = msgspec.structs.replace(
        before, revision=before.revision + 1, revoked_at=unit.now, recorded_at=unit.now, active=False
    )
    given[consent] = after
    return after
