"""The one gate. Only here a ``Grant`` is made, and no store gives out patient data without one.

What the caller may not see does not exist: the same 404 for a patient without consent as for one that never was, after the
same look-ups.
"""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from companion_sdk.wire import KINDS

from ..core import audit
from ..core.actors import Actor
from ..core.clock import micros
from ..core.db import Tx
from ..core.errors import NotFound
from ..core.ids import uuid7
from . import store

ALL = frozenset(KINDS)


class Grant(msgspec.Struct, frozen=True):
    """Leave to touch one patient's data of ``categories``; ``consent_id`` is None for the patient's own."""

    patient: UUID
    actor: UUID
    categories: frozenset[str]
    consent_id: UUID | None = None
    purpose: str = "own"

    def only(self, kinds: Iterable[str]) -> "Grant":
        """The same leave for fewer kinds."""
        return msgspec.structs.replace(self, categories=self.categories & frozenset(kinds))


def patient_id(actor: Actor, patient: str) -> UUID:
    """The id a path names; ``me`` is the signed-in patient. Anything else than a UUID in its usual form is hidden."""
    if patient == "me":
        if actor.patient_id is None:
            raise NotFound
        return actor.patient_id
    try:
        named = UUID(patient)
    except ValueError as error:
        raise NotFound from error
    if str(named) != patient.lower():
        raise NotFound
    return named


def to_write_diary(tx: Tx, actor: Actor, patient: str) -> Grant:
    """The patient's own diary, by the patient or an app with ``logs:write``; staff write no diary."""
    return _own(actor.may("logs:write"), patient)


def to_change_own(tx: Tx, actor: Actor, patient: str) -> Grant:
    """What only the patient in person may change: consents."""
    return _own(actor.person(), patient)


def to_read_own(tx: Tx, actor: Actor, patient: str, scope: str) -> Grant:
    """What only the patient may read: consents, disclosures, nudges. An app's look is disclosed under the scope's noun."""
    grant = _own(actor.may(scope), patient)
    shown(tx, actor, grant, scope.partition(":")[0])
    return grant


def _own(actor: Actor, patient: str) -> Grant:
    named = patient_id(actor, patient)
    if actor.patient_id != named:
        raise NotFound
    return Grant(named, actor.id, ALL)


def for_operator(tx: Tx, actor: Actor, patient: UUID) -> Grant:
    """All of one patient, for the operator's own commands (import, verify) and the service's jobs."""
    if actor.role not in ("operator", "system"):
        raise NotFound
    return Grant(patient, actor.id, ALL, None, "operations")


def to_read(tx: Tx, actor: Actor, patient: str, scope: str, action: str, kinds: frozenset[str]) -> Grant:
    """The patient's own data, or what a clinician's consents cover of ``kinds``.

    A clinician's or an app's read owes a disclosure of all of it: it is on disk before the answer leaves.
    """
    grant = to_find(tx, actor, patient, scope).only(kinds)
    if not grant.categories:
        raise NotFound
    shown(tx, actor, grant, action, grant.categories)
    return grant


def to_find(tx: Tx, actor: Actor, patient: str, scope: str) -> Grant:
    """As ``to_read`` where only the find tells what will be shown; whoever asks calls ``shown`` with just that."""
    actor.may(scope)
    named = patient_id(actor, patient)
    if actor.patient_id == named:
        return Grant(named, actor.id, ALL)
    return _consented(tx, actor, named)


def shown(tx: Tx, actor: Actor, grant: Grant, action: str, kinds: Iterable[str] = ()) -> None:
    """Owe the disclosure of ``kinds`` (none: something else than entries) to whoever is not the patient."""
    if actor.role in ("clinician", "app"):
        tx.owe(disclose, grant.patient, action, frozenset(kinds))


def to_plan(tx: Tx, actor: Actor, patient: str) -> Grant:
    """Plans of nudges: the patient's own, or a clinician's under any consent of the patient's."""
    actor.may("plans:write")
    named = patient_id(actor, patient)
    return Grant(named, actor.id, ALL) if actor.patient_id == named else _consented(tx, actor, named)


def to_invite(tx: Tx, actor: Actor, patient: UUID) -> Grant:
    """A clinician may invite a patient she has to a new phone under any consent."""
    return _consented(tx, actor.clinician(), patient)


def _consented(tx: Tx, actor: Actor, patient: UUID) -> Grant:
    if actor.role != "clinician":
        raise NotFound
    found = active(tx, actor.id, actor.clinic_id, patient)
    if not found:
        raise NotFound
    categories = frozenset(category for consent in found for category in consent.terms.categories)
    return Grant(patient, actor.id, categories, found[0].id, found[0].terms.purpose)


def active(tx: Tx, clinician: UUID, clinic: UUID | None, patient: UUID) -> list[store.ConsentRow]:
    """The consents of the patient that let this clinician, or her clinic, see something at this instant."""
    now = micros(tx.now)
    recipients = (clinician,) if clinic is None else (clinician, clinic)
    rows = [row for recipient in recipients for row in store.to_recipient(tx, patient, recipient)]
    return [row for row in rows if is_active(row, now)]


def is_active(row: store.ConsentRow, now: int) -> bool:
    """From (inclusive) to until (exclusive), unless revoked."""
    return row.revoked_at is None and row.from_at <= now and (row.until_at is None or now < row.until_at)


def disclose(tx: Tx, actor: Actor, patient: UUID, action: str, kinds: frozenset[str]) -> None:
    """Write down who looked at what, once for each consent that let them; what is covered no more hides all that was read.

    An app looks with the patient's own token, under no consent.
    """
    chain = audit.lock(tx, patient)
    if actor.role == "app":
        looks = [(None, "own", kinds)]
    else:
        looks = _covering(active(tx, actor.id, actor.clinic_id, patient), kinds)
    for consent, purpose, part in looks:
        what = store.Looked(action, tuple(sorted(part)), purpose)
        store.add_disclosure(tx, chain, store.DisclosureRow(0, uuid7(tx.now), micros(tx.now), actor.id, consent, what))


def _covering(found: list[store.ConsentRow], kinds: frozenset[str]) -> list[tuple[UUID, str, frozenset[str]]]:
    """(consent, purpose, its share of the kinds) until every kind is covered; the first consent where there are none."""
    looks: list[tuple[UUID, str, frozenset[str]]] = []
    left = kinds
    for consent in found:
        part = left & frozenset(consent.terms.categories)
        if part or not kinds:
            looks.append((consent.id, consent.terms.purpose, part))
            left -= part
        if not left:
            break
    if left or not looks:
        raise NotFound
    return looks
