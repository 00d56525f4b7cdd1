"""HTTP for the diary."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, delete, get, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from companion_sdk import wire
from companion_sdk.wire.kinds import KindName

from ..web import verbs
from ..web.request import Request
from . import service


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``from`` and ``to`` are the patient's local days, both inclusive."""

    kind: KindName | None = None
    first: date | None = msgspec.field(name="from", default=None)
    last: date | None = msgspec.field(name="to", default=None)
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    cursor: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


def _condition(request: Request) -> service.IfMatch:
    none = request.headers.get("if-none-match")
    if none is not None and none.strip() != "*":
        request.revision("if-none-match")
    return service.IfMatch(request.revision("if-match"), none is not None and none.strip() == "*")


@put(
    "/v1/patients/{patient:str}/logs/{log:uuid}",
    operation_id="putLog",
    tags=["logs"],
    opt={"match": True, "created": True},
)
async def put_log(
    request: Request, patient: FromPath[str], log: FromPath[UUID], data: JSONBody[wire.LogIn]
) -> Response[wire.Log]:
    """Store one diary entry under an id the client made; safe to repeat. With If-Match it corrects that revision."""
    return _stored(request, await request.write(service.record, patient, log, data, _condition(request)))


def _stored(request: Request, stored: service.Stored) -> Response[wire.Log]:
    """201 for a new entry, 200 for a repeat or correction; a red flag brings the crisis resources."""
    log = stored.log
    if stored.alarm is not None:
        log = msgspec.structs.replace(log, crisis=crisis(request, stored.alarm))
    return verbs.answer(log, 201 if stored.created else 200, ETag=service.etag(log))


def crisis(request: Request, alarm: service.Alarm) -> wire.Crisis:
    """The site's help in the person's language, with the address of their own plan."""
    found = request.site.settings.crisis(alarm.language)
    if not alarm.has_plan:
        return found
    address = f"{request.site.settings.public_url.rstrip('/')}/v1/patients/{alarm.patient}/safety-plan"
    return msgspec.structs.replace(found, plan_url=address)


@get("/v1/patients/{patient:str}/logs/{log:uuid}", operation_id="getLog", tags=["logs"], opt={"tagged": True})
async def get_log(request: Request, patient: FromPath[str], log: FromPath[UUID]) -> Response[wire.Log]:
    """One live entry; 304 with the right If-None-Match."""
    found = await request.read(service.get, patient, log)
    return verbs.tagged(request, found, service.etag(found))


@delete("/v1/patients/{patient:str}/logs/{log:uuid}", operation_id="deleteLog", tags=["logs"], opt={"match": True})
async def delete_log(request: Request, patient: FromPath[str], log: FromPath[UUID]) -> None:
    """Delete an entry; its history stays. Safe to repeat."""
    await request.write(service.delete, patient, log, request.revision("if-match"))


@get("/v1/patients/{patient:str}/logs/{log:uuid}/history", operation_id="getLogHistory", tags=["logs"])
async def history(request: Request, patient: FromPath[str], log: FromPath[UUID]) -> Response[wire.LogHistory]:
    """Every revision of one entry, oldest first, also of a deleted one."""
    return verbs.answer(await request.read(service.history, patient, log))


@get("/v1/patients/{patient:str}/logs", operation_id="listLogs", tags=["logs"], opt={"query": LogQuery})
async def page(request: Request, patient: FromPath[str]) -> Response[wire.LogPage]:
    """Live entries, newest first."""
    query = request.query(LogQuery)
    asked = service.PageQuery(kind=query.kind, first=query.first, last=query.last, limit=query.limit, cursor=query.cursor)
    return verbs.page(request, await request.read(service.page, patient, asked))


@put(
    "/v1/patients/{patient:str}/safety-plan",
    operation_id="putSafetyPlan",
    tags=["safety"],
    opt={"match": True, "created": True},
)
async def put_plan(request: Request, patient: FromPath[str], data: JSONBody[wire.SafetyPlan]) -> Response[wire.Log]:
    """Store the patient's own crisis plan; safe to repeat. With If-Match it corrects that revision."""
    return _stored(request, await request.write(service.keep_plan, patient, data, _condition(request)))


@get("/v1/patients/{patient:str}/safety-plan", operation_id="getSafetyPlan", tags=["safety"], opt={"tagged": True})
async def get_plan(request: Request, patient: FromPath[str]) -> Response[wire.Log]:
    """The patient's own crisis plan; 304 with the right If-None-Match."""
    found = await request.read(service.plan_of, patient)
    return verbs.tagged(request, found, service.etag(found))


handlers = [put_plan, get_plan, put_log, get_log, delete_log, history, page]
