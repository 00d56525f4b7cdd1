"""THE list of routers, handlers and plugins: this page shows the whole service."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from litestar import Litestar
from litestar.exceptions import HTTPException

from .consent import routes as consent
from .core.errors import Problem
from .logs import routes as logs
from .logs import sync_routes as sync
from .nudges import routes as nudges
from .people import routes as people
from .trends import routes as trends
from .web import about, openapi, problems
from .web.edge import Edge
from .web.exchange import Site
from .web.request import Request

HANDLERS: Sequence[Any] = [
    *about.handlers,
    *people.handlers,
    *consent.handlers,
    *logs.handlers,
    *sync.handlers,
    *nudges.handlers,
    *trends.handlers,
]


@cache
def build() -> Litestar:
    """The Litestar application, without a database: what every request needs comes with its exchange."""
    return Litestar(
        route_handlers=HANDLERS,
        request_class=Request,
        exception_handlers={
            Problem: problems.on_problem,
            HTTPException: problems.on_http,
            Exception: problems.on_failure,
        },
        openapi_config=openapi.CONFIG,
        logging_config=None,
        request_max_body_size=None,
    )


def serve_on(site: Site) -> Edge:
    """The whole application around a running service."""
    return Edge(build(), site)  # pyright: ignore[reportArgumentType]
