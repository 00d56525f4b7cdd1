"""One call as plain values: what is sent, whether it may be repeated, how its answer is read. Knows no HTTP client.

An ``Endpoint`` is a row of the table of everything the service offers; ``Endpoint.call`` fills it in. A ``Steps`` is
a call that needs others first, written once for both clients: a generator that yields calls and is given the answers.
"""

from collections.abc import Callable, Generator, Sequence
from datetime import date, datetime
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from ._clock import Clock
from ._decode import decode
from .paging import Page

T = TypeVar("T")
U = TypeVar("U")

Query: TypeAlias = tuple[tuple[str, str], ...]


class Call(msgspec.Struct, Generic[T], frozen=True):
    """A request ready to be sent as often as the retry policy allows: the body and every key are fixed here."""

    method: str
    route: str
    path: str
    read: Callable[[bytes], T]
    query: Query = ()
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    repeatable: bool = True
    signed: bool = True
    also: tuple[int, ...] = ()
    """Failure statuses whose body may be the answer all the same."""

    def then(self, turn: Callable[[T], U]) -> "Call[U]":
        """The same call with its answer turned into something else."""
        read = self.read
        return Call(
            self.method,
            self.route,
            self.path,
            lambda raw: turn(read(raw)),
            self.query,
            self.body,
            self.headers,
            self.repeatable,
            self.signed,
            self.also,
        )

    def at_cursor(self, cursor: str) -> "Call[T]":
        """The same list from another place on."""
        kept = tuple(pair for pair in self.query if pair[0] != "cursor")
        return msgspec.structs.replace(self, query=(*kept, ("cursor", cursor)))


def key(clock: Clock) -> tuple[tuple[str, str], ...]:
    """A fresh ``Idempotency-Key``: made with the call, so that every attempt carries the same one."""
    return (("Idempotency-Key", str(clock.uuid7())),)


Steps: TypeAlias = Generator[Call[Any], Any, T]


class Pages(msgspec.Struct, Generic[T], frozen=True):
    """A list that comes in pages, by the call for its first one."""

    first: Call[Page[T]]


class Stream(msgspec.Struct, Generic[T], frozen=True):
    """Events that come as they happen, by the call that opens it; that call's ``read`` reads the data of one event.

    ``event`` is the type of those that are wanted; ``last_id`` the id of the last one seen, if any was.
    """

    open: Call[T]
    event: str
    last_id: int | None = None


class Endpoint(msgspec.Struct, Generic[T], frozen=True):
    """One row of the table: method, route, what is answered (``NoneType``: nothing), what is sent (None: nothing)."""

    method: str
    route: str
    answer: type[T]
    request: object = None
    signed: bool = True
    also: tuple[int, ...] = ()

    def call(
        self,
        *,
        ids: dict[str, str] | None = None,
        query: Query = (),
        body: object = None,
        headers: tuple[tuple[str, str], ...] = (),
        repeatable: bool | None = None,
    ) -> Call[T]:
        """Fill the row in. Without ``repeatable``: everything but a POST may be sent again."""
        return Call(
            method=self.method,
            route=self.route,
            path=self.route.format(**(ids or {})),
            read=lambda raw: decode(self.answer, raw),
            query=query,
            body=None if body is None else msgspec.json.encode(body),
            headers=headers,
            repeatable=self.method != "POST" if repeatable is None else repeatable,
            signed=self.signed,
            also=self.also,
        )


def ask(call: Call[T]) -> Steps[T]:
    """Within steps: the answer to ``call``."""
    answer: T = yield call
    return answer


def path_id(value: UUID | str) -> str:
    """An id as it stands in a path. Refuses what is not a UUID, so that nothing else can get into a URL."""
    if isinstance(value, UUID):
        return str(value)
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise ValueError("an id is a UUID, as the service gave it or as uuid7 made it") from None


def path_patient(value: UUID | str) -> str:
    """A patient in a path: an id or ``me``."""
    return "me" if value == "me" else path_id(value)


def query_of(**given: str | int | date | Sequence[str] | None) -> Query:
    """The parameters that were given; ``from_`` is sent as ``from``, a sequence as repeated parameters."""
    pairs: list[tuple[str, str]] = []
    for name, value in given.items():
        wire_name = name.rstrip("_")
        if value is None:
            continue
        if isinstance(value, datetime):
            raise TypeError(f"{name} is a local calendar day: pass a date, not a datetime")
        if isinstance(value, str | int | date):
            pairs.append((wire_name, str(value)))
        else:
            pairs.extend((wire_name, item) for item in value)
    return tuple(pairs)


class State:
    """What a client remembers between calls: its token and the zones it knows. Never shows the token."""

    __slots__ = ("clock", "person_zone", "token", "zone")

    def __init__(self, token: str | None, zone: str | None, clock: Clock) -> None:
        self.token: str | None = token
        self.zone: str | None = zone
        self.clock: Clock = clock
        self.person_zone: str | None = None
