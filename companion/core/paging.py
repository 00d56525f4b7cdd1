"""Cursors: a position in a list, authenticated and bound to the caller and the list, opaque to clients."""

import base64
import binascii
import hmac
from typing import TypeVar

import msgspec

from .actors import Actor
from .db import Tx
from .errors import Invalid

END = 2**63 - 1
_TAG = 16
Position = TypeVar("Position", bound=tuple[int | bytes, ...])


def _tag(tx: Tx, actor: Actor, scope: str, position: bytes) -> bytes:
    return tx.vault.mac("cursor", scope.encode() + b"\x00" + actor.id.bytes + position)[:_TAG]


def write(tx: Tx, actor: Actor, scope: str, *position: int | bytes) -> str:
    """A cursor that goes on after ``position``."""
    raw = msgspec.msgpack.encode(position)
    return base64.urlsafe_b64encode(_tag(tx, actor, scope, raw) + raw).rstrip(b"=").decode()


def read(tx: Tx, actor: Actor, scope: str, cursor: str, shape: type[Position]) -> Position:
    """The position, of the given ``shape``, in a cursor this caller got from this list.

    Raises:
        Invalid: for any other text.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        tag, position = raw[:_TAG], raw[_TAG:]
        if hmac.compare_digest(tag, _tag(tx, actor, scope, position)):
            return msgspec.msgpack.decode(position, type=shape)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        pass
    raise Invalid(("/cursor", "cursor"))
