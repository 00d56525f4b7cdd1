"""The chain of one patient: every change, consent and disclosure is a link, in the unit that makes it.

    link(seq) = version ‖ SHA-256( link(seq-1) ‖ bound ‖ sealed )

``bound`` are the row's clear columns (its ``seq`` among them) as the seal binds them, so that a changed column, a removed
row, two swapped rows or a cut tail breaks the walk. The patient's ``feeds`` row holds the last ``seq`` and its link; taking
the next ``seq`` under that row's lock is what makes the order of a patient's changes free of holes.
"""

from hashlib import sha256
from uuid import UUID

import msgspec

from .db import Tx
from .errors import NotFound
from .sql import sql

VERSION = b"\x01"

_OPEN = sql("SELECT epoch, seq, head FROM feeds WHERE patient_id = :patient {lock}")
_BEGIN = sql("INSERT INTO feeds (patient_id, epoch, seq, floor, head) VALUES (:patient, :epoch, 0, 0, :head)")
_MOVE = sql("UPDATE feeds SET seq = :seq, head = :head WHERE patient_id = :patient")


class Chain(msgspec.Struct):
    """The end of a patient's chain inside a unit that holds its lock."""

    patient: bytes
    epoch: int
    seq: int
    head: bytes


def genesis(patient: bytes, epoch: int) -> bytes:
    """What the first link is chained to."""
    return VERSION + sha256(b"companion chain" + VERSION + patient + epoch.to_bytes(8)).digest()


def link(previous: bytes, bound: bytes, sealed: bytes) -> bytes:
    """The next link."""
    return VERSION + sha256(previous + len(bound).to_bytes(4) + bound + sealed).digest()


def begin(tx: Tx, patient: UUID) -> None:
    """Start the chain of a new patient."""
    tx.run(_BEGIN, patient=patient.bytes, epoch=1, head=genesis(patient.bytes, 1))


def lock(tx: Tx, patient: UUID) -> Chain:
    """Take the patient's place in line: first in every write to a patient."""
    row = tx.one(_OPEN, patient=patient.bytes)
    if row is None:
        raise NotFound
    return Chain(patient.bytes, row[0], row[1], bytes(row[2]))


def extend(tx: Tx, chain: Chain, bound: bytes, sealed: bytes) -> bytes:
    """Add the link of the row whose ``bound`` columns carry ``chain.seq + 1``; returns the link to store with the row."""
    chain.seq += 1
    chain.head = link(chain.head, bound, sealed)
    tx.run(_MOVE, patient=chain.patient, seq=chain.seq, head=chain.head)
    return chain.head
