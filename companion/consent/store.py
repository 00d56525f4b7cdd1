"""The SQL of consents (append-only revisions) and disclosures; both are links of the patient's chain. No rule."""

from uuid import UUID

import msgspec

from ..core import audit
from ..core.db import Row, Tx
from ..core.sql import sql
from ..core.vault import bind


class Terms(msgspec.Struct, frozen=True):
    """What a consent says, sealed: 42 CFR 2.31's purpose, what, text, signature and the session that signed."""

    categories: tuple[str, ...]
    purpose: str
    text_version: str
    signature: str | None
    session: str


class ConsentRow(msgspec.Struct, frozen=True):
    patient: UUID
    id: UUID
    revision: int
    seq: int
    recipient: UUID
    from_at: int
    until_at: int | None
    revoked_at: int | None
    recorded_at: int
    terms: Terms


class Looked(msgspec.Struct, frozen=True):
    """What was disclosed, sealed."""

    action: str
    categories: tuple[str, ...]
    purpose: str


class DisclosureRow(msgspec.Struct, frozen=True):
    seq: int
    id: UUID
    at: int
    recipient: UUID
    consent_id: UUID | None
    what: Looked


_terms = msgspec.json.Decoder(Terms)
_looked = msgspec.json.Decoder(Looked)

_CONSENT_COLUMNS = (
    "patient_id, id, revision, seq, recipient, from_at, until_at, revoked_at, recorded_at, current, sealed, link"
)
_ADD_CONSENT = sql(
    f"INSERT INTO consents ({_CONSENT_COLUMNS}) VALUES (:patient, :id, :revision, :seq, :recipient, :from_at, :until_at, "
    ":revoked_at, :recorded_at, 1, :sealed, :link)"
)
_RETIRE_CONSENT = sql("UPDATE consents SET current = 0 WHERE patient_id = :patient AND id = :id AND revision = :revision")
_TO_RECIPIENT = sql(
    f"SELECT {_CONSENT_COLUMNS} FROM consents WHERE recipient = :recipient AND patient_id = :patient AND current = 1 "
    "ORDER BY id"
)
_CONSENTS = sql(f"SELECT {_CONSENT_COLUMNS} FROM consents WHERE patient_id = :patient AND current = 1 ORDER BY id")
_CONSENT = sql(f"SELECT {_CONSENT_COLUMNS} FROM consents WHERE patient_id = :patient AND id = :id AND current = 1")
_EVERY_CONSENT = sql(f"SELECT {_CONSENT_COLUMNS} FROM consents WHERE patient_id = :patient ORDER BY seq")


def bound_consent(row: Row) -> bytes:
    """The seal's binding of every clear column but ``current``."""
    return bind("consents", 1, bytes(row[0]), bytes(row[1]), row[2], row[3], bytes(row[4]), row[5], row[6], row[7], row[8])


def _consent(tx: Tx, row: Row) -> ConsentRow:
    owner = UUID(bytes=bytes(row[0]))
    plain = tx.vault.open(owner, bound_consent(row), bytes(row[10]))
    return ConsentRow(
        owner,
        UUID(bytes=bytes(row[1])),
        row[2],
        row[3],
        UUID(bytes=bytes(row[4])),
        row[5],
        row[6],
        row[7],
        row[8],
        _terms.decode(plain),
    )


def to_recipient(tx: Tx, patient: UUID, recipient: UUID) -> list[ConsentRow]:
    return [_consent(tx, row) for row in tx.all(_TO_RECIPIENT, patient=patient.bytes, recipient=recipient.bytes)]


def consents(tx: Tx, patient: UUID) -> list[ConsentRow]:
    return [_consent(tx, row) for row in tx.all(_CONSENTS, patient=patient.bytes)]


def consent(tx: Tx, patient: UUID, consent_id: UUID) -> ConsentRow | None:
    row = tx.one(_CONSENT, patient=patient.bytes, id=consent_id.bytes)
    return None if row is None else _consent(tx, row)


def add_consent(tx: Tx, chain: audit.Chain, row: ConsentRow) -> ConsentRow:
    """Append a revision and its link; the one before is no longer current."""
    row = msgspec.structs.replace(row, seq=chain.seq + 1)
    clear = (
        chain.patient,
        row.id.bytes,
        row.revision,
        row.seq,
        row.recipient.bytes,
        row.from_at,
        row.until_at,
        row.revoked_at,
        row.recorded_at,
    )
    bound = bound_consent(clear)
    sealed = tx.vault.seal(row.patient, bound, msgspec.json.encode(row.terms))
    if row.revision > 1:
        tx.run(_RETIRE_CONSENT, patient=chain.patient, id=row.id.bytes, revision=row.revision - 1)
    tx.run(
        _ADD_CONSENT,
        patient=chain.patient,
        id=row.id.bytes,
        revision=row.revision,
        seq=row.seq,
        recipient=row.recipient.bytes,
        from_at=row.from_at,
        until_at=row.until_at,
        revoked_at=row.revoked_at,
        recorded_at=row.recorded_at,
        sealed=sealed,
        link=audit.extend(tx, chain, bound, sealed),
    )
    return row


_ADD_DISCLOSURE = sql(
    "INSERT INTO disclosures (patient_id, seq, id, at, recipient, consent_id, sealed, link) "
    "VALUES (:patient, :seq, :id, :at, :recipient, :consent, :sealed, :link)"
)
_DISCLOSURE_COLUMNS = "patient_id, seq, id, at, recipient, consent_id, sealed, link"
_DISCLOSURES = sql(
    f"SELECT {_DISCLOSURE_COLUMNS} FROM disclosures WHERE patient_id = :patient AND seq < :before "
    "ORDER BY seq DESC LIMIT :limit"
)
_EVERY_DISCLOSURE = sql(f"SELECT {_DISCLOSURE_COLUMNS} FROM disclosures WHERE patient_id = :patient ORDER BY seq")


def bound_disclosure(row: Row) -> bytes:
    """The seal's binding of every clear column."""
    consent = None if row[5] is None else bytes(row[5])
    return bind("disclosures", 1, bytes(row[0]), row[1], bytes(row[2]), row[3], bytes(row[4]), consent)


def add_disclosure(tx: Tx, chain: audit.Chain, row: DisclosureRow) -> None:
    consent = None if row.consent_id is None else row.consent_id.bytes
    clear = (chain.patient, chain.seq + 1, row.id.bytes, row.at, row.recipient.bytes, consent)
    bound = bound_disclosure(clear)
    sealed = tx.vault.seal(UUID(bytes=chain.patient), bound, msgspec.json.encode(row.what))
    tx.run(
        _ADD_DISCLOSURE,
        patient=chain.patient,
        seq=clear[1],
        id=row.id.bytes,
        at=row.at,
        recipient=row.recipient.bytes,
        consent=consent,
        sealed=sealed,
        link=audit.extend(tx, chain, bound, sealed),
    )


def disclosures(tx: Tx, patient: UUID, before: int, limit: int) -> list[DisclosureRow]:
    found: list[DisclosureRow] = []
    for row in tx.all(_DISCLOSURES, patient=patient.bytes, before=before, limit=limit):
        what = _looked.decode(tx.vault.open(patient, bound_disclosure(row), bytes(row[6])))
        consent = None if row[5] is None else UUID(bytes=bytes(row[5]))
        found.append(DisclosureRow(row[1], UUID(bytes=bytes(row[2])), row[3], UUID(bytes=bytes(row[4])), consent, what))
    return found


def every_row(tx: Tx, patient: UUID) -> list[tuple[str, Row, bytes]]:
    """(table, row, binding) of every consent revision and disclosure, for the walk of the chain; row ends (sealed, link)."""
    return [
        *(("consents", row, bound_consent(row)) for row in tx.all(_EVERY_CONSENT, patient=patient.bytes)),
        *(("disclosures", row, bound_disclosure(row)) for row in tx.all(_EVERY_DISCLOSURE, patient=patient.bytes)),
    ]
