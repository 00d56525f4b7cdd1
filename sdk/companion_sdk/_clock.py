"""The SDK's one place that reads a clock or draws randomness. Knows nothing of calls or entries.

Everything that waits or measures takes a ``Clock`` so that a test can own time.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from threading import Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Wall time for what an entry says, monotonic seconds for limits, randomness for ids and jitter."""

    def now(self) -> datetime:
        """This moment in UTC, to the microsecond."""
        return _EPOCH + timedelta(microseconds=time.time_ns() // 1000)

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; only the sync client calls this."""
        time.sleep(seconds)

    def wait(self, ended: "Event", seconds: float) -> None:
        """Wait, but no longer than until ``ended`` is set; only a sync stream calls this."""
        ended.wait(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Wait without holding up the event loop."""
        import asyncio

        await asyncio.sleep(seconds)

    def random(self) -> float:
        """A number in [0, 1) for jitter."""
        return (int.from_bytes(os.urandom(7)) >> 3) / 2**53

    def uuid7(self) -> UUID:
        """A new id that sorts by its millisecond (RFC 9562 §5.7), 74 bits of it random."""
        milliseconds = (self.now() - _EPOCH) // timedelta(milliseconds=1)
        return uuid7(milliseconds, int.from_bytes(os.urandom(10)))


def uuid7(milliseconds: int, randomness: int) -> UUID:
    """The UUIDv7 of a Unix time in milliseconds and at least 74 random bits."""
    high = (milliseconds & (2**48 - 1)) << 16 | 0x7000 | (randomness >> 62) & 0xFFF
    low = 0x8000_0000_0000_0000 | randomness & (2**62 - 1)
    return UUID(int=high << 64 | low)
