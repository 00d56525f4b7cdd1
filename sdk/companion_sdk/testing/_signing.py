"""Invites, sign-in and sign-out, the signed-in person, devices and tokens of the fake service."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import cast
from uuid import UUID

import msgspec

from companion_sdk import wire
from companion_sdk.clinical.days import zone_of

from . import _gate
from ._exchange import Said, answer
from ._gate import Unit
from ._refusals import Refused, invalid, not_found, unauthenticated
from ._site import normal_code
from ._world import Account, Feed, Held, Invited, Made

INVITE_LASTS = timedelta(days=7)
INVITE_GRACE = timedelta(minutes=10)
CODE_LASTS = timedelta(minutes=15)
DEVICE_LASTS = timedelta(days=180)
SESSION_LASTS = timedelta(hours=12)
REPEAT_LASTS = timedelta(hours=24)


def sign_in(unit: Unit) -> Said:
    """Exchange a code for a token."""
    request = unit.heard.read(cast("type[wire.SignIn]", wire.SignIn))
    unit.heard.no_query()
    if unit.actor is _gate.FORGED:
        raise unauthenticated()
    if isinstance(request, wire.CodeSignIn):
        return answer(_sign_in_clinician(unit, request))
    return answer(_sign_in_patient(unit, request))


def _sign_in_clinician(unit: Unit, request: wire.CodeSignIn) -> wire.SignedIn:
    code = normal_code(request.code)
    found = unit.world.codes.get(code)
    if found is None or found.used or unit.now >= found.expires_at:
        raise unauthenticated()
    unit.world.codes[code] = msgspec.structs.replace(found, used=True)
    return begin_session(unit, unit.world.people[found.clinician])


def begin_session(unit: Unit, clinician: Account) -> wire.SignedIn:
    """A clinician's new token."""
    token, expires = unit.site.new_token(clinician.name), unit.now + SESSION_LASTS
    unit.world.tokens[token] = Held(
        unit.site.new_id(unit.now), "session", clinician.id, "", clinician.zone, unit.now, expires
    )
    return wire.SignedIn(access_token=token, expires_at=expires, me=of(unit, clinician))


def _sign_in_patient(unit: Unit, request: wire.InviteSignIn) -> wire.SignedIn:
    check_zone(request.device.zone, "/device/zone")
    code = normal_code(request.code)
    invited = unit.world.invites.get(code)
    if invited is None or not _usable(invited, request.device.id, unit.now):
        raise unauthenticated()
    device = request.device.id or unit.site.new_id(unit.now)
    unit.world.invites[code] = msgspec.structs.replace(invited, used_at=invited.used_at or unit.now, device=device)
    return begin_device(unit, unit.world.people[invited.patient], device, request.device.name, request.device.zone)


def _usable(invited: Invited, device: UUID | None, now: datetime) -> bool:
    """One use; the same device within ten minutes may use it again."""
    if invited.used_at is None:
        return now < invited.expires_at
    return device is not None and device == invited.device and now <= invited.used_at + INVITE_GRACE


def begin_device(unit: Unit, patient: Account, device: UUID, name: str, zone: str) -> wire.SignedIn:
    """A patient's new token on a device; an earlier one of the same device ends."""
    for earlier, held in unit.world.tokens.items():
        if held.owner == patient.id and held.device == device and not held.revoked:
            unit.world.tokens[earlier] = msgspec.structs.replace(held, revoked=True)
    token, expires = unit.site.new_token(patient.name), unit.now + DEVICE_LASTS
    made = Held(unit.site.new_id(unit.now), "device", patient.id, name, zone, unit.now, expires, device)
    unit.world.tokens[token] = made
    unit.world.people[patient.id] = moved = msgspec.structs.replace(patient, zone=zone)
    return wire.SignedIn(access_token=token, expires_at=expires, me=of(unit, moved))


def sign_out(unit: Unit) -> Said:
    """End the token this call came with."""
    unit.heard.no_query()
    unit.actor.known()
    end(unit, unit.actor.token)
    return Said(204)


def end(unit: Unit, token: str) -> None:
    """End a token; again is the same."""
    unit.world.tokens[token] = msgspec.structs.replace(unit.world.tokens[token], revoked=True)


# the signed-in person


def me(unit: Unit) -> Said:
    """The signed-in person; for a third-party token, what the token is."""
    unit.heard.no_query()
    unit.actor.known()
    held = unit.world.tokens[unit.actor.token]
    owner = unit.world.people[held.owner]
    if unit.actor.scopes is None:
        return answer(of(unit, owner))
    app = wire.Me(
        id=held.id,
        role="app",
        name=held.name,
        zone=owner.zone,
        language=owner.language,
        scopes=sorted(unit.actor.scopes),
        patient_id=owner.id,
    )
    return answer(app)


def of(unit: Unit, person: Account) -> wire.Me:
    """A person, to themselves; a patient with the team that may be named in a consent."""
    clinic = unit.world.clinics[person.clinic]
    patient = person.role == "patient"
    team = [one for one in unit.world.people.values() if patient and one.role == "clinician" and one.clinic == clinic.id]
    return wire.Me(
        id=person.id,
        role=person.role,
        name=person.name,
        zone=person.zone,
        language=person.language,
        scopes=(person.role,),
        patient_id=person.id if patient else None,
        clinician_id=None if patient else person.id,
        clinic=clinic,
        clinicians=[wire.Colleague(id=one.id, name=one.name) for one in team] if patient else (),
    )


def change_me(unit: Unit) -> Said:
    """Change one's own name, zone or language."""
    change = unit.heard.read(wire.MePatch)
    unit.heard.no_query()
    unit.actor.person()
    if change.zone is not None:
        check_zone(change.zone, "/zone")
    person = unit.world.people[unit.actor.id]
    given = {name: value for name in ("name", "zone", "language") if (value := getattr(change, name)) is not None}
    unit.world.people[person.id] = person = msgspec.structs.replace(person, **given)
    return answer(of(unit, person))


def check_zone(zone: str, pointer: str) -> None:
    """Refuse a zone that IANA does not know."""
    if not zone_exists(zone):
        raise invalid((pointer, "unknown-zone"))


def zone_exists(zone: str) -> bool:
    """Whether this machine knows the zone."""
    try:
        zone_of(zone)
    except ValueError:
        return False
    return True


# devices and tokens


def devices(unit: Unit) -> Said:
    """The phones that are signed in."""
    unit.heard.no_query()
    patient = unit.actor.patient()
    items = [
        wire.Device(
            id=held.device or held.id,
            name=held.name,
            zone=held.zone,
            created_at=held.created_at,
            expires_at=held.expires_at,
            current=token == unit.actor.token,
        )
        for token, held in unit.world.tokens.items()
        if held.owner == patient and held.kind == "device" and held.live(unit.now)
    ]
    return answer(wire.DeviceList(items=items))


def sign_out_device(unit: Unit, device: str) -> Said:
    """Sign out one of one's own phones; again is the same."""
    unit.heard.no_query()
    patient, named = unit.actor.patient(), UUID(device)
    found = [token for token, held in unit.world.tokens.items() if held.owner == patient and held.device == named]
    if not found:
        raise not_found()
    for token in found:
        end(unit, token)
    return Said(204)


def tokens(unit: Unit) -> Said:
    """The third-party tokens a patient gave out and has not ended."""
    unit.heard.no_query()
    patient = unit.actor.patient()
    live = [held for held in unit.world.tokens.values() if held.owner == patient and held.live(unit.now)]
    return answer(wire.TokenList(items=[_third_party(held) for held in live if held.kind == "app"]))


def _third_party(held: Held, secret: str | None = None) -> wire.Token:
    return wire.Token(
        id=held.id,
        name=held.name,
        scopes=sorted(held.scopes or ()),
        created_at=held.created_at,
        expires_at=held.expires_at,
        token=secret,
    )


def make_token(unit: Unit) -> Said:
    """A scoped token for a third party. A repeat names the same token with a new secret; the first secret ends."""
    request = unit.heard.read(wire.TokenIn)
    unit.heard.no_query()
    key = unit.heard.idempotency_key()
    patient = unit.actor.patient()
    made = repeated(unit, "me/tokens", key, request)
    earlier = next(((token, held) for token, held in unit.world.tokens.items() if held.id == made), None)
    if earlier is None:
        held = new_token(unit, patient, request, made)
    else:
        held = unit.world.tokens.pop(earlier[0])
        if not held.live(unit.now):
            unit.world.tokens[earlier[0]] = held
            raise Refused("conflict", "The token made with this Idempotency-Key has ended")
    secret = unit.site.new_token(request.name)
    unit.world.tokens[secret] = held
    return answer(_third_party(held, secret), 201)


def new_token(unit: Unit, patient: UUID, request: wire.TokenIn, made: UUID | None = None) -> Held:
    """What a third-party token is, before it has a secret."""
    expires = unit.now + timedelta(days=request.days)
    own_id = made or unit.site.new_id(unit.now)
    return Held(own_id, "app", patient, request.name, "", unit.now, expires, None, frozenset(request.scopes))


def end_token(unit: Unit, token: str) -> Said:
    """End a third-party token; again is the same."""
    unit.heard.no_query()
    patient, named = unit.actor.patient(), UUID(token)
    for secret, held in unit.world.tokens.items():
        if held.id == named and held.owner == patient and held.kind == "app":
            end(unit, secret)
            return Said(204)
    raise not_found()


# invites


def invite_own_phone(unit: Unit) -> Said:
    """A patient invites a second phone of their own."""
    request = unit.heard.read(wire.MyInviteIn)
    unit.heard.no_query()
    key = unit.heard.idempotency_key()
    patient = unit.actor.patient()
    return answer(make_invite(unit, patient, repeated(unit, "me/invites", key, request)), 201)


def invite(unit: Unit) -> Said:
    """A clinician invites a new patient, or one she has to a new phone."""
    request = unit.heard.read(wire.InviteIn)
    unit.heard.no_query()
    key = unit.heard.idempotency_key()
    if request.patient_id is None:
        return answer(_invite_new(unit, request, key), 201)
    clinic = unit.actor.clinician()
    _gate.consented(unit, request.patient_id)
    if unit.world.people[request.patient_id].clinic != clinic:
        raise not_found()
    return answer(make_invite(unit, request.patient_id, repeated(unit, "invites", key, request)), 201)


def _invite_new(unit: Unit, request: wire.InviteIn, key: str | None) -> wire.Invite:
    clinic = unit.actor.clinician()
    made = repeated(unit, "invites", key, request)
    known = next((invited for invited in unit.world.invites.values() if invited.id == made), None)
    if known is not None:
        return make_invite(unit, known.patient, made)
    check_zone(request.zone or "UTC", "/zone")
    patient = new_person(unit, "patient", clinic, request.name or "", request.zone or "UTC")
    return make_invite(unit, patient.id, made)


def new_person(unit: Unit, role: str, clinic: UUID, name: str, zone: str, language: str = "en") -> Account:
    """A person, and for a patient an empty order of changes."""
    person = Account(
        unit.site.new_id(unit.now), "patient" if role == "patient" else "clinician", clinic, name, zone, language
    )
    unit.world.people[person.id] = person
    if person.role == "patient":
        unit.world.feeds[person.id] = Feed()
    return person


def make_invite(unit: Unit, patient: UUID, made: UUID | None) -> wire.Invite:
    """A code for the patient; with ``made`` (a repeat) the invite made then gets a new code and the old one ends."""
    before = next(((code, invited) for code, invited in unit.world.invites.items() if invited.id == made), None)
    if before is not None:
        if before[1].used_at is not None:
            raise Refused("conflict", "The invite made with this Idempotency-Key was used")
        del unit.world.invites[before[0]]
    code, expires = unit.site.new_code(), unit.now + INVITE_LASTS
    unit.world.invites[normal_code(code)] = Invited(made or unit.site.new_id(unit.now), patient, expires)
    return wire.Invite(code=code, patient_id=patient, expires_at=expires)


def repeated(unit: Unit, route: str, key: str | None, request: msgspec.Struct) -> UUID | None:
    """The id this POST makes: None without an Idempotency-Key, else the one made by the first with this key."""
    if key is None:
        return None
    name, body = f"{unit.actor.id}|{route}|{key}", sha256(msgspec.json.encode(request)).digest()
    found = unit.world.repeats.get(name)
    if found is None or found.at <= unit.now - REPEAT_LASTS:
        unit.world.repeats[name] = found = Made(unit.site.new_id(unit.now), body, unit.now)
    if found.body != body:
        raise Refused("conflict", "This Idempotency-Key was used with another body")
    return found.id
