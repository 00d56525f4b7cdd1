"""The OpenAPI 3.1 document of the whole service, made from the route table and the contract's own types.

Knows no slice: what a route takes and answers stands in its signature and in its ``opt``:

    query       the struct of its query parameters
    body        the type of a body that the route reads itself
    body_limit  the bytes its body may have, where these are not the 64 KiB of every other
    events      the type in each event of a route that answers a stream of them (takes Last-Event-ID)
    match       takes If-Match (412)
    created     a PUT that makes (201) or repeats and corrects (200), also with If-None-Match (409, 410, 428)
    tagged      a GET with an entity tag: takes If-None-Match (304), and 410 for what was deleted
    repeatable  a POST that takes Idempotency-Key (409)
    problems    any other status it refuses with
    unready     a status that carries the same answer as 200
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, cast, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from companion_sdk import wire

from . import reading
from .edge import OPEN
from .problems import MEDIA
from .schemas import REF, Json, Schemas, prose, tidy

CONFIG = None
"""Litestar makes no document and serves no ``/schema``: its schemas lose bounds, strictness and discriminators."""

ABOUT = """\
A diary for people in an Intensive Outpatient Program, nudges at the right local time, consent that is enforced, and trends \
that can be trusted.

Bodies are JSON in UTF-8. Ids are UUIDs; whoever makes something chooses its id, so that every `PUT` and `DELETE` is safe \
to repeat. Instants are RFC 3339 with an offset in and UTC out; a `day` is the patient's local calendar date. A request \
with an unknown field is refused; an answer may gain fields, and clients must tolerate them.

Everything that goes wrong answers `application/problem+json` (RFC 9457) with one word in `type`. What the caller may not \
see does not exist: the same 404 as for a missing id. Every answer carries `X-Request-Id`.

A field that may be missing from a request may be null too; one that may be missing from an answer is left out where it \
is null or empty. A body has at most 64 KiB, where nothing else is said."""

TAGS = {
    "sign-in": "A code becomes a token; `Authorization: Bearer cmp_…` goes with every other call.",
    "me": "The signed-in person, their phones and the tokens they gave to others.",
    "patients": "A patient as a consented clinician sees them, and invites.",
    "consents": "Who may see what, for which purpose, until when; and who looked.",
    "logs": "The diary: every kind of entry, its history, corrections and deletions.",
    "sync": "The same diary for a device that is often offline: what it did goes up, what changed comes down, each once.",
    "trends": "Daily series and the sobriety ledger.",
    "plans": "When to remind of what, on the patient's own wall clock.",
    "nudges": "Every due message and what became of it.",
    "endpoints": "Where nudges go.",
    "safety": "Whom to reach now, and the patient's own plan for that moment.",
    "service": "What this server understands.",
    "health": "For whoever keeps it running.",
}

EVENTS = "text/event-stream"
_METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
_BY_OPTION = {"match": (412,), "created": (409, 410, 428), "tagged": (410,), "repeatable": (409,)}
_WORDS: dict[str, str] = {
    "patient": "The patient's id, or `me`.",
    "log": "The entry's id, made by the client.",
    "consent": "The consent's id, made by the client.",
    "plan": "The plan's id, made by the client.",
    "endpoint": "The endpoint's id, made by the client.",
    "device": "The device's id.",
    "token": "The token's id.",
    "limit": "How many items a page holds.",
    "cursor": "`next` of the page before; of a pull, its `cursor`.",
    "kind": "Only entries of this kind.",
    "state": "Only nudges in this state.",
    "from": "First local day, inclusive.",
    "to": "Last local day, inclusive.",
    "on": "The local day it is counted on: today, if left out.",
    "substance": "One substance or behaviour: any, if left out.",
    "series": "Which series, with commas between them: all, if left out.",
    "through": "Up to this `seq`: up to now, if left out.",
    "language": "A language tag, such as `es`.",
}


def encoded(app: Litestar) -> bytes:
    """The document as JSON, a line a value so that a change reads as a diff."""
    return _encoded(app)


@cache
def _encoded(app: Litestar) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document(app)), indent=1)


@cache
def _page(app: Litestar) -> str:
    return reading.page(document(app))


def page(app: Litestar) -> str:
    """The document as a page to read."""
    return _page(app)


def document(app: Litestar) -> Json:
    """The document: paths in order of their names, types in order of theirs, fields in the order they are declared."""
    routed = sorted(_routed(app), key=lambda one: (one[0], _METHODS.index(one[1])))
    bodies = [body for *_, handler in routed if (body := _takes(handler)) is not None]
    answers = [kind for *_, handler in routed for kind in (_gives(handler), handler.opt.get("events")) if kind is not None]
    schemas = Schemas([wire.Problem, *bodies, *answers])
    paths: dict[str, Json] = {}
    statuses: set[int] = set()
    for path, method, handler in routed:
        operation = _operation(path, handler, schemas)
        statuses.update(int(status) for status, answer in operation["responses"].items() if "$ref" in answer)
        paths.setdefault(path, {})[method.lower()] = operation
    used = {tag for path in paths.values() for operation in path.values() for tag in operation["tags"]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Companion",
            "version": "1",
            "summary": "Diary, nudges, consent and trends for an Intensive Outpatient Program",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items() if name in used],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "parameters": _PARAMETERS,
            "responses": {_problem_name(status): _problem(status) for status in sorted(statuses)},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "From a sign-in, or given out by a patient.",
                }
            },
        },
    }


def _routed(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Path, method and handler of everything that belongs in the document."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in sorted(handler.http_methods & set(_METHODS)):
                    if handler.resolve_include_in_schema():
                        yield route.path_format, method, handler


def _takes(handler: HTTPRouteHandler) -> Any:
    """The type of the body a handler takes; None without one."""
    field = handler.parsed_data_field
    return handler.opt.get("body") if field is None else field.annotation


def _gives(handler: HTTPRouteHandler) -> Any:
    """The type a handler answers; None without a body."""
    annotation = handler.parsed_return_field.annotation
    return get_args(annotation)[0] if get_origin(annotation) is Response else None


def _operation(path: str, handler: HTTPRouteHandler, schemas: Schemas) -> Json:
    option: dict[str, Any] = handler.opt
    secured = path not in OPEN
    body = _takes(handler)
    query: type[msgspec.Struct] | None = option.get("query")
    parameters = [*_path_parameters(path, handler), *_query_parameters(query), *_header_parameters(option)]
    summary, _, rest = prose(handler.fn.__doc__ or "").partition(". ")
    asked = prose(query.__doc__) if query is not None and query.__doc__ else ""
    description = "\n\n".join(text for text in (rest, asked) if text)
    return {
        "operationId": handler.operation_id,
        "tags": list(handler.tags or ()),
        "summary": summary.removesuffix("."),
        **({"description": description} if description else {}),
        "security": [{"bearer": cast("list[str]", [])}] if secured else [],
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _body(schemas.of(body), option.get("body_limit"))} if body is not None else {}),
        "responses": {
            **_answers(handler, schemas),
            **{
                str(status): {"$ref": f"#/components/responses/{_problem_name(status)}"}
                for status in sorted(_statuses(option, secured=secured, bodied=body is not None, asked=bool(parameters)))
            },
        },
    }


def _body(schema: Json, limit: int | None) -> Json:
    described = {"description": f"At most {limit:,} bytes."} if limit else {}
    return {**described, "required": True, **_content(schema)}


def _content(schema: Json, media: str = "application/json") -> Json:
    return {"content": {media: {"schema": schema}}}


# parameters


def _path_parameters(path: str, handler: HTTPRouteHandler) -> Iterator[Json]:
    kinds = {name: field.annotation for name, field in handler.parsed_fn_signature.parameters.items()}
    for part in path.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            yield _parameter("path", name, msgspec.json.schema(kinds[name]), required=True)


def _query_parameters(query: type[msgspec.Struct] | None) -> Iterator[Json]:
    if query is None:
        return
    _, found = msgspec.json.schema_components([query], ref_template=REF)
    schema = found[query.__name__]
    for name, kind in schema["properties"].items():
        yield _parameter("query", name, tidy(_present(kind)), required=name in schema["required"])


def _present(schema: Json) -> Json:
    """A query parameter that is there is never null: it is left out."""
    kept = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    return kept[0] if len(kept) == 1 else schema


def _parameter(place: Literal["path", "query", "header"], name: str, schema: Json, *, required: bool = False) -> Json:
    described = {"description": _WORDS[name]} if name in _WORDS else {}
    return {"name": name, "in": place, "required": required, **described, "schema": schema}


_TAG = {"type": "string", "pattern": '^"[0-9]{1,15}"$', "examples": ['"1"']}
_KEY = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"}
_PARAMETERS: dict[str, Json] = {
    "IfMatch": {
        **_parameter("header", "If-Match", _TAG),
        "description": 'The entity tag (`"<revision>"`) of the revision this changes.',
    },
    "IfNew": {
        **_parameter("header", "If-None-Match", {"type": "string", "const": "*"}),
        "description": "`*`: make it, never correct it.",
    },
    "IfNoneMatch": {
        **_parameter("header", "If-None-Match", {"type": "string"}),
        "description": "The entity tag the caller has: 304 when it is still current.",
    },
    "LastEventId": {
        **_parameter("header", "Last-Event-ID", {"type": "string"}),
        "description": "The `id` of the last event the caller got: no event tells again what that one told.",
    },
    "IdempotencyKey": {
        **_parameter("header", "Idempotency-Key", _KEY),
        "description": "The same key with the same body makes one thing only, for 24 hours.",
    },
}

_HEADERS = {
    "match": "IfMatch",
    "created": "IfNew",
    "tagged": "IfNoneMatch",
    "repeatable": "IdempotencyKey",
    "events": "LastEventId",
}


def _header_parameters(option: Mapping[str, Any]) -> Iterator[Json]:
    for flag, name in _HEADERS.items():
        if option.get(flag):
            yield {"$ref": f"#/components/parameters/{name}"}


# answers


def _answers(handler: HTTPRouteHandler, schemas: Schemas) -> Json:
    """What a caller gets when all is well."""
    option: dict[str, Any] = handler.opt
    if (event := option.get("events")) is not None:
        return {"200": {"description": _sentence(event), **_content(_events(schemas.of(event)), EVENTS)}}
    kind = _gives(handler)
    if kind is None:
        return {str(handler.status_code): {"description": "Done"}}
    body = _content(schemas.of(kind))
    headers = {**_tag_header(option), **_link_header(kind)}
    words = _sentence(kind)
    good: Json = {"description": words, **({"headers": headers} if headers else {}), **body}
    found: Json = {str(handler.status_code): good}
    if option.get("created"):
        found = {"200": good, "201": {**good, "description": f"Made. {words}"}}
    if option.get("tagged"):
        found["304"] = {"description": "Still the one the caller has", "headers": headers}
    if status := option.get("unready"):
        found[str(status)] = {**good, "description": f"Not ready. {words}"}
    return found


def _events(data: Json) -> Json:
    """A stream as OpenAPI 3.1 can say it: a text, and the schema of the JSON in each event's ``data``."""
    words = "Server-sent events; `data` of each is JSON as below. A line that begins with a colon only keeps the line open."
    return {"type": "string", "description": words, "contentMediaType": "application/json", "contentSchema": data}


def _tag_header(option: Mapping[str, Any]) -> Json:
    if option.get("created") or option.get("tagged"):
        return {"ETag": {"description": 'The revision, as `"<revision>"`', "required": True, "schema": _TAG}}
    return {}


def _link_header(kind: type[msgspec.Struct]) -> Json:
    if "next" in kind.__struct_fields__:
        return {"Link": {"description": 'The next page, `rel="next"`, while there is one', "schema": {"type": "string"}}}
    return {}


def _sentence(kind: type[msgspec.Struct]) -> str:
    """The first sentence of a type's own words, or its name."""
    return prose(kind.__doc__ or kind.__name__).split("\n\n")[0]


def _statuses(option: Mapping[str, Any], *, secured: bool, bodied: bool, asked: bool) -> set[int]:
    """Every status an operation may refuse with."""
    found = {429, 500, *option.get("problems", ())}
    for flag, statuses in _BY_OPTION.items():
        if option.get(flag):
            found.update(statuses)
    if bodied or asked:
        found.add(400)
    if bodied:
        found.update((413, 415))
    if secured:
        found.update((401, 403, 404, 503))
    elif bodied:
        found.update((401, 503))
    return found


def _problem_name(status: int) -> str:
    return f"Problem{status}"


def _problem(status: int) -> Json:
    words = {word: title for word, (of, title) in wire.WORDS.items() if of == status}
    headers = {
        401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
        412: {"ETag": {"description": "The revision that is stored", "schema": _TAG}},
        428: {"ETag": {"description": "The revision that is stored", "schema": _TAG}},
        429: {"Retry-After": {"description": "Seconds", "required": True, "schema": {"type": "integer", "minimum": 1}}},
        503: {"Retry-After": {"description": "Seconds", "required": True, "schema": {"type": "integer", "minimum": 1}}},
    }.get(status)
    return {
        "description": " · ".join(f"`{word}`: {title}" for word, title in words.items()),
        **({"headers": headers} if headers else {}),
        **_content({"$ref": REF.format(name="Problem")}, MEDIA),
    }
