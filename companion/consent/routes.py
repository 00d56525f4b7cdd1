"""HTTP for consents, disclosures, a patient's profile, and a clinician's invites."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from companion_sdk import wire

from ..web import verbs
from ..web.request import Request
from . import service


class DisclosureQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    cursor: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


@get("/v1/patients/{patient:str}", operation_id="getPatient", tags=["patients"])
async def patient(request: Request, patient: FromPath[str]) -> Response[wire.Patient]:
    """A patient's name, zone and site, for the patient and for a clinician with consent."""
    return verbs.answer(await request.read(service.patient, patient))


@get("/v1/patients/{patient:str}/consents", operation_id="listConsents", tags=["consents"])
async def consents(request: Request, patient: FromPath[str]) -> Response[wire.ConsentList]:
    """Every consent the patient gave, revoked ones too."""
    return verbs.answer(await request.read(service.consents, patient))


@put(
    "/v1/patients/{patient:str}/consents/{consent:uuid}",
    operation_id="giveConsent",
    tags=["consents"],
    opt={"problems": (410,)},
)
async def give(
    request: Request, patient: FromPath[str], consent: FromPath[UUID], data: JSONBody[wire.ConsentIn]
) -> Response[wire.Consent]:
    """Give a consent under an id the client made, or change it; safe to repeat."""
    return verbs.answer(await request.write(service.give, patient, consent, data))


@post(
    "/v1/patients/{patient:str}/consents/{consent:uuid}/revoke",
    operation_id="revokeConsent",
    tags=["consents"],
    status_code=200,
)
async def revoke(request: Request, patient: FromPath[str], consent: FromPath[UUID]) -> Response[wire.Consent]:
    """End a consent now; safe to repeat."""
    return verbs.answer(await request.write(service.revoke, patient, consent))


@get(
    "/v1/patients/{patient:str}/disclosures",
    operation_id="listDisclosures",
    tags=["consents"],
    opt={"query": DisclosureQuery},
)
async def disclosures(request: Request, patient: FromPath[str]) -> Response[wire.DisclosurePage]:
    """Who looked at the record, when, under which consent; newest first."""
    query = request.query(DisclosureQuery)
    return verbs.page(request, await request.read(service.disclosures, patient, query.limit, query.cursor))


@post("/v1/invites", operation_id="invite", tags=["patients"], opt={"repeatable": True})
async def invite(request: Request, data: JSONBody[wire.InviteIn]) -> Response[wire.Invite]:
    """A clinician invites a new patient, or one she has to a new phone."""
    return verbs.answer(await request.write(service.invite, data, request.idempotency_key()), 201)


handlers = [patient, consents, give, revoke, disclosures, invite]
