"""Server-sent events from bytes (WHATWG HTML §9.2.5–9.2.6), however they are cut. Knows no HTTP and no event of ours."""

import codecs

import msgspec

from ._decode import Unreadable

LONGEST = 64 * 1024
"""Characters in one event; a server that sends more is not ours."""


class Event(msgspec.Struct, frozen=True):
    """One event: its type (``message`` where none was named), its data, and the id of the last event that had one."""

    type: str
    data: str
    id: str


class EventParser:
    """Reads one connection. ``retry`` is how long the server asks to wait before connecting again, in seconds."""

    def __init__(self) -> None:
        self.retry: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line = ""
        self._after_cr = False
        self._id = self._type = ""
        self._data: list[str] = []
        self._held = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that ``chunk`` completes.

        Raises:
            Unreadable: an event is longer than ``LONGEST``.
        """
        text = self._decoder.decode(chunk)
        if not text:
            return []
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text.endswith("\r")
        lines = (self._line + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._line = lines.pop()
        found = [event for line in lines if (event := self._take(line)) is not None]
        if self._held + len(self._line) > LONGEST:
            raise Unreadable("an event without end")
        return found

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._held += len(line)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value[:9]) / 1000
        return None

    def _dispatch(self) -> Event | None:
        event = Event(self._type or "message", "\n".join(self._data), self._id) if self._data else None
        self._type, self._data, self._held = "", [], 0
        return event
