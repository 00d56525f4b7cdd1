"""One call on its way: the attempts so far, the time left, what to do with what came back. Knows no HTTP client.

Both links (sync and async) ask the same ``Trip``, so that retries, limits, errors and log lines exist once.
"""

import logging
from collections.abc import Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID, uuid4

import msgspec

from ._call import Call, State
from ._clock import Clock
from ._decode import Unreadable
from ._retry import RetryPolicy, retry_after
from ._version import AGENT
from .errors import ApiError, InvalidResponse, TimedOut, TransportError, api_error

T = TypeVar("T")

LOG = logging.getLogger("companion_sdk")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: for one read or write, for connecting, and for the call with all its attempts."""

    timeout: float
    connect_timeout: float
    deadline: float
    retries: int


class Answer(msgspec.Struct, frozen=True):
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Trip(Generic[T]):
    """Everything about one call that outlives an attempt."""

    def __init__(self, call: Call[T], state: State, limits: Limits, clock: Clock) -> None:
        self.call = call
        self.request_id = str(uuid4())
        self.attempt = 0
        self._limits = limits
        self._clock = clock
        self._policy = RetryPolicy(random=clock.random, retries=limits.retries, deadline=limits.deadline)
        self._began = self._attempt_began = clock.monotonic()
        self.headers = _headers(call, state, self.request_id)

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.call.path}?{urlencode(self.call.query)}" if self.call.query else self.call.path

    @property
    def took(self) -> float:
        """Seconds since this attempt began."""
        return self._clock.monotonic() - self._attempt_began

    def depart(self) -> tuple[float, float]:
        """Begin an attempt: seconds for connecting and for each read, neither past the deadline."""
        self.attempt += 1
        self._attempt_began = self._clock.monotonic()
        left = self.left()
        return min(self._limits.connect_timeout, left), min(self._limits.timeout, left)

    def left(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimedOut: when none are left.
        """
        left = self._limits.deadline - (self._clock.monotonic() - self._began)
        if left <= 0:
            raise self.overdue()
        return left

    def overdue(self) -> TimedOut:
        """The error for a call past its deadline, told in the log."""
        self.tell("TimedOut")
        return TimedOut(f"no whole answer within the deadline of {self._limits.deadline:g} s", self.request_id)

    def failed(self, error: TransportError, never_sent: bool) -> float:
        """No answer came: seconds until the next attempt, or ``error`` is raised."""
        self.tell(type(error).__name__)
        wait = self._wait(None, {}) if self.call.repeatable or never_sent else None
        if wait is None:
            raise error
        return wait

    def answered(self, answer: Answer) -> float | None:
        """An answer came: seconds until the next attempt, or None when this one stands."""
        self.tell(str(answer.status))
        if answer.status in self.call.also:
            return None
        # 429 is said before anything is done, so even a call that may not be repeated is safe to send again.
        return self._wait(answer.status, answer.headers) if self.call.repeatable or answer.status == 429 else None

    def arrive(self, answer: Answer) -> T:
        """The result the answer holds.

        Raises:
            ApiError: for a 4xx or 5xx.
            InvalidResponse: for anything else that is not the expected answer.
        """
        expected = 200 <= answer.status < 300 or answer.status in self.call.also
        if answer.status < 400 and not expected:
            raise InvalidResponse(f"unexpected status {answer.status}; is the base URL right?", self.request_id)
        if not expected:
            raise self._refused(answer)
        try:
            return self.call.read(answer.body)
        except Unreadable as error:
            if answer.status >= 400:
                raise self._refused(answer) from None
            raise InvalidResponse(f"unreadable answer: {error}; is the base URL right?", self.request_id) from None

    def _refused(self, answer: Answer) -> ApiError:
        request_id = _uuid_or(answer.headers.get("x-request-id", ""), self.request_id)
        revision = answer.headers.get("etag", "").removeprefix("W/").strip('"')
        return api_error(
            answer.status,
            answer.body,
            request_id,
            int(revision) if revision.isascii() and revision.isdigit() else None,
            retry_after(answer.headers),
        )

    def _wait(self, status: int | None, headers: Mapping[str, str]) -> float | None:
        return self._policy.next(self.attempt, status, headers, self._clock.monotonic() - self._began)

    def tell(self, outcome: str) -> None:
        """One line an attempt; the template of the route and never the path, the query, a body or a token."""
        if LOG.isEnabledFor(logging.DEBUG):
            LOG.debug(
                "%s %s %s %.0f ms request=%s attempt=%d",
                self.call.method,
                self.call.route,
                outcome,
                self.took * 1000,
                self.request_id,
                self.attempt,
                extra={"action": "sdk.call"},
            )


def _headers(call: Call[Any], state: State, request_id: str) -> dict[str, str]:
    headers = {"Accept": "application/json, application/problem+json", "X-Request-Id": request_id, "User-Agent": AGENT}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if call.signed and state.token is not None:
        headers["Authorization"] = f"Bearer {state.token}"
    return headers | dict(call.headers)


def _uuid_or(text: str, otherwise: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        return otherwise
