"""The SQL of plans (append-only revisions, links of the patient's chain) and of endpoints; no rule.

``current`` (0/1) and ``extend_at`` (when the plan's next occurrence comes within reach of the ledger; null when none ever
will) are the only columns of ``plans`` ever updated and stand outside seal and chain; every other clear column is bound. An
endpoint is one row that is sealed anew with each change and binds every clear column.
"""

from uuid import UUID

import msgspec

from companion_sdk import wire

from ..consent.gate import Grant
from ..core import audit
from ..core.db import Row, Tx
from ..core.sql import sql
from ..core.vault import bind


class PlanBody(msgspec.Struct, frozen=True):
    """What is sealed of a plan. ``clinic`` is the author's where the author is a clinician, else null."""

    plan: wire.PlanIn
    clinic: UUID | None


class PlanRow(msgspec.Struct, frozen=True):
    """One revision; a tombstone has no body."""

    patient: UUID
    id: UUID
    revision: int
    author: UUID
    recorded_at: int
    body: PlanBody | None


_body = msgspec.json.Decoder(PlanBody | None)
_encode = msgspec.json.encode

_PLAN_COLUMNS = "patient_id, id, revision, seq, author_id, recorded_at, deleted, current, extend_at, sealed, link"
_SEALED = 9
_PLAN = sql(f"SELECT {_PLAN_COLUMNS} FROM plans WHERE patient_id = :patient AND id = :id AND current = 1")
_PLANS = sql(
    f"SELECT {_PLAN_COLUMNS} FROM plans WHERE patient_id = :patient AND current = 1 AND deleted = 0 ORDER BY id, revision"
)
_ADD_PLAN = sql(
    "INSERT INTO plans (patient_id, id, revision, seq, author_id, recorded_at, deleted, current, extend_at, sealed, link) "
    "VALUES (:patient, :id, :revision, :seq, :author, :recorded, :deleted, 1, NULL, :sealed, :link)"
)
_RETIRE_PLAN = sql(
    "UPDATE plans SET current = 0, extend_at = NULL WHERE patient_id = :patient AND id = :id AND revision = :revision"
)
_EXTEND = sql("UPDATE plans SET extend_at = :at WHERE patient_id = :patient AND id = :id AND revision = :revision")
_TO_EXTEND = sql(
    f"SELECT {_PLAN_COLUMNS} FROM plans WHERE extend_at <= :now ORDER BY extend_at, patient_id, id, revision "
    "LIMIT :limit {skip_locked}"
)
_NEXT_EXTEND = sql("SELECT extend_at FROM plans WHERE extend_at IS NOT NULL ORDER BY extend_at, patient_id, id LIMIT 1")


def bound_plan(row: Row) -> bytes:
    """The seal's binding of every clear column but ``current`` and ``extend_at``."""
    return bind("plans", 1, bytes(row[0]), bytes(row[1]), row[2], row[3], bytes(row[4]), row[5], row[6])


def read_plan(tx: Tx, grant: Grant, row: Row) -> PlanRow:
    """A stored row, opened."""
    plain = tx.vault.open(grant.patient, bound_plan(row), bytes(row[_SEALED]))
    plan_id, author = UUID(bytes=bytes(row[1])), UUID(bytes=bytes(row[4]))
    return PlanRow(grant.patient, plan_id, row[2], author, row[5], _body.decode(plain))


def plan(tx: Tx, grant: Grant, plan_id: UUID) -> PlanRow | None:
    """The newest revision, a tombstone too."""
    row = tx.one(_PLAN, patient=grant.patient.bytes, id=plan_id.bytes)
    return None if row is None else read_plan(tx, grant, row)


def plans(tx: Tx, grant: Grant) -> list[PlanRow]:
    """Every plan that stands, in the order of their ids."""
    return [read_plan(tx, grant, row) for row in tx.all(_PLANS, patient=grant.patient.bytes)]


def add_plan(tx: Tx, chain: audit.Chain, row: PlanRow) -> PlanRow:
    """Append a revision and its link; the one before is no longer current."""
    deleted = int(row.body is None)
    seq = chain.seq + 1
    clear = (chain.patient, row.id.bytes, row.revision, seq, row.author.bytes, row.recorded_at, deleted)
    bound = bound_plan(clear)
    sealed = tx.vault.seal(row.patient, bound, _encode(row.body))
    if row.revision > 1:
        tx.run(_RETIRE_PLAN, patient=chain.patient, id=row.id.bytes, revision=row.revision - 1)
    tx.run(
        _ADD_PLAN,
        patient=chain.patient,
        id=row.id.bytes,
        revision=row.revision,
        seq=seq,
        author=row.author.bytes,
        recorded=row.recorded_at,
        deleted=deleted,
        sealed=sealed,
        link=audit.extend(tx, chain, bound, sealed),
    )
    return row


def set_extend_at(tx: Tx, patient: bytes, plan_id: bytes, revision: int, at: int | None) -> None:
    """When the plan wants new rows in the ledger."""
    tx.run(_EXTEND, patient=patient, id=plan_id, revision=revision, at=at)


def to_extend(tx: Tx, now: int, limit: int) -> list[Row]:
    """Plans of any patient that want new rows, the longest waiting first; open them with ``read_plan``."""
    return tx.all(_TO_EXTEND, now=now, limit=limit)


def next_extend(tx: Tx) -> int | None:
    """When the next plan of any patient wants new rows."""
    row = tx.one(_NEXT_EXTEND)
    return None if row is None else row[0]


# endpoints


class EndpointRow(msgspec.Struct, frozen=True):
    """One address; ``address`` is what the patient sent, with the secret where the service made it."""

    id: UUID
    state: str
    created_at: int
    address: wire.EndpointIn


_address = msgspec.json.Decoder(wire.EndpointIn)

_ENDPOINT_COLUMNS = "patient_id, id, channel, state, created_at, sealed"
_ENDPOINT = sql(f"SELECT {_ENDPOINT_COLUMNS} FROM endpoints WHERE patient_id = :patient AND id = :id")
_ENDPOINTS = sql(f"SELECT {_ENDPOINT_COLUMNS} FROM endpoints WHERE patient_id = :patient ORDER BY created_at, id")
_PUT_ENDPOINT = sql(
    "INSERT INTO endpoints (patient_id, id, channel, state, created_at, sealed) "
    "VALUES (:patient, :id, :channel, :state, :created, :sealed) ON CONFLICT (patient_id, id) DO UPDATE SET "
    "channel = excluded.channel, state = excluded.state, created_at = excluded.created_at, sealed = excluded.sealed"
)
_DROP_ENDPOINT = sql("DELETE FROM endpoints WHERE patient_id = :patient AND id = :id")


def channel_of(address: wire.EndpointIn) -> str:
    """The channel's word."""
    return str(address.__struct_config__.tag)


def bound_endpoint(row: Row) -> bytes:
    """The seal's binding of every clear column."""
    return bind("endpoints", 1, bytes(row[0]), bytes(row[1]), row[2], row[3], row[4])


def _endpoint(tx: Tx, grant: Grant, row: Row) -> EndpointRow:
    plain = tx.vault.open(grant.patient, bound_endpoint(row), bytes(row[5]))
    return EndpointRow(UUID(bytes=bytes(row[1])), row[3], row[4], _address.decode(plain))


def endpoint(tx: Tx, grant: Grant, endpoint_id: UUID) -> EndpointRow | None:
    """One address."""
    row = tx.one(_ENDPOINT, patient=grant.patient.bytes, id=endpoint_id.bytes)
    return None if row is None else _endpoint(tx, grant, row)


def endpoints(tx: Tx, grant: Grant) -> list[EndpointRow]:
    """Every address, oldest first."""
    return [_endpoint(tx, grant, row) for row in tx.all(_ENDPOINTS, patient=grant.patient.bytes)]


def put_endpoint(tx: Tx, grant: Grant, row: EndpointRow) -> None:
    """Store an address, in the place of the one with its id."""
    clear = (grant.patient.bytes, row.id.bytes, channel_of(row.address), row.state, row.created_at)
    tx.run(
        _PUT_ENDPOINT,
        patient=clear[0],
        id=clear[1],
        channel=clear[2],
        state=clear[3],
        created=clear[4],
        sealed=tx.vault.seal(grant.patient, bound_endpoint(clear), _encode(row.address)),
    )


def drop_endpoint(tx: Tx, grant: Grant, endpoint_id: UUID) -> None:
    """Forget an address."""
    tx.run(_DROP_ENDPOINT, patient=grant.patient.bytes, id=endpoint_id.bytes)
