"""Reading a push whose operations may be broken: the frame strictly, each operation by itself.

One operation that breaks the contract must not hide the others, so only what cannot be told apart is refused as a whole: a
frame that does not decode, an operation without a readable number and id.
"""

import json
from typing import Annotated, Any, NoReturn, cast
from uuid import UUID

import msgspec
from msgspec import Meta

from .base import Instant, Sent
from .strict import Invalid, decode, explained
from .sync import MAX_OPS, PushOp


class PushHead(Sent, frozen=True):
    """What a push says of itself: the device, and what its clock said."""

    device: UUID
    sent_at: Instant


class ReadOp(msgspec.Struct, frozen=True):
    """One operation as read, at its place in the push: ``asked`` is None when it breaks the contract, and ``errors`` say
    where in the request.
    """

    place: int
    n: int
    op: UUID
    asked: PushOp | None
    errors: tuple[tuple[str, str], ...] = ()


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device: msgspec.Raw
    sent_at: msgspec.Raw
    ops: Annotated[list[msgspec.Raw], Meta(max_length=MAX_OPS)]


class _Number(msgspec.Struct, frozen=True):
    n: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    op: UUID


class _Top(list[tuple[str, Any]]):
    """The pairs of one JSON object, twins too."""


_PAIRS = json.JSONDecoder(object_pairs_hook=_Top)
_frame = msgspec.json.Decoder(_Frame)
_head = msgspec.json.Decoder(PushHead)
_number = msgspec.json.Decoder(_Number)
_op = msgspec.json.Decoder(PushOp)


def read_push(raw: bytes) -> tuple[PushHead, list[ReadOp]]:
    """The head and the operations of a push.

    Raises:
        Invalid: when it cannot be read as a push.
    """
    try:
        ops = _operations(raw)
        top = _PAIRS.decode(raw.decode())
    except msgspec.ValidationError as error:
        raise Invalid(explained(error, raw)) from error
    except RecursionError as error:
        raise Invalid(("", "nesting")) from error
    except UnicodeDecodeError as error:
        raise Invalid(("", "utf-8")) from error
    except ValueError as error:  # msgspec.DecodeError is one
        raise Invalid(("", "json")) from error
    names = [name for name, _ in top]
    if len(set(names)) != len(names):
        raise Invalid(("", "duplicate-key"))
    head = decode(PushHead, msgspec.json.encode({name: value for name, value in top if name != "ops"}), _head)
    return head, [_read(place, one) for place, one in enumerate(ops)]


def _operations(raw: bytes) -> list[bytes]:
    """Each operation's own JSON. Half an emoji in one (a lone surrogate, as ``JSON.stringify`` writes it) is that one's."""
    try:
        return [bytes(one) for one in _frame.decode(raw).ops]
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        whole = json.loads(raw, parse_constant=_no_constant)
        if not isinstance(whole, dict):
            raise
        found = cast("dict[str, Any]", whole)
        ops = found.get("ops")
        if not isinstance(ops, list):
            raise
        _frame.decode(msgspec.json.encode({**found, "ops": [None] * len(cast("list[object]", ops))}))
        return [json.dumps(one).encode() for one in cast("list[object]", ops)]


def _no_constant(_: str) -> NoReturn:
    raise ValueError


def _read(place: int, raw: bytes) -> ReadOp:
    here = f"/ops/{place}"
    try:
        number = _numbered(raw)
    except (ValueError, RecursionError) as error:
        pointer, code = explained(error, raw) if isinstance(error, msgspec.ValidationError) else ("", "json")
        raise Invalid((here + pointer, code)) from error
    try:
        return ReadOp(place, number.n, number.op, decode(PushOp, raw, _op))
    except Invalid as error:
        return ReadOp(place, number.n, number.op, None, tuple((here + pointer, code) for pointer, code in error.errors))


def _numbered(raw: bytes) -> _Number:
    """The number and id of an operation, also of one that cannot be decoded as a whole."""
    try:
        return _number.decode(raw)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        one = json.loads(raw)
        named = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        return msgspec.convert({name: named[name] for name in ("n", "op") if name in named}, _Number)
