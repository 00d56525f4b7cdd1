"""Reading a person's diary from a CSV file by a small mapping file. Pure: text in, entries and complaints out.

A mapping says which columns become which fields of which kind:

    zone = "Europe/Amsterdam"        # the person's IANA zone
    missing = ["", "NA"]             # what stands for no answer

    [day]
    column = "date"                  # the local day …
    format = "%Y-%m-%d"              # … as strptime reads it

    [[entry]]
    kind = "mood"
    time = "21:00"                   # the local time of day of every such entry
    [entry.fields]
    mood = { column = "cheerful", from = [1, 7], to = [1, 5] }     # scaled, then rounded for whole-number fields
    note = { column = "remarks" }
    source = …                       # not a field: entries are marked as imported

A field may have ``value`` in place of ``column`` for a constant, and ``words = { yes = true, no = false }`` to translate
answers. A row without an answer to a field leaves it out; a row without any answer makes no entry. Ids are
UUIDv5 of patient, kind, day and time, so that importing a file again changes nothing.
"""

import csv
import io
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from companion_sdk import wire
from companion_sdk.wire.nudges import TimeOfDay

from ..core import zones

_NAMESPACE = UUID("4f0d2a86-0a4c-5c8e-9f3b-1f7f4f0f6a11")


class BadMap(ValueError):
    """The mapping file says something that cannot be; the text says where."""


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a field's answer comes from: a column (scaled or translated), or one constant value."""

    column: str | None = None
    value: bool | int | float | str | None = None
    from_: tuple[float, float] | None = msgspec.field(name="from", default=None)
    to: tuple[float, float] | None = None
    words: dict[str, bool | int | float | str] | None = None


class EntryMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    time: TimeOfDay
    fields: dict[str, Column]


class DayMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    column: str
    format: str = "%Y-%m-%d"


class Map(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping file, read."""

    zone: str
    day: DayMap
    entry: tuple[EntryMap, ...]
    missing: tuple[str, ...] = ("",)


class Row(msgspec.Struct, frozen=True):
    """One entry to be, with the line of the file it came from."""

    line: int
    log_id: UUID
    entry: wire.LogIn


class Complaint(msgspec.Struct, frozen=True):
    """A line that cannot become an entry, and why; never the value itself."""

    line: int
    field: str
    code: str


def read_map(text: str) -> Map:
    """The mapping.

    Raises:
        BadMap: naming what is wrong.
    """
    try:
        read = msgspec.convert(tomllib.loads(text), Map)
    except tomllib.TOMLDecodeError as error:
        raise BadMap(f"the map is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise BadMap(f"the map does not fit: {error}") from error
    if not zones.exists(read.zone):
        raise BadMap(f"the map's zone {read.zone!r} is not an IANA time zone")
    for entry in read.entry:
        _check_entry(entry)
    if not read.entry:
        raise BadMap("the map has no [[entry]]")
    return read


def _check_entry(entry: EntryMap) -> None:
    struct = wire.KINDS.get(entry.kind)
    if struct is None:
        raise BadMap(f"the map's kind {entry.kind!r} is not one of {', '.join(wire.KINDS)}")
    known = {field.encode_name for field in msgspec.structs.fields(struct)}
    for name, column in entry.fields.items():
        if name not in known:
            raise BadMap(f"{entry.kind} has no field {name!r}; it has {', '.join(sorted(known))}")
        if (column.column is None) == (column.value is None):
            raise BadMap(f"{entry.kind}.{name} needs a column or a value, and not both")
        if (column.from_ is None) != (column.to is None):
            raise BadMap(f"{entry.kind}.{name} needs from and to together")
        if column.from_ is not None and column.from_[0] == column.from_[1]:
            raise BadMap(f"{entry.kind}.{name} has an empty range")


def entries(text: str, chosen: Map, patient: UUID, first: datetime, last: datetime) -> tuple[list[Row], list[Complaint]]:
    """Every entry the file makes, and every line that cannot become one: also one outside ``first`` to ``last``, or one that
    says otherwise than an earlier line about the same kind, day and time.

    Raises:
        BadMap: when a column the map names is not in the file.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    header = reader.fieldnames or ()
    _check_columns(chosen, header)
    rows: dict[UUID, Row] = {}
    complaints: list[Complaint] = []
    try:
        for record in reader:
            for found in _entries_of(record, reader.line_num, chosen, patient):
                if isinstance(found, Complaint):
                    complaints.append(found)
                elif not first <= found.entry.at <= last:
                    complaints.append(Complaint(found.line, chosen.day.column, "out-of-range"))
                elif rows.setdefault(found.log_id, found).entry != found.entry:
                    complaints.append(Complaint(found.line, chosen.day.column, "repeated"))
    except csv.Error as error:
        raise BadMap(f"line {reader.line_num} of the file is not CSV: {error}") from error
    return list(rows.values()), complaints


def _check_columns(chosen: Map, header: Sequence[str]) -> None:
    wanted = {chosen.day.column}
    for entry in chosen.entry:
        wanted |= {column.column for column in entry.fields.values() if column.column is not None}
    absent = sorted(wanted - set(header))
    if absent:
        raise BadMap(f"the file has no column {', '.join(absent)}")


def _entries_of(record: Mapping[str, str | None], line: int, chosen: Map, patient: UUID) -> Iterator[Row | Complaint]:
    try:
        day = datetime.strptime((record[chosen.day.column] or "").strip(), chosen.day.format).date()  # noqa: DTZ007
    except ValueError:
        yield Complaint(line, chosen.day.column, "day")
        return
    for entry in chosen.entry:
        found = _entry(record, line, day, entry, chosen, patient)
        if found is not None:
            yield found


def _entry(
    record: Mapping[str, str | None], line: int, day: date, entry: EntryMap, chosen: Map, patient: UUID
) -> Row | Complaint | None:
    body: dict[str, Any] = {"kind": entry.kind}
    answered = False
    for name, column in entry.fields.items():
        try:
            value = _value(record, column, chosen.missing, _whole(entry.kind, name))
        except (ValueError, OverflowError):  # no number, or one without end
            return Complaint(line, name, "value")
        if value is not None:
            body[name] = value
            answered = answered or column.column is not None
    if not answered:
        return None
    at = datetime.combine(day, time.fromisoformat(entry.time), ZoneInfo(chosen.zone))
    whole = {"at": msgspec.to_builtins(at), "zone": chosen.zone, "source": "import", "body": body}
    try:
        decoded = wire.decode(wire.LogIn, msgspec.json.encode(whole))
    except wire.Invalid as error:
        pointer, code = error.errors[0]
        return Complaint(line, pointer.removeprefix("/body/") or entry.kind, code)
    log_id = uuid5(_NAMESPACE, f"{patient}|{entry.kind}|{day}|{entry.time}")
    return Row(line, log_id, decoded)


def _whole(kind: str, name: str) -> bool:
    """Whether the field takes whole numbers only."""
    info = msgspec.inspect.type_info(wire.KINDS[kind])
    assert isinstance(info, msgspec.inspect.StructType)
    of = next(field.type for field in info.fields if field.encode_name == name)
    options = of.types if isinstance(of, msgspec.inspect.UnionType) else (of,)
    return any(isinstance(option, msgspec.inspect.IntType) for option in options)


def _value(record: Mapping[str, str | None], column: Column, missing: Sequence[str], whole: bool) -> Any:
    if column.column is None:
        return column.value
    text = (record[column.column] or "").strip()
    if text in missing:
        return None
    if column.words is not None:
        if text not in column.words:
            raise ValueError("an answer that the map does not translate")
        return column.words[text]
    if column.from_ is not None and column.to is not None:
        (low, high), (first, last) = column.from_, column.to
        scaled = first + (float(text) - low) * (last - first) / (high - low)
        return round(scaled) if whole else scaled
    if whole:
        number = float(text)
        return int(number) if number.is_integer() else number
    return text
