"""The signed-in person and what others may call them. Knows nothing of how they signed in."""

from uuid import UUID

import msgspec

from companion_sdk import wire

from ..core import audit, zones
from ..core.actors import Actor
from ..core.db import Tx
from ..core.errors import Invalid, NotFound
from . import keys, store
from .events import ZoneChanged


def me(tx: Tx, actor: Actor) -> wire.Me:
    """The signed-in person; for a third-party token, what the token is."""
    actor.known()
    if actor.role == "clinician":
        clinician = store.clinician(tx, actor.id)
        if clinician is None:
            raise NotFound
        return of_clinician(tx, clinician)
    patient = None if actor.patient_id is None else store.patient(tx, actor.patient_id)
    if patient is None:
        raise NotFound
    if actor.scopes is None:
        return of_patient(tx, patient)
    token = None if actor.token_id is None else keys.token_of(tx, actor.token_id)
    return wire.Me(
        id=actor.id,
        role="app",
        name="" if token is None else token.label.name,
        zone=patient.profile.zone,
        language=patient.profile.language,
        scopes=sorted(actor.scopes),
        patient_id=patient.id,
    )


def of_clinician(tx: Tx, clinician: store.ClinicianRow) -> wire.Me:
    """A clinician, to herself."""
    return wire.Me(
        id=clinician.id,
        role="clinician",
        name=clinician.profile.name,
        zone=clinician.profile.zone,
        language=clinician.profile.language,
        scopes=("clinician",),
        clinician_id=clinician.id,
        clinic=clinic_of(tx, clinician.clinic_id),
    )


def of_patient(tx: Tx, patient: store.PatientRow) -> wire.Me:
    """A patient, to themselves, with the team that may be named in a consent."""
    team = store.colleagues(tx, patient.clinic_id)
    return wire.Me(
        id=patient.id,
        role="patient",
        name=patient.profile.name,
        zone=patient.profile.zone,
        language=patient.profile.language,
        scopes=("patient",),
        patient_id=patient.id,
        clinic=clinic_of(tx, patient.clinic_id),
        clinicians=[wire.Colleague(id=one.id, name=one.profile.name) for one in team],
    )


def change_me(tx: Tx, actor: Actor, change: wire.MePatch) -> wire.Me:
    """Change one's own name, zone or language; nudges follow a patient's new zone."""
    actor.person()
    given = {name: value for name in ("name", "zone", "language") if (value := getattr(change, name)) is not None}
    if change.zone is not None:
        check_zone(change.zone, "/zone")
    if actor.role == "clinician":
        return _change_clinician(tx, actor, given)
    patient_id = actor.patient()
    audit.lock(tx, patient_id)
    patient = patient_of(tx, patient_id)
    zone = given.pop("zone", patient.profile.zone)
    if given:
        patient = store.set_profile(tx, patient, msgspec.structs.replace(patient.profile, **given))
    return of_patient(tx, follow_zone(tx, patient, zone))


def _change_clinician(tx: Tx, actor: Actor, given: dict[str, str]) -> wire.Me:
    clinician = store.clinician_to_change(tx, actor.id)
    if clinician is None:
        raise NotFound
    if given:
        clinician = store.set_clinician(tx, clinician, msgspec.structs.replace(clinician.profile, **given))
    return of_clinician(tx, clinician)


def follow_zone(tx: Tx, patient: store.PatientRow, zone: str) -> store.PatientRow:
    """Move a patient to a zone; the same zone changes nothing."""
    if zone == patient.profile.zone:
        return patient
    moved = store.set_profile(tx, patient, msgspec.structs.replace(patient.profile, zone=zone))
    tx.emit(ZoneChanged(patient.id))
    return moved


def patient_of(tx: Tx, patient_id: UUID) -> store.PatientRow:
    """A patient's row; the gate has been asked by whoever calls."""
    patient = store.patient(tx, patient_id)
    if patient is None:
        raise NotFound
    return patient


def clinic_of(tx: Tx, clinic_id: UUID) -> wire.Clinic:
    """A clinic as the contract names it."""
    clinic = store.clinic(tx, clinic_id)
    if clinic is None:
        raise NotFound
    return wire.Clinic(id=clinic.id, name=clinic.name, site=clinic.site)


def recipient_name(tx: Tx, recipient: UUID) -> str | None:
    """The name of a clinician or clinic that may stand in a consent; None if there is no such."""
    clinician = store.clinician(tx, recipient)
    if clinician is not None:
        return clinician.profile.name
    clinic = store.clinic(tx, recipient)
    return None if clinic is None else clinic.name


def reader_name(tx: Tx, reader: UUID) -> str:
    """The name of whoever a disclosure names: a clinician, or the third-party token that read."""
    name = recipient_name(tx, reader)
    if name is None:
        token = keys.token_of(tx, reader)
        name = "" if token is None else token.label.name
    return name


def check_zone(zone: str, pointer: str) -> None:
    """Refuse a zone that IANA does not know.

    Raises:
        Invalid: naming the field at ``pointer``.
    """
    if not zones.exists(zone):
        raise Invalid((pointer, "unknown-zone"))
