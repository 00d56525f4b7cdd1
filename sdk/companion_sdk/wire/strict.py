"""Reading a request strictly: what a plain JSON decoder lets pass is refused here, with a pointer and a code.

The same function runs on the server, in the test double and on a phone before an entry is kept, so that an entry which
was accepted offline is never refused later for its form. Codes name the rule, never the value.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar, cast

import msgspec

T = TypeVar("T")

_TIMES = frozenset({"at", "due_at", "from", "sent_at", "until"})
_RFC3339 = re.compile(
    r"(?:19|2\d)\d\d-\d\d-\d\d(?:[Tt]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:[Zz]|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00))?|\d\d:\d\d"
)
_PATH = re.compile(r"^(?P<text>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")
_UNUSUAL = re.compile(r"[\\\x7f-\x9f]")
_FIELD = re.compile(r"`([a-z_0-9]+)`")

_CODES = (
    ("missing required field", "required"),
    ("unknown field", "unknown-field"),
    ("Invalid value", "unknown-word"),
    ("Invalid enum", "unknown-word"),
    ("Invalid UUID", "format"),
    ("Invalid RFC3339", "time-format"),
    ("timezone component", "time-offset"),
    ("Invalid date", "date-format"),
    ("matching regex", "format"),
    ("of length", "length"),
    ("multiple of", "step"),
    (">=", "out-of-range"),
    ("<=", "out-of-range"),
    ("out of range", "out-of-range"),
    ("Expected", "type"),
)


_QUOTING = {
    "Object contains unknown field": "unknown-field",
    "Invalid value": "unknown-word",
    "Invalid enum": "unknown-word",
}
"""Sentences of msgspec that quote the sender, with their code."""


class Invalid(ValueError):
    """A request that breaks the contract: ``errors`` lists (JSON pointer, code) pairs, never a value."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{pointer or '/'}: {code}" for pointer, code in errors))
        self.errors = errors


class _Duplicate(Exception):
    pass


class _BadTime(Exception):
    pass


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Duplicate
    if not _TIMES.isdisjoint(found):
        for key in _TIMES & found.keys():
            if isinstance(value := found[key], str) and not _RFC3339.fullmatch(value):
                raise _BadTime
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError


def _children(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, dict):
        return cast("dict[object, object]", value).items()
    return enumerate(cast("list[object]", value)) if isinstance(value, list) else ()


def _bad_time(value: object, pointer: str = "") -> str | None:
    """Where the first instant stands that is not RFC 3339; only keys of the contract can be in the pointer."""
    for key, item in _children(value):
        here = f"{pointer}/{key}"
        if key in _TIMES and isinstance(item, str) and not _RFC3339.fullmatch(item):
            return here
        if (found := _bad_time(item, here)) is not None:
            return found
    return None


_PARSER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant)


def _tidy(value: object, pointer: str) -> object:
    """The same tree with every text in NFC; refuses control characters other than newline and tab."""
    if isinstance(value, str):
        text = unicodedata.normalize("NFC", value)
        if not text.isprintable() and any(_is_control(character) for character in text):
            raise Invalid((pointer, "control-character"))
        return text
    if isinstance(value, dict):
        return {key: _tidy(item, f"{pointer}/{key}") for key, item in _children(cast("object", value))}
    if isinstance(value, list):
        return [_tidy(item, f"{pointer}/{key}") for key, item in _children(cast("object", value))]
    return value


def _is_control(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cs")


def _pointer(path: str | None) -> str:
    if not path:
        return ""
    return "".join(f"/{name or index or '*'}" for name, index in _STEP.findall(path))


def explain(error: msgspec.ValidationError) -> tuple[str, str]:
    """The (pointer, code) of msgspec's sentence, without any value a caller sent."""
    match = _PATH.match(str(error))
    text, path = (match["text"], match["path"]) if match else (str(error), None)
    code = next((code for phrase, code in _CODES if phrase in text), "invalid")
    pointer = _pointer(path)
    field = _FIELD.search(text)
    if field and (code == "required" or code == "invalid"):
        pointer += f"/{field[1]}"
        code = "required"
    return pointer, code


def explained(error: msgspec.ValidationError, raw: bytes) -> tuple[str, str]:
    """As ``explain``; where the sentence quotes a sender who wrote a backtick, what reads like a path may be theirs."""
    if b"`" in raw or b"\\u0060" in raw:
        for sentence, code in _QUOTING.items():
            if str(error).startswith(sentence):
                return "", code
    return explain(error)


def decode(kind: type[T], raw: bytes, decoder: "msgspec.json.Decoder[T] | None" = None) -> T:
    """Decode one request body, by ``decoder`` where the caller keeps one for ``kind``.

    Refuses: bytes that are not UTF-8, duplicate keys, NaN and Infinity, nesting past the interpreter's limit, instants
    that are not RFC 3339 (a space for the T, an offset past 14 hours, more than six digits of a second) or lie before
    1900 or after 2999, control characters in text; and everything the struct itself forbids. Text is brought to NFC
    (UAX #15).

    Raises:
        Invalid: with a pointer and a code for what is wrong.
    """
    decoder = decoder or msgspec.json.Decoder(kind, strict=True)
    try:
        decoded = decoder.decode(raw)  # first, so that what follows meets only fields of the contract
        text = raw.decode()
        tree = _PARSER.decode(text)
        if not text.isascii() or _UNUSUAL.search(text):
            tidied = _tidy(tree, "")
            if tidied != tree:
                return decoder.decode(msgspec.json.encode(tidied))
    except msgspec.ValidationError as error:
        raise Invalid(explained(error, raw)) from error
    except UnicodeDecodeError as error:
        raise Invalid(("", "utf-8")) from error
    except _Duplicate as error:
        raise Invalid(("", "duplicate-key")) from error
    except _BadTime as error:
        raise Invalid((_bad_time(json.loads(raw)) or "", "time-format")) from error
    except RecursionError as error:
        raise Invalid(("", "nesting")) from error
    except Invalid:
        raise
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise Invalid(("", "json")) from error
    return decoded
