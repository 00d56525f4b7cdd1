"""The two links to the service, the only place that knows httpx2. Imported when the first client is made."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar, cast
from weakref import WeakSet

import httpx2

from ._call import Call, State, Steps, Stream
from ._clock import Clock
from ._ears import AsyncEar, Cut, SyncEar
from ._trip import Answer, Limits, Trip
from ._watch import Watch
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
    failure: TransportError
    if isinstance(error, httpx2.TimeoutException):
        failure = TimedOut("no whole answer in time", trip.request_id)
    elif isinstance(error, httpx2.DecodingError):
        failure = InvalidResponse("the answer's compression is broken", trip.request_id)
    else:
        reason = str(error) or type(error).__name__
        failure = ConnectionFailed(f"could not reach the service: {reason}", trip.request_id)
    failure.__cause__ = error
    return failure


def _request(trip: Trip[Any], base_url: str, **extensions: object) -> httpx2.Request:
    connect, each = trip.depart()
    timeout = httpx2.Timeout(each, connect=connect).as_dict()
    return httpx2.Request(
        trip.call.method,
        base_url + trip.target,
        headers=trip.headers,
        content=trip.call.body,
        extensions={"timeout": timeout, **extensions},
    )


def _answer(response: httpx2.Response, body: bytes) -> Answer:
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def _body(response: httpx2.Response, trip: Trip[Any]) -> bytes:
    chunks: list[bytes] = []
    for chunk in response.iter_bytes():
        trip.left()
        chunks.append(chunk)
    return b"".join(chunks)


def _opened(watch: Watch[Any], trip: Trip[Any], response: httpx2.Response) -> bool:
    """Whether the answer is the stream; if so, from here on only silence counts and no longer the call's time-out."""
    opened = watch.opened(trip, response.status_code, _answer(response, b"").headers)
    if opened:
        response.request.extensions["timeout"]["read"] = watch.silence
    return opened


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
        self._proxies = proxies
        self._lock = threading.Lock()
        self._ears: WeakSet[SyncEar[Any]] = WeakSet()
        self._streaming = None if transport is None else self._client

    def send(self, call: Call[T]) -> T:
        """The result of one call, retried as the policy allows."""
        trip = Trip(call, self.state, self._limits, self.clock)
        wait: float | None
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

    def listen(self, stream: Stream[T]) -> SyncEar[T]:
        """The listener of a stream; it connects when it is first asked for a hint."""
        watch = Watch(stream, self.state, self._limits, self.clock)
        ear = SyncEar[T](lambda cut, hand: self._connection(watch, cut, hand), self.clock)
        with self._lock:
            self._ears.add(ear)
        return ear

    def close(self) -> None:
        """End the streams and close the connections."""
        with self._lock:
            ears = list(self._ears)
            streaming = self._streaming = self._streaming or self._client
        for ear in ears:
            ear.close()
        streaming.close()
        self._client.close()

    def _attempt(self, trip: Trip[Any]) -> Answer:
        token = _quiet.set(True)
        try:
            response = self._client.send(_request(trip, self._base_url), stream=True)
            try:
                return _answer(response, _body(response, trip))
            finally:
                response.close()
        finally:
            _quiet.reset(token)

    def _connection(self, watch: Watch[T], cut: Cut, hand: Callable[[T], None]) -> float:
        """One connection of a stream, to its end: seconds to wait before the next."""
        trip = watch.depart()
        token = _quiet.set(True)
        try:
            response = self._streams().send(_request(trip, self._base_url, trace=cut.trace), stream=True)
            cut.hold(response.extensions.get("network_stream"), response.close)
            try:
                if not _opened(watch, trip, response):
                    return watch.refused(trip, _answer(response, _body(response, trip)))
                for chunk in response.iter_bytes():
                    if (hint := watch.heard(trip, chunk)) is not None:
                        hand(hint)
                return watch.ended(trip)
            finally:
                response.close()
        except httpx2.RequestError as error:
            return watch.failed(trip, _failure(error, trip))
        except TransportError as error:
            return watch.failed(trip, error)
        finally:
            cut.release()
            _quiet.reset(token)

    def _streams(self) -> httpx2.Client:
        """The client for streams: it reuses no connection, so that the socket of each is seen when it is made."""
        with self._lock:
            if self._streaming is None:
                self._streaming = httpx2.Client(trust_env=self._proxies, limits=httpx2.Limits(max_keepalive_connections=0))
            return self._streaming


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
        self._ears: WeakSet[AsyncEar[Any]] = WeakSet()

    async def send(self, call: Call[T]) -> T:
        """The result of one call, retried as the policy allows."""
        trip = Trip(call, self.state, self._limits, self.clock)
        wait: float | None
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

    def listen(self, stream: Stream[T]) -> AsyncEar[T]:
        """The listener of a stream; it connects when it is first asked for a hint."""
        watch = Watch(stream, self.state, self._limits, self.clock)
        ear = AsyncEar[T](lambda hand: self._connection(watch, hand), self.clock)
        self._ears.add(ear)
        return ear

    async def close(self) -> None:
        """End the streams and close the connections."""
        for ear in list(self._ears):
            await ear.close()
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

    async def _connection(self, watch: Watch[T], hand: Callable[[T], None]) -> float:
        """One connection of a stream, to its end: seconds to wait before the next."""
        trip = watch.depart()
        token = _quiet.set(True)
        try:
            request = _request(trip, self._base_url)
            async with asyncio.timeout(trip.left()):
                response = await self._client.send(request, stream=True)
            try:
                if not _opened(watch, trip, response):
                    async with asyncio.timeout(trip.left()):
                        return watch.refused(trip, _answer(response, await response.aread()))
                async for chunk in response.aiter_bytes():
                    if (hint := watch.heard(trip, chunk)) is not None:
                        hand(hint)
                return watch.ended(trip)
            finally:
                await response.aclose()
        except httpx2.RequestError as error:
            return watch.failed(trip, _failure(error, trip))
        except TimeoutError:
            return watch.failed(trip, TimedOut("no answer in time", trip.request_id))
        except TransportError as error:
            return watch.failed(trip, error)
        finally:
            _quiet.reset(token)
