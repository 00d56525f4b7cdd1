"""Everything the SDK raises, drawn once. Knows no HTTP client and never holds a body or a token.

::

    CompanionError
    ├── TransportError            no answer that can be used
    │   ├── ConnectionFailed      nothing was sent, or the connection broke
    │   ├── TimedOut              an attempt's timeout or the call's deadline passed
    │   └── InvalidResponse       an answer that is not the service's (a captive portal, a redirect)
    ├── DiaryError                the diary on this device, without any service
    │   ├── InvalidEntry          it would never be stored: .faults says where
    │   ├── NoSuchEntry           this device has none, or it was deleted
    │   ├── UnsentEntries         signing out would lose what was not sent
    │   ├── WrongPerson           the file is somebody else's diary
    │   ├── WrongKey              sealed by another passphrase or key
    │   ├── UnreadableDiary       no diary, a damaged one, or one of a newer SDK
    │   └── DiaryUnavailable      the disk is full or read-only, or the diary is closed
    └── ApiError                  the service refused or failed, in RFC 9457 form
        ├── InvalidRequest        400    .problem.errors says where
        ├── Unauthenticated       401    sign in again
        ├── Forbidden             403
        │   ├── InsufficientScope        an app's token may not do this
        │   └── ConsentRequired          the patient has not agreed
        ├── NotFound              404    missing, or not yours to see
        ├── MethodNotAllowed      405
        ├── Conflict              409
        ├── Gone                  410    deleted for ever
        │   └── CursorExpired            begin the list again
        ├── RevisionMismatch      412    correct what is stored now (.current)
        ├── RevisionRequired      428    it exists: correct it with its revision
        ├── TooLarge              413
        │   └── HeadersTooLarge   431
        ├── UnsupportedMedia      415
        ├── RateLimited           429    .retry_after
        └── ServerError           5xx
            ├── Busy              503    .retry_after
            └── StorageUnavailable 503
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from ._decode import Unreadable, decode
from .wire import Fault, Log, Problem


class CompanionError(Exception):
    """Anything that went wrong between your code and the service, or with the diary on this device."""


class TransportError(CompanionError):
    """No usable answer came: what was asked may or may not have been done.

    Safe to call again for everything that names an id; the SDK has already retried what it may.
    """

    def __init__(self, message: str, request_id: str = "") -> None:
        super().__init__(message, request_id)
        self.message: str = message
        self.request_id: str = request_id

    def __str__(self) -> str:
        return f"{self.message} [request {self.request_id}]" if self.request_id else self.message


class ConnectionFailed(TransportError):
    """The service could not be reached, or the connection broke."""


class TimedOut(TransportError):
    """An attempt took longer than its timeout, or the whole call longer than its deadline."""


class InvalidResponse(TransportError):
    """Something answered that is not the service, or speaks a version this SDK cannot read."""


class DiaryError(CompanionError):
    """The diary on this device could not do it; nothing was changed."""


class InvalidEntry(DiaryError, ValueError):
    """The service would refuse this entry for its form, so it is not kept: ``faults`` says where and what.

    Attributes:
        faults: where (a JSON pointer, such as ``/body/mood``) and what (a code, such as ``out-of-range``).
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults)
        self.faults: Sequence[Fault] = faults

    def __str__(self) -> str:
        return "; ".join(f"{fault.pointer or '/'} {fault.code}" for fault in self.faults)


class NoSuchEntry(DiaryError, LookupError):
    """This device has no entry with this id, or it was deleted: an id never lives again."""


class UnsentEntries(DiaryError):
    """Signing out would lose words that only this device has.

    Attributes:
        unsent: entries that were not sent yet.
        needs_attention: entries that the service refused.
    """

    def __init__(self, unsent: int, needs_attention: int) -> None:
        super().__init__(unsent, needs_attention)
        self.unsent: int = unsent
        self.needs_attention: int = needs_attention

    def __str__(self) -> str:
        return f"{self.unsent} not sent, {self.needs_attention} in need of attention: sync first, or discard them knowingly"


class WrongPerson(DiaryError):
    """The file is one person's diary and the client speaks for another; nothing was sent and nothing was mixed."""


class WrongKey(DiaryError):
    """The file is sealed by another passphrase or key than was given."""


class UnreadableDiary(DiaryError):
    """The file is no diary, is damaged, or was written by a newer SDK. It was not touched."""


class DiaryUnavailable(DiaryError):
    """The file cannot be used now: the disk is full or read-only, another process holds it, or the diary is closed."""


class ApiError(CompanionError):
    """The service answered with a problem.

    Attributes:
        problem: the RFC 9457 document; made up from the status when the answer held none.
        revision: the stored revision where the answer names one (after a 412).
        retry_after: seconds the service asks to wait, or None.
    """

    def __init__(self, problem: Problem, revision: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(problem, revision, retry_after)
        self.problem: Problem = problem
        self.revision: int | None = revision
        self.retry_after: float | None = retry_after

    @property
    def status(self) -> int:
        """The HTTP status, such as 404."""
        return self.problem.status

    @property
    def word(self) -> str:
        """The problem's word, such as ``not-found``; empty when the answer held none."""
        return self.problem.type.removeprefix("/problems/") if self.problem.type.startswith("/problems/") else ""

    @property
    def request_id(self) -> str:
        """The id that finds this call in the service's log."""
        return self.problem.request_id

    def __str__(self) -> str:
        head = f"{self.word} ({self.status})" if self.word else f"HTTP {self.status}"
        said = self.problem.detail or self.problem.title
        faults = "; ".join(f"{fault.pointer or '/'} {fault.code}" for fault in self.problem.errors)
        return f"{head}: {said}{f' — {faults}' if faults else ''} [request {self.request_id}]"


class InvalidRequest(ApiError):
    """400: ``problem.errors`` says where (a JSON pointer) and what (a code)."""


class Unauthenticated(ApiError):
    """401: no token, or one that is wrong, expired or revoked. Sign in again."""


class Forbidden(ApiError):
    """403: not allowed."""


class InsufficientScope(Forbidden):
    """403: this app's token was not given the scope."""


class ConsentRequired(Forbidden):
    """403: the patient has not agreed to this."""


class NotFound(ApiError):
    """404: it does not exist, or it is not yours to see; the service does not say which."""


class MethodNotAllowed(ApiError):
    """405: this service does not know the call; it may be older than this SDK."""


class Conflict(ApiError):
    """409: this contradicts what is stored."""


class Gone(ApiError):
    """410: it was deleted; its id never lives again."""


class CursorExpired(Gone):
    """410: this place in a list is no longer valid; begin the list again."""


class RevisionMismatch(ApiError):
    """412: someone changed it meanwhile. ``revision`` is the stored one; look at ``current``, then correct that."""

    @property
    def current(self) -> Log | None:
        """The entry as it is stored now, where the service shows it."""
        return self.problem.current


class RevisionRequired(ApiError):
    """428: it exists with other content; name the revision you correct."""


class TooLarge(ApiError):
    """413: more than the service takes in one request."""


class HeadersTooLarge(TooLarge):
    """431: the headers are too large."""


class UnsupportedMedia(ApiError):
    """415: not JSON."""


class RateLimited(ApiError):
    """429: too many requests; ``retry_after`` says how long to wait."""


class ServerError(ApiError):
    """5xx: the service, or something in front of it, failed."""


class Busy(ServerError):
    """503: the service is busy; ``retry_after`` says how long to wait."""


class StorageUnavailable(ServerError):
    """503: the service cannot store anything now."""


BY_WORD: Mapping[str, type[ApiError]] = {
    "invalid-request": InvalidRequest,
    "unauthenticated": Unauthenticated,
    "insufficient-scope": InsufficientScope,
    "consent-required": ConsentRequired,
    "not-found": NotFound,
    "method-not-allowed": MethodNotAllowed,
    "conflict": Conflict,
    "gone": Gone,
    "cursor-expired": CursorExpired,
    "revision-mismatch": RevisionMismatch,
    "too-large": TooLarge,
    "unsupported-media": UnsupportedMedia,
    "revision-required": RevisionRequired,
    "rate-limited": RateLimited,
    "headers-too-large": HeadersTooLarge,
    "internal": ServerError,
    "busy": Busy,
    "storage-unavailable": StorageUnavailable,
}
"""Problem word to error; a test holds it to the words of the contract."""

_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    410: Gone,
    412: RevisionMismatch,
    413: TooLarge,
    415: UnsupportedMedia,
    428: RevisionRequired,
    429: RateLimited,
    431: HeadersTooLarge,
}


def api_error(
    status: int, body: bytes, request_id: str, revision: int | None = None, retry_after: float | None = None
) -> ApiError:
    """The error for a refusal: by its word, else (a proxy's page, a word of the future) by its status."""
    problem = _problem(status, body, request_id)
    fallback = ServerError if status >= 500 else _BY_STATUS.get(status, ApiError)
    kind = BY_WORD.get(problem.type.removeprefix("/problems/"), fallback)
    return kind(problem, revision, retry_after)


def _problem(status: int, body: bytes, request_id: str) -> Problem:
    try:
        return decode(Problem, body)
    except Unreadable:
        title = HTTPStatus(status).phrase if status in {known.value for known in HTTPStatus} else "Unknown status"
        return Problem(
            type="about:blank", title=title, status=status, detail="", instance="", request_id=request_id, errors=()
        )
