"""When to sync next, by itself: pure, for the thread and the task alike. Knows no clock, no file and no call."""

import logging
from collections.abc import Callable

import msgspec

from companion_sdk.errors import ApiError, TransportError, Unauthenticated, WrongPerson

IDLE = 15 * 60.0
"""Seconds after which a diary that nothing happened to asks all the same: a hint may have been lost."""

DEBOUNCE = 0.2
"""Seconds in which several entries become one push."""

LOOK = 0.25
"""Seconds between two looks at whether somebody signed in."""

_FIRST, _LONGEST = 1.0, 300.0


LOG = logging.getLogger("companion_sdk")


class Failed(msgspec.Struct, frozen=True):
    """What went wrong in the background, where nobody above could catch it."""

    error: Exception


class Pace:
    """How long to wait after failures: full jitter under a ceiling that doubles from one second to five minutes."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._misses = 0

    def went_well(self) -> None:
        """Begin to count anew."""
        self._misses = 0

    def after(self, failure: Exception) -> float:
        """Seconds until the next try; never sooner than a service that asked to wait."""
        ceiling = min(_LONGEST, _FIRST * 2.0 ** min(self._misses, 16))
        self._misses += 1
        asked = failure.retry_after if isinstance(failure, ApiError) else None
        return min(_LONGEST, asked or 0.0) + self._random() * ceiling


def needs_sign_in(failure: Exception) -> bool:
    """Whether only another token can help."""
    return isinstance(failure, Unauthenticated | WrongPerson)


def needs_network(failure: Exception) -> bool:
    """Whether a connection that comes back is worth a try at once."""
    return isinstance(failure, TransportError)


def tell(failure: Exception | None) -> None:
    """One line for a sync that nobody asked for; what went wrong by its kind alone."""
    outcome = "ok" if failure is None else type(failure).__name__
    LOG.debug("sync in the background: %s", outcome, extra={"action": "sdk.sync"})
