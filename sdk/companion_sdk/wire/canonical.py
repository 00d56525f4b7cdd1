"""The one byte form of an entry's content, and the digest of a diary made of it: server and clients compute the same.

The canonical form is RFC 8785 (JSON Canonicalization Scheme) of the body as the service answers it, so fields that stand at
their default are left out. Knows no entry beyond (id, revision, body).
"""

from collections.abc import Iterable
from decimal import Decimal
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import msgspec

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical(body: msgspec.Struct | dict[str, Any]) -> bytes:
    """The canonical JSON of one body, from its struct or from the JSON object it came as."""
    return _encode(_numbers(msgspec.to_builtins(body) if isinstance(body, msgspec.Struct) else body))


def _numbers(value: object) -> object:
    """Numbers as ECMAScript writes them (RFC 8785 §3.2.2.3): whole ones without a fraction, an exponent below 1e-6 only."""
    if isinstance(value, float):
        if value.is_integer():
            return int(value)
        return msgspec.Raw(format(Decimal(repr(value)), "f").encode()) if 1e-6 <= abs(value) < 1e-5 else value
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in cast("dict[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_numbers(item) for item in cast("list[object]", value)]
    return value


def digest(entries: Iterable[tuple[UUID, int, bytes]]) -> str:
    """SHA-256, in hexadecimal, over every live entry in the order of ids: 16 bytes of id, 8 of revision (big-endian), and
    the 32 bytes of SHA-256 of its canonical body. ``entries`` are (id, revision, that hash).
    """
    whole = sha256()
    for entry, revision, body in sorted(entries, key=lambda one: one[0].bytes):
        whole.update(entry.bytes + revision.to_bytes(8) + body)
    return whole.hexdigest()


def body_hash(body: msgspec.Struct | dict[str, Any]) -> bytes:
    """SHA-256 of the canonical body."""
    return sha256(canonical(body)).digest()
