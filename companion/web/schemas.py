"""The contract's types as JSON Schema: msgspec's schemas, with what they leave out put in.

Every bound, strictness and discriminator of the structs is there; unions get their names, instants and large numbers their
format. What may be null says so in the form that generators of clients read: ``type: [integer, null]``, and ``oneOf`` for
a type with a name. Knows no route.
"""

import inspect
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, cast, get_args

import msgspec

from companion_sdk import wire
from companion_sdk.wire.base import MAX_INT

Json = dict[str, Any]
NULL: Json = {"type": "null"}

REF = "#/components/schemas/{name}"
_PLACE = REF.format(name="")
_INT32 = 2**31 - 1
_UNIONS: dict[str, Any] = {name: kind for name in wire.__all__ if isinstance(kind := getattr(wire, name), UnionType)}


class Schemas:
    """``components``: every type that one of ``kinds`` reaches, by name; ``of``: the schema where such a type is used."""

    def __init__(self, kinds: Sequence[Any]) -> None:
        unique = list(dict.fromkeys([*kinds, *_UNIONS.values()]))
        found, components = msgspec.json.schema_components(unique, ref_template=REF)
        structs = {kind.__name__: kind for kind in _structs(unique)}
        for name, schema in components.items():
            _date(schema, structs[name])
        self._named = dict(zip(map(_members, _UNIONS.values()), _UNIONS, strict=True))
        self._found = {kind: tidy(schema, self._named) for kind, schema in zip(unique, found, strict=True)}
        whole: dict[str, Json] = {name: tidy(schema, self._named) for name, schema in components.items()}
        for name, union in _UNIONS.items():
            inlined = found[unique.index(union)]
            whole[name] = {
                "description": f"One of several, told apart by `{inlined['discriminator']['propertyName']}`.",
                "oneOf": inlined["anyOf"],
                "discriminator": inlined["discriminator"],
            }
        wanted = _reached(whole, [self._found[kind] for kind in kinds])
        self.components = {name: whole[name] for name in sorted(wanted)}

    def of(self, kind: Any) -> Json:
        """The schema of a type where it is used: a reference."""
        return self._found[kind]


def _members(union: Any) -> frozenset[str]:
    return frozenset(REF.format(name=member.__name__) for member in get_args(union))


def _structs(kinds: list[Any]) -> set[type[msgspec.Struct]]:
    """Every struct that the types are made of."""
    found: set[type[msgspec.Struct]] = set()
    waiting: list[Any] = list(msgspec.inspect.multi_type_info(kinds))
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, msgspec.inspect.StructType):
            if kind.cls in found:
                continue
            found.add(kind.cls)
            waiting += [field.type for field in kind.fields]
        elif isinstance(kind, msgspec.inspect.UnionType):
            waiting += kind.types
        elif isinstance(kind, msgspec.inspect.CollectionType):
            waiting.append(kind.item_type)
        elif isinstance(kind, msgspec.inspect.DictType):
            waiting += (kind.key_type, kind.value_type)
    return found


def _date(schema: Json, struct: type[msgspec.Struct]) -> None:
    """Instants that are answered: msgspec says ``date-time`` only where a type demands an offset.

    A union holds at most one type that is a text in JSON, so the text beside null in a union with an instant is the instant.
    """
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        if any(isinstance(kind, msgspec.inspect.DateTimeType) for kind in kinds):
            place = schema["properties"][field.encode_name]
            for option in place.get("anyOf", [place]):
                if option.get("type") == "string":
                    option["format"] = "date-time"


def tidy(node: Any, named: Mapping[frozenset[str], str] = {}) -> Any:
    """The same schema with unions by name, closed words typed, null in one form, and descriptions as prose."""
    if isinstance(node, (list, tuple)):
        return [tidy(item, named) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    schema: Json = {
        key: tidy(value, named)
        for key, value in cast("Json", node).items()
        if key != "title" or not isinstance(value, str)  # msgspec repeats the name there; a field may be called so too
    }
    if isinstance(schema.get("discriminator"), dict) and "anyOf" in schema:
        name = named[frozenset(option["$ref"] for option in schema["anyOf"])]
        return {"$ref": REF.format(name=name)}
    if isinstance(words := schema.get("enum"), list) and "type" not in schema:
        closed = cast("list[str]", words)
        schema = {"type": "string", **schema}
        if len(closed) == 1:
            schema["const"] = schema.pop("enum")[0]
    if isinstance(text := schema.get("description"), str):
        schema["description"] = prose(text)
    return _sized(_nullable(schema))


def _nullable(schema: Json) -> Json:
    """``anyOf`` with null is read as a union of two types, the first of them of no name, by the generators for Swift and
    Kotlin (openapi-generator 7.26 then makes required fields of the same form null too). That a field which may be missing
    is then null or an empty list needs no word: a default there would make TypeScript promise that the field is sent.
    """
    if schema.get("default", 0) in (None, []):
        del schema["default"]
    if NULL not in schema.get("anyOf", ()):
        return schema
    options = [option for option in schema.pop("anyOf") if option != NULL]
    if len(options) != 1 or "type" not in options[0]:
        return {"oneOf": [*options, NULL], **schema}
    kind: Json = {**options[0], **schema, "type": [options[0]["type"], "null"]}
    if "enum" in kind:
        kind["enum"] = [*kind["enum"], None]
    return kind


def _sized(schema: Json) -> Json:
    """Numbers with the format that typed languages need: without it an integer becomes one of 32 bits."""
    kind: str | list[str] | None = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "integer" and schema.get("maximum", MAX_INT) > _INT32:
        schema["format"] = "int64"
    elif kind == "number":
        schema["format"] = "double"
    return schema


def _reached(components: Mapping[str, Json], roots: list[Any]) -> set[str]:
    """The names that the roots refer to, and those that these refer to."""
    found: set[str] = set()
    waiting: list[Any] = [*roots]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += cast("Json", node).values()
        elif isinstance(node, list):
            waiting += cast("list[Any]", node)
        elif isinstance(node, str) and node.startswith(_PLACE) and (name := node.removeprefix(_PLACE)) not in found:
            found.add(name)
            waiting.append(components[name])
    return found


def prose(text: str) -> str:
    """A docstring as CommonMark: one line a paragraph, code in single backticks."""
    paragraphs = inspect.cleandoc(text).replace("``", "`").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
