"""Consents and disclosures as the patient handles them; the gate itself is ``gate.py``."""

from uuid import UUID

import msgspec

from companion_sdk import wire

from ..core import audit, paging
from ..core.actors import Actor
from ..core.clock import instant, micros
from ..core.db import Tx
from ..core.errors import Invalid, NotFound, Problem
from ..people import service as people
from . import gate, store


def consents(tx: Tx, actor: Actor, patient: str) -> wire.ConsentList:
    """Every consent the patient gave, revoked ones too."""
    grant = gate.to_read_own(tx, actor, patient, "consents:read")
    return wire.ConsentList(items=[_answer(tx, row) for row in store.consents(tx, grant.patient)])


def give(tx: Tx, actor: Actor, patient: str, consent_id: UUID, request: wire.ConsentIn) -> wire.Consent:
    """Give or change a consent; the same again is the same; one that was revoked stays revoked (give a new one)."""
    grant = gate.to_change_own(tx, actor, patient)
    chain = audit.lock(tx, grant.patient)
    before = store.consent(tx, grant.patient, consent_id)
    row = _row(tx, actor, grant.patient, consent_id, request, before)
    if before is not None:
        if before.revoked_at is not None:
            raise Problem("gone", "This consent was revoked; give a new one")
        if _same(before, row):
            return _answer(tx, before)
    return _answer(tx, store.add_consent(tx, chain, row))


def _row(
    tx: Tx, actor: Actor, patient: UUID, consent_id: UUID, request: wire.ConsentIn, before: store.ConsentRow | None
) -> store.ConsentRow:
    if people.recipient_name(tx, request.recipient) is None:
        raise Invalid(("/recipient", "unknown-recipient"))
    first = before.from_at if before is not None else micros(tx.now)
    from_at = first if request.from_ is None else micros(request.from_)
    until_at = None if request.until is None else micros(request.until)
    if until_at is not None and until_at <= from_at:
        raise Invalid(("/until", "before-from"))
    terms = store.Terms(
        categories=tuple(sorted(set(request.categories))),
        purpose=request.purpose,
        text_version=request.text_version,
        signature=request.signature,
        session=str(actor.token_id),
    )
    revision = 1 if before is None else before.revision + 1
    return store.ConsentRow(
        patient, consent_id, revision, 0, request.recipient, from_at, until_at, None, micros(tx.now), terms
    )


def _same(before: store.ConsentRow, after: store.ConsentRow) -> bool:
    terms = msgspec.structs.replace(after.terms, session=before.terms.session)
    return (before.recipient, before.from_at, before.until_at, before.terms) == (
        after.recipient,
        after.from_at,
        after.until_at,
        terms,
    )


def revoke(tx: Tx, actor: Actor, patient: str, consent_id: UUID) -> wire.Consent:
    """End a consent from this commit on; again is the same."""
    grant = gate.to_change_own(tx, actor, patient)
    chain = audit.lock(tx, grant.patient)
    before = store.consent(tx, grant.patient, consent_id)
    if before is None:
        raise NotFound
    if before.revoked_at is not None:
        return _answer(tx, before)
    now = micros(tx.now)
    after = msgspec.structs.replace(before, revision=before.revision + 1, revoked_at=now, recorded_at=now)
    return _answer(tx, store.add_consent(tx, chain, after))


def _answer(tx: Tx, row: store.ConsentRow) -> wire.Consent:
    return wire.Consent(
        id=row.id,
        patient_id=row.patient,
        recipient=row.recipient,
        categories=row.terms.categories,
        purpose=row.terms.purpose,
        from_=instant(row.from_at),
        until=None if row.until_at is None else instant(row.until_at),
        text_version=row.terms.text_version,
        signature=row.terms.signature,
        revision=row.revision,
        recorded_at=instant(row.recorded_at),
        revoked_at=None if row.revoked_at is None else instant(row.revoked_at),
        active=gate.is_active(row, micros(tx.now)),
    )


def disclosures(tx: Tx, actor: Actor, patient: str, limit: int, cursor: str | None) -> wire.DisclosurePage:
    """Who looked at the patient's record, newest first."""
    grant = gate.to_read_own(tx, actor, patient, "consents:read")
    scope = f"disclosures|{grant.patient}"
    before = paging.read(tx, actor, scope, cursor, tuple[int])[0] if cursor else paging.END
    rows = store.disclosures(tx, grant.patient, before, limit + 1)
    names: dict[UUID, str] = {}
    for row in rows:
        if row.recipient not in names:
            names[row.recipient] = people.reader_name(tx, row.recipient)
    more = paging.write(tx, actor, scope, rows[limit - 1].seq) if len(rows) > limit else None
    return wire.DisclosurePage(
        items=[
            wire.Disclosure(
                id=row.id,
                at=instant(row.at),
                recipient=row.recipient,
                recipient_name=names[row.recipient],
                consent_id=row.consent_id,
                purpose=row.what.purpose,
                action=row.what.action,
                categories=row.what.categories,
            )
            for row in rows[:limit]
        ],
        next=more,
    )


def patient(tx: Tx, actor: Actor, named: str) -> wire.Patient:
    """A patient's name, zone and site."""
    grant = gate.to_find(tx, actor, named, "profile:read")
    gate.shown(tx, actor, grant, "profile")
    row = people.patient_of(tx, grant.patient)
    clinic = people.clinic_of(tx, row.clinic_id)
    return wire.Patient(id=row.id, name=row.profile.name, zone=row.profile.zone, clinic=clinic)


def invite(tx: Tx, actor: Actor, request: wire.InviteIn, key: str | None) -> wire.Invite:
    """A clinician invites a new patient, or one she has to a new phone."""
    if request.patient_id is None:
        return people.invite(tx, actor, request, key)
    grant = gate.to_invite(tx, actor, request.patient_id)
    if people.patient_of(tx, grant.patient).clinic_id != actor.clinic_id:
        raise NotFound  # a code signs in as the patient: only their own clinic hands one out
    return people.make_invite(tx, actor, grant.patient, people.repeated(tx, actor, "invites", key, request))
