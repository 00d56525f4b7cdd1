"""Problems as RFC 9457 ``application/problem+json``: one word each, one status each."""

from collections.abc import Sequence

from .base import Reply
from .diary import Log

WORDS: dict[str, tuple[int, str]] = {
    "invalid-request": (400, "The request is not valid"),
    "unauthenticated": (401, "Sign in with a valid token or code"),
    "insufficient-scope": (403, "This token may not do that"),
    "consent-required": (403, "The patient has not agreed to this"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "This method is not allowed here"),
    "conflict": (409, "This conflicts with what is stored"),
    "gone": (410, "This was deleted"),
    "cursor-expired": (410, "This cursor is no longer valid"),
    "revision-mismatch": (412, "The stored revision is another one"),
    "too-large": (413, "The request is too large"),
    "unsupported-media": (415, "Send application/json"),
    "revision-required": (428, "Name the revision you correct in If-Match"),
    "rate-limited": (429, "Too many requests"),
    "headers-too-large": (431, "The request headers are too large"),
    "internal": (500, "Something went wrong here"),
    "busy": (503, "Busy, try again shortly"),
    "storage-unavailable": (503, "Storage is unavailable, try again shortly"),
}
"""Every problem word with its HTTP status and constant title."""


class Fault(Reply, frozen=True):
    """Where in the request (RFC 6901 ``pointer``) and what (``code``); never the value itself."""

    pointer: str
    code: str


class Problem(Reply, frozen=True):
    """One refusal or failure. ``type`` is ``/problems/<word>``; ``request_id`` finds it in the service's log.

    ``current`` comes with ``revision-mismatch``: the entry as it is stored now.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: Sequence[Fault] = ()
    current: Log | None = None
