"""When to try again, and after how long. Pure: no HTTP client, no clock and no waiting here."""

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

import msgspec

RETRIED = frozenset({429, 502, 503, 504})
"""Statuses that say "not now" rather than "no"."""

_LONGEST_WAIT = 60.0


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential backoff with full jitter, under the service's ``Retry-After`` and the call's deadline.

    ``retries`` counts the attempts after the first; ``deadline``, ``base`` and ``cap`` are seconds; ``random`` gives
    a number in [0, 1). Full jitter spreads clients that failed together (M. Brooker, AWS Architecture Blog, 2015).
    """

    random: Callable[[], float]
    retries: int = 2
    deadline: float = 60.0
    base: float = 0.5
    cap: float = 8.0

    def next(self, attempt: int, status: int | None, headers: Mapping[str, str], elapsed: float) -> float | None:
        """Seconds to wait before the attempt after ``attempt`` (1 is the first), or None to give up.

        ``status`` is None when no answer came. ``headers`` have lower-case names. ``elapsed`` is the seconds since
        the call began, all attempts together; a wait that would end past the deadline is not begun.
        """
        if attempt > self.retries or (status is not None and status not in RETRIED):
            return None
        wait = retry_after(headers)
        if wait is None:
            wait = self.random() * min(self.cap, self.base * 2.0 ** (attempt - 1))
        wait = min(wait, _LONGEST_WAIT)
        return wait if elapsed + wait < self.deadline else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for (RFC 9110 §10.2.3), or None where it says nothing that can be used.

    A date is read against the answer's own ``Date``, so that this device's clock does not matter.
    """
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked)
    until, now = _http_date(asked), _http_date(headers.get("date", ""))
    return None if until is None or now is None else max(0.0, (until - now).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else None
