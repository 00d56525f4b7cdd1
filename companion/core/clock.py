"""The one place where time is read. Everything below it takes time as an argument."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Wall time for what happened, monotonic time for how long it took."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def micros(at: datetime) -> int:
    """Microseconds since 1970 (UTC): how instants are stored, so that both databases order and keep them exactly."""
    return (at - EPOCH) // _MICROSECOND


def instant(stored: int) -> datetime:
    """The UTC instant of stored microseconds."""
    return EPOCH + timedelta(microseconds=stored)
