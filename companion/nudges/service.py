"""What people do with plans, addresses and the ledger of nudges."""

from datetime import date
from uuid import UUID

import msgspec
from yarl import URL

from companion_sdk import wire
from companion_sdk.wire.nudges import NudgeState

from ..consent import gate
from ..consent.gate import Grant
from ..core import audit, paging
from ..core.actors import Actor
from ..core.clock import instant, micros
from ..core.db import Tx
from ..core.errors import Invalid, NotFound, Problem
from ..core.ids import digest, new_token
from ..people import service as people
from ..post import egress
from ..post.channels import webhook
from . import due, ledger, making, store
from .rules import occurrences

# plans


def put_plan(tx: Tx, actor: Actor, patient: str, plan_id: UUID, request: wire.PlanIn) -> wire.Plan:
    """Make or replace a plan: the patient any, a clinician her own under consent; the same again is the same."""
    grant = gate.to_plan(tx, actor, patient)
    _check(actor, grant, request)
    chain = audit.lock(tx, grant.patient)
    before = store.plan(tx, grant, plan_id)
    if before is not None:
        _see(actor, before)
        if before.body is None:
            raise Problem("gone", "This plan was deleted; make another")
        if before.body.plan == request:
            return _answer(tx, grant, before)
    row = store.PlanRow(
        patient=grant.patient,
        id=plan_id,
        revision=1 if before is None else before.revision + 1,
        author=grant.actor,
        recorded_at=micros(tx.now),
        body=store.PlanBody(request, actor.clinic_id if actor.role == "clinician" else None),
    )
    store.add_plan(tx, chain, row)
    making.replan(tx, grant, row, _zone(tx, grant), "plan-changed")
    return _answer(tx, grant, row)


def _check(actor: Actor, grant: Grant, request: wire.PlanIn) -> None:
    if request.start is not None and request.until is not None and request.until < request.start:
        raise Invalid(("/until", "before-start"))
    if actor.role == "clinician" and not due.covers(request.about, grant.categories):
        raise NotFound


def _see(actor: Actor, plan: store.PlanRow) -> None:
    """A clinician sees only plans of her own."""
    if actor.role == "clinician" and plan.author != actor.id:
        raise NotFound


def _zone(tx: Tx, grant: Grant) -> str:
    return people.patient_of(tx, grant.patient).profile.zone


def _answer(tx: Tx, grant: Grant, row: store.PlanRow, zone: str | None = None) -> wire.Plan:
    assert row.body is not None
    coming = next(occurrences(row.body.plan, zone or _zone(tx, grant), tx.now, key=str(row.id)), None)
    return wire.Plan(
        id=row.id,
        patient_id=row.patient,
        author_id=row.author,
        revision=row.revision,
        recorded_at=instant(row.recorded_at),
        plan=row.body.plan,
        next_due=None if coming is None else coming.due,
    )


def plan(tx: Tx, actor: Actor, patient: str, plan_id: UUID) -> wire.Plan:
    """One plan: the patient any, a clinician her own under consent."""
    grant = gate.to_find(tx, actor, patient, "plans:read")
    row = store.plan(tx, grant, plan_id)
    if row is None:
        raise NotFound
    _see(actor, row)
    if row.body is None:
        raise Problem("gone")
    gate.shown(tx, actor, grant, "plan")
    return _answer(tx, grant, row)


def plans(tx: Tx, actor: Actor, patient: str) -> wire.PlanList:
    """Every plan that stands: for the patient all about them, for a clinician under consent her own."""
    grant = gate.to_find(tx, actor, patient, "plans:read")
    gate.shown(tx, actor, grant, "plans")
    zone = _zone(tx, grant)
    rows = [row for row in store.plans(tx, grant) if actor.role != "clinician" or row.author == actor.id]
    return wire.PlanList(items=[_answer(tx, grant, row, zone) for row in rows])


def delete_plan(tx: Tx, actor: Actor, patient: str, plan_id: UUID) -> None:
    """End a plan and the nudges it has not sent: the patient any, a clinician her own; again is the same."""
    grant = gate.to_plan(tx, actor, patient)
    chain = audit.lock(tx, grant.patient)
    before = store.plan(tx, grant, plan_id)
    if before is None:
        raise NotFound
    _see(actor, before)
    if before.body is None:
        return
    tombstone = msgspec.structs.replace(
        before, revision=before.revision + 1, author=grant.actor, recorded_at=micros(tx.now), body=None
    )
    store.add_plan(tx, chain, tombstone)
    making.drop(tx, grant, plan_id)


# endpoints


def put_endpoint(
    tx: Tx, actor: Actor, endpoint_id: UUID, request: wire.EndpointIn, allowed: frozenset[str]
) -> wire.Endpoint:
    """Store one of one's own addresses (patient), switched on; the same again is the same.

    ``allowed`` are the hosts the operator named. A webhook without ``secret`` keeps the one of the same URL, or gets a new
    one, shown in this answer only. An e-mail address is written to without a confirmation: that comes with more channels.
    """
    grant = gate.to_change_own(tx, actor, str(actor.patient()))
    audit.lock(tx, grant.patient)
    if isinstance(request, wire.WebhookEndpoint):
        _check_webhook(request, allowed)
    before = store.endpoint(tx, grant, endpoint_id)
    address, secret = _with_secret(request, None if before is None else before.address)
    kept = before is not None and store.channel_of(before.address) == store.channel_of(address)
    made_at = before.created_at if before is not None and kept else micros(tx.now)
    row = store.EndpointRow(endpoint_id, "on", made_at, address)
    if row != before:
        store.put_endpoint(tx, grant, row)
    return wire.Endpoint(
        id=endpoint_id, channel=store.channel_of(address), created_at=instant(made_at), state="on", secret=secret
    )


def _check_webhook(request: wire.WebhookEndpoint, allowed: frozenset[str]) -> None:
    try:
        fault = egress.fault(URL(request.url), allowed)
    except ValueError:
        fault = "format"
    if fault is not None:
        raise Invalid(("/url", fault))
    if request.secret is not None and not webhook.is_secret(request.secret):
        raise Invalid(("/secret", "format"))


def _with_secret(request: wire.EndpointIn, before: wire.EndpointIn | None) -> tuple[wire.EndpointIn, str | None]:
    """The address to store, and the secret to show: only one that was made here and now."""
    if not isinstance(request, wire.WebhookEndpoint) or request.secret is not None:
        return request, None
    if isinstance(before, wire.WebhookEndpoint) and before.url == request.url:
        return before, None
    secret = webhook.secret_of(digest(new_token()))
    return msgspec.structs.replace(request, secret=secret), secret


def delete_endpoint(tx: Tx, actor: Actor, endpoint_id: UUID) -> None:
    """Forget one of one's own addresses (patient); one that never was is forgotten too."""
    grant = gate.to_change_own(tx, actor, str(actor.patient()))
    audit.lock(tx, grant.patient)
    store.drop_endpoint(tx, grant, endpoint_id)


# the ledger


class NudgesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of nudges may be narrowed to; days are local and inclusive."""

    state: NudgeState | None = None
    first: date | None = None
    last: date | None = None
    limit: int = 100
    cursor: str | None = None


def nudges(tx: Tx, actor: Actor, patient: str, query: NudgesQuery) -> wire.NudgePage:
    """Every nudge with what was decided and delivered, newest due first (patient, or an app that may)."""
    grant = gate.to_read_own(tx, actor, patient, "nudges:read")
    scope = f"nudges|{grant.patient}|{query.state}|{query.first}|{query.last}"
    before = (paging.END, b"\xff" * 16)
    if query.cursor is not None:
        before = paging.read(tx, actor, scope, query.cursor, tuple[int, bytes])
    narrow = ledger.Narrow(
        query.state,
        "0000-00-00" if query.first is None else query.first.isoformat(),
        "9999-99-99" if query.last is None else query.last.isoformat(),
    )
    found = ledger.page(tx, grant, narrow, before, query.limit + 1)
    items = found[: query.limit]
    more = paging.write(tx, actor, scope, items[-1].due_at, items[-1].id.bytes) if len(found) > query.limit else None
    return wire.NudgePage(items=[ledger.answer(row, ledger.deliveries(tx, grant, row.id)) for row in items], next=more)
