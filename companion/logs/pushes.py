"""The SQL of what became of each operation that a device sent: a row a push. No rule.

A push is kept whole for ever: a phone that was restored from a backup may send any of its operations again.
"""

from uuid import UUID

import msgspec

from companion_sdk.wire.sync import Outcome

from ..consent.gate import Grant
from ..core.clock import micros
from ..core.db import Tx
from ..core.sql import sql
from ..core.vault import bind

_LAST = sql("SELECT last_n FROM pushes WHERE patient_id = :patient AND device_id = :device ORDER BY last_n DESC LIMIT 1")
_WITH = sql(
    "SELECT last_n, first_n, recorded_at, sealed FROM pushes WHERE patient_id = :patient AND device_id = :device "
    "AND last_n >= :n ORDER BY last_n LIMIT 1"
)
_ADD = sql(
    "INSERT INTO pushes (patient_id, device_id, last_n, first_n, recorded_at, sealed) VALUES (:patient, :device, :last, "
    ":first, :recorded, :sealed)"
)


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """One operation: its number and id, what became of it, and, when it was refused, why."""

    n: int
    op: UUID
    outcome: Outcome
    revision: int
    seq: int
    word: str = ""
    detail: str = ""
    errors: tuple[tuple[str, str], ...] = ()


_kept = msgspec.msgpack.Decoder(list[Kept])
_encode = msgspec.msgpack.encode


def last_n(tx: Tx, grant: Grant, device: UUID) -> int:
    """The last number the service has from a device; 0 before its first push."""
    row = tx.one(_LAST, patient=grant.patient.bytes, device=device.bytes)
    return 0 if row is None else int(row[0])


def batch(tx: Tx, grant: Grant, device: UUID, n: int) -> list[Kept]:
    """The operations of the push that number ``n`` came with."""
    row = tx.one(_WITH, patient=grant.patient.bytes, device=device.bytes, n=n)
    if row is None:
        return []
    binding = bind("pushes", 1, grant.patient.bytes, device.bytes, row[0], row[1], row[2])
    return _kept.decode(tx.vault.open(grant.patient, binding, bytes(row[3])))


def add(tx: Tx, grant: Grant, device: UUID, new: list[Kept]) -> None:
    """Keep what became of new operations, in the order of their numbers."""
    first, last, recorded = new[0].n, new[-1].n, micros(tx.now)
    binding = bind("pushes", 1, grant.patient.bytes, device.bytes, last, first, recorded)
    sealed = tx.vault.seal(grant.patient, binding, _encode(new))
    tx.run(
        _ADD,
        patient=grant.patient.bytes,
        device=device.bytes,
        last=last,
        first=first,
        recorded=recorded,
        sealed=sealed,
    )
