"""Invites, sign-in and sign-out, and the memory of repeated POSTs. Secrets are told once; only their hashes are kept."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from companion_sdk import wire

from ..core import audit
from ..core.actors import Actor
from ..core.clock import micros
from ..core.db import Tx
from ..core.errors import Problem, Unauthenticated
from ..core.ids import digest, new_code, new_token, normal_code, uuid7
from . import keys, profile, store

INVITE_LASTS = timedelta(days=7)
INVITE_GRACE = timedelta(minutes=10)
DEVICE_LASTS = timedelta(days=180)
SESSION_LASTS = timedelta(hours=12)
REPEAT_LASTS = timedelta(hours=24)


def new_patient(tx: Tx, clinic_id: UUID, person: store.Profile) -> UUID:
    """A patient with the start of a chain."""
    profile.check_zone(person.zone, "/zone")
    patient = store.PatientRow(uuid7(tx.now), clinic_id, micros(tx.now), person)
    store.add_patient(tx, patient)
    audit.begin(tx, patient.id)
    return patient.id


def invite(tx: Tx, actor: Actor, request: wire.InviteIn, key: str | None = None) -> wire.Invite:
    """A clinician invites a new patient to her clinic; for one she has see ``consent.invite``."""
    actor.clinician()
    assert actor.clinic_id is not None
    made = repeated(tx, actor, "invites", key, request)
    known = None if made is None else keys.invite_by_id(tx, made)
    if known is None:
        person = store.Profile(name=request.name or "", zone=request.zone or "UTC", email=request.email or "")
        patient = new_patient(tx, actor.clinic_id, person)
    else:
        patient = known.patient_id
    return make_invite(tx, actor, patient, made)


def invite_own_phone(tx: Tx, actor: Actor, request: wire.MyInviteIn, key: str | None = None) -> wire.Invite:
    """A patient invites a second phone of their own."""
    patient = actor.patient()
    return make_invite(tx, actor, patient, repeated(tx, actor, "me/invites", key, request))


def make_invite(tx: Tx, actor: Actor, patient: UUID, made: UUID | None) -> wire.Invite:
    """A code for the patient; with ``made`` (a repeat) the invite made then gets a new code and the old one ends."""
    code = new_code()
    expires = tx.now + INVITE_LASTS
    before = None if made is None else keys.invite_by_id(tx, made)
    if before is not None and before.used_at is not None:
        raise Problem("conflict", "The invite made with this Idempotency-Key was used")
    after = keys.InviteRow(
        digest(normal_code(code)),
        made or uuid7(tx.now),
        patient,
        actor.id,
        micros(tx.now),
        micros(expires),
        None,
        None,
        None,
    )
    if before is None:
        keys.add_invite(tx, after)
    else:
        keys.set_invite(tx, after)
    return wire.Invite(code=code, patient_id=patient, expires_at=expires)


def repeated(tx: Tx, actor: Actor, route: str, key: str | None, request: msgspec.Struct) -> UUID | None:
    """The id this POST makes: None without an Idempotency-Key, else the one made by the first with this key.

    Raises:
        Problem: ``conflict`` when the key was used with another body.
    """
    if key is None:
        return None
    hashed = digest(f"{actor.id}|{route}|{key}")
    body = digest(msgspec.json.encode(request).decode())
    store.forget_repeats(tx, micros(tx.now - REPEAT_LASTS))
    made = uuid7(tx.now)
    if store.keep_repeat(tx, hashed, body, made):
        return made
    found = store.repeat(tx, hashed, micros(tx.now - REPEAT_LASTS))
    if found is None or found[0] != body:
        raise Problem("conflict", "This Idempotency-Key was used with another body")
    return found[1]


def sign_in(tx: Tx, actor: Actor, request: wire.SignIn) -> wire.SignedIn:
    """Exchange a code for a token."""
    if isinstance(request, wire.CodeSignIn):
        return _sign_in_clinician(tx, request)
    return _sign_in_patient(tx, request)


def _sign_in_clinician(tx: Tx, request: wire.CodeSignIn) -> wire.SignedIn:
    clinician_id = keys.use_code(tx, digest(normal_code(request.code)))
    clinician = None if clinician_id is None else store.clinician(tx, clinician_id)
    if clinician is None:
        raise Unauthenticated
    token = new_token()
    expires = tx.now + SESSION_LASTS
    keys.add_token(tx, token_row(tx, token, "session", clinician.clinic_id, expires, clinician=clinician.id))
    return wire.SignedIn(access_token=token, expires_at=expires, me=profile.of_clinician(tx, clinician))


def _sign_in_patient(tx: Tx, request: wire.InviteSignIn) -> wire.SignedIn:
    profile.check_zone(request.device.zone, "/device/zone")
    invite = keys.invite(tx, digest(normal_code(request.code)))
    if invite is None or not _usable(invite, request.device.id, micros(tx.now)):
        raise Unauthenticated
    audit.lock(tx, invite.patient_id)  # another phone, or a change of the profile, waits its turn
    patient = store.patient(tx, invite.patient_id)
    if patient is None:
        raise Unauthenticated
    device = request.device.id or uuid7(tx.now)
    for earlier in keys.tokens(tx, patient.id):
        if earlier.device_id == device and earlier.revoked_at is None:
            keys.revoke(tx, earlier)
    token = new_token()
    expires = tx.now + DEVICE_LASTS
    label = keys.Label(name=request.device.name, zone=request.device.zone)
    row = token_row(tx, token, "device", patient.clinic_id, expires, patient=patient.id, device=device, label=label)
    keys.add_token(tx, row)
    used = msgspec.structs.replace(invite, used_at=invite.used_at or micros(tx.now), device_id=device, token_hash=row.hash)
    keys.set_invite(tx, used)
    patient = profile.follow_zone(tx, patient, request.device.zone)
    return wire.SignedIn(access_token=token, expires_at=expires, me=profile.of_patient(tx, patient))


def _usable(invite: keys.InviteRow, device: UUID | None, now: int) -> bool:
    """One use; the same device within ten minutes may use it again, so that a lost reply locks nobody out."""
    if invite.used_at is None:
        return now < invite.expires_at
    grace = INVITE_GRACE // timedelta(microseconds=1)
    return device is not None and device == invite.device_id and now <= invite.used_at + grace


def token_row(
    tx: Tx,
    token: str,
    kind: str,
    clinic: UUID,
    expires: datetime,
    *,
    patient: UUID | None = None,
    clinician: UUID | None = None,
    device: UUID | None = None,
    scopes: str = "",
    label: keys.Label | None = None,
    id: UUID | None = None,
) -> keys.TokenRow:
    """A live token's row for the secret ``token``, of which only the hash is kept."""
    return keys.TokenRow(
        hash=digest(token),
        id=id or uuid7(tx.now),
        kind=kind,
        patient_id=patient,
        clinician_id=clinician,
        clinic_id=clinic,
        device_id=device,
        scopes=scopes,
        created_at=micros(tx.now),
        expires_at=micros(expires),
        revoked_at=None,
        label=label or keys.Label(),
    )


def sign_out(tx: Tx, actor: Actor) -> None:
    """End the token this call came with."""
    actor.known()
    token = None if actor.token_id is None else keys.token(tx, actor.token_id)
    if token is not None:
        keys.revoke(tx, token)
