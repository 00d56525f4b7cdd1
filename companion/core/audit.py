"""The chain of one patient: every change, consent and disclosure is a link, in the unit that makes it.

    link(seq) = version ‖ SHA-256( link(seq-1) ‖ bound ‖ sealed )

``bound`` are the row's clear columns (its ``seq`` among them) as the seal binds them, so that a changed column, a removed
row, two swapped rows or a cut tail breaks the walk. The patient's ``feeds`` row holds the last ``seq`` and its link; taking
the next ``seq`` under that row's lock is what makes the order of a patient's changes free of holes. The row's ``stamp`` is
made with the master key, so that a tail cut together with its ``feeds`` row is found without it.
"""

from hashlib import sha256
from uuid import UUID

import msgspec

from .db import Row, Tx
from .errors import NotFound
from .sql import sql
from .vault import bind

VERSION = b"\x01"

_LOOK = sql("SELECT epoch, seq, floor, head, stamp FROM feeds WHERE patient_id = :patient")
_OPEN = sql("SELECT epoch, seq, floor, head, stamp FROM feeds WHERE patient_id = :patient {lock}")
_EVERYBODY = sql("SELECT patient_id FROM feeds ORDER BY patient_id")
_BEGIN = sql("INSERT INTO feeds (patient_id, epoch, seq, floor, head, stamp) VALUES (:patient, :epoch, 0, 0, :head, :stamp)")
_MOVE = sql(
    "UPDATE feeds SET epoch = :epoch, seq = :seq, floor = :floor, head = :head, stamp = :stamp WHERE patient_id = :patient"
)


class Chain(msgspec.Struct):
    """The end of a patient's chain inside a unit that holds its lock. ``gathering``: links wait for one ``save``."""

    patient: bytes
    epoch: int
    seq: int
    floor: int
    head: bytes
    gathering: bool = False

    @property
    def bound(self) -> bytes:
        """The clear columns of the ``feeds`` row, as its stamp binds them."""
        return bind("feeds", 1, self.patient, self.epoch, self.seq, self.floor, self.head)


def genesis(patient: bytes) -> bytes:
    """What the first link is chained to. Not to the epoch, which the ``feeds`` row's stamp binds: it may be raised."""
    return VERSION + sha256(b"companion chain" + VERSION + patient).digest()


def link(previous: bytes, bound: bytes, sealed: bytes) -> bytes:
    """The next link."""
    return VERSION + sha256(previous + len(bound).to_bytes(4) + bound + sealed).digest()


def begin(tx: Tx, patient: UUID) -> None:
    """Start the chain of a new patient."""
    chain = Chain(patient.bytes, 1, 0, 0, genesis(patient.bytes))
    tx.run(_BEGIN, patient=chain.patient, epoch=chain.epoch, head=chain.head, stamp=tx.vault.stamp(chain.bound))


def everybody(tx: Tx) -> list[UUID]:
    """Every patient who has a chain."""
    return [UUID(bytes=bytes(row[0])) for row in tx.all(_EVERYBODY)]


def lock(tx: Tx, patient: UUID) -> Chain:
    """Take the patient's place in line: first in every write to a patient.

    Raises:
        NotFound: if there is no such patient.
        SealBroken: if the row was changed by another hand; nothing is chained to it.
    """
    return _checked(tx, patient, tx.one(_OPEN, patient=patient.bytes))


def look(tx: Tx, patient: UUID) -> Chain:
    """Where the patient's chain ends, for a unit that only reads.

    Raises:
        NotFound: if there is no such patient.
        SealBroken: if the row was changed by another hand.
    """
    return _checked(tx, patient, tx.one(_LOOK, patient=patient.bytes))


def _checked(tx: Tx, patient: UUID, row: Row | None) -> Chain:
    if row is None:
        raise NotFound
    chain = Chain(patient.bytes, row[0], row[1], row[2], bytes(row[3]))
    tx.vault.check(patient, chain.bound, bytes(row[4]))
    return chain


def extend(tx: Tx, chain: Chain, bound: bytes, sealed: bytes) -> bytes:
    """Add the link of the row whose ``bound`` columns carry ``chain.seq + 1``; returns the link to store with the row."""
    chain.seq += 1
    chain.head = link(chain.head, bound, sealed)
    if not chain.gathering:
        save(tx, chain)
    return chain.head


def save(tx: Tx, chain: Chain) -> None:
    """Write the end of the chain down. After a ``gathering`` unit's last link, and before anything else may lock it."""
    tx.run(
        _MOVE,
        patient=chain.patient,
        epoch=chain.epoch,
        seq=chain.seq,
        floor=chain.floor,
        head=chain.head,
        stamp=tx.vault.stamp(chain.bound),
    )
