"""Reading an answer: strictly first, then forgivingly, so that an older SDK lives with a newer service.

Forgiven are: unknown fields inside kinds and plans (dropped), words of the future (kept as they are) and entries whose
kind or content this version cannot read (they become ``UnknownLog``). Knows no HTTP.
"""

import types
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec

from .wire import Log

T = TypeVar("T")


class Unreadable(ValueError):
    """An answer that cannot be read even forgivingly. Says nothing of its content."""


class UnknownLog(Log, frozen=True, kw_only=True):
    """An entry this version of the SDK cannot read: a kind of the future, or content of a later shape.

    ``kind`` and the envelope are as ever, ``body`` is None, and ``raw`` holds the content as it came.
    """

    raw: Mapping[str, object]


@lru_cache(maxsize=128)
def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind)


def decode(kind: type[T], raw: bytes) -> T:
    """One answer of type ``kind``; ``NoneType`` reads nothing.

    Raises:
        Unreadable: when it is not JSON or lacks what ``kind`` needs.
    """
    if kind is types.NoneType:
        return cast("T", None)
    try:
        return cast("T", _decoder(cast("Any", kind)).decode(raw))
    except (ValueError, RecursionError):
        return cast("T", forgive(kind, _tree(raw)))


def _tree(raw: bytes) -> object:
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        raise Unreadable("not JSON") from None


def forgive(kind: object, tree: object) -> object:
    """``tree`` as ``kind``: every part that fits is taken strictly, a part that does not is looked into."""
    try:
        return msgspec.convert(tree, kind)
    except ValueError:
        return _look_into(kind, tree)


def _look_into(kind: object, tree: object) -> object:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return forgive(arguments[0], tree) if _holds_parts(tree) else _refuse()
    if origin in (Union, types.UnionType):
        return _one_of(arguments, tree)
    if origin is Literal and isinstance(tree, str):
        return tree
    if origin in (Sequence, list, tuple) and isinstance(tree, list):
        return [forgive(arguments[0], item) for item in cast("list[object]", tree)]
    if origin in (Mapping, dict) and isinstance(tree, dict):
        return {key: forgive(arguments[1], item) for key, item in cast("dict[str, object]", tree).items()}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(tree, dict):
        fields = cast("dict[str, object]", tree)
        return _log(fields) if kind is Log else _struct(kind, fields)
    return _refuse()


def _holds_parts(tree: object) -> bool:
    return isinstance(tree, list | dict)


def _refuse() -> object:
    raise Unreadable("not the shape this version knows") from None


def _one_of(choices: Sequence[object], tree: object) -> object:
    tagged = _tagged(tree, choices)
    for choice in [choice for choice in choices if _tag(choice) is None] if tagged is None else (tagged,):
        try:
            return forgive(choice, tree)
        except Unreadable:
            continue
    return _refuse()


def _tagged(tree: object, choices: Sequence[object]) -> object | None:
    """The struct whose tag the tree carries, or None."""
    if not isinstance(tree, dict):
        return None
    fields = cast("dict[str, object]", tree)
    for choice in choices:
        tag = _tag(choice)
        if tag is not None and fields.get(tag[0]) == tag[1]:
            return choice
    return None


def _tag(choice: object) -> tuple[str, object] | None:
    """The field and the word that mark this struct among others; None where nothing does."""
    if not (isinstance(choice, type) and issubclass(choice, msgspec.Struct)):
        return None
    config = choice.__struct_config__
    return None if config.tag_field is None else (config.tag_field, config.tag)


def _struct(kind: type[msgspec.Struct], fields: Mapping[str, object]) -> msgspec.Struct:
    """The struct from the fields it knows; what it does not know is dropped."""
    tag = _tag(kind)
    if tag is not None and fields.get(tag[0]) != tag[1]:
        _refuse()
    return _make(kind, {field.name: forgive(field.type, fields[field.encode_name]) for field in _given(kind, fields)})


def _given(kind: type[msgspec.Struct], fields: Mapping[str, object]) -> list[msgspec.structs.FieldInfo]:
    return [field for field in msgspec.structs.fields(kind) if field.encode_name in fields]


def _make(kind: type[msgspec.Struct], values: dict[str, Any]) -> msgspec.Struct:
    try:
        return kind(**values)
    except (TypeError, ValueError):
        raise Unreadable("a part is missing") from None


def _log(fields: Mapping[str, object]) -> msgspec.Struct:
    try:
        return _struct(Log, fields)
    except Unreadable:
        body = fields.get("body")
        if not isinstance(body, dict):
            raise
        envelope = _struct(Log, {**fields, "body": None})
        values = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
        return _make(UnknownLog, {**values, "raw": body})
