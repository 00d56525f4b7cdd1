"""Helpers that keep a handler at three lines: answers of a PUT, a GET with its tag, a 204."""

from typing import Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec
from litestar import Response

from .request import Request

T = TypeVar("T")

JSON = "application/json"
_encode = msgspec.json.Encoder().encode


def answer(content: T, status: int = 200, **headers: str) -> Response[T]:
    """A JSON answer, encoded once."""
    return Response(_encode(content), status_code=status, media_type=JSON, headers=headers)  # pyright: ignore[reportReturnType]


def tagged(request: Request, content: T, tag: str) -> Response[T]:
    """A GET's answer with its entity tag; 304 when the caller has that one."""
    asked = request.headers.get("if-none-match", "")
    if asked == "*" or tag in [part.strip().removeprefix("W/") for part in asked.split(",")]:
        return Response(b"", status_code=304, headers={"ETag": tag})  # pyright: ignore[reportReturnType]
    return answer(content, ETag=tag)


class Page(Protocol):
    """A page of the contract."""

    @property
    def next(self) -> str | None: ...


G = TypeVar("G", bound=Page)


def page(request: Request, found: G) -> Response[G]:
    """A page, with the next one's address in ``Link`` (RFC 8288) as well."""
    if found.next is None:
        return answer(found)
    query = [(name, value) for name, value in parse_qsl(request.scope["query_string"].decode()) if name != "cursor"]
    address = f"{request.scope['path']}?{urlencode([*query, ('cursor', found.next)])}"
    return answer(found, Link=f'<{address}>; rel="next"')
