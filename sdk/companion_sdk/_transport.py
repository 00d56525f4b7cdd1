"""The two links to the service, the only place that knows httpx2. Imported when the first client is made."""

import asyncio
import logging
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import httpx2

from ._call import Call, State, Steps
from ._clock import Clock
from ._trip import Answer, Limits, Trip
from .errors import ConnectionFailed, InvalidResponse, TimedOut, TransportError

T = TypeVar("T")
C = TypeVar("C")

_quiet: ContextVar[bool] = ContextVar("companion_sdk_quiet", default=False)
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


def _not_ours(_: logging.LogRecord) -> bool:
    """False while a call of ours is on its way: the client below logs whole URLs and headers, which name a person."""
    return not _quiet.get()


for _name in ("httpx2", "httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy"):
    logging.getLogger(_name).addFilter(_not_ours)


def _failure(error: httpx2.RequestError, trip: Trip[Any]) -> TransportError:
    if isinstance(error, httpx2.TimeoutException):
        failure = TimedOut("no whole answer in time", trip.request_id)
    elif isinstance(error, httpx2.DecodingError):
        failure = InvalidResponse("the answer's compression is broken", trip.request_id)
    else:
        reason = str(error) or type(error).__name__
        failure = ConnectionFailed(f"could not reach the service: {reason}", trip.request_id)
    failure.__cause__ = error
    return failure


def _request(trip: Trip[Any], base_url: str) -> httpx2.Request:
    connect, each = trip.depart()
    timeout = httpx2.Timeout(each, connect=connect).as_dict()
    return httpx2.Request(
        trip.call.method,
        base_url + trip.target,
        headers=trip.headers,
        content=trip.call.body,
        extensions={"timeout": timeout},
    )


def _answer(response: httpx2.Response, body: bytes) -> Answer:
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def _carrier(kind: type[C], transport: object | None) -> C | None:
    """The user's transport, if it is one of this library's for this client."""
    if transport is None or isinstance(transport, kind):
        return transport
    raise TypeError(f"transport must be an httpx2.{kind.__name__}, such as httpx2.MockTransport")


class SyncLink:
    """Sends calls one after the other; may be shared between threads."""

    def __init__(
        self, base_url: str, state: State, limits: Limits, transport: object | None, proxies: bool, clock: Clock
    ) -> None:
        self.state: State = state
        self.clock: Clock = clock
        self._base_url = base_url
        self._limits = limits
        self._client = httpx2.Client(transport=_carrier(httpx2.BaseTransport, transport), trust_env=proxies)

    def send(self, call: Call[T]) -> T:
        """The result of one call, retried as the policy allows."""
        trip = Trip(call, self.state, self._limits, self.clock)
        while True:
            try:
                answer = self._attempt(trip)
            except httpx2.RequestError as error:
                wait = trip.failed(_failure(error, trip), isinstance(error, _NEVER_SENT))
            else:
                wait = trip.answered(answer)
                if wait is None:
                    return trip.arrive(answer)
            self.clock.sleep(wait)

    def run(self, steps: Steps[T]) -> T:
        """The result of steps: every call they ask for is sent."""
        try:
            call = next(steps)
            while True:
                call = steps.send(self.send(call))
        except StopIteration as done:
            return cast("T", done.value)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _attempt(self, trip: Trip[Any]) -> Answer:
        token = _quiet.set(True)
        try:
            response = self._client.send(_request(trip, self._base_url), stream=True)
            try:
                chunks: list[bytes] = []
                for chunk in response.iter_bytes():
                    trip.left()
                    chunks.append(chunk)
            finally:
                response.close()
            return _answer(response, b"".join(chunks))
        finally:
            _quiet.reset(token)


class AsyncLink:
    """Sends calls on the running asyncio loop; many at a time."""

    def __init__(
        self, base_url: str, state: State, limits: Limits, transport: object | None, proxies: bool, clock: Clock
    ) -> None:
        self.state: State = state
        self.clock: Clock = clock
        self._base_url = base_url
        self._limits = limits
        self._client = httpx2.AsyncClient(transport=_carrier(httpx2.AsyncBaseTransport, transport), trust_env=proxies)

    async def send(self, call: Call[T]) -> T:
        """The result of one call, retried as the policy allows."""
        trip = Trip(call, self.state, self._limits, self.clock)
        while True:
            try:
                answer = await self._attempt(trip)
            except httpx2.RequestError as error:
                wait = trip.failed(_failure(error, trip), isinstance(error, _NEVER_SENT))
            else:
                wait = trip.answered(answer)
                if wait is None:
                    return trip.arrive(answer)
            await self.clock.sleep_async(wait)

    async def run(self, steps: Steps[T]) -> T:
        """The result of steps: every call they ask for is sent."""
        try:
            call = next(steps)
            while True:
                call = steps.send(await self.send(call))
        except StopIteration as done:
            return cast("T", done.value)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _attempt(self, trip: Trip[Any]) -> Answer:
        token = _quiet.set(True)
        try:
            request = _request(trip, self._base_url)
            async with asyncio.timeout(trip.left()):
                response = await self._client.send(request, stream=True)
                try:
                    body = b"".join([chunk async for chunk in response.aiter_bytes()])
                finally:
                    await response.aclose()
            return _answer(response, body)
        except TimeoutError as error:
            raise trip.overdue() from error
        finally:
            _quiet.reset(token)
