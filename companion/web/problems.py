"""Turning what went wrong into RFC 9457 ``application/problem+json``; nothing a caller sent is ever in it."""

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from companion_sdk.wire import WORDS, Fault, Log
from companion_sdk.wire import Problem as Answer

from ..core.errors import Problem
from .exchange import Exchange

MEDIA = "application/problem+json"
_BY_STATUS = {
    400: "invalid-request",
    401: "unauthenticated",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
}


def document(problem: Problem, request_id: str) -> Answer:
    """The problem as the contract has it."""
    return Answer(
        type=f"/problems/{problem.word}",
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        instance=f"urn:uuid:{request_id}",
        request_id=request_id,
        errors=[Fault(pointer=pointer, code=code) for pointer, code in problem.errors],
        current=problem.current if isinstance(problem.current, Log) else None,
    )


def body(problem: Problem, request_id: str) -> bytes:
    """The answer's bytes."""
    return msgspec.json.encode(document(problem, request_id))


def answer(problem: Problem, exchange: Exchange) -> Response[bytes]:
    """The problem as a response."""
    return Response(
        body(problem, exchange.request_id),
        status_code=problem.status,
        media_type=MEDIA,
        headers=dict(problem.headers),
    )


def _exchange(request: Request[Any, Any, Any]) -> Exchange:
    scope: Any = request.scope
    return scope["exchange"]


def on_problem(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    """A verb refused."""
    return answer(problem, _exchange(request))


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """The framework refused: no route, no method, a parameter it could not read."""
    word = _BY_STATUS.get(error.status_code)
    if word is None:
        word = "invalid-request" if error.status_code < 500 else "internal"
    if word == "internal":
        return on_failure(request, error)
    allow = [(name, value) for name, value in (error.headers or {}).items() if name.lower() == "allow"]
    return answer(Problem(word, headers=allow), _exchange(request))


def on_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Something broke: the log gets class and frames under the request id, the caller gets the id."""
    exchange = _exchange(request)
    scope: Any = request.scope
    exchange.site.lines.failure("failure", error, route=scope.get("path_template", "-"), request_id=exchange.request_id)
    return answer(Problem("internal"), exchange)


assert set(_BY_STATUS.values()) <= WORDS.keys()
