"""What the service says of itself without a sign-in: version, kinds, crisis resources, health, docs."""

import importlib.metadata
from functools import cache
from typing import Annotated

import msgspec
from litestar import MediaType, Response, get
from msgspec import Meta

from companion_sdk.wire import KINDS, Crisis, Health, Service
from companion_sdk.wire.sync import MAX_CHANGES, MAX_OPS, MAX_PUSH_BYTES

from . import openapi, verbs
from .request import BODY_LIMIT, Request

FEATURES = ("diary", "sync", "safety-plan", "consents", "trends", "sobriety", "plans", "nudges", "tokens")


@cache
def version() -> str:
    """The installed version."""
    return importlib.metadata.version("companion-iop")


@get("/v1/service", operation_id="getService", tags=["service"])
async def service(request: Request) -> Response[Service]:
    """What this server understands: version, kinds with their fields, limits."""
    kinds = {name: [field.encode_name for field in msgspec.structs.fields(struct)] for name, struct in sorted(KINDS.items())}
    limits = {
        "body_bytes": BODY_LIMIT,
        "note_characters": 4000,
        "page": 500,
        "pull_changes": MAX_CHANGES,
        "push_bytes": MAX_PUSH_BYTES,
        "push_ops": MAX_OPS,
    }
    return verbs.answer(Service(version=version(), kinds=kinds, limits=limits, features=FEATURES))


class CrisisQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    language: Annotated[str, Meta(min_length=2, max_length=35)] = "en"


@get("/v1/crisis", operation_id="getCrisis", tags=["safety"], opt={"query": CrisisQuery})
async def crisis_resources(request: Request) -> Response[Crisis]:
    """Whom to reach now, in order; the same for everyone of the site, readable without a sign-in."""
    return verbs.answer(request.site.settings.crisis(request.query(CrisisQuery).language))


@get("/health/live", operation_id="getHealthLive", tags=["health"])
async def live(request: Request) -> Response[Health]:
    """The process answers."""
    return verbs.answer(Health(status="ok", checks={}))


@get("/health/ready", operation_id="getHealthReady", tags=["health"], opt={"unready": 503})
async def ready(request: Request) -> Response[Health]:
    """The service can keep entries and send nudges; 503 with the reason when not."""
    checks = await request.site.checks()
    good = all(result == "ok" for result in checks.values())
    return verbs.answer(Health(status="ok" if good else "unready", checks=checks), 200 if good else 503)


@get("/openapi.json", operation_id="getOpenapi", tags=["service"], include_in_schema=False)
async def document(request: Request) -> Response[bytes]:
    """The contract as OpenAPI 3.1."""
    return Response(openapi.encoded(request.app), media_type="application/json")


@get("/docs", operation_id="getDocs", media_type=MediaType.HTML, include_in_schema=False)
async def docs(request: Request) -> Response[str]:
    """The contract to read; the page asks nothing of any other host."""
    return Response(
        openapi.page(request.app),
        media_type=MediaType.HTML,
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"},
    )


handlers = [service, crisis_resources, live, ready, document, docs]
