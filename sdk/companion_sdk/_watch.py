"""One stream over all its connections: how each is asked for, what is heard, how long until the next. Knows no HTTP client.

Both links (sync and async) ask the same ``Watch``, as they ask the same ``Trip`` for a call.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

from ._call import State, Stream
from ._clock import Clock
from ._decode import Unreadable
from ._events import EventParser
from ._retry import retry_after
from ._trip import Answer, Limits, Trip
from .errors import InvalidResponse, TransportError

T = TypeVar("T")

SILENCE = 45.0
"""Seconds without a byte after which a connection counts as dead: the service sends a heartbeat every 15."""

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_KIND = "text/event-stream"
_LONGEST_ID = 18


class Watch(Generic[T]):
    """What outlives a connection: the last id seen, the server's wish when to come back, the misses in a row.

    A connection may last for ever, but what comes before its first byte is bounded like a call. An answer that ends
    the stream is raised (4xx but 429); anything else is waited out with full jitter under a ceiling that doubles from
    one second to sixty, after the ``Retry-After`` or ``retry:`` the service asked for.
    """

    def __init__(self, stream: Stream[T], state: State, limits: Limits, clock: Clock) -> None:
        self.last_id = stream.last_id
        self.silence = SILENCE
        self._stream = stream
        self._state = state
        self._limits = msgspec.structs.replace(
            limits, deadline=min(limits.deadline, limits.connect_timeout + limits.timeout)
        )
        self._clock = clock
        self._parser = EventParser()
        self._retry = 0.0
        self._misses = 0
        self._opened = False

    def depart(self) -> Trip[T]:
        """The trip of the next connection, with its own request id and the token of now."""
        self._parser, self._opened = EventParser(), False
        seen = () if self.last_id is None else (("Last-Event-ID", str(self.last_id)),)
        headers = (("Accept", _KIND), ("Accept-Encoding", "identity"), ("Cache-Control", "no-store"), *seen)
        call = msgspec.structs.replace(self._stream.open, headers=headers)
        trip = Trip(call, self._state, self._limits, self._clock)
        trip.attempt = self._misses
        return trip

    def opened(self, trip: Trip[T], status: int, headers: Mapping[str, str]) -> bool:
        """Whether this answer is the stream; otherwise its body is read and given to ``refused``."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._opened = status == 200 and kind == _KIND
        trip.tell(str(status))
        return self._opened

    def heard(self, trip: Trip[T], chunk: bytes) -> T | None:
        """The newest hint in these bytes, if there is one: an older one says nothing more.

        Raises:
            InvalidResponse: what comes is no stream of events.
        """
        try:
            events = self._parser.feed(chunk)
        except Unreadable as error:
            raise InvalidResponse(f"unreadable stream: {error}", trip.request_id) from None
        self._retry = self._retry if self._parser.retry is None else self._parser.retry
        hints: list[T] = []
        for event in events:
            if event.id.isascii() and event.id.isdigit() and len(event.id) <= _LONGEST_ID:
                self.last_id = int(event.id)
            if event.type == self._stream.event:
                hints.extend(self._read(event.data))
        return hints[-1] if hints else None

    def refused(self, trip: Trip[T], answer: Answer) -> float:
        """The answer was not the stream: seconds until the next try.

        Raises:
            ApiError: for a 4xx but 429.
        """
        if 400 <= answer.status < 500 and answer.status != 429:
            trip.arrive(answer)
        return self._wait(trip, retry_after(answer.headers))

    def ended(self, trip: Trip[T]) -> float:
        """The service ended the stream: seconds until the next try."""
        trip.tell("Ended")
        return self._wait(trip)

    def failed(self, trip: Trip[T], error: TransportError) -> float:
        """The connection could not be made or broke: seconds until the next try."""
        trip.tell(type(error).__name__)
        return self._wait(trip)

    def _read(self, data: str) -> tuple[T, ...]:
        """The hint, or nothing where this version cannot read it."""
        try:
            return (self._stream.open.read(data.encode()),)
        except Unreadable:
            return ()

    def _wait(self, trip: Trip[T], asked: float | None = None) -> float:
        """A connection that outlived the longest wait before it was a good one: counting begins again."""
        ceiling = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(self._misses, 6))
        if self._opened and trip.took >= ceiling:
            self._misses, ceiling = 0, _FIRST_WAIT
        self._misses += 1
        floor = min(_LONGEST_WAIT, max(asked or 0.0, self._retry))
        return floor + self._clock.random() * ceiling
