"""The clock that a test owns, and chance that is the same for the same seed. Knows no service."""

import threading
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Self
from uuid import UUID

from companion_sdk import _clock

_QUICK = 1000.0
_LONGEST = 0.01


class Chance:
    """Bits that look random and are the same for the same seed; may be shared between threads."""

    def __init__(self, seed: object) -> None:
        self._seed = str(seed)
        self._drawn = 0
        self._lock = threading.Lock()

    def bits(self, count: int) -> int:
        """A number of ``count`` bits (at most 256)."""
        with self._lock:
            self._drawn += 1
            drawn = self._drawn
        return int.from_bytes(sha256(f"{self._seed}/{drawn}".encode()).digest()) >> (256 - count)

    def fraction(self) -> float:
        """A number in [0, 1)."""
        return self.bits(53) / 2**53


class Clock(_clock.Clock):
    """A clock that a test owns: for a fake service, and for the clients that reach it.

    Without ``at`` it shows the machine's time. With ``at`` it stands there until the test moves it. ``seed`` makes ids and
    jitter the same in every run. Whoever waits by it waits a thousandth of the time, ten milliseconds at most, so that a
    test of retries takes no longer than one without.

    Example::

        from datetime import UTC, datetime
        from companion_sdk.testing import Clock

        clock = Clock(datetime(2026, 3, 2, 12, 0, tzinfo=UTC))
        clock.advance(hours=1)
        phone = clock.skewed(minutes=7)
        print(clock.now(), phone.now())
    """

    def __init__(self, at: datetime | None = None, *, seed: object = None) -> None:
        """Make a clock; nothing moves it but its own methods, and the machine's time where ``at`` is left out."""
        if at is not None and at.tzinfo is None:
            raise ValueError("at needs an offset: an instant, not a reading on some wall")
        self._at = None if at is None else at.astimezone(UTC)
        self._parent: _clock.Clock = _clock.Clock()
        self._ahead = timedelta(0)
        self._slept = 0.0
        self._seed = seed
        self._chance = None if seed is None else Chance(f"clock/{seed}")
        self._children = 0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """This moment in UTC."""
        with self._lock:
            return (self._parent.now() if self._at is None else self._at) + self._ahead

    def monotonic(self) -> float:
        """Seconds that never go backwards; on a clock that stands, only what was waited and advanced."""
        with self._lock:
            ran = self._parent.monotonic() if self._at is None else 1000.0
            return ran + self._slept

    def advance(self, **span: float) -> Self:
        """Time passes: ``clock.advance(days=1, minutes=5)``."""
        passed = timedelta(**span)
        if passed < timedelta(0):
            raise ValueError("time does not run backwards; set() turns the clock back")
        with self._lock:
            self._ahead += passed
            self._slept += passed.total_seconds()
        return self

    def set(self, at: datetime) -> Self:
        """Somebody sets the clock: it shows ``at``, and no time has passed."""
        ahead = at - self.now()
        with self._lock:
            self._ahead += ahead
        return self

    def skewed(self, **span: float) -> "Clock":
        """The clock of a phone that is ahead of this one (behind, with a negative span) and follows it."""
        with self._lock:
            self._children += 1
            seed = None if self._seed is None else f"{self._seed}/{self._children}"
        phone = Clock(seed=seed)
        phone._parent, phone._ahead = self, timedelta(**span)
        return phone

    def sleep(self, seconds: float) -> None:
        """Wait: a thousandth of it."""
        super().sleep(self._shortened(seconds))

    def wait(self, ended: threading.Event, seconds: float) -> None:
        """Wait a thousandth of it, but no longer than until ``ended`` is set."""
        super().wait(ended, self._shortened(seconds))

    async def sleep_async(self, seconds: float) -> None:
        """Wait without holding up the event loop: a thousandth of it."""
        await super().sleep_async(self._shortened(seconds))

    def _shortened(self, seconds: float) -> float:
        with self._lock:
            self._slept += seconds
        return min(seconds / _QUICK, _LONGEST)

    def random(self) -> float:
        """A number in [0, 1) for jitter."""
        return super().random() if self._chance is None else self._chance.fraction()

    def uuid7(self) -> UUID:
        """A new id that sorts by its millisecond."""
        if self._chance is None:
            return super().uuid7()
        return _clock.uuid7(int(self.now().timestamp() * 1000), self._chance.bits(80))
