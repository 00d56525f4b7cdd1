"""Verify: on one snapshot every row is opened, every chain walked, every reference followed (operator).

1. Every row of a table outside the chains opens, or its stamp fits.
2. What a row refers to exists; a patient has a feed and a feed a patient.
3. For each patient: every row opens, places run 1 … seq without hole or double, links follow each other to the head, and
   ``current`` marks the newest revisions, but for tombstones at or below the feed's ``floor``.

What it cannot see: a row outside the chains that is gone (a token, an address), for the service removes such rows too; all
rows of a patient gone at once; the whole database put back to an earlier state.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from ..consent import gate
from ..core import audit, beats
from ..core.actors import Actor
from ..core.db import Tx
from ..core.errors import NotFound, StartUpError
from ..core.vault import KeyMissing, SealBroken
from . import rules, store
from .owned import BY_NAME, TABLES, Table
from .store import Found, Unread


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that is not as it was written. ``id`` is hexadecimal and names a row that has no ``seq``."""

    table: str
    what: str
    patient_id: UUID | None = None
    seq: int | None = None
    id: str | None = None

    def __str__(self) -> str:
        patient = "" if self.patient_id is None else f"patient {self.patient_id} "
        place = f"seq {self.seq} " if self.seq is not None else f"id {self.id} " if self.id else ""
        return f"{patient}{place}{self.table or 'row'}: {self.what}"


class Report(msgspec.Struct):
    """What was verified: rows by table, what is wrong, and keys whose person is not there (erased, or never committed)."""

    ok: bool = True
    patients: int = 0
    rows: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    spare_keys: int = 0
    faults: list[Fault] = msgspec.field(default_factory=list[Fault])


Rows = dict[str, dict[bytes, Found]]


def verify(tx: Tx, actor: Actor) -> Report:
    """Everything that is wrong with what is stored (operator)."""
    if actor.role != "operator":
        raise NotFound
    report = Report(rows=dict.fromkeys(BY_NAME, 0))
    known: Rows = {table.name: _whole(tx, report, table) for table in TABLES if not table.by_patient}
    for rows in known.values():
        for row in rows.values():
            report.faults += _references(row, known)
    for patient in _patients(tx, report, known):
        _patient(tx, actor, report, UUID(bytes=patient), known)
    people = known["patients"].keys() | known["clinicians"].keys()
    report.patients = len(known["patients"])
    report.spare_keys = sum(owner.bytes not in people for owner in tx.vault.owners())
    report.ok = not report.faults
    return report


def _whole(tx: Tx, report: Report, table: Table) -> dict[bytes, Found]:
    """The rows of one table by their first column, each proved."""
    found: dict[bytes, Found] = {}
    for row in _proved(tx, report, store.rows(tx, table)):
        name = row.clear[table.columns[0]]
        assert isinstance(name, bytes)
        found[name] = row
    return found


def _patients(tx: Tx, report: Report, known: Rows) -> list[bytes]:
    """Everybody who has a row anywhere."""
    found = known["patients"].keys() | known["feeds"].keys()
    for patient in store.patients_with_rows(tx):
        if isinstance(patient, Unread):
            report.faults.append(_unread(patient))
        else:
            found.add(patient)
    return sorted(patient for patient in found if len(patient) == 16)


def _unread(row: Unread) -> Fault:
    named = None if row.seq is not None else row.table.named(row.place)
    return Fault(row.table.name, f"cannot be read ({row.why})", _uuid(row.patient), row.seq, named)


def _proved(tx: Tx, report: Report, rows: Iterator[Found | Unread]) -> Iterator[Found]:
    """Step 1: the rows that can be read; a fault for each that cannot, or does not open."""
    for row in rows:
        if isinstance(row, Unread):
            report.faults.append(_unread(row))
            continue
        report.rows[row.table.name] += 1
        plain = _opened(tx, row)
        if plain is None:
            report.faults.append(_fault(row, "it, its key or a column beside it was changed"))
        elif what := _forgotten(row, plain):
            report.faults.append(_fault(row, what))
        yield row


def _fault(row: Found, what: str) -> Fault:
    named = None if row.seq is not None else row.table.named(row.clear)
    return Fault(row.table.name, what, _uuid(row.clear.get("patient_id")), row.seq, named)


def _uuid(value: object) -> UUID | None:
    return UUID(bytes=value) if isinstance(value, bytes) and len(value) == 16 else None


def _opened(tx: Tx, row: Found) -> bytes | None:
    """What the row seals, empty where its stamp fits; None if it does not open or fit."""
    nobody = UUID(int=0)
    try:
        if not row.table.owners:
            tx.vault.check(nobody, row.bound, row.proof)
            return b""
        owner = next((found for name in row.table.owners if (found := row.clear[name]) is not None), None)
        return tx.vault.open(_uuid(owner) or nobody, row.bound, row.proof)
    except (SealBroken, KeyMissing, StartUpError):
        return None


def _references(row: Found, known: Rows) -> Iterator[Fault]:
    """Step 2."""
    for column, table in row.table.refers:
        named = row.clear[column]
        if isinstance(named, bytes) and named not in known[table]:
            yield _fault(row, f"its {column} names nobody in {table}")
    if row.table.name == "patients" and row.clear["patient_id"] not in known["feeds"]:
        yield _fault(row, "its row in feeds is missing")


def _patient(tx: Tx, actor: Actor, report: Report, patient: UUID, known: Rows) -> None:
    """Step 3: one patient's chain, and what refers within it."""
    grant = gate.for_operator(tx, actor, patient)
    unread = len(report.faults)
    rows = list(_proved(tx, report, store.of_patient(tx, grant)))
    if rows and patient.bytes not in known["patients"]:
        report.faults.append(Fault("patients", "the row is missing, and others of this patient are there", patient))
    chain = [row for row in rows if row.table.chained]
    feed = known["feeds"].get(patient.bytes)
    broken = list(rules.currents(_revisions(chain, 0 if feed is None else feed.clear["floor"])))
    if feed is not None:
        broken += _chain(feed, chain)
    seen = {fault.seq for fault in report.faults[unread:]}  # a row that cannot be read is not missing as well
    report.faults += [Fault(one.table, one.what, patient, one.seq) for one in broken if one.table or one.seq not in seen]
    ids = {(row.table.name, row.clear.get("id")) for row in rows}
    for row in rows:
        for column, table in row.table.within:
            if (table, row.clear[column]) not in ids:
                report.faults.append(_fault(row, f"its {column} names nothing in {table}"))


def _chain(feed: Found, rows: Sequence[Found]) -> Iterator[rules.Broken]:
    patient, seq, head = feed.clear["patient_id"], feed.clear["seq"], feed.clear["head"]
    assert isinstance(patient, bytes)
    assert isinstance(seq, int)
    assert isinstance(head, bytes)
    links = [rules.Link(row.seq or 0, row.table.name, row.bound, row.proof, row.link) for row in rows]
    return rules.walk(audit.genesis(patient), links, seq, head)


def _revisions(rows: Sequence[Found], floor: object) -> Iterator[rules.Revision]:
    assert isinstance(floor, int)
    for row in rows:
        if "current" in row.unbound:
            name, revision, current = row.clear["id"], row.clear["revision"], row.unbound["current"]
            assert isinstance(name, bytes)
            assert isinstance(revision, int)
            assert isinstance(current, int)
            seq = row.seq or 0
            purged = row.table.name == "logs" and bool(row.clear["deleted"]) and seq <= floor
            yield rules.Revision(name, revision, seq, row.table.name, current, purged)


def _forgotten(row: Found, plain: bytes) -> str:
    """What is wrong with when the service will next work on a row: it must where work remains, and only there."""
    if row.table.name == "nudges":
        waits = row.clear["state"] in ("pending", "leased")
        if waits != (row.unbound["next_try_at"] is not None):
            return "nothing will look at it again" if waits else "it rests and would be looked at again"
    if row.table.name == "plans" and row.unbound["current"] and not row.clear["deleted"]:
        endless = msgspec.json.decode(plain)["plan"].get("until") is None
        if endless and row.unbound["extend_at"] is None:
            return "nothing will make reminders of it again"
    return ""


class Times(msgspec.Struct, frozen=True):
    """What the database knows about time: the newest thing recorded, each beat, the first patient."""

    newest: datetime | None
    beats: dict[str, datetime]
    first: datetime | None


def times(tx: Tx, actor: Actor) -> Times:
    """What doctor holds the clock and the backups to (operator)."""
    if actor.role != "operator":
        raise NotFound
    beaten = {name: tx.now - timedelta(seconds=age) for name, age in beats.ages(tx, actor).items()}
    recorded, first = store.ends(tx)
    newest = max((at for at in (recorded, *beaten.values()) if at is not None), default=None)
    return Times(newest, beaten, first)
