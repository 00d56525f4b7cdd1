"""What a worker does with due rows, in three units: look what is to do, claim and decide, settle what was sent."""

from collections.abc import Sequence, Set
from datetime import date, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec

from companion_sdk import wire

from ..consent import gate
from ..consent.gate import Grant
from ..core.actors import Actor
from ..core.clock import instant, micros
from ..core.db import Row, Tx
from ..core.errors import NotFound
from ..logs import service as logs
from ..people import service as people
from ..post.message import Message, Outcome
from . import ledger, making, rules, store
from .ledger import NudgeRow

SLOT_GAP_MINUTES = 720
"""Convention C5: the same slot of a plan never twice within twelve hours, however a traveller moves."""

_POSTPONED = timedelta(hours=1)


class ToDo(msgspec.Struct, frozen=True):
    """Whether a plan wants rows, and when (microseconds) the next row is to be looked at."""

    extend: bool
    next_at: int | None


def to_do(tx: Tx, actor: Actor) -> ToDo:
    """What waits for a worker (job); reads only."""
    if actor.role != "system":
        raise NotFound
    wanted = store.next_extend(tx)
    return ToDo(wanted is not None and wanted <= micros(tx.now), ledger.next_time(tx))


class Send(msgspec.Struct, frozen=True):
    """A nudge this worker holds the lease of, decided and ready to go out. ``attempt`` is the fence."""

    patient: UUID
    due_at: int
    nudge_id: UUID
    attempt: int
    endpoint_id: UUID
    channel: str
    address: wire.EndpointIn
    message: Message


class Claimed(msgspec.Struct, frozen=True):
    """What one claim came to: rows looked at, what to send, rows that could not be read."""

    looked: int
    sends: tuple[Send, ...]
    broken: tuple[UUID, ...]


class _Round:
    """What one claim has already read: a patient's zone and addresses, plans, consents."""

    def __init__(self, tx: Tx, actor: Actor, owner: str, lease: float) -> None:
        self.tx = tx
        self.actor = actor
        self.owner = owner
        self.until = micros(tx.now + timedelta(seconds=lease))
        self.now = micros(tx.now)
        self._patients: dict[UUID, _Patient] = {}
        self._plans: dict[tuple[UUID, UUID], store.PlanRow | None] = {}

    def patient(self, patient: UUID) -> "_Patient":
        if patient not in self._patients:
            grant = gate.for_operator(self.tx, self.actor, patient)
            profile = people.patient_of(self.tx, patient).profile
            self._patients[patient] = _Patient(grant, profile.zone, profile.language, store.endpoints(self.tx, grant))
        return self._patients[patient]

    def plan(self, grant: Grant, plan_id: UUID) -> store.PlanRow | None:
        key = (grant.patient, plan_id)
        if key not in self._plans:
            self._plans[key] = store.plan(self.tx, grant, plan_id)
        return self._plans[key]


class _Patient(msgspec.Struct, frozen=True):
    grant: Grant
    zone: str
    language: str
    endpoints: list[store.EndpointRow]


def claim(tx: Tx, actor: Actor, owner: str, lease: float, limit: int) -> Claimed:
    """Take up to ``limit`` due rows and decide each (job).

    A row to send gets a lease of ``lease`` seconds and the next attempt number in the same conditional update that keeps the
    decision; a row whose lease ran out is taken over the same way. A row that cannot be read is looked at again in an hour.
    """
    if actor.role != "system":
        raise NotFound
    here = _Round(tx, actor, owner, lease)
    sends: list[Send] = []
    broken: list[UUID] = []
    rows = ledger.to_do(tx, here.now, limit)
    for row in rows:
        with making.spared(tx) as wrong:
            sends += _decide(here, row)
        if wrong:
            ledger.push(tx, row, micros(tx.now + _POSTPONED))
            broken.append(UUID(bytes=bytes(row[2])))
    return Claimed(len(rows), tuple(sends), tuple(broken))


def _decide(here: _Round, stored: Row) -> list[Send]:
    """Decide one row as everything stands now; the send it came to, if any."""
    tx = here.tx
    patient = here.patient(UUID(bytes=bytes(stored[0])))
    row = ledger.read(tx, patient.grant, stored)
    plan = here.plan(patient.grant, row.plan_id)
    if plan is not None and plan.body is not None and (plan.revision, patient.zone) != (row.plan_revision, row.zone):
        making.replan(tx, patient.grant, plan, patient.zone, "plan-changed" if row.zone == patient.zone else "zone-changed")
        fresh = ledger.one(tx, patient.grant, row.due_at, row.id)
        if fresh is None or not making.is_unclaimed(fresh, here.now) or (fresh.next_try_at or 0) > here.now:
            return []
        row = fresh
    tries = ledger.deliveries(tx, patient.grant, row.id) if row.attempt else []
    choice = _addresses(patient, plan, tries)
    decision = rules.decide(_due(here, patient, row, plan, len(choice)), tx.now)
    if isinstance(decision, rules.Wait):
        reason = "quiet-hours" if decision.until > instant(row.due_at) else "not-yet-due"
        after = row.decided(here.now, "pending", reason, next_try_at=micros(decision.until))
    elif decision.state == "send":
        return _lease(here, patient, row, choice[0])
    else:
        after = row.decided(here.now, decision.state, _reason(decision, tries))
    ledger.save(tx, patient.grant, row, after)
    return []


def _reason(decision: rules.Decision, tries: list[ledger.DeliveryRow]) -> str:
    """Without an address left: why the last one refused."""
    if decision.reason == "no-endpoint" and tries:
        return tries[-1].reason
    return decision.reason


def _addresses(patient: _Patient, plan: store.PlanRow | None, tries: list[ledger.DeliveryRow]) -> list[store.EndpointRow]:
    """Where it may still go: by the plan's order of channels, then oldest first; not where it was refused for good."""
    if plan is None or plan.body is None:
        return []
    refused = {one.endpoint_id for one in tries if one.outcome == "permanent"}
    usable = [one for one in patient.endpoints if one.state == "on" and one.id not in refused]
    channels = dict.fromkeys(plan.body.plan.channels)
    return [one for channel in channels for one in usable if store.channel_of(one.address) == channel]


def _due(here: _Round, patient: _Patient, row: NudgeRow, plan: store.PlanRow | None, addresses: int) -> rules.Due:
    """All that the decision may depend on."""
    tx, grant = here.tx, patient.grant
    body = None if plan is None else plan.body
    last, gap = (None, None) if body is None else _gap(tx, grant, row, body.plan)
    skip = body is not None and bool(making.withheld_by(body.plan))
    return rules.Due(
        due_at=instant(row.due_at),
        window_end=instant(row.window_end),
        plan_exists=body is not None,
        consent=plan is None or _consented(here, grant, plan),
        quiet=None if body is None else body.plan.quiet,
        skip_if_logged=skip,
        logged=skip and body is not None and logs.logged(tx, grant, body.plan.about, date.fromisoformat(row.day)),
        zone=patient.zone,
        last_sent_at=last,
        gap_minutes=gap,
        endpoints=addresses,
    )


def _consented(here: _Round, grant: Grant, plan: store.PlanRow) -> bool:
    """The patient's own plan needs no consent; a clinician's needs one that stands now and covers what it is about."""
    if plan.body is None or plan.body.clinic is None:
        return True
    found = gate.active(here.tx, plan.author, plan.body.clinic, grant.patient)
    return covers(plan.body.plan.about, {kind for consent in found for kind in consent.terms.categories})


def covers(about: str, categories: Set[str]) -> bool:
    """Whether a consent to see ``categories`` lets a clinician remind of ``about``.

    A kind of entry must be among them; for what is none (a session, a medication, own words) any consent will do.
    """
    return about in categories if about in wire.KINDS else bool(categories)


def _gap(tx: Tx, grant: Grant, row: NudgeRow, plan: wire.PlanIn) -> tuple[datetime | None, int | None]:
    """The earlier nudge a gap is kept from, and the gap: of C5's and the plan's own the one that ends later."""
    since = tx.now - timedelta(days=3)
    found = [(ledger.last_sent(tx, grant, row, since.date().isoformat()), SLOT_GAP_MINUTES)]
    if plan.gap_minutes:
        reach = since - timedelta(minutes=plan.gap_minutes)
        found.append((ledger.last_sent_of_all(tx, grant, row, micros(reach)), plan.gap_minutes))
    kept = [(instant(at), gap) for at, gap in found if at is not None]
    return max(kept, key=lambda one: one[0] + timedelta(minutes=one[1]), default=(None, None))


def _lease(here: _Round, patient: _Patient, row: NudgeRow, endpoint: store.EndpointRow) -> list[Send]:
    """Take the row; nothing to send where another worker was faster."""
    reason = "taken-over" if row.state == "leased" else "due"
    leased = msgspec.structs.replace(
        row.decided(here.now, "leased", reason, next_try_at=here.until),
        attempt=row.attempt + 1,
        sent_at=here.now,
        lease_owner=here.owner,
    )
    if not ledger.save(here.tx, patient.grant, row, leased):
        return []
    message = Message(
        nudge_id=row.id,
        occurrence=_opaque(here.tx, "occurrence", row.occurrence.encode()),
        patient=_opaque(here.tx, "receiver's patient", row.patient.bytes),
        sent_at=here.tx.now,
        language=patient.language,
    )
    channel = store.channel_of(endpoint.address)
    return [Send(row.patient, row.due_at, row.id, leased.attempt, endpoint.id, channel, endpoint.address, message)]


def _opaque(tx: Tx, purpose: str, value: bytes) -> str:
    """A keyed hash of 128 bits: the same each time, and nothing to whoever has no key."""
    return tx.vault.mac(purpose, value)[:16].hex()


class Done(msgspec.Struct, frozen=True):
    """A send and what became of it; ``outcome`` is None for one that was let go before it began."""

    send: Send
    outcome: Outcome | None
    at: datetime


class Settled(msgspec.Struct, frozen=True):
    """What settling came to: addresses switched off, nudges another worker has taken over meanwhile."""

    off: tuple[UUID, ...]
    fenced: tuple[UUID, ...]


def settle(tx: Tx, actor: Actor, owner: str, done: Sequence[Done]) -> Settled:
    """Keep what became of sends (job): only while this worker's lease and attempt still stand."""
    if actor.role != "system":
        raise NotFound
    off: list[UUID] = []
    fenced: list[UUID] = []
    for one in done:
        with making.spared(tx):  # erased or broken meanwhile: there is nothing left to settle
            grant = gate.for_operator(tx, actor, one.send.patient)
            if not _settle(tx, grant, owner, one):
                fenced.append(one.send.nudge_id)
            if one.outcome is not None and one.outcome.gone and _switch_off(tx, grant, one.send):
                off.append(one.send.endpoint_id)
    return Settled(tuple(off), tuple(fenced))


def _settle(tx: Tx, grant: Grant, owner: str, done: Done) -> bool:
    send, outcome = done.send, done.outcome
    row = ledger.one(tx, grant, send.due_at, send.nudge_id)
    if outcome is not None and row is not None:
        ledger.add_delivery(tx, grant, _delivery(done, outcome))
    if row is None or (row.state, row.lease_owner, row.attempt) != ("leased", owner, send.attempt):
        return False
    return ledger.save(tx, grant, row, _after(tx, row, done))


def _delivery(done: Done, outcome: Outcome) -> ledger.DeliveryRow:
    send = done.send
    return ledger.DeliveryRow(
        send.nudge_id,
        send.attempt,
        micros(done.at),
        send.endpoint_id,
        send.channel,
        outcome.result,
        outcome.status,
        outcome.reason,
    )


def _after(tx: Tx, row: NudgeRow, done: Done) -> NudgeRow:
    """Accepted: sent. Temporary: again after a pause. Permanent or let go: looked at again at once, for the next address."""
    at, outcome = micros(done.at), done.outcome
    if outcome is not None and outcome.result == "accepted":
        return msgspec.structs.replace(row.decided(at, "sent", "accepted"), sent_at=at)
    again = tx.now
    if outcome is not None and outcome.result == "temporary":
        draw = _draw(row)
        again = rules.retry_at(tx.now, row.attempt, draw, outcome.retry_after, instant(row.window_end))
    reason = "released" if outcome is None else outcome.reason
    return msgspec.structs.replace(row.decided(at, "pending", reason, next_try_at=micros(again)), sent_at=None)


def _draw(row: NudgeRow) -> float:
    """A number in [0, 1) of this nudge and attempt, the same for whoever replays the decision."""
    return int.from_bytes(sha256(row.id.bytes + row.attempt.to_bytes(8)).digest()[:7]) / 2**56


def _switch_off(tx: Tx, grant: Grant, send: Send) -> bool:
    """A dead address gets nothing more, unless it was changed since; a PUT switches it on again."""
    found = store.endpoint(tx, grant, send.endpoint_id)
    if found is None or found.state != "on" or found.address != send.address:
        return False
    store.put_endpoint(tx, grant, msgspec.structs.replace(found, state="off"))
    return True
