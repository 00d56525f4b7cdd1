"""The hostile bodies of the bad-input table, made from a good one: what each is, its headers, and the answer it must get."""

import copy
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

CANARY = "zzcanaryzz"
JSON = {"Content-Type": "application/json"}

Content = bytes | AsyncIterator[bytes]


@dataclass(frozen=True)
class Bad:
    """One request body; ``status`` are the answers it may get. With ``chunked`` its length is not told."""

    name: str
    content: bytes
    status: tuple[int, ...] = (400,)
    headers: dict[str, str] = field(default_factory=lambda: JSON)
    chunked: bool = False

    def sent(self) -> Content:
        return _chunks(self.content) if self.chunked else self.content


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 16_384):
        yield content[start : start + 16_384]


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def whole(good: dict[str, Any], limit: int) -> Iterator[Bad]:
    """Bodies that are wrong as a whole; one of more than ``limit`` bytes is too large."""
    raw = _dump(good)
    for name, content in (
        ("empty", b""),
        ("blank", b"  \n"),
        ("null", b"null"),
        ("list", b"[]"),
        ("text", _dump(CANARY)),
        ("number", b"5"),
        ("byte order mark", b"\xef\xbb\xbf" + raw),
        ("truncated", raw[:-1]),
        ("half", raw[: len(raw) // 2]),
        ("trailing", raw + b"x"),
        ("twice", raw + raw),
        ("trailing zero", raw + b"\0"),
        ("utf-16", raw.decode().encode("utf-16")),
        ("latin-1 byte", raw[:-1] + b', "' + CANARY.encode() + b'": "\xff"}'),
        ("surrogate bytes", raw[:-1] + b', "x": "\xed\xa0\x80\xed\xb0\x80"}'),
        ("overlong", raw[:-1] + b', "x": "\xc0\xaf"}'),
        ("comment", b"/* " + CANARY.encode() + b" */" + raw),
        ("single quotes", raw.replace(b'"', b"'") if good else b"{'a': 1}"),
        ("trailing comma", raw[:-1] + b",}"),
        ("form", f"a={CANARY}&b=1".encode()),
        ("deep list", b"[" * 5_000),
        ("deep list closed", b"[" * 5_000 + b"]" * 5_000),
        ("deep objects", b'{"body":' * 5_000 + b"1" + b"}" * 5_000),
        ("deep in unknown field", raw[:-1] + b', "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}" if good else b'{"x":[[]]}'),
        ("deep in the first field", b'{"' + next(iter(good), "x").encode() + b'": ' + b"[" * 9_000 + b"]" * 9_000 + b"}"),
        ("list of numbers", b"[" + b"1," * 30_000 + b"1]"),
        ("many unknown keys", _dump({f"{CANARY}{number}": 1 for number in range(2_500)})),
        ("huge integer", b"1" * 4_000),
    ):
        yield Bad(name, content)
    yield from _large(raw, limit)
    yield from _media(raw)


def _large(raw: bytes, limit: int) -> Iterator[Bad]:
    for name, content in (
        ("just too large", raw + b" " * (limit + 1 - len(raw))),
        ("half as large again", b'{"text": "' + b"a" * (limit * 3 // 2) + b'"}'),
        ("10 MB", b'{"text": "' + b"a" * 10_000_000 + b'"}'),
        ("4.9 million brackets", b"[" * 4_900_000),
        ("a million elements", b"[" + b"1," * 1_000_000 + b"1]"),
        ("100,000 unknown keys", _dump({f"{CANARY}{number}": 1 for number in range(100_000)})),
    ):
        yield Bad(name, content, (413,))
        yield Bad(f"{name}, chunked", content, (413,), chunked=True)


def _media(raw: bytes) -> Iterator[Bad]:
    def refused(name: str, headers: dict[str, str], content: bytes = raw) -> Bad:
        return Bad(name, content, (415,), headers)

    for media in (
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "application/json-patch+json",
        "application/jsonx",
        "application/ json",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json; charset",
        "application/json; profile=x",
        "application/json; charset=utf-8; charset=utf-7",
        "application/json, text/plain",
        "garbage",
        "/",
        "",
    ):
        yield refused(f"media type {media!r}", {"Content-Type": media})
    yield refused("no media type", {})
    for coding in ("gzip", "br", "deflate", "gzip, identity", "zstd", "x"):
        yield refused(f"coding {coding}", JSON | {"Content-Encoding": coding}, gzip.compress(raw))
    bomb = gzip.compress(b"a" * 10_000_000)
    yield refused("gzip bomb", JSON | {"Content-Encoding": "gzip"}, bomb)
    yield Bad("gzip without saying so", gzip.compress(raw))


VALUES: tuple[tuple[str, bytes], ...] = (
    ("2^63", b"9223372036854775808"),
    ("-2^63-1", b"-9223372036854775809"),
    ("10^4000", b"1" + b"0" * 4_000),
    ("a fraction", b"5.5"),
    ("5e0", b"5e0"),
    ("5.0", b"5.0"),
    ("1e308", b"1e308"),
    ("1e400", b"1e400"),
    ("NaN", b"NaN"),
    ("Infinity", b"Infinity"),
    ("-Infinity", b"-Infinity"),
    ("hexadecimal", b"0x10"),
    ("leading zero", b"05"),
    ("plus", b"+5"),
    ("true", b"true"),
    ("object", b'{"zzcanaryzz": 1}'),
    ("nested list", b'[["zzcanaryzz"]]'),
    ("text", b'"zzcanaryzz zzcanaryzz zzcanaryzz"'),
    ("number as text", b'"5"'),
    ("NUL", b'"zzcanaryzz\\u0000"'),
    ("control character", b'"zzcanaryzz\\u0007"'),
    ("delete", b'"zzcanaryzz\\u007f"'),
    ("C1 control", b'"zzcanaryzz\\u0085"'),
    ("raw control character", b'"zzcanaryzz\x01"'),
    ("raw newline", b'"zzcanaryzz\n"'),
    ("lone surrogate", b'"zzcanaryzz\\ud800"'),
    ("bad escape", b'"zzcanaryzz\\x41"'),
    ("too long", b'"' + b"zzcanaryzz" * 500 + b'"'),
    ("text like a path", b'"x` - at `$.zzcanaryzz"'),
    ("bad UUID", b'"00000000-0000-0000-0000-00000000zzzz"'),
    ("naive time", b'"2026-03-02T12:00:00"'),
    ("date as time", b'"2026-03-02"'),
    ("epoch seconds", b"1764000000"),
    ("epoch milliseconds", b"1764000000000"),
    ("year 9999", b'"9999-12-31T23:59:59-14:00"'),
    ("year 0001", b'"0001-01-01T00:00:00+14:00"'),
    ("year 1500", b'"1500-01-01T00:00:00Z"'),
    ("offset +23:59", b'"2026-03-02T12:00:00+23:59"'),
    ("offset of hours", b'"2026-03-02T12:00:00+05"'),
    ("space for T", b'"2026-03-02 12:00:00Z"'),
    ("nine digits", b'"2026-03-02T12:00:00.123456789Z"'),
    ("second 61", b'"2026-03-02T12:00:61Z"'),
    ("hour 24", b'"2026-03-02T24:00:00Z"'),
    ("30 February", b'"2026-02-30T12:00:00Z"'),
    ("Arabic digits", '"\u0662\u0660\u0662\u0666-03-02T12:00:00Z"'.encode()),
)
"""Raw JSON values to put in the place of a good one."""

FITS: dict[str, tuple[str, ...]] = {
    "text": (
        *(
            "text",
            "number as text",
            "text like a path",
            "bad UUID",
            "naive time",
            "date as time",
            "year 9999",
            "year 0001",
            "year 1500",
        ),
        *("offset +23:59", "offset of hours", "space for T", "nine digits", "second 61", "hour 24", "30 February"),
        "Arabic digits",
    ),
    "float": ("a fraction", "5e0", "5.0"),
    "bool": ("true",),
    "words": (),
    "time": (),
    "number": (),
    "count": ("epoch seconds", "epoch milliseconds"),
    "fixed": (),
}
"""Of these the values that are good for a field of the sort, so that they make no bad body."""

_MARK = "\u2603mark\u2603"


def fields(good: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value inside a body."""
    items: Any = good.items() if isinstance(good, dict) else enumerate(good) if isinstance(good, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from fields(value, (*path, key))


def replaced(good: Any, path: tuple[str | int, ...], raw: bytes) -> bytes:
    """The body with one value replaced by raw JSON."""
    changed = copy.deepcopy(good)
    where = changed
    for step in path[:-1]:
        where = where[step]
    where[path[-1]] = _MARK
    return _dump(changed).replace(_dump(_MARK), raw)


def inside(good: dict[str, Any]) -> Iterator[Bad]:
    """Unknown fields, duplicate keys and misnamed ones, in every object of the body."""
    objects = [(), *(path for path in fields(good) if isinstance(value_at(good, path), dict))]
    for path in objects:
        found = value_at(good, path)
        name = "/".join(map(str, path)) or "top"
        text = _dump(found)
        opened = b"{" if text == b"{}" else text[:-1] + b", "
        for what, extra in (
            ("unknown field", _dump(CANARY) + b": 1"),
            ("unknown field that looks like a path", _dump(f"x` - at `$.{CANARY}") + b": 1"),
            ("the same, escaped", _dump(f"x` - at `$.{CANARY}").replace(b"`", b"\\u0060") + b": 1"),
            ("unknown field that looks like a reason", _dump(f"missing required field ` `{CANARY}") + b": 1"),
            ("prototype", b'"__proto__": {"' + CANARY.encode() + b'": 1}'),
            ("read-only field", b'"patient_id": "00000000-0000-0000-0000-000000000001"'),
        ):
            yield Bad(f"{name}: {what}", _at(good, path, (b"{" if what == "" else opened) + extra + b"}"))
        for key, value in list(found.items())[:3]:
            pair = _dump(key) + b": " + _dump(value)
            yield Bad(f"{name}: {key} twice", _at(good, path, opened + pair + b"}"))
            escaped = b'"' + "".join(f"\\u{ord(letter):04x}" for letter in key).encode() + b'": ' + _dump(value)
            yield Bad(f"{name}: {key} twice, once escaped", _at(good, path, opened + escaped + b"}"))
            wrong = {other.upper() if other == key else other: kept for other, kept in found.items()}
            yield Bad(f"{name}: {key} in capitals", _at(good, path, _dump(wrong)))


def value_at(good: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        good = good[step]
    return good


def _at(good: dict[str, Any], path: tuple[str | int, ...], raw: bytes) -> bytes:
    return replaced(good, path, raw) if path else raw
