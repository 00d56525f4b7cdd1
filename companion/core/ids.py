"""The one place where randomness is made: ids, tokens, codes.

Tokens read ``cmp_<43 characters><6-character CRC-32>`` in base 62, so that secret scanners find them and a mistyped one
is refused without a look-up. Only their SHA-256 is ever stored.
"""

import os
import re
import zlib
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from .clock import micros

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TOKEN = re.compile(r"cmp_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
_CODE_LENGTH = 20


def uuid7(now: datetime) -> UUID:
    """A UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, 74 random bits."""
    raw = bytearray((micros(now) // 1000).to_bytes(6) + os.urandom(10))
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return UUID(bytes=bytes(raw))


def request_id() -> str:
    """A random UUIDv4 as text."""
    raw = bytearray(os.urandom(16))
    raw[6] = 0x40 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _encode62(number: int, length: int) -> str:
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def new_token() -> str:
    """A bearer token of 256 random bits."""
    body = _encode62(int.from_bytes(os.urandom(32)), 43)
    return f"cmp_{body}{_encode62(zlib.crc32(body.encode()), 6)}"


def is_token(text: str) -> bool:
    """Whether the text has a token's form and its checksum is right."""
    match = _TOKEN.fullmatch(text)
    return match is not None and _encode62(zlib.crc32(match[1].encode()), 6) == match[2]


def new_code() -> str:
    """A code a person can type: 100 random bits in Crockford's base 32, in groups of five."""
    number = int.from_bytes(os.urandom(13)) >> 4
    letters = [_CROCKFORD[number >> 5 * place & 31] for place in range(_CODE_LENGTH)]
    return "-".join("".join(letters[start : start + 5]) for start in range(0, _CODE_LENGTH, 5))


def normal_code(typed: str) -> str:
    """A typed code as it was made: case, spaces and dashes do not matter, O reads as 0, I and L as 1."""
    letters = "".join(character for character in typed.upper() if character.isalnum())
    return letters.translate(str.maketrans("OIL", "011"))


def digest(secret: str) -> bytes:
    """SHA-256 of a secret: what is stored in its place."""
    return sha256(secret.encode()).digest()
