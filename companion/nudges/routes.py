"""HTTP for plans, endpoints and nudges."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, delete, get, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from companion_sdk import wire
from companion_sdk.wire.nudges import NudgeState

from ..web import verbs
from ..web.request import Request
from . import service


class NudgeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``from`` and ``to`` are the patient's local days, both inclusive."""

    state: NudgeState | None = None
    first: date | None = msgspec.field(name="from", default=None)
    last: date | None = msgspec.field(name="to", default=None)
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    cursor: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


@get("/v1/patients/{patient:str}/plans", operation_id="listPlans", tags=["plans"])
async def plans(request: Request, patient: FromPath[str]) -> Response[wire.PlanList]:
    """Every plan that stands, each with the moment it is next due; for a clinician those she made."""
    return verbs.answer(await request.read(service.plans, patient))


@get("/v1/patients/{patient:str}/plans/{plan:uuid}", operation_id="getPlan", tags=["plans"], opt={"problems": (410,)})
async def get_plan(request: Request, patient: FromPath[str], plan: FromPath[UUID]) -> Response[wire.Plan]:
    """One plan."""
    return verbs.answer(await request.read(service.plan, patient, plan))


@put("/v1/patients/{patient:str}/plans/{plan:uuid}", operation_id="putPlan", tags=["plans"], opt={"problems": (410,)})
async def put_plan(
    request: Request, patient: FromPath[str], plan: FromPath[UUID], data: JSONBody[wire.PlanIn]
) -> Response[wire.Plan]:
    """Make a plan under an id the client made, or replace it; safe to repeat. Nudges not yet sent follow it."""
    return verbs.answer(await request.write(service.put_plan, patient, plan, data))


@delete("/v1/patients/{patient:str}/plans/{plan:uuid}", operation_id="deletePlan", tags=["plans"])
async def delete_plan(request: Request, patient: FromPath[str], plan: FromPath[UUID]) -> None:
    """End a plan; nudges it has not sent are dropped. Safe to repeat."""
    await request.write(service.delete_plan, patient, plan)


@put("/v1/me/endpoints/{endpoint:uuid}", operation_id="putEndpoint", tags=["endpoints"])
async def put_endpoint(
    request: Request, endpoint: FromPath[UUID], data: JSONBody[wire.EndpointIn]
) -> Response[wire.Endpoint]:
    """Store an address for one's own nudges under an id the client made; safe to repeat."""
    return verbs.answer(await request.write(service.put_endpoint, endpoint, data, request.site.settings.egress_hosts))


@delete("/v1/me/endpoints/{endpoint:uuid}", operation_id="deleteEndpoint", tags=["endpoints"])
async def delete_endpoint(request: Request, endpoint: FromPath[UUID]) -> None:
    """Forget an address; nothing goes there any more. Safe to repeat."""
    await request.write(service.delete_endpoint, endpoint)


@get("/v1/patients/{patient:str}/nudges", operation_id="listNudges", tags=["nudges"], opt={"query": NudgeQuery})
async def nudges(request: Request, patient: FromPath[str]) -> Response[wire.NudgePage]:
    """Every nudge with its decisions and deliveries, newest due first; for the patient alone."""
    query = request.query(NudgeQuery)
    asked = service.NudgesQuery(
        state=query.state, first=query.first, last=query.last, limit=query.limit, cursor=query.cursor
    )
    return verbs.page(request, await request.read(service.nudges, patient, asked))


handlers = [plans, get_plan, put_plan, delete_plan, put_endpoint, delete_endpoint, nudges]
