"""One request to the fake service and its answer, as values: bodies, queries and headers read as the service reads them.

Knows no route, no rule and no HTTP client.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote
from uuid import UUID

import msgspec

from companion_sdk.wire import Invalid, decode
from companion_sdk.wire.strict import explain

from ._refusals import Refused, invalid

T = TypeVar("T")
Q = TypeVar("Q", bound=msgspec.Struct)

BODY_LIMIT = 64 * 1024
JSON = "application/json"
_LISTS = (msgspec.inspect.ListType, msgspec.inspect.VarTupleType, msgspec.inspect.CollectionType)


class Heard(msgspec.Struct, frozen=True):
    """A request: ``target`` is path and query as sent; header names in lower case, as often as they came."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.target.partition("?")[0])

    @property
    def query_string(self) -> str:
        """What stands after the question mark."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for key, value in self.headers if key == name), None)

    def content(self, limit: int = BODY_LIMIT) -> bytes:
        """The body: JSON by its media type, bounded, and not empty."""
        if (self.header("content-encoding") or "identity").strip().lower() != "identity":
            raise Refused("unsupported-media", "Bodies are sent uncompressed")
        kind, _, options = (self.header("content-type") or "").partition(";")
        plain = options.strip().lower().replace('"', "") in ("", "charset=utf-8")
        if kind.strip().lower() != JSON or not plain:
            raise Refused("unsupported-media")
        if len(self.body) > limit:
            raise Refused("too-large")
        if not self.body:
            raise invalid(("", "json"))
        return self.body

    def read(self, kind: type[T]) -> T:
        """The body, decoded strictly."""
        return strictly(lambda: decode(kind, self.content()))

    def no_query(self) -> None:
        """Refuse a query: this route has none."""
        if self.query_string:
            raise invalid(("", "unknown-parameter"))

    def query(self, kind: type[Q]) -> Q:
        """The query as a struct: an unknown or repeated name, or a value out of bounds, is 400."""
        lists, integers, names = _shape(kind)
        given: dict[str, Any] = {}
        for name, value in self._pairs():
            if name not in names:
                raise invalid(("", "unknown-parameter"))
            if name in integers and not (value.isascii() and value.removeprefix("-").isdigit()):
                raise invalid((f"/{name}", "type"))
            if name in lists:
                given.setdefault(name, []).extend(value.split(","))
            elif name in given:
                raise invalid((f"/{name}", "repeated"))
            else:
                given[name] = value
        try:
            return msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as error:
            raise invalid(explain(error)) from error

    def _pairs(self) -> list[tuple[str, str]]:
        raw = self.query_string
        try:
            raw.encode("ascii")
            return parse_qsl(raw, keep_blank_values=True, strict_parsing=bool(raw), errors="strict", max_num_fields=100)
        except ValueError as error:
            raise invalid(("", "query")) from error

    def revision(self, header: str) -> int | None:
        """The revision in an ``If-Match`` or ``If-None-Match`` header; None without the header."""
        text = self.header(header)
        if text is None:
            return None
        digits = text[1:-1]
        if text[:1] == text[-1:] == '"' and digits.isascii() and digits.isdigit() and 0 < len(digits) <= 15:
            return int(digits)
        raise invalid((f"/{header}", "entity-tag"))

    def idempotency_key(self) -> str | None:
        """The ``Idempotency-Key`` header: 1–200 visible ASCII characters."""
        key = self.header("idempotency-key")
        if key is not None and not (0 < len(key) <= 200 and key.isascii() and key.isprintable()):
            raise invalid(("/idempotency-key", "format"))
        return key

    def request_id(self) -> str | None:
        """The ``X-Request-Id`` if it is a UUID in its usual form."""
        given = self.header("x-request-id") or ""
        try:
            return given if len(given) == 36 and str(UUID(given)) == given.lower() else None
        except ValueError:
            return None

    def token(self) -> str | None:
        """The bearer token; empty where the header holds none or comes twice, None without the header."""
        found = [value for name, value in self.headers if name == "authorization"]
        if not found:
            return None
        scheme, _, token = found[0].partition(" ")
        return token.strip() if len(found) == 1 and scheme.lower() == "bearer" else ""


class Said(msgspec.Struct, frozen=True):
    """An answer. ``stream`` gives the rest of it piece by piece: None for nothing yet, an end when there will be none."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    stream: "Callable[[], bytes | None] | None" = None


class StreamEnded(Exception):
    """A stream says no more."""


def strictly(read: Callable[[], T]) -> T:
    """What ``read`` decodes; a body that breaks the contract is 400."""
    try:
        return read()
    except Invalid as error:
        raise invalid(*error.errors) from error


def answer(content: object, status: int = 200, **headers: str) -> Said:
    """A JSON answer."""
    return Said(status, {"content-type": JSON, **headers}, msgspec.json.encode(content))


@cache
def _shape(kind: type[msgspec.Struct]) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Names in the query of the fields that are lists, of those that are integers, and of all."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    lists = {field.encode_name for field in info.fields if isinstance(field.type, _LISTS)}
    integers = {field.encode_name for field in info.fields if _is_integer(field.type)}
    return frozenset(lists), frozenset(integers), frozenset(field.encode_name for field in info.fields)


def _is_integer(field: msgspec.inspect.Type) -> bool:
    kinds = field.types if isinstance(field, msgspec.inspect.UnionType) else (field,)
    return any(isinstance(kind, msgspec.inspect.IntType) for kind in kinds)
