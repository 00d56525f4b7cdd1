"""A web service of your own in front of Companion: one client for the process, one caller a request, as dependencies.

``caller`` is a plain async generator: in FastAPI the same function, with FastAPI's ``Request``, is a dependency by
``client: Annotated[AsyncCompanion, Depends(caller)]``. Each request speaks with the token it came with: your service holds
no right of its own. Needs COMPANION_URL; run it with ``uvicorn web_dependency:app``.
"""

import os
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from companion_sdk import ApiError, AsyncCompanion, TransportError


async def caller(request: Request[Any, Any, Any]) -> AsyncIterator[AsyncCompanion]:
    """A client that speaks for whoever calls, closed when the request ends."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ").strip() or None
    async with AsyncCompanion(os.environ["COMPANION_URL"], token=token, deadline=10) as client:
        yield client


@get("/week", dependencies={"client": caller})
async def week(client: NamedDependency[SkipValidation[AsyncCompanion]]) -> dict[str, float | None]:
    """The mean of each series over the last seven days."""
    trends = await client.trends.get()
    return {name: series.means["7"][-1].value if series.means["7"] else None for name, series in trends.series.items()}


def refused(_: Request[Any, Any, Any], error: ApiError) -> Response[dict[str, str]]:
    """What Companion refused is refused here, with the id that finds it in Companion's log."""
    return Response({"problem": error.word, "request_id": error.request_id}, status_code=error.status)


def away(_: Request[Any, Any, Any], error: TransportError) -> Response[dict[str, str]]:
    """No answer from Companion."""
    return Response({"problem": "unreachable", "request_id": error.request_id}, status_code=502)


app = Litestar([week], exception_handlers={ApiError: refused, TransportError: away})
