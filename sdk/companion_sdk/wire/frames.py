"""Reading a push whose operations may be broken: the frame strictly, each operation by itself.

One operation that breaks the contract must not hide the others, so only what cannot be told apart is refused as a whole: a
frame that does not decode, an operation without a readable number and id.
"""

import json
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from .base import Instant, Sent
from .strict import Invalid, decode, explain
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


class _Ops(msgspec.Struct, frozen=True):
    ops: Annotated[list[msgspec.Raw], Meta(max_length=MAX_OPS)]


class _Number(msgspec.Struct, frozen=True):
    n: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    op: UUID


class _Top(list[tuple[str, Any]]):
    """The pairs of one JSON object, twins too."""


_PAIRS = json.JSONDecoder(object_pairs_hook=_Top)
_ops = msgspec.json.Decoder(_Ops)
_head = msgspec.json.Decoder(PushHead)
_number = msgspec.json.Decoder(_Number)
_op = msgspec.json.Decoder(PushOp)


def read_push(raw: bytes) -> tuple[PushHead, list[ReadOp]]:
    """The head and the operations of a push.

    Raises:
        Invalid: when it cannot be read as a push.
    """
    try:
        ops = _ops.decode(raw).ops
        top = _PAIRS.decode(raw.decode())
    except msgspec.ValidationError as error:
        raise Invalid(explain(error)) from error
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
    return head, [_read(place, bytes(one)) for place, one in enumerate(ops)]


def _read(place: int, raw: bytes) -> ReadOp:
    here = f"/ops/{place}"
    try:
        number = _number.decode(raw)
    except (ValueError, RecursionError) as error:
        pointer, code = explain(error) if isinstance(error, msgspec.ValidationError) else ("", "json")
        raise Invalid((here + pointer, code)) from error
    try:
        return ReadOp(place, number.n, number.op, decode(PushOp, raw, _op))
    except Invalid as error:
        return ReadOp(place, number.n, number.op, None, tuple((here + pointer, code) for pointer, code in error.errors))
