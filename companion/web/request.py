"""The request our handlers get: strict bodies and queries, and ``read``/``write`` into the database as its caller."""

from collections.abc import Callable
from functools import cache
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import parse_qsl

import litestar
import msgspec

from companion_sdk.wire import Invalid as InvalidBody
from companion_sdk.wire import decode
from companion_sdk.wire.strict import explain

from ..core.actors import Actor
from ..core.db import Tx
from ..core.errors import Invalid, Problem, Refusal
from .exchange import Exchange, Site

P = ParamSpec("P")
R = TypeVar("R")
Q = TypeVar("Q", bound=msgspec.Struct)

BODY_LIMIT = 64 * 1024
_decoders: dict[Any, "msgspec.json.Decoder[Any]"] = {}


class Request(litestar.Request[Any, Any, Any]):
    """A Litestar request that knows its exchange. A reserved argument: nothing is injected."""

    @property
    def exchange(self) -> Exchange:
        return self.scope["exchange"]  # pyright: ignore[reportGeneralTypeIssues, reportTypedDictNotRequiredAccess, reportUnknownVariableType, reportUnknownMemberType]

    @property
    def site(self) -> Site:
        return self.exchange.site

    async def write(self, verb: Callable[Concatenate[Tx, Actor, P], R | Refusal], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a verb as this caller; what it did is on disk when this returns."""
        exchange = self._asked()
        answer = await exchange.site.db.write(exchange.caller, verb, *args, **kwargs)
        exchange.resolved = True
        return answer

    async def read(self, verb: Callable[Concatenate[Tx, Actor, P], R | Refusal], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a verb as this caller on one snapshot."""
        exchange = self._asked()
        answer = await exchange.site.db.read(exchange.caller, verb, *args, **kwargs)
        exchange.resolved = True
        return answer

    def _asked(self) -> Exchange:
        """The exchange, once it is sure that no part of the request goes unread: a query belongs to routes that have one."""
        if self.scope["query_string"] and "query" not in self.route_handler.opt:
            raise Invalid(("", "unknown-parameter"))
        return self.exchange

    async def body(self) -> bytes:
        """The body's bytes: JSON by its media type, bounded, and not empty."""
        held = self._body
        if isinstance(held, bytes):
            return held
        self._check_media()
        self._body = body = await self._bounded_body()
        if not body:
            raise Invalid(("", "json"))
        return body

    async def json(self) -> Any:
        """The body, decoded strictly to what the handler declares as ``data``."""
        field = self.route_handler.parsed_data_field
        kind = field.annotation if field is not None else msgspec.Raw
        decoder = _decoders.get(kind)
        if decoder is None:
            decoder = _decoders[kind] = msgspec.json.Decoder(kind, strict=True)
        try:
            return decode(kind, await self.body(), decoder)
        except InvalidBody as error:
            raise Invalid(*error.errors) from error

    def _check_media(self) -> None:
        length: bytes | None = None
        media = b""
        for name, value in self.scope["headers"]:
            if name == b"content-type":
                media = value
            elif name == b"content-length":
                length = value
            elif name == b"content-encoding" and value.strip().lower() != b"identity":
                raise Problem("unsupported-media", "Bodies are sent uncompressed")
        kind, _, options = media.partition(b";")
        if kind.strip().lower() != b"application/json" or (
            options.strip() and options.strip().lower().replace(b'"', b"") != b"charset=utf-8"
        ):
            raise Problem("unsupported-media")
        if length is not None and length.isdigit() and int(length) > self._limit:
            raise Problem("too-large")

    @property
    def _limit(self) -> int:
        """Bytes that this route takes."""
        return self.route_handler.opt.get("body_limit", BODY_LIMIT)

    async def _bounded_body(self) -> bytes:
        """The body up to the limit. What comes after a refusal the server drops, within the time a body has: a closed
        connection would take the answer with it.
        """
        chunks: list[bytes] = []
        size, limit = 0, self._limit
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise Problem("invalid-request", "The body did not arrive")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise Problem("too-large")
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def query(self, kind: type[Q]) -> Q:
        """The query string as a struct: an unknown or repeated name, or a value out of bounds, is 400.

        A field that is a list may be repeated, or hold its words with commas between them.
        """
        lists, integers, names = _shape(kind)
        given: dict[str, Any] = {}
        try:
            raw = self.scope["query_string"].decode("ascii")
            pairs = parse_qsl(raw, keep_blank_values=True, strict_parsing=bool(raw), errors="strict", max_num_fields=100)
        except (ValueError, UnicodeDecodeError) as error:
            raise Invalid(("", "query")) from error
        for name, value in pairs:
            if name not in names:
                raise Invalid(("", "unknown-parameter"))
            if name in integers and not (value.isascii() and value.removeprefix("-").isdigit()):
                raise Invalid((f"/{name}", "type"))  # the decoder would take 5.0 and " 5" as well
            if name in lists:
                given.setdefault(name, []).extend(value.split(","))
            elif name in given:
                raise Invalid((f"/{name}", "repeated"))
            else:
                given[name] = value
        try:
            return msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as error:
            raise Invalid(explain(error)) from error

    def revision(self, header: str) -> int | None:
        """The revision in an ``If-Match`` or ``If-None-Match`` header; None without the header.

        Raises:
            Invalid: for anything but one strong entity tag that this service gave out.
        """
        text = self.headers.get(header)
        if text is None:
            return None
        digits = text[1:-1]
        if text[:1] == text[-1:] == '"' and digits.isascii() and digits.isdigit() and 0 < len(digits) <= 15:
            return int(digits)
        raise Invalid((f"/{header.lower()}", "entity-tag"))

    def idempotency_key(self) -> str | None:
        """The ``Idempotency-Key`` header: 1–200 visible ASCII characters."""
        key = self.headers.get("idempotency-key")
        if key is None:
            return None
        if not 0 < len(key) <= 200 or not key.isascii() or not key.isprintable():
            raise Invalid(("/idempotency-key", "format"))
        return key


_LISTS = (msgspec.inspect.ListType, msgspec.inspect.VarTupleType, msgspec.inspect.CollectionType)


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
