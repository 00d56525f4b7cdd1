"""What an entry says, from the JSON of a ``LogIn`` or a ``Log`` alike. Knows no file and no revision."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import msgspec

from companion_sdk._decode import Unreadable, forgive
from companion_sdk.clinical.days import local_day, zone_of
from companion_sdk.errors import InvalidEntry
from companion_sdk.wire import Body, Fault, LogIn, Sobriety
from companion_sdk.wire.canonical import canonical
from companion_sdk.wire.kinds import as_stored
from companion_sdk.wire.strict import Invalid, decode

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)


class Said(msgspec.Struct, frozen=True):
    """When, where on the clock, and the content as it stands in the JSON. ``day`` only where the service computed it."""

    at: datetime
    zone: str
    body: msgspec.Raw
    source: str = "app"
    day: date | None = None


class _Asked(msgspec.Struct, frozen=True):
    at: datetime
    zone: str
    body: msgspec.Raw
    source: str


_said = msgspec.json.Decoder(Said)
_body: "msgspec.json.Decoder[Body]" = msgspec.json.Decoder(Body)
_log_in = msgspec.json.Decoder(LogIn)
_encode = msgspec.json.encode


def read(raw: bytes) -> Said:
    """An entry's JSON."""
    return _said.decode(raw)


def body_of(said: Said) -> Body | None:
    """The content, or None for a kind or shape of the future; fields of the future are dropped."""
    try:
        return _body.decode(said.body)
    except ValueError:
        try:
            return cast("Body", forgive(Body, tree_of(said)))
        except Unreadable:
            return None


def tree_of(said: Said) -> dict[str, Any]:
    """The content as plain JSON."""
    return msgspec.json.decode(said.body, type=dict[str, Any])


def kind_in(said: Said) -> str:
    """The kind, also one of the future."""
    return str(tree_of(said).get("kind", ""))


def day_in(said: Said) -> date:
    """The local day: the service's, else by the zone, else (on a device without a zone database) by the instant itself."""
    if said.day is not None:
        return said.day
    try:
        return local_day(said.at, said.zone)
    except ValueError:
        return said.at.date()


def as_asked(raw: bytes) -> bytes:
    """The ``LogIn`` that would store what this entry says."""
    said = read(raw)
    return _encode(_Asked(said.at, said.zone, said.body, said.source))


def same(one: bytes, two: bytes) -> bool:
    """Whether two entries say the same."""
    first, second = read(one), read(two)
    clear = (first.at, first.zone, first.source) == (second.at, second.zone, second.source)
    return clear and canonical(tree_of(first)) == canonical(tree_of(second))


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def instant(microseconds: int) -> datetime:
    """The moment, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def checked(entry: LogIn, now: datetime) -> tuple[LogIn, bytes]:
    """The entry as the service would store it, and its JSON; what is accepted here is never refused there for its form.

    Raises:
        InvalidEntry: with every fault that was found.
    """
    try:
        read_back = decode(LogIn, _encode(entry), _log_in)
    except Invalid as error:
        raise _invalid(*error.errors) from None
    if faults := _faults(read_back, now):
        raise _invalid(*faults)
    kept = msgspec.structs.replace(read_back, at=read_back.at.astimezone(UTC), body=as_stored(read_back.body))
    return kept, _encode(kept)


def _faults(entry: LogIn, now: datetime) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = [] if _zone_exists(entry.zone) else [("/zone", "unknown-zone")]
    first, last = _EARLIEST if now >= _EARLIEST else _LONG_AGO, now + _AHEAD
    instants = [("/at", entry.at)]
    if isinstance(entry.body, Sobriety):
        instants += [(f"/body/uses/{place}/at", use.at) for place, use in enumerate(entry.body.uses) if use.at is not None]
    return found + [(pointer, "out-of-range") for pointer, at in instants if not first <= at <= last]


def _zone_exists(name: str) -> bool:
    """Whether IANA has the zone, as far as this device can tell: one without a zone database lets every name pass."""
    return _known(name) or not _known("America/New_York")


def _known(name: str) -> bool:
    try:
        zone_of(name)
    except ValueError:
        return False
    return True


def _invalid(*faults: tuple[str, str]) -> InvalidEntry:
    return InvalidEntry([Fault(pointer=pointer, code=code) for pointer, code in faults])


def refuse(pointer: str, code: str) -> InvalidEntry:
    """The error for one fault."""
    return _invalid((pointer, code))
