"""What people may do with their own sign-in: resolve a token, invite, sign in and out, devices, tokens, profile."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from companion_sdk import wire

from ..core import audit, zones
from ..core.actors import NOBODY, Actor, Bearer, Caller, Operator, System
from ..core.clock import instant, micros
from ..core.db import Tx
from ..core.errors import Invalid, NotFound, Problem, Unauthenticated
from ..core.ids import digest, is_token, new_code, new_token, normal_code, uuid7
from . import keys, store
from .events import ZoneChanged

INVITE_LASTS = timedelta(days=7)
INVITE_GRACE = timedelta(minutes=10)
CODE_LASTS = timedelta(minutes=15)
DEVICE_LASTS = timedelta(days=180)
SESSION_LASTS = timedelta(hours=12)
REPEAT_LASTS = timedelta(hours=24)


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


# what an operator or a clinician sets up


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
    return _new_patient(tx, clinic_id, store.Profile(name=name, zone=zone, email=email))


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


def _new_patient(tx: Tx, clinic_id: UUID, profile: store.Profile) -> UUID:
    _check_zone(profile.zone, "/zone")
    patient = store.PatientRow(uuid7(tx.now), clinic_id, micros(tx.now), profile)
    store.add_patient(tx, patient)
    audit.begin(tx, patient.id)
    return patient.id


def _check_zone(zone: str, pointer: str) -> None:
    if not zones.exists(zone):
        raise Invalid((pointer, "unknown-zone"))


# invites


def invite(tx: Tx, actor: Actor, request: wire.InviteIn, key: str | None = None) -> wire.Invite:
    """A clinician invites a new patient to her clinic; for one she has see ``consent.invite_again``."""
    actor.clinician()
    assert actor.clinic_id is not None
    made = repeated(tx, actor, "invites", key, request)
    known = None if made is None else keys.invite_by_id(tx, made)
    if known is None:
        profile = store.Profile(name=request.name or "", zone=request.zone or "UTC", email=request.email or "")
        patient = _new_patient(tx, actor.clinic_id, profile)
    else:
        patient = known.patient_id
    return make_invite(tx, actor, patient, made)


def invite_own_phone(tx: Tx, actor: Actor, request: wire.MyInviteIn, key: str | None = None) -> wire.Invite:
    """A patient invites a second phone of their own."""
    patient = actor.patient()
    return make_invite(tx, actor, patient, repeated(tx, actor, "me/invites", key, request))


def invite_for(tx: Tx, actor: Actor, patient: UUID) -> wire.Invite:
    """A new code for a patient (operator)."""
    _operator(actor)
    if store.patient(tx, patient) is None:
        raise NotFound
    return make_invite(tx, actor, patient, None)


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
        keys.set_invite(tx, before, after)
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


# sign-in


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
    keys.add_token(tx, _token(tx, token, "session", clinician.clinic_id, expires, clinician=clinician.id))
    return wire.SignedIn(access_token=token, expires_at=expires, me=_me_clinician(tx, clinician))


def _sign_in_patient(tx: Tx, request: wire.InviteSignIn) -> wire.SignedIn:
    _check_zone(request.device.zone, "/device/zone")
    invite = keys.invite(tx, digest(normal_code(request.code)))
    if invite is None or not _usable(invite, request.device.id, micros(tx.now)):
        raise Unauthenticated
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
    row = _token(tx, token, "device", patient.clinic_id, expires, patient=patient.id, device=device, label=label)
    keys.add_token(tx, row)
    used = msgspec.structs.replace(invite, used_at=invite.used_at or micros(tx.now), device_id=device, token_hash=row.hash)
    keys.set_invite(tx, invite, used)
    patient = _follow_zone(tx, patient, request.device.zone)
    return wire.SignedIn(access_token=token, expires_at=expires, me=_me_patient(tx, patient))


def _usable(invite: keys.InviteRow, device: UUID | None, now: int) -> bool:
    """One use; the same device within ten minutes may use it again, so that a lost reply locks nobody out."""
    if invite.used_at is None:
        return now < invite.expires_at
    grace = INVITE_GRACE // timedelta(microseconds=1)
    return device is not None and device == invite.device_id and now <= invite.used_at + grace


def _token(
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
        row = _token(tx, token, "device", found.clinic_id, expires, patient=patient, device=uuid7(tx.now), label=label)
    else:
        doctor = None if clinician is None else store.clinician(tx, clinician)
        if doctor is None:
            raise NotFound
        row = _token(tx, token, "session", doctor.clinic_id, expires, clinician=doctor.id)
    keys.add_token(tx, row)
    return token


# the signed-in person


def me(tx: Tx, actor: Actor) -> wire.Me:
    """The signed-in person; for a third-party token, what the token is."""
    actor.known()
    if actor.role == "clinician":
        clinician = store.clinician(tx, actor.id)
        if clinician is None:
            raise NotFound
        return _me_clinician(tx, clinician)
    patient = None if actor.patient_id is None else store.patient(tx, actor.patient_id)
    if patient is None:
        raise NotFound
    if actor.scopes is None:
        return _me_patient(tx, patient)
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


def _clinic(tx: Tx, clinic_id: UUID) -> wire.Clinic:
    clinic = store.clinic(tx, clinic_id)
    if clinic is None:
        raise NotFound
    return wire.Clinic(id=clinic.id, name=clinic.name, site=clinic.site)


def _me_clinician(tx: Tx, clinician: store.ClinicianRow) -> wire.Me:
    return wire.Me(
        id=clinician.id,
        role="clinician",
        name=clinician.profile.name,
        zone=clinician.profile.zone,
        language=clinician.profile.language,
        scopes=("clinician",),
        clinician_id=clinician.id,
        clinic=_clinic(tx, clinician.clinic_id),
    )


def _me_patient(tx: Tx, patient: store.PatientRow) -> wire.Me:
    team = store.colleagues(tx, patient.clinic_id)
    return wire.Me(
        id=patient.id,
        role="patient",
        name=patient.profile.name,
        zone=patient.profile.zone,
        language=patient.profile.language,
        scopes=("patient",),
        patient_id=patient.id,
        clinic=_clinic(tx, patient.clinic_id),
        clinicians=[wire.Colleague(id=one.id, name=one.profile.name) for one in team],
    )


def change_me(tx: Tx, actor: Actor, change: wire.MePatch) -> wire.Me:
    """Change one's own name, zone or language; nudges follow a patient's new zone."""
    patient_id = actor.patient()
    audit.lock(tx, patient_id)
    patient = store.patient(tx, patient_id)
    if patient is None:
        raise NotFound
    given = {name: value for name in ("name", "language") if (value := getattr(change, name)) is not None}
    if given:
        patient = store.set_profile(tx, patient, msgspec.structs.replace(patient.profile, **given))
    if change.zone is not None:
        _check_zone(change.zone, "/zone")
        patient = _follow_zone(tx, patient, change.zone)
    return _me_patient(tx, patient)


def _follow_zone(tx: Tx, patient: store.PatientRow, zone: str) -> store.PatientRow:
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
    return _clinic(tx, clinic_id)


def recipient_name(tx: Tx, recipient: UUID) -> str | None:
    """The name of a clinician or clinic that may stand in a consent; None if there is no such."""
    clinician = store.clinician(tx, recipient)
    if clinician is not None:
        return clinician.profile.name
    clinic = store.clinic(tx, recipient)
    return None if clinic is None else clinic.name


# devices and third-party tokens


def devices(tx: Tx, actor: Actor) -> wire.DeviceList:
    """The phones that are signed in."""
    patient = actor.patient()
    live = [token for token in keys.tokens(tx, patient) if token.kind == "device" and _live(tx, token)]
    return wire.DeviceList(
        items=[
            wire.Device(
                id=token.device_id or token.id,
                name=token.label.name,
                zone=token.label.zone,
                created_at=instant(token.created_at),
                expires_at=instant(token.expires_at),
                current=token.id == actor.token_id,
            )
            for token in live
        ]
    )


def _live(tx: Tx, token: keys.TokenRow) -> bool:
    return token.revoked_at is None and token.expires_at > micros(tx.now)


def sign_out_device(tx: Tx, actor: Actor, device: UUID) -> None:
    """Sign out one of one's own phones; again is the same."""
    patient = actor.patient()
    found = [token for token in keys.tokens(tx, patient) if token.kind == "device" and token.device_id == device]
    if not found:
        raise NotFound
    for token in found:
        if token.revoked_at is None:
            keys.revoke(tx, token)


def tokens(tx: Tx, actor: Actor) -> wire.TokenList:
    """The third-party tokens a patient gave out and has not ended."""
    patient = actor.patient()
    live = [token for token in keys.tokens(tx, patient) if token.kind == "app" and _live(tx, token)]
    return wire.TokenList(items=[_third_party(token) for token in live])


def _third_party(token: keys.TokenRow, secret: str | None = None) -> wire.Token:
    return wire.Token(
        id=token.id,
        name=token.label.name,
        scopes=token.scopes.split(),
        created_at=instant(token.created_at),
        expires_at=instant(token.expires_at),
        token=secret,
    )


def make_token(tx: Tx, actor: Actor, request: wire.TokenIn, key: str | None = None) -> wire.Token:
    """A scoped token for a third party. A repeat names the same token with a new secret; the first secret ends."""
    patient = actor.patient()
    assert actor.clinic_id is not None
    made = repeated(tx, actor, "me/tokens", key, request)
    secret = new_token()
    before = None if made is None else keys.token(tx, made)
    if before is not None:
        if not _live(tx, before):
            raise Problem("conflict", "The token made with this Idempotency-Key has ended")
        return _third_party(keys.renew(tx, before, digest(secret)), secret)
    row = _token(
        tx,
        secret,
        "app",
        actor.clinic_id,
        tx.now + timedelta(days=request.days),
        patient=patient,
        scopes=" ".join(sorted(set(request.scopes))),
        label=keys.Label(name=request.name),
        id=made,
    )
    keys.add_token(tx, row)
    return _third_party(row, secret)


def end_token(tx: Tx, actor: Actor, token_id: UUID) -> None:
    """End a third-party token; again is the same."""
    patient = actor.patient()
    token = keys.token(tx, token_id)
    if token is None or token.patient_id != patient or token.kind != "app":
        raise NotFound
    if token.revoked_at is None:
        keys.revoke(tx, token)
