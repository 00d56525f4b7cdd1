"""Databases to measure: real, sealed entries of a few patients among made-up rows of many others."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from companion_sdk import wire

from .. import settings, storage
from ..core.actors import Actor, Operator
from ..core.clock import SystemClock
from ..core.db import Tx
from ..core.ids import uuid7
from ..logs import service as logs
from ..people import service as people

OPERATOR = Operator("bench")
PATIENTS = 8
DAYS = 90
PER_DAY = 3
PUSHED = 200
PULLED = 1_000
BODY = (
    b'{"at":"%s","zone":"America/New_York","body":{"kind":"mood","mood":4,"energy":3,"anxiety":2,"sleep_hours":7.5,'
    b'"emotions":["calm","hopeful"],"note":"made-up note: slept better than the night before, walked to group"}}'
)


def database(folder: Path) -> str:
    return f"sqlite:///{folder / 'companion.db'}"


def body(at: datetime) -> bytes:
    """A PUT's body of about 260 bytes."""
    return BODY % at.strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def bodies(end: datetime) -> list[bytes]:
    """What an outbox of a push's size holds after a long time offline: three entries a day."""
    return [body(end - timedelta(hours=24 / PER_DAY * place)) for place in range(PUSHED)]


def push(now: datetime, logs: list[bytes]) -> bytes:
    """A push's body of these entries, all new, from a device of its own."""
    ops = (
        b'{"n":%d,"op":"%s","id":"%s","base":0,"log":%s}' % (n, uuid7(now).hex.encode(), str(uuid7(now)).encode(), log)
        for n, log in enumerate(logs, 1)
    )
    sent = now.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    return b'{"device":"%s","sent_at":"%s","ops":[%s]}' % (str(uuid7(now)).encode(), sent, b",".join(ops))


def _enter(tx: Tx, actor: Actor, patient: UUID, end: datetime, count: int) -> int:
    entries: list[tuple[UUID, wire.LogIn]] = []
    for place in range(count):
        at = end - timedelta(hours=8 * place)
        entries.append((uuid7(at), wire.decode(wire.LogIn, body(at))))
    return logs.take_in(tx, actor, patient, entries)


async def prepare(chosen: settings.Settings, patients: int = PATIENTS, entries: int = DAYS * PER_DAY) -> list[str]:
    """Clinic and patients with ninety days (or so many entries) each; a token for each patient."""
    db = await storage.open_database(chosen, SystemClock())
    try:
        clinic = await db.write(OPERATOR, people.add_clinic, "Bench (made up)", "1 Example Street")
        tokens: list[str] = []
        for number in range(patients):
            patient = await db.write(OPERATOR, people.add_patient, clinic, f"Made up {number}", "America/New_York")
            await db.write(OPERATOR, _enter, patient, SystemClock().now().astimezone(UTC), entries)
            tokens.append(await db.write(OPERATOR, people.operator_token, patient, None, 1))
        return tokens
    finally:
        await db.close()


def fill(path: Path, rows: int) -> None:
    """Rows of made-up other people, of the size and in the order of real ones, straight into the table."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-200000")
    connection.execute("BEGIN")
    connection.execute(
        "WITH RECURSIVE people(p, id) AS (SELECT 1, randomblob(16) UNION ALL SELECT p + 1, randomblob(16) FROM people "
        "WHERE p < :people), days(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM days WHERE n < 270) "
        "INSERT INTO logs (patient_id, at, id, revision, seq, kind, zone, day, source, author_id, recorded_at, skew, "
        "deleted, current, sealed, link) SELECT id, 1770000000000000 + n * 28800000000, randomblob(16), 1, n, 'mood', "
        "'America/New_York', '2026-02-01', 'app', id, 1770000000000000, 0, 0, 1, randomblob(250), randomblob(33) "
        "FROM people, days ORDER BY 1, 2",
        {"people": max(1, rows // 270)},
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
