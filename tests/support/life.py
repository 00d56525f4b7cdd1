"""A database in which everything happened once, and a hand that changes it from outside."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from companion.consent import gate
from companion.core import audit, beats
from companion.core.actors import Actor
from companion.core.clock import micros
from companion.core.db import Tx
from companion.core.ids import uuid7
from companion.custody import service
from companion.nudges import ledger, store
from companion_sdk.wire import PlanIn, WebhookEndpoint
from support.cast import OPERATOR, Cast, monday
from support.engines import Engine


class Hand:
    """Somebody with the database's files or password, and no key."""

    def __init__(self, engine: Engine) -> None:
        self.sqlite = engine.name == "sqlite"
        address = engine.options["database"]
        if self.sqlite:
            self.path = Path(address.removeprefix("sqlite:///"))
            self._connection: Any = sqlite3.connect(self.path, isolation_level=None)
        else:
            self._connection = psycopg.connect(address, autocommit=True)
            self.run("SET session_replication_role = replica")

    def run(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """A statement with ``?`` for each value."""
        cursor = self._connection.execute(text if self.sqlite else text.replace("?", "%s"), values)
        return cursor.fetchall() if cursor.description else []

    def tables(self) -> dict[str, list[str]]:
        """Every table's columns in the schema's order."""
        if self.sqlite:
            names = self.run("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
            return {name: [row[1] for row in self.run(f"PRAGMA table_info({name})")] for (name,) in names}
        found: dict[str, list[str]] = {}
        for table, column in self.run(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND table_name <> 'schema_version' ORDER BY table_name, ordinal_position"
        ):
            found.setdefault(table, []).append(column)
        return found

    def one(self, table: str, where: str = "1 = 1", *values: Any) -> dict[str, Any]:
        """A row by its columns."""
        columns = self.tables()[table]
        rows = self.run(f"SELECT {', '.join(columns)} FROM {table} WHERE {where}", *values)
        return dict(zip(columns, rows[0], strict=True))

    def change(self, table: str, row: dict[str, Any], **values: Any) -> dict[str, Any]:
        """Write values into exactly this row; the row as it is now."""
        sets = ", ".join(f"{name} = ?" for name in values)
        self.run(f"UPDATE {table} SET {sets} WHERE {self._exactly(row)}", *values.values(), *self._given(row))
        after = {**row, **values}
        assert self.run(f"SELECT count(*) FROM {table} WHERE {self._exactly(after)}", *self._given(after)) == [(1,)]
        return after

    def remove(self, table: str, row: dict[str, Any]) -> None:
        self.run(f"DELETE FROM {table} WHERE {self._exactly(row)}", *self._given(row))

    def put(self, table: str, row: dict[str, Any]) -> None:
        self.run(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' for _ in row)})", *row.values())

    @staticmethod
    def _exactly(row: dict[str, Any]) -> str:
        return " AND ".join(f"{name} IS NULL" if value is None else f"{name} = ?" for name, value in row.items())

    @staticmethod
    def _given(row: dict[str, Any]) -> list[Any]:
        return [value for value in row.values() if value is not None]

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def hand(engine: Engine, cast: Cast) -> Iterator[Hand]:
    """A hand on the running service's database."""
    found = Hand(engine)
    yield found
    found.close()


@dataclass
class Life:
    """The cast after everything happened, and how verify sees it."""

    cast: Cast

    async def verify(self) -> service.Report:
        return await self.cast.running.db.read(OPERATOR, service.verify)

    async def faults(self) -> list[service.Fault]:
        return (await self.verify()).faults


@pytest.fixture
async def life(cast: Cast) -> Life:
    """The cast after everything happened."""
    return await live(cast)


async def live(cast: Cast) -> Life:
    """Ana writes, corrects, deletes; Cleo looks; Ana asks for reminders; Ben writes a little. Every table has rows."""
    ana, ben, cleo = cast.ana, cast.ben, cast.cleo
    await ana.mood(monday(), 4, note="slept well")
    log = uuid4()
    await ana.log(monday(13), log_id=log, kind="mood", mood=2)
    corrected = await ana.put(
        f"/v1/patients/me/logs/{log}", ana.entry(monday(13), kind="mood", mood=3), headers={"If-Match": '"1"'}
    )
    assert corrected.status_code == 200
    gone = await ana.log(monday(14), kind="note", text="never mind")
    assert (await ana.delete(f"/v1/patients/me/logs/{gone['id']}")).status_code == 204
    assert (await cleo.get(f"/v1/patients/{ana.id}/logs")).status_code == 200
    given = await ana.consent(cast.dan.id, ["mood"])
    assert (await ana.post(f"/v1/patients/me/consents/{given['id']}/revoke")).status_code == 200
    made = await ana.post("/v1/me/invites", headers={"Idempotency-Key": "a second phone"})
    assert made.status_code == 201
    for hour in (12, 13):
        await ben.mood(monday(hour))
    operation = {
        "n": 1,
        "op": str(uuid4()),
        "id": str(uuid4()),
        "base": 0,
        "log": ben.entry(monday(14), kind="mood", mood=3),
    }
    pushed = await ben.post(
        "/v1/patients/me/sync/push", {"device": str(uuid4()), "sent_at": monday(14).isoformat(), "ops": [operation]}
    )
    assert pushed.json()["last_n"] == 1, pushed.text
    await cast.running.db.write(OPERATOR, _reminders, ana.id)
    await cast.running.db.write(OPERATOR, beats.beat, "test")
    return Life(cast)


def _reminders(tx: Tx, actor: Actor, patient: UUID) -> None:
    """A plan in two revisions, an address, a due row that was tried."""
    grant = gate.for_operator(tx, actor, patient)
    chain = audit.lock(tx, patient)
    now = micros(tx.now)
    plan_id, endpoint_id, nudge_id = uuid7(tx.now), uuid7(tx.now), uuid7(tx.now)
    plan = PlanIn(about="mood", times=["20:30"], window_minutes=60, channels=["webhook"])
    for revision in (1, 2):
        body = store.PlanBody(plan, None)
        store.add_plan(tx, chain, store.PlanRow(patient, plan_id, revision, patient, now, body))
    store.set_extend_at(tx, patient.bytes, plan_id.bytes, 2, now)
    address = WebhookEndpoint(url="https://example.org/hook")
    store.put_endpoint(tx, grant, store.EndpointRow(endpoint_id, "confirmed", now, address))
    first = ledger.NudgeRow(
        patient=patient,
        due_at=now,
        id=nudge_id,
        plan_id=plan_id,
        plan_revision=2,
        slot=time(20, 30).isoformat("minutes"),
        day="2026-03-02",
        zone="America/New_York",
        kind="mood",
        window_end=now + 3_600_000_000,
        state="pending",
        attempt=0,
        sent_at=None,
        next_try_at=now,
        lease_owner=None,
        decisions=(ledger.Decided(now, "pending", "due"),),
    )
    assert ledger.add(tx, grant, first)
    ledger.add_delivery(tx, grant, ledger.DeliveryRow(nudge_id, 1, now, endpoint_id, "webhook", "temporary", 503, "busy"))
