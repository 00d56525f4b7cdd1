"""The OpenAPI document as one page to read: no script, nothing from any other place, light and dark.

Knows the document and nothing of the service. The page is built as a tree and serialised by the standard library, so that
no text can become markup.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

from .schemas import REF, Json

_STYLE = Path(__file__).with_name("reading.css")
_FORMATS = {"uuid": "UUID", "date-time": "instant", "date": "local date"}
_KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "null": "null"}

Inside = Element | str


def page(document: Json) -> str:
    """The whole page as HTML."""
    style = element("style", _STYLE.read_text(encoding="utf-8"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{document['info']['title']} API"),
        style,
    )
    body = element("body", _masthead(document), _contents(document), element("main", *_main(document)))
    return "<!doctype html>\n" + tostring(element("html", head, body, lang="en"), encoding="unicode", method="html")


def element(tag: str, *inside: Inside, **attributes: str) -> Element:
    """One element with texts and elements inside; an attribute that is a word of Python has an underscore behind."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    for part in inside:
        if isinstance(part, Element):
            made.append(part)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + part
        else:
            made.text = (made.text or "") + part
    return made


def _prose(text: str) -> Iterator[Inside]:
    """A line of CommonMark of which only code is marked."""
    for place, part in enumerate(text.split("`")):
        if part:
            yield element("code", part) if place % 2 else part


def _paragraphs(text: str) -> list[Element]:
    return [element("p", *_prose(paragraph)) for paragraph in text.split("\n\n") if paragraph]


# the frame


def _masthead(document: Json) -> Element:
    info = document["info"]
    return element(
        "header",
        element("h1", info["title"], " ", element("small", f"API version {info['version']}")),
        *_paragraphs(info["description"]),
        element("p", element("a", "openapi.json", href="/openapi.json"), " is this page for programs."),
    )


def _contents(document: Json) -> Element:
    groups = [
        element(
            "li",
            element("a", tag["name"], href=f"#{tag['name']}"),
            element(
                "ul",
                *(
                    element("li", element("a", _method(method), operation["summary"], href=f"#{operation['operationId']}"))
                    for method, _, operation in _operations(document, tag["name"])
                ),
            ),
        )
        for tag in document["tags"]
    ]
    more = [element("li", element("a", name, href=f"#{name}")) for name in ("problems", "types")]
    return element("nav", element("ul", *groups, *more), **{"aria-label": "Contents"})


def _operations(document: Json, tag: str) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield method, path, operation


def _main(document: Json) -> Iterator[Element]:
    for tag in document["tags"]:
        yield element(
            "section",
            element("h2", tag["name"]),
            *_paragraphs(tag["description"]),
            *(_operation(document, *found) for found in _operations(document, tag["name"])),
            id=tag["name"],
        )
    yield element("section", element("h2", "problems"), *_problems(document), id="problems")
    yield element("section", element("h2", "types"), *_types(document), id="types")


# one operation


def _operation(document: Json, method: str, path: str, operation: Json) -> Element:
    parameters = [_resolved(document, parameter) for parameter in operation.get("parameters", ())]
    key = element("span", "no sign-in needed", class_="open") if not operation["security"] else ""
    title = element("h3", *_prose(operation["summary"]))
    return element(
        "article",
        title,
        element("p", _method(method), " ", _breakable(path), " ", key, class_="call"),
        *_paragraphs(operation.get("description", "")),
        *_part("Parameters", _parameter_rows(parameters)),
        *_request(document, operation),
        *_answers(document, operation),
        id=operation["operationId"],
    )


def _method(method: str) -> Element:
    return element("b", method.upper(), class_=f"method {method}")


def _breakable(path: str) -> Element:
    """A path that may wrap after each slash."""
    made = element("code")
    for place, part in enumerate(path.split("/")):
        if place:
            made.append(element("wbr"))
            made[-1].tail = f"/{part}"
    return made


def _part(name: str, rows: Sequence[Element]) -> list[Element]:
    return [element("h4", name), element("dl", *rows)] if rows else []


def _parameter_rows(parameters: Sequence[Json]) -> list[Element]:
    rows: list[Element] = []
    for parameter in parameters:
        marks = [element("i", parameter["in"])]
        if parameter["required"]:
            marks.append(element("em", "required"))
        rows.append(_row(parameter["name"], parameter["schema"], _about(parameter), *marks))
    return rows


def _row(name: str, schema: Json, about: Sequence[Element], *marks: Element) -> Element:
    spaced: list[Inside] = [part for mark in marks for part in (" ", mark)]
    return element("div", element("dt", element("code", name), *spaced), element("dd", *_type(schema)), *about)


def _about(named: Json) -> list[Element]:
    return [element("dd", *_prose(named["description"]))] if "description" in named else []


def _request(document: Json, operation: Json) -> list[Element]:
    if "requestBody" not in operation:
        return []
    body = operation["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    return [element("h4", "Request ", *_type(schema)), *_paragraphs(body.get("description", "")), *_shape(document, schema)]


def _answers(document: Json, operation: Json) -> list[Element]:
    good: list[Element] = []
    problems: list[Inside] = []
    for status, answer in operation["responses"].items():
        if "$ref" in answer:
            problems += (element("a", status, href=f"#problem-{status}"), " ")
        else:
            good.append(_answer(document, status, answer))
    return [element("h4", "Answers"), *good, element("p", "Problems: ", *problems, class_="problems")]


def _answer(document: Json, status: str, answer: Json) -> Element:
    words = list(_prose(answer["description"]))
    headers = [
        _row(name, header["schema"], _about(header), element("i", "header"))
        for name, header in answer.get("headers", {}).items()
    ]
    if "content" not in answer:
        return element("p", element("b", status, class_="status"), " ", *words)
    (schema,) = (content["schema"] for content in answer["content"].values())
    schema = schema.get("contentSchema", schema)
    summary = element("summary", element("b", status, class_="status"), " ", *_type(schema), " ", element("span", *words))
    return element("details", summary, *_shape(document, schema, headers))


# types


def _shape(document: Json, schema: Json, first: Sequence[Element] = ()) -> list[Element]:
    """The fields of what a schema refers to; for a union, its types."""
    found = _resolved(document, schema)
    if "oneOf" in found:
        return [element("ul", *(element("li", *_type(option)) for option in found["oneOf"]))]
    rows = [_row(name, field, (), *_needed(found, name)) for name, field in found.get("properties", {}).items()]
    if not rows and not first:
        return [element("p", "No fields.")]
    return [element("dl", *first, *rows)]


def _needed(struct: Json, name: str) -> list[Element]:
    """What must be sent is marked in a request, what may be missing in an answer."""
    sent, needed = struct.get("additionalProperties") is False, name in struct["required"]
    if sent and needed:
        return [element("em", "required")]
    return [] if sent or needed else [element("i", "may be missing")]


def _resolved(document: Json, node: Json) -> Json:
    if "$ref" not in node:
        return node
    found: Any = document
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def _type(schema: Json) -> list[Inside]:
    """A schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REF.format(name=""))
        return [element("a", name, href=f"#type-{name}")]
    return [*_bare(schema), *_default(schema)]


def _bare(schema: Json) -> Iterator[Inside]:
    options = schema.get("oneOf")
    if isinstance(kinds := schema.get("type"), list):
        yield from _bare({**schema, "type": kinds[0], **_without_null(schema)})
        yield from (" or ", _KINDS["null"])
    elif options:
        for place, option in enumerate(options):
            yield from [" or ", *_type(option)] if place else _type(option)
    elif "const" in schema:
        yield element("code", str(schema["const"]))
    elif "enum" in schema:
        for place, word in enumerate(schema["enum"]):
            yield from ([" · "] if place else [])
            yield element("code", str(word))
    elif schema.get("type") == "array":
        yield from ("list of ", *_type(schema["items"]), _span(schema, "minItems", "maxItems"))
    elif isinstance(schema.get("additionalProperties"), Mapping):
        yield from ("map of names to ", *_type(schema["additionalProperties"]))
    else:
        yield from _plain(schema)


def _without_null(schema: Json) -> Json:
    return {"enum": [word for word in schema["enum"] if word is not None]} if "enum" in schema else {}


def _plain(schema: Json) -> Iterator[Inside]:
    kind: str = schema.get("type", "anything")
    yield _FORMATS.get(schema.get("format", ""), _KINDS.get(kind, kind))
    if kind == "string":
        yield _span(schema, "minLength", "maxLength", " characters")
    else:
        yield _span(schema, "minimum", "maximum")
    if "multipleOf" in schema:
        yield f" in steps of {schema['multipleOf']}"
    if "pattern" in schema:
        yield from (" like ", element("code", schema["pattern"], class_="pattern"))


def _span(schema: Mapping[str, Any], low: str, high: str, unit: str = "") -> str:
    if low in schema and high in schema:
        return f", {schema[low]:,}–{schema[high]:,}{unit}"
    if high in schema:
        return f", at most {schema[high]:,}{unit}"
    return f", at least {schema[low]:,}{unit}" if low in schema else ""


def _default(schema: Json) -> list[Inside]:
    default = schema.get("default")
    if default is None or default == []:
        return []
    return [", else ", element("code", default if isinstance(default, str) else json.dumps(default))]


def _problems(document: Json) -> Iterator[Element]:
    for name, problem in document["components"]["responses"].items():
        status = name.removeprefix("Problem")
        words = [element("li", *_prose(word)) for word in problem["description"].split(" · ")]
        yield element(
            "article", element("h3", element("b", status, class_="status")), element("ul", *words), id=f"problem-{status}"
        )


def _types(document: Json) -> Iterator[Element]:
    for name, schema in document["components"]["schemas"].items():
        about = _paragraphs(schema.get("description", ""))
        yield element("article", element("h3", name), *about, *_shape(document, schema), id=f"type-{name}")
