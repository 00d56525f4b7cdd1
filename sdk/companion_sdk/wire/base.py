"""The small bounded types every other part of the contract is made of.

Knows nothing of HTTP, storage or rules. Every number has a range and every text a length, so that no input can grow
without bound anywhere behind it.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_INT = 2**53 - 1
"""Largest integer that every JSON implementation reads exactly (RFC 8259 §6)."""

Instant = Annotated[datetime, Meta(tz=True)]
"""A moment: RFC 3339 with an offset in, UTC out; microseconds at most."""

Zone = Annotated[str, Meta(min_length=1, max_length=64)]
"""An IANA time zone name such as ``America/New_York``."""

LongText = Annotated[str, Meta(max_length=4000)]
Word = Annotated[str, Meta(min_length=1, max_length=40)]
Name = Annotated[str, Meta(min_length=1, max_length=120)]
Words80 = Annotated[str, Meta(min_length=1, max_length=80)]

Scale1to5 = Annotated[int, Meta(ge=1, le=5)]
Scale0to4 = Annotated[int, Meta(ge=0, le=4)]
Scale0to10 = Annotated[int, Meta(ge=0, le=10)]
Minutes = Annotated[int, Meta(ge=0, le=1440)]
Hours = Annotated[float, Meta(ge=0, le=24, multiple_of=0.25)]
Count = Annotated[int, Meta(ge=0, le=MAX_INT)]


class Sent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a client sends: an unknown field is refused, so nothing is ever dropped in silence."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the service answers: clients must tolerate fields they do not know."""
