"""The SQL of the ledger: due rows with every decision about them, and their deliveries; no rule.

A row's seal binds every clear column but ``next_try_at`` and ``lease_owner``, which only say when and by whom the row is
worked on: for a pending row when it is next looked at, for a leased one when its lease ends, null for one that rests. A row
is sealed anew with each decision; a change names the state and attempt it was decided on, so that of two workers one wins.
"""

from typing import Literal
from uuid import UUID

import msgspec

from companion_sdk import wire
from companion_sdk.wire.nudges import NudgeState

from ..consent.gate import Grant
from ..core.clock import instant
from ..core.db import Row, Tx
from ..core.sql import sql
from ..core.vault import bind


class Decided(msgspec.Struct, frozen=True):
    """One decision: when (microseconds), the state it gave, why."""

    at: int
    state: NudgeState
    reason: str


class NudgeRow(msgspec.Struct, frozen=True):
    """One due row. ``kind``: an entry of that kind on ``day`` withholds it; empty where none does."""

    patient: UUID
    due_at: int
    id: UUID
    plan_id: UUID
    plan_revision: int
    slot: str
    day: str
    zone: str
    kind: str
    window_end: int
    state: NudgeState
    attempt: int
    sent_at: int | None
    next_try_at: int | None
    lease_owner: str | None
    decisions: tuple[Decided, ...]

    @property
    def occurrence(self) -> str:
        """Its name for ever: ``plan|slot|local date|zone``, as ``rules.Occurrence.key``."""
        return f"{self.plan_id}|{self.slot}|{self.day}|{self.zone}"

    def decided(self, at: int, state: NudgeState, reason: str, next_try_at: int | None = None) -> "NudgeRow":
        """The row after one more decision; nobody's lease."""
        return msgspec.structs.replace(
            self,
            state=state,
            next_try_at=next_try_at,
            lease_owner=None,
            decisions=(*self.decisions, Decided(at, state, reason)),
        )


_decisions = msgspec.json.Decoder(tuple[Decided, ...])
_encode = msgspec.json.encode

COLUMNS = (
    "patient_id, due_at, id, plan_id, plan_revision, slot, day, zone, kind, window_end, state, attempt, sent_at, "
    "next_try_at, lease_owner, sealed"
)
_ADD = sql(
    f"INSERT INTO nudges ({COLUMNS}) VALUES (:patient, :due_at, :id, :plan, :revision, :slot, :day, :zone, :kind, "
    ":window_end, :state, :attempt, :sent_at, :next_try_at, :lease_owner, :sealed) ON CONFLICT DO NOTHING"
)
_SAVE = sql(
    "UPDATE nudges SET due_at = :due_at, plan_revision = :revision, kind = :kind, window_end = :window_end, state = :state, "
    "attempt = :attempt, sent_at = :sent_at, next_try_at = :next_try_at, lease_owner = :lease_owner, sealed = :sealed "
    "WHERE patient_id = :patient AND due_at = :was_due AND id = :id AND state = :was AND attempt = :tried"
)
_PUSH = sql("UPDATE nudges SET next_try_at = :at WHERE patient_id = :patient AND due_at = :due_at AND id = :id")
_ONE = sql(f"SELECT {COLUMNS} FROM nudges WHERE patient_id = :patient AND due_at = :due_at AND id = :id")
_BY_PLAN = sql(
    f"SELECT {COLUMNS} FROM nudges WHERE patient_id = :patient AND plan_id = :plan AND day >= :since "
    "ORDER BY day, slot {collate}, zone {collate}"
)
_BY_DAY = sql(
    f"SELECT {COLUMNS} FROM nudges WHERE patient_id = :patient AND due_at >= :since AND due_at < :until AND day = :day "
    "AND kind = :kind AND state = :state ORDER BY due_at, id"
)
_TO_DO = sql(
    f"SELECT {COLUMNS} FROM nudges WHERE next_try_at <= :now ORDER BY next_try_at, patient_id, due_at, id "
    "LIMIT :limit {skip_locked}"
)
_NEXT = sql("SELECT next_try_at FROM nudges WHERE next_try_at IS NOT NULL ORDER BY next_try_at, patient_id, id LIMIT 1")
_LAST_OF_SLOT = sql(
    "SELECT sent_at FROM nudges WHERE patient_id = :patient AND plan_id = :plan AND day >= :since AND slot = :slot "
    "AND id <> :id AND sent_at IS NOT NULL ORDER BY sent_at DESC, id LIMIT 1"
)
_LAST = sql(
    "SELECT sent_at FROM nudges WHERE patient_id = :patient AND due_at >= :since AND id <> :id AND sent_at IS NOT NULL "
    "ORDER BY sent_at DESC, id LIMIT 1"
)
_PAGE = sql(
    f"SELECT {COLUMNS} FROM nudges WHERE patient_id = :patient AND (due_at, id) < (:due_at, :id) "
    "AND day >= :first AND day <= :last ORDER BY due_at DESC, id DESC LIMIT :limit"
)
_PAGE_OF_STATE = sql(
    f"SELECT {COLUMNS} FROM nudges WHERE patient_id = :patient AND (due_at, id) < (:due_at, :id) "
    "AND day >= :first AND day <= :last AND state = :state ORDER BY due_at DESC, id DESC LIMIT :limit"
)


def bound(row: Row) -> bytes:
    """The seal's binding of every clear column but ``next_try_at`` and ``lease_owner``."""
    return bind("nudges", 1, bytes(row[0]), row[1], bytes(row[2]), bytes(row[3]), *row[4:13])


def read(tx: Tx, grant: Grant, row: Row) -> NudgeRow:
    """A stored row, opened."""
    plain = tx.vault.open(grant.patient, bound(row), bytes(row[15]))
    return NudgeRow(
        grant.patient,
        row[1],
        UUID(bytes=bytes(row[2])),
        UUID(bytes=bytes(row[3])),
        *row[4:15],
        decisions=_decisions.decode(plain),
    )


def _sealed(tx: Tx, row: NudgeRow) -> bytes:
    clear = (
        row.patient.bytes,
        row.due_at,
        row.id.bytes,
        row.plan_id.bytes,
        row.plan_revision,
        row.slot,
        row.day,
        row.zone,
        row.kind,
        row.window_end,
        row.state,
        row.attempt,
        row.sent_at,
    )
    return tx.vault.seal(row.patient, bound(clear), _encode(row.decisions))


def add(tx: Tx, grant: Grant, row: NudgeRow) -> bool:
    """Put an occurrence into the ledger; False when it stands there already."""
    added = tx.run(
        _ADD,
        patient=grant.patient.bytes,
        due_at=row.due_at,
        id=row.id.bytes,
        plan=row.plan_id.bytes,
        revision=row.plan_revision,
        slot=row.slot,
        day=row.day,
        zone=row.zone,
        kind=row.kind,
        window_end=row.window_end,
        state=row.state,
        attempt=row.attempt,
        sent_at=row.sent_at,
        next_try_at=row.next_try_at,
        lease_owner=row.lease_owner,
        sealed=_sealed(tx, row),
    )
    return added == 1


def save(tx: Tx, grant: Grant, before: NudgeRow, after: NudgeRow) -> bool:
    """Keep a decision; False when the row has moved on since ``before`` was read (its state and attempt are the fence)."""
    saved = tx.run(
        _SAVE,
        patient=grant.patient.bytes,
        was_due=before.due_at,
        id=before.id.bytes,
        was=before.state,
        tried=before.attempt,
        due_at=after.due_at,
        revision=after.plan_revision,
        kind=after.kind,
        window_end=after.window_end,
        state=after.state,
        attempt=after.attempt,
        sent_at=after.sent_at,
        next_try_at=after.next_try_at,
        lease_owner=after.lease_owner,
        sealed=_sealed(tx, after),
    )
    return saved == 1


def push(tx: Tx, row: Row, at: int) -> None:
    """Look at a row that cannot be opened again later; it stays as it is."""
    tx.run(_PUSH, patient=bytes(row[0]), due_at=row[1], id=bytes(row[2]), at=at)


def one(tx: Tx, grant: Grant, due_at: int, nudge_id: UUID) -> NudgeRow | None:
    """One row."""
    row = tx.one(_ONE, patient=grant.patient.bytes, due_at=due_at, id=nudge_id.bytes)
    return None if row is None else read(tx, grant, row)


def of_plan(tx: Tx, grant: Grant, plan_id: UUID, since: str) -> list[NudgeRow]:
    """A plan's rows from a local day on, in any zone."""
    rows = tx.all(_BY_PLAN, patient=grant.patient.bytes, plan=plan_id.bytes, since=since)
    return [read(tx, grant, row) for row in rows]


def of_day(tx: Tx, grant: Grant, day: str, kind: str, state: str, since: int, until: int) -> list[Row]:
    """The rows in a state that an entry of ``kind`` on ``day`` withholds; due in [since, until); open them with ``read``."""
    return tx.all(_BY_DAY, patient=grant.patient.bytes, day=day, kind=kind, state=state, since=since, until=until)


def to_do(tx: Tx, now: int, limit: int) -> list[Row]:
    """Rows of any patient to look at now: due, to be tried again, or leased by one who is gone; open them with ``read``."""
    return tx.all(_TO_DO, now=now, limit=limit)


def next_time(tx: Tx) -> int | None:
    """When the next row of any patient is to be looked at."""
    row = tx.one(_NEXT)
    return None if row is None else row[0]


def last_sent(tx: Tx, grant: Grant, row: NudgeRow, since: str) -> int | None:
    """When the same slot of the same plan last went out, or is just going out."""
    found = tx.one(
        _LAST_OF_SLOT,
        patient=grant.patient.bytes,
        plan=row.plan_id.bytes,
        slot=row.slot,
        since=since,
        id=row.id.bytes,
    )
    return None if found is None else found[0]


def last_sent_of_all(tx: Tx, grant: Grant, row: NudgeRow, since: int) -> int | None:
    """When anything due since then last went out to the patient, or is just going out."""
    found = tx.one(_LAST, patient=grant.patient.bytes, since=since, id=row.id.bytes)
    return None if found is None else found[0]


class Narrow(msgspec.Struct, frozen=True):
    """What a list of nudges is narrowed to; local days, both inclusive."""

    state: str | None
    first: str
    last: str


def page(tx: Tx, grant: Grant, narrow: Narrow, before: tuple[int, bytes], limit: int) -> list[NudgeRow]:
    """Rows below a position, newest due first."""
    common: dict[str, int | str | bytes | None] = {
        "patient": grant.patient.bytes,
        "due_at": before[0],
        "id": before[1],
        "first": narrow.first,
        "last": narrow.last,
        "limit": limit,
    }
    rows = tx.all(_PAGE, **common) if narrow.state is None else tx.all(_PAGE_OF_STATE, state=narrow.state, **common)
    return [read(tx, grant, row) for row in rows]


# deliveries


class DeliveryRow(msgspec.Struct, frozen=True):
    """One attempt to hand a nudge to an address; ``reason`` is sealed."""

    nudge_id: UUID
    attempt: int
    at: int
    endpoint_id: UUID
    channel: str
    outcome: Literal["accepted", "temporary", "permanent"]
    status: int | None
    reason: str


_reason = msgspec.json.Decoder(str)

_DELIVERY_COLUMNS = "patient_id, nudge_id, attempt, at, endpoint_id, channel, outcome, status, sealed"
_ADD_DELIVERY = sql(
    f"INSERT INTO deliveries ({_DELIVERY_COLUMNS}) VALUES (:patient, :nudge, :attempt, :at, :endpoint, :channel, :outcome, "
    ":status, :sealed) ON CONFLICT DO NOTHING"
)
_DELIVERIES = sql(
    f"SELECT {_DELIVERY_COLUMNS} FROM deliveries WHERE patient_id = :patient AND nudge_id = :nudge ORDER BY attempt"
)


def bound_delivery(row: Row) -> bytes:
    """The seal's binding of every clear column."""
    return bind("deliveries", 1, bytes(row[0]), bytes(row[1]), row[2], row[3], bytes(row[4]), *row[5:8])


def add_delivery(tx: Tx, grant: Grant, row: DeliveryRow) -> None:
    """Keep an attempt."""
    clear = (
        grant.patient.bytes,
        row.nudge_id.bytes,
        row.attempt,
        row.at,
        row.endpoint_id.bytes,
        row.channel,
        row.outcome,
        row.status,
    )
    tx.run(
        _ADD_DELIVERY,
        patient=clear[0],
        nudge=clear[1],
        attempt=clear[2],
        at=clear[3],
        endpoint=clear[4],
        channel=clear[5],
        outcome=clear[6],
        status=clear[7],
        sealed=tx.vault.seal(grant.patient, bound_delivery(clear), _encode(row.reason)),
    )


def deliveries(tx: Tx, grant: Grant, nudge_id: UUID) -> list[DeliveryRow]:
    """A nudge's attempts, in order."""
    found: list[DeliveryRow] = []
    for row in tx.all(_DELIVERIES, patient=grant.patient.bytes, nudge=nudge_id.bytes):
        reason = _reason.decode(tx.vault.open(grant.patient, bound_delivery(row), bytes(row[8])))
        found.append(DeliveryRow(nudge_id, row[2], row[3], UUID(bytes=bytes(row[4])), *row[5:8], reason=reason))
    return found


def answer(row: NudgeRow, tries: list[DeliveryRow]) -> wire.Nudge:
    """A row as the contract shows it."""
    return wire.Nudge(
        id=row.id,
        plan_id=row.plan_id,
        occurrence=row.occurrence,
        due_at=instant(row.due_at),
        window_end=instant(row.window_end),
        zone=row.zone,
        state=row.state,
        reason=row.decisions[-1].reason,
        attempts=row.attempt,
        decisions=[wire.NudgeDecision(at=instant(one.at), state=one.state, reason=one.reason) for one in row.decisions],
        deliveries=[
            wire.Delivery(
                at=instant(one.at), channel=one.channel, outcome=one.outcome, attempt=one.attempt, status=one.status
            )
            for one in tries
        ],
    )
