"""The OpenAPI document: frozen, the same every time, and true to the types it is made from."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import httpx2
import msgspec
import pytest
from litestar import Litestar, Response, get
from support.cast import Person
from support.sources import ROOT

from companion import app
from companion.web import openapi
from companion.web.edge import OPEN
from companion_sdk import wire
from companion_sdk.wire.sync import MAX_OPS, MAX_PUSH_BYTES

FROZEN = Path(__file__).with_name("openapi.json")
REFRESH = "uv run companion openapi > tests/contract/openapi.json"

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    return json.loads(openapi.encoded(app.build()))


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def nodes(node: Any, place: str = "#") -> Iterator[tuple[str, Any]]:
    """Everything in the document with where it stands."""
    yield place, node
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield from nodes(value, f"{place}/{key}")


def test_the_document_is_the_frozen_one() -> None:
    """A change of the contract is read as a diff of the file."""
    assert FROZEN.read_bytes() == openapi.encoded(app.build()) + b"\n", f"if the change is meant: {REFRESH}"


def test_the_command_prints_the_frozen_document() -> None:
    done = subprocess.run([sys.executable, "-m", "companion", "openapi"], capture_output=True, cwd=ROOT, check=True)
    assert done.stdout == FROZEN.read_bytes()


def test_the_document_does_not_depend_on_chance() -> None:
    code = "import sys; from companion import app; from companion.web import openapi as o; "
    code += "sys.stdout.buffer.write(o.encoded(app.build()) + o.page(app.build()).encode())"
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            cwd=ROOT,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(made) == 1


# its form


def test_every_reference_leads_somewhere_and_every_component_is_used(document: Json) -> None:
    inside = [node for _, node in nodes(document) if isinstance(node, dict)]
    references = {node["$ref"] for node in inside if isinstance(node.get("$ref"), str)}
    parts = document["components"]
    there = {f"#/components/{part}/{name}" for part in ("schemas", "parameters", "responses") for name in parts[part]}
    mapped = {target for node in inside if "mapping" in node for target in node["mapping"].values()}
    assert references | mapped == there


def test_names_are_ones_that_generators_like(document: Json) -> None:
    for part in ("schemas", "parameters", "responses"):
        assert [name for name in document["components"][part] if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)] == []
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z][A-Za-z0-9]*", name)] == []


def test_every_object_has_a_name(document: Json) -> None:
    """What stands inline gets a name from a generator, with underscores in it; only maps stand inline."""
    unnamed = [
        place
        for place, node in nodes(document)
        if isinstance(node, dict)
        and (node.get("type") == "object" or isinstance(node.get("properties"), dict))
        and not re.fullmatch(r"#/components/schemas/\w+(/properties)?", place)
        and "additionalProperties" not in node
    ]
    assert unnamed == []
    unions = [place for place, node in nodes(document) if isinstance(node, dict) and len(node.get("oneOf", ())) > 2]
    assert unions
    assert all(re.fullmatch(r"#/components/schemas/[A-Z][A-Za-z]*", place) for place in unions), unions


def test_bounds_are_integers(document: Json) -> None:
    bounds = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
    found = [
        (f"{place}/{bound}", node[bound])
        for place, node in nodes(document)
        if isinstance(node, dict)
        for bound in bounds
        if isinstance(node.get(bound), int | float)
    ]
    assert len(found) > 100
    assert [place for place, bound in found if type(bound) is not int] == []


def test_numbers_say_how_large_they_are(document: Json) -> None:
    """A generator for a typed language takes an integer of no format for one of 32 bits."""
    for place, node in nodes(document["components"]["schemas"]):
        if isinstance(node, dict) and (kind := set(as_list(node.get("type")))) & {"integer", "number"}:
            small = "integer" in kind and node.get("maximum", 2**53) < 2**31
            assert node.get("format") == (None if small else "int64" if "integer" in kind else "double"), place


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def test_null_has_one_form(document: Json) -> None:
    """A plain type beside null in ``type``, a named one in ``oneOf``; null is nobody's default."""
    seen: set[str] = set()
    for place, node in nodes(document):
        if isinstance(node, dict):
            assert "anyOf" not in node, place
            assert "nullable" not in node, place
            assert node.get("default", 0) not in (None, []), place
            if {"type": "null"} in node.get("oneOf", ()):
                assert [list(option) for option in node["oneOf"]] == [["$ref"], ["type"]], place
                seen.add("oneOf")
            if isinstance(node.get("type"), list):
                assert len(node["type"]) == 2, place
                assert node["type"][1] == "null", place
                assert "enum" not in node or node["enum"][-1] is None, place
                seen.add("type")
    assert seen == {"oneOf", "type"}


def test_patterns_are_ones_that_every_validator_reads(document: Json) -> None:
    """JSON Schema's patterns are ECMA-262's with the u flag, which refuses to escape what needs no escape."""
    patterns = {
        node["pattern"] for _, node in nodes(document) if isinstance(node, dict) and isinstance(node.get("pattern"), str)
    }
    assert len(patterns) > 4
    for pattern in patterns:
        assert set(re.findall(r"\\(.)", pattern)) <= set("^$\\.*+?()[]{}|/dDwWsSbBxutnrfv"), pattern
        assert "(?P" not in pattern
        assert not pattern.endswith(r"\Z"), pattern


def test_what_msgspec_checks_is_in_the_document(document: Json) -> None:
    """Zero bounds, item limits, strictness, discriminators: what the framework's own document loses."""
    schemas = document["components"]["schemas"]
    assert schemas["Mood"]["properties"]["anxiety"] == {"type": ["integer", "null"], "minimum": 0, "maximum": 10}
    assert schemas["Mood"]["properties"]["emotions"]["maxItems"] == 12
    assert schemas["Sobriety"]["properties"]["kind"] == {"type": "string", "const": "sobriety"}
    assert schemas["Log"]["properties"]["body"]["oneOf"] == [{"$ref": "#/components/schemas/Body"}, {"type": "null"}]
    assert "title" in schemas["Problem"]["properties"]
    assert schemas["Meeting"]["properties"]["fellowship"]["enum"] == sorted(wire.FELLOWSHIPS)
    for name, schema in schemas.items():
        struct = getattr(wire, name, None)
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct):
            assert ("additionalProperties" in schema) == issubclass(struct, wire.Sent), name


@pytest.mark.parametrize("name", ["Body", "SignIn", "EndpointIn"])
def test_a_union_has_a_name_and_tells_every_member_by_its_tag(document: Json, name: str) -> None:
    members = {str(one.__struct_config__.tag): one for one in get_args(getattr(wire, name))}
    union = document["components"]["schemas"][name]
    (tag,) = {one.__struct_config__.tag_field for one in members.values()}
    assert union["discriminator"] == {
        "propertyName": tag,
        "mapping": {word: f"#/components/schemas/{one.__name__}" for word, one in members.items()},
    }
    assert [option["$ref"] for option in union["oneOf"]] == list(union["discriminator"]["mapping"].values())
    for word, one in members.items():
        schema = document["components"]["schemas"][one.__name__]
        assert schema["properties"][tag] == {"type": "string", "const": word}
        assert tag in schema["required"]


def test_every_instant_says_that_it_is_one(document: Json) -> None:
    """The fields that hold a datetime in Python, found by their golden files."""
    golden = FROZEN.parent / "golden"
    seen = 0
    for name, schema in document["components"]["schemas"].items():
        if (golden / f"{name}.json").exists():
            for field, value in json.loads((golden / f"{name}.json").read_bytes()).items():
                if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value):
                    assert schema["properties"][field].get("format") == "date-time", f"{name}.{field}"
                    seen += 1
    assert seen > 15


def test_no_words_of_a_docstring_are_markup_of_another_kind(document: Json) -> None:
    texts = [
        node for place, node in nodes(document) if place.endswith(("/description", "/summary")) and isinstance(node, str)
    ]
    assert [text for text in texts if "``" in text or "\n " in text or text != text.strip()] == []
    assert all(operation["summary"] for _, _, operation in operations(document))


# its operations


def test_what_needs_a_sign_in_says_so(document: Json) -> None:
    assert {path for path, _, operation in operations(document) if not operation["security"]} == OPEN & document[
        "paths"
    ].keys()
    for path, _, operation in operations(document):
        assert ("401" in operation["responses"]) == (bool(operation["security"]) or path == "/v1/sign-in"), path


def test_every_operation_says_what_may_go_wrong(document: Json) -> None:
    """A refusal is a problem, on every operation; and only 2xx, 304 and readiness answer anything else."""
    for path, method, operation in operations(document):
        told = {status for status, answer in operation["responses"].items() if "$ref" in answer}
        assert {"429", "500"} <= told, (method, path)
        assert not operation["security"] or {"401", "403", "404", "503"} <= told, (method, path)
        assert "requestBody" not in operation or {"400", "413", "415"} <= told, (method, path)
        rest = operation["responses"].keys() - told
        assert {status for status in rest if status[0] != "2"} <= {"304"} | ({"503"} if path == "/health/ready" else set())


def test_a_push_says_how_large_it_may_be(document: Json) -> None:
    body = document["paths"]["/v1/patients/{patient}/sync/push"]["post"]["requestBody"]
    assert body == {
        "description": "At most 1,048,576 bytes.",
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Push"}}},
    }
    described = [operation["requestBody"] for _, _, operation in operations(document) if "requestBody" in operation]
    assert [body for body in described if "description" in body] == [body], "every other has the limit of the whole"
    assert document["components"]["schemas"]["Push"]["properties"]["ops"]["maxItems"] == MAX_OPS
    assert MAX_PUSH_BYTES == 1_048_576


def test_a_stream_is_documented_as_events(document: Json) -> None:
    stream = document["paths"]["/v1/patients/{patient}/sync/stream"]["get"]
    assert {"$ref": "#/components/parameters/LastEventId"} in stream["parameters"]
    assert list(stream["responses"]["200"]["content"]) == ["text/event-stream"]
    schema = stream["responses"]["200"]["content"]["text/event-stream"]["schema"]
    assert schema["type"] == "string"
    assert schema["contentSchema"] == {"$ref": "#/components/schemas/Changed"}


def test_a_put_of_an_entry_lists_every_answer_of_the_contract(document: Json) -> None:
    put = document["paths"]["/v1/patients/{patient}/logs/{log}"]["put"]
    good = {"200", "201"}
    problems = {"400", "401", "403", "404", "409", "410", "412", "413", "415", "428", "429", "500", "503"}
    assert set(put["responses"]) == good | problems
    for status in good:
        assert put["responses"][status]["headers"]["ETag"]["required"] is True
    assert [parameter.get("$ref", parameter.get("name")) for parameter in put["parameters"]] == [
        "patient",
        "log",
        "#/components/parameters/IfMatch",
        "#/components/parameters/IfNew",
    ]
    assert put["requestBody"] == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/LogIn"}}},
    }


def test_a_list_shows_its_query(document: Json) -> None:
    listing = document["paths"]["/v1/patients/{patient}/logs"]["get"]
    query = {one["name"]: one for one in listing["parameters"] if one["in"] == "query"}
    assert list(query) == ["kind", "from", "to", "limit", "cursor"]
    assert query["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}
    assert query["kind"]["schema"] == {"type": "string", "enum": sorted(wire.KINDS)}
    assert query["from"]["schema"] == {"type": "string", "format": "date"}
    assert not any(one["required"] for one in query.values())


def test_every_path_parameter_is_declared(document: Json) -> None:
    for path, _, operation in operations(document):
        declared = {one["name"]: one for one in operation.get("parameters", ()) if one.get("in") == "path"}
        assert set(declared) == set(re.findall(r"{(\w+)}", path)), path
        assert all(one["required"] and one["schema"]["type"] == "string" for one in declared.values())


def test_every_problem_answers_as_a_problem(document: Json) -> None:
    for name, response in document["components"]["responses"].items():
        assert list(response["content"]) == ["application/problem+json"]
        status = int(name.removeprefix("Problem"))
        words = {word for word, (of, _) in wire.WORDS.items() if of == status}
        assert words == set(re.findall(r"`([a-z-]+)`", response["description"]))


# where it is served


async def test_the_framework_serves_no_document_of_its_own(ana: Person) -> None:
    for path in ("/schema", "/schema/", "/schema/openapi.json", "/schema/swagger", "/schema/redoc", "/schema/x"):
        assert (await ana.http.get(path)).status_code == 401, path
        assert (await ana.get(path)).status_code == 404, path
    assert [route.path for route in app.build().routes if route.path.startswith("/schema")] == []


async def test_the_document_and_its_page_are_served_without_a_sign_in(http: httpx2.AsyncClient) -> None:
    served = await http.get("/openapi.json")
    assert served.status_code == 200
    assert served.headers["content-type"] == "application/json"
    assert served.content == openapi.encoded(app.build())
    page = await http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert page.text == openapi.page(app.build())


# the page


class Page(HTMLParser):
    """What a browser would find: ids, links, what it would load, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.ids += [found] if (found := given.get("id")) else []
        self.links += [found] if tag == "a" and (found := given.get("href")) else []
        self.loads += [found for name in ("src", "srcset", "action", "data") if (found := given.get(name))]
        self.loads += [found] if tag == "link" and (found := given.get("href")) else []
        assert not any(name.startswith("on") or name == "style" for name in given), given

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_everything_and_loads_nothing(document: Json) -> None:
    page = Page(openapi.page(app.build()))
    assert page.loads == []
    assert page.tags & {"script", "iframe", "link", "img", "object", "base"} == set()
    assert "@import" not in page.text
    assert "url(" not in page.text
    assert len(page.ids) == len(set(page.ids))
    assert [link for link in page.links if link != "/openapi.json" and link.removeprefix("#") not in page.ids] == []
    for path, _, operation in operations(document):
        assert operation["operationId"] in page.ids
        assert path in page.text
    for name, schema in document["components"]["schemas"].items():
        assert f"type-{name}" in page.ids
        assert all(field in page.text for field in schema.get("properties", ()))
    for word in wire.WORDS:
        if any(word in response["description"] for response in document["components"]["responses"].values()):
            assert word in page.text


def test_no_text_becomes_markup_on_the_page() -> None:
    @get("/v1/<b>&", operation_id="odd", tags=["service"])
    async def odd() -> Response[wire.Health]:
        """A <script>alert(1)</script> & an `<img src=x onerror=y>`."""
        raise NotImplementedError

    shown = openapi.page(Litestar([odd], openapi_config=None))
    page = Page(shown)
    assert page.tags & {"script", "img", "b"} == {"b"}, "b marks a method"
    assert "<script>alert(1)</script>" in page.text
    assert "<img src=x onerror=y>" in page.text
    assert "/v1/<b>&" in page.text
