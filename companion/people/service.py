"""People as the rest of the service reaches them: who a caller is, what an operator sets up, and the verbs of this room."""

from datetime import timedelta
from uuid import UUID

from companion_sdk import wire

from ..core.actors import NOBODY, Actor, Bearer, Caller, Operator, System
from ..core.clock import micros
from ..core.db import Tx
from ..core.errors import NotFound, Unauthenticated
from ..core.ids import digest, is_token, new_code, new_token, normal_code, uuid7
from . import keys, store
from .devices import devices, end_token, make_token, sign_out_device, tokens
from .profile import change_me, clinic_of, me, patient_of, reader_name, recipient_name
from .signing import (
    invite,
    invite_own_phone,
    make_invite,
    new_patient,
    repeated,
    sign_in,
    sign_out,
    token_row,
)

CODE_LASTS = timedelta(minutes=15)

__all__ = [
    "CODE_LASTS",
    "add_clinic",
    "add_clinician",
    "add_patient",
    "change_me",
    "clinic_of",
    "clinician_code",
    "clinicians",
    "clinics",
    "devices",
    "end_token",
    "invite",
    "invite_for",
    "invite_own_phone",
    "make_invite",
    "make_token",
    "me",
    "operator_token",
    "patient_of",
    "patients",
    "reader_name",
    "recipient_name",
    "repeated",
    "resolve",
    "sign_in",
    "sign_out",
    "sign_out_device",
    "tokens",
]


def resolve(tx: Tx, caller: Caller) -> Actor:
    """Who a caller is, at this unit's instant.

    Raises:
        Unauthenticated: for a token that is forged, revoked or expired.
    """
    if isinstance(caller, Bearer):
        return _bearer(tx, caller.token)
    if isinstance(caller, System):
        return Actor(role="system", id=UUID(int=1))
    if isinstance(caller, Operator):
        return Actor(role="operator", id=UUID(int=2))
    return NOBODY


def _bearer(tx: Tx, token: str) -> Actor:
    row = keys.resolve(tx, digest(token)) if is_token(token) else None
    if row is None:
        raise Unauthenticated
    token_id, kind, patient, clinician, clinic, scopes, expires_at, revoked_at = row
    if revoked_at is not None or expires_at <= micros(tx.now):
        raise Unauthenticated
    patient_id = None if patient is None else UUID(bytes=bytes(patient))
    clinic_id = UUID(bytes=bytes(clinic))
    own_id = UUID(bytes=bytes(token_id))
    if kind == "app":
        return Actor("app", own_id, clinic_id, patient_id, own_id, frozenset(scopes.split()))
    if kind == "device":
        assert patient_id is not None
        return Actor("patient", patient_id, clinic_id, patient_id, own_id)
    return Actor("clinician", UUID(bytes=bytes(clinician)), clinic_id, None, own_id)


def add_clinic(tx: Tx, actor: Actor, name: str, site: str) -> UUID:
    """A new clinic with one site (operator)."""
    _operator(actor)
    clinic = store.ClinicRow(uuid7(tx.now), name, site)
    store.add_clinic(tx, clinic)
    return clinic.id


def add_clinician(tx: Tx, actor: Actor, clinic_id: UUID, name: str, email: str = "") -> UUID:
    """A new clinician of a clinic (operator)."""
    _operator(actor)
    if store.clinic(tx, clinic_id) is None:
        raise NotFound
    row = store.ClinicianRow(uuid7(tx.now), clinic_id, micros(tx.now), store.Profile(name=name, email=email))
    store.add_clinician(tx, row)
    return row.id


def add_patient(tx: Tx, actor: Actor, clinic_id: UUID, name: str, zone: str, email: str = "") -> UUID:
    """A new patient of a clinic (operator), without a phone yet."""
    _operator(actor)
    if store.clinic(tx, clinic_id) is None:
        raise NotFound
    return new_patient(tx, clinic_id, store.Profile(name=name, zone=zone, email=email))


def clinician_code(tx: Tx, actor: Actor, clinician_id: UUID) -> str:
    """A clinician's one-time sign-in code of fifteen minutes (operator)."""
    _operator(actor)
    if store.clinician(tx, clinician_id) is None:
        raise NotFound
    code = new_code()
    keys.add_code(tx, digest(normal_code(code)), clinician_id, micros(tx.now + CODE_LASTS))
    return code


def clinics(tx: Tx, actor: Actor) -> list[store.ClinicRow]:
    """Every clinic (operator)."""
    _operator(actor)
    return store.clinics(tx)


def clinicians(tx: Tx, actor: Actor) -> list[store.ClinicianRow]:
    """Every clinician (operator)."""
    _operator(actor)
    return store.clinicians(tx)


def patients(tx: Tx, actor: Actor) -> list[store.PatientRow]:
    """Every patient (operator)."""
    _operator(actor)
    return store.patients(tx)


def _operator(actor: Actor) -> None:
    if actor.role != "operator":
        raise NotFound


def invite_for(tx: Tx, actor: Actor, patient: UUID) -> wire.Invite:
    """A new code for a patient (operator)."""
    _operator(actor)
    if store.patient(tx, patient) is None:
        raise NotFound
    return make_invite(tx, actor, patient, None)


def operator_token(tx: Tx, actor: Actor, patient: UUID | None, clinician: UUID | None, days: int) -> str:
    """A token for a patient's device or a clinician, made at the command line (operator)."""
    _operator(actor)
    token = new_token()
    expires = tx.now + timedelta(days=days)
    if patient is not None:
        found = store.patient(tx, patient)
        if found is None:
            raise NotFound
        label = keys.Label(name="command line", zone=found.profile.zone)
        row = token_row(tx, token, "device", found.clinic_id, expires, patient=patient, device=uuid7(tx.now), label=label)
    else:
        doctor = None if clinician is None else store.clinician(tx, clinician)
        if doctor is None:
            raise NotFound
        row = token_row(tx, token, "session", doctor.clinic_id, expires, clinician=doctor.id)
    keys.add_token(tx, row)
    return token
