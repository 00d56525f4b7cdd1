"""A bad network between a client and a service, fake or real: it loses, repeats, delays, reorders, breaks, and goes away.

Every fault is either scripted (the next so many requests) or drawn with a seed, so that a failing test fails again. Knows
no rule of the service.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from typing import Literal, cast

import httpx2
import msgspec

from companion_sdk import _clock
from companion_sdk.client import AsyncTransport, Transport

from .clock import Chance, Clock

Fault = Literal["lose_request", "lose_reply", "duplicate", "delay", "reorder", "corrupt"]
FAULTS: tuple[Fault, ...] = ("lose_request", "lose_reply", "duplicate", "delay", "reorder", "corrupt")


class _Planned(msgspec.Struct):
    """A scripted fault: the next ``left`` requests whose path holds ``of``; ``seconds`` for a delay."""

    fault: Fault
    left: int
    of: str
    seconds: float = 0.0


class _Fate(msgspec.Struct, frozen=True):
    """What happens to one request."""

    faults: frozenset[Fault] = frozenset()
    seconds: float = 0.0


class Network(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A transport around another one that does to requests what networks do.

    Example::

        from companion_sdk import Note
        from companion_sdk.testing import FakeService, Network

        fake = FakeService()
        ana = fake.patient("Ana")
        network = Network(fake.transport, loses=1 / 3, seed=7)
        with fake.client(ana, over=network) as client:
            network.lose_reply(next=1)
            client.logs.record(Note(text="Arrives once"))
        print(network.counts)

    A lost request or reply is a time-out to the client, which cannot tell them apart; a network that is offline refuses
    the connection.
    """

    def __init__(
        self,
        transport: Transport | AsyncTransport,
        *,
        loses: float = 0.0,
        duplicates: float = 0.0,
        delays: float = 0.0,
        reorders: float = 0.0,
        corrupts: float = 0.0,
        delay: float = 1.0,
        seed: object = 0,
        clock: Clock | None = None,
    ) -> None:
        """Put a network around a transport.

        Args:
            transport: ``fake.transport``, an ``httpx2.HTTPTransport``, or another ``Network``.
            loses: the share of requests that do not arrive and, drawn again, of replies that do not come back.
            duplicates: the share of requests that arrive twice.
            delays: the share that takes ``delay`` seconds.
            reorders: the share that arrives late, after the next one; the client saw it time out.
            corrupts: the share of replies that come back broken.
            delay: seconds that a drawn delay takes.
            seed: the same draws in every run.
            clock: the clock that delays go by and that clients of this network take; the transport's if left out.
        """
        brought: _clock.Clock | None = getattr(transport, "companion_clock", None)
        self.companion_clock: _clock.Clock | None = brought if clock is None else clock
        self._inner = transport
        self._shares: Mapping[Fault, float] = {
            "lose_request": loses,
            "lose_reply": loses,
            "duplicate": duplicates,
            "delay": delays,
            "reorder": reorders,
            "corrupt": corrupts,
        }
        self._delay = delay
        self._chance = Chance(f"network/{seed}")
        self._planned: list[_Planned] = []
        self._late: list[httpx2.Request] = []
        self._down = False
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    # what a test asks for

    def lose_request(self, next: int = 1, *, of: str = "") -> None:
        """The next requests do not arrive. ``of``: only those whose path holds this, such as ``"sync/push"``."""
        self._plan("lose_request", next, of)

    def lose_reply(self, next: int = 1, *, of: str = "") -> None:
        """The next requests are done, and their replies get lost."""
        self._plan("lose_reply", next, of)

    def duplicate(self, next: int = 1, *, of: str = "") -> None:
        """The next requests arrive twice; the client gets the first reply."""
        self._plan("duplicate", next, of)

    def delay(self, seconds: float, next: int = 1, *, of: str = "") -> None:
        """The next replies take so long; past the client's patience they are lost."""
        self._plan("delay", next, of, seconds)

    def reorder(self, next: int = 1, *, of: str = "") -> None:
        """The next requests are held back and arrive after the one that follows; the client saw them time out."""
        self._plan("reorder", next, of)

    def corrupt(self, next: int = 1, *, of: str = "") -> None:
        """The next replies break off in the middle of their body."""
        self._plan("corrupt", next, of)

    def go_offline(self) -> None:
        """Nothing goes through until ``go_online``; open streams break at their next sign of life."""
        self._down = True

    def go_online(self) -> None:
        """The network is back."""
        self._down = False

    @contextlib.contextmanager
    def offline(self) -> Generator[None]:
        """Offline for the length of a ``with`` block."""
        self.go_offline()
        try:
            yield
        finally:
            self.go_online()

    def heal(self) -> None:
        """From now on a good network: no fault that was planned or drawn, and what is held back is forgotten."""
        with self._lock:
            self._planned.clear()
            self._late.clear()
            self._shares = {}
            self._down = False

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each thing happened, ``sent`` among them."""
        with self._lock:
            return dict(self._counts)

    # carrying

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Carry one request."""
        request.read()
        fate = self._fate(request)
        inner = cast("httpx2.BaseTransport", self._inner)
        response = inner.handle_request(request)
        if "duplicate" in fate.faults:
            inner.handle_request(_again(request)).close()
        for late in self._arrivals():
            with contextlib.suppress(httpx2.TransportError):
                inner.handle_request(late).close()
        if fate.seconds:
            self._wait_clock.sleep(min(fate.seconds, _patience(request)))
        if self._is_lost(request, fate):
            response.close()
            raise httpx2.ReadTimeout("the reply got lost", request=request)
        if "corrupt" in fate.faults:
            return _broken(response, response.read())
        return _watched(response, self)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Carry one request."""
        await request.aread()
        fate = self._fate(request)
        inner = cast("httpx2.AsyncBaseTransport", self._inner)
        response = await inner.handle_async_request(request)
        if "duplicate" in fate.faults:
            await (await inner.handle_async_request(_again(request))).aclose()
        for late in self._arrivals():
            with contextlib.suppress(httpx2.TransportError):
                await (await inner.handle_async_request(late)).aclose()
        if fate.seconds:
            await self._wait_clock.sleep_async(min(fate.seconds, _patience(request)))
        if self._is_lost(request, fate):
            await response.aclose()
            raise httpx2.ReadTimeout("the reply got lost", request=request)
        if "corrupt" in fate.faults:
            return _broken(response, await response.aread())
        return _watched(response, self)

    def close(self) -> None:
        """Close what is below."""
        if isinstance(self._inner, httpx2.BaseTransport):
            self._inner.close()

    async def aclose(self) -> None:
        """Close what is below."""
        if isinstance(self._inner, httpx2.AsyncBaseTransport):
            await self._inner.aclose()

    @property
    def is_down(self) -> bool:
        """Whether nothing goes through."""
        return self._down

    @property
    def _wait_clock(self) -> _clock.Clock:
        return self.companion_clock or _clock.Clock()

    def _plan(self, fault: Fault, times: int, of: str, seconds: float = 0.0) -> None:
        with self._lock:
            self._planned.append(_Planned(fault, times, of, seconds))

    def _fate(self, request: httpx2.Request) -> _Fate:
        """Decide once what happens to a request; raises where it does not get through."""
        with self._lock:
            self._counts["sent"] += 1
            if self._down:
                self._counts["refused"] += 1
                raise httpx2.ConnectError("offline", request=request)
            fate = self._script(request.url.path) or self._draw()
            for fault in ("lose_request", "reorder"):
                if fault in fate.faults:
                    self._counts[fault] += 1
                    self._late += [_again(request)] if fault == "reorder" else []
                    raise httpx2.ReadTimeout("no reply came", request=request)
            self._counts.update(fate.faults)
            return fate

    def _script(self, path: str) -> _Fate | None:
        """What the test planned for this request."""
        meant: list[_Planned] = []
        for planned in self._planned:
            if planned.of in path and planned.fault not in {one.fault for one in meant}:
                meant.append(planned)
                planned.left -= 1
        self._planned = [planned for planned in self._planned if planned.left > 0]
        if not meant:
            return None
        return _Fate(frozenset(planned.fault for planned in meant), sum(planned.seconds for planned in meant))

    def _draw(self) -> _Fate:
        """What chance has for this request; as many draws whatever comes out, so that one share does not move another."""
        faults: set[Fault] = set()
        for fault in FAULTS:
            if (share := self._shares.get(fault)) and self._chance.fraction() < share:
                faults.add(fault)
        return _Fate(frozenset(faults), self._delay if "delay" in faults else 0.0)

    def _arrivals(self) -> list[httpx2.Request]:
        """What was held back and arrives now."""
        with self._lock:
            late, self._late = self._late, []
            return late

    def _is_lost(self, request: httpx2.Request, fate: _Fate) -> bool:
        return "lose_reply" in fate.faults or fate.seconds > _patience(request)


def _patience(request: httpx2.Request) -> float:
    """Seconds the client waits for a reply."""
    timeout: Mapping[str, float | None] = request.extensions.get("timeout", {})
    return timeout.get("read") or float("inf")


def _again(request: httpx2.Request) -> httpx2.Request:
    """The same request, to be sent once more."""
    return httpx2.Request(
        request.method, request.url, headers=request.headers, content=request.content, extensions=request.extensions
    )


def _broken(response: httpx2.Response, body: bytes) -> httpx2.Response:
    """The reply, broken off in the middle."""
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _OF_THE_BODY]
    return httpx2.Response(response.status_code, headers=headers, content=body[: len(body) // 2] + b"\xff")


_OF_THE_BODY = {"content-length", "content-encoding", "transfer-encoding"}


def _watched(response: httpx2.Response, network: Network) -> httpx2.Response:
    """The reply; one that goes on breaks when the network goes away."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        response.stream = _Watched(response.stream, network)
    return response


class _Watched(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A stream that breaks with the network."""

    def __init__(self, inner: object, network: Network) -> None:
        self._inner = inner
        self._network = network

    def __iter__(self) -> Iterator[bytes]:
        for piece in cast("httpx2.SyncByteStream", self._inner):
            self._check()
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in cast("httpx2.AsyncByteStream", self._inner):
            self._check()
            yield piece

    def _check(self) -> None:
        if self._network.is_down:
            raise httpx2.ReadError("the network went away")

    def close(self) -> None:
        cast("httpx2.SyncByteStream", self._inner).close()

    async def aclose(self) -> None:
        await cast("httpx2.AsyncByteStream", self._inner).aclose()
