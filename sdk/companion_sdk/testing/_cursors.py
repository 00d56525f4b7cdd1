"""Cursors of the fake service: a position in a list, bound to the caller and the list, opaque to clients."""

import base64
import binascii
from hashlib import sha256
from typing import TypeVar

import msgspec

from ._gate import Unit
from ._refusals import invalid

_TAG = 16
Position = TypeVar("Position", bound=tuple[int | bytes, ...])


def _tag(unit: Unit, scope: str, position: bytes) -> bytes:
    return sha256(b"fake cursor\0" + scope.encode() + b"\0" + unit.actor.id.bytes + position).digest()[:_TAG]


def write(unit: Unit, scope: str, *position: int | bytes) -> str:
    """A cursor that goes on after ``position``."""
    raw = msgspec.msgpack.encode(position)
    return base64.urlsafe_b64encode(_tag(unit, scope, raw) + raw).rstrip(b"=").decode()


def read(unit: Unit, scope: str, cursor: str, shape: type[Position]) -> Position:
    """The position in a cursor this caller got from this list; 400 for any other text."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if raw[:_TAG] == _tag(unit, scope, raw[_TAG:]):
            return msgspec.msgpack.decode(raw[_TAG:], type=shape)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        pass
    raise invalid(("/cursor", "cursor"))
