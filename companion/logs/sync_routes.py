"""HTTP for sync."""

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Meta

from companion_sdk import wire
from companion_sdk.wire import Invalid as InvalidBody
from companion_sdk.wire.frames import read_push
from companion_sdk.wire.sync import MAX_CHANGES, MAX_PUSH_BYTES

from ..core.errors import Invalid, Problem
from ..web import problems, verbs
from ..web.request import Request
from . import sync
from .routes import crisis


class PullQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without a cursor the walk begins at the beginning."""

    cursor: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_CHANGES)] = 500


class DigestQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without ``through``: of everything there is."""

    through: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None


@post(
    "/v1/patients/{patient:str}/sync/push",
    operation_id="pushChanges",
    tags=["sync"],
    status_code=200,
    opt={"body": wire.Push, "body_limit": MAX_PUSH_BYTES},
)
async def push(request: Request, patient: FromPath[str]) -> Response[wire.Pushed]:
    """Apply what a device did, each operation exactly once. Safe to repeat. A broken operation is rejected by itself."""
    try:
        head, ops = read_push(await request.body())
    except InvalidBody as error:
        raise Invalid(*error.errors) from error
    return verbs.answer(_pushed(request, await request.write(sync.push, patient, head, ops)))


def _pushed(request: Request, came: sync.Outcomes) -> wire.Pushed:
    return wire.Pushed(
        results=[_result(one, request.exchange.request_id) for one in came.done],
        last_n=came.last_n,
        epoch=came.epoch,
        server_time=came.now,
        crisis=None if came.alarm is None else crisis(request, came.alarm),
    )


def _result(done: sync.Done, request_id: str) -> wire.PushResult:
    kept = done.kept
    refused = Problem(kept.word, kept.detail, errors=kept.errors) if kept.word else None
    return wire.PushResult(
        n=kept.n,
        outcome=kept.outcome,
        revision=kept.revision,
        seq=kept.seq,
        problem=None if refused is None else problems.document(refused, request_id),
        current=done.current,
    )


@get(
    "/v1/patients/{patient:str}/sync/pull",
    operation_id="pullChanges",
    tags=["sync"],
    opt={"query": PullQuery, "problems": (410,)},
)
async def pull(request: Request, patient: FromPath[str]) -> Response[wire.Changes]:
    """What changed, in the patient's own order, deleted entries too; everything without a cursor."""
    asked = request.query(PullQuery)
    return verbs.answer(await request.read(sync.pull, patient, asked.cursor, asked.limit))


@get("/v1/patients/{patient:str}/sync/digest", operation_id="getDigest", tags=["sync"], opt={"query": DigestQuery})
async def digest(request: Request, patient: FromPath[str]) -> Response[wire.Digest]:
    """Proof of what is stored, for a device to compare with what it holds."""
    return verbs.answer(await request.read(sync.digest, patient, request.query(DigestQuery).through))


@get("/v1/patients/{patient:str}/sync/stream", operation_id="streamChanges", tags=["sync"], opt={"events": wire.Changed})
async def stream(request: Request, patient: FromPath[str]) -> Stream:
    """Server-sent events: a hint whenever there is something to pull. Ends when the caller may look no more."""
    events = await watch(request, patient)
    return Stream(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def watch(request: Request, patient: str) -> AsyncIterator[bytes]:
    """The events of one stream, once it is sure that the caller may have it."""
    found = await request.read(sync.news, patient)
    if request.exchange.method == "HEAD":  # its headers are all of it: nothing would end the wait for a body
        return _nothing()
    told = request.headers.get("last-event-id", "")
    seen = int(told) if told.isascii() and told.isdigit() and len(told) <= 16 else -1
    return request.site.live.watch(request.exchange.caller, patient, found.patient, found.newest, seen)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


handlers = [push, pull, digest, stream]
