"""Refusals of the fake service, as the service words them (RFC 9457). Knows no route."""

from collections.abc import Sequence

import msgspec

from companion_sdk.wire import WORDS, Fault, Log, Problem

MEDIA = "application/problem+json"
GUARDED = frozenset({400, 404, 405, 413, 415})
"""Statuses that leave only to a known caller; anyone else gets a 401."""


class Refused(Exception):
    """A verb refuses: a word of the contract, where and why, and what stands in the way."""

    def __init__(
        self,
        word: str,
        detail: str = "",
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Sequence[tuple[str, str]] = (),
        current: Log | None = None,
    ) -> None:
        super().__init__(word, detail)
        self.word = word
        self.status, self.title = WORDS[word]
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.headers = tuple(headers)
        self.current = current

    def problem(self, request_id: str) -> Problem:
        """The document."""
        return Problem(
            type=f"/problems/{self.word}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            instance=f"urn:uuid:{request_id}",
            request_id=request_id,
            errors=[Fault(pointer=pointer, code=code) for pointer, code in self.errors],
            current=self.current,
        )

    def body(self, request_id: str) -> bytes:
        """The document's bytes."""
        return msgspec.json.encode(self.problem(request_id))


def invalid(*errors: tuple[str, str]) -> Refused:
    """400 with pointers and codes."""
    return Refused("invalid-request", errors=errors)


def not_found() -> Refused:
    """404: missing, or not to be seen."""
    return Refused("not-found")


def unauthenticated() -> Refused:
    """401."""
    return Refused("unauthenticated", headers=(("WWW-Authenticate", "Bearer"),))
