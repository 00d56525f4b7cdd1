"""The two clients: where the service is, who speaks, how long to wait. Knows no HTTP client and no route."""

from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

from ._call import State
from ._clock import Clock
from ._trip import Limits
from .resources._async.session import AsyncSession
from .resources._sync.session import Session


class Transport(Protocol):
    """What carries a sync client's requests: an ``httpx2`` transport, such as ``httpx2.MockTransport`` in tests."""

    def close(self) -> None:
        """Close its connections."""


class AsyncTransport(Protocol):
    """What carries an async client's requests: an ``httpx2`` transport, such as ``httpx2.MockTransport`` in tests."""

    async def aclose(self) -> None:
        """Close its connections."""


class Companion(Session):
    """A client of the Companion service.

    Use it in a ``with`` block, or call ``close()`` when done; it may be shared between threads.

    Example::

        from companion_sdk import Companion, Mood

        with Companion("https://companion.example", token="cmp_your_token") as client:
            client.logs.record(Mood(mood=4))
            for entry in client.logs.list(kind="mood"):
                print(entry.day, entry.body)

    Every method raises a ``CompanionError``: an ``ApiError`` when the service refused, a ``TransportError`` when no
    usable answer came. Requests that are safe to repeat are retried by themselves.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        timeout: float = 20.0,
        connect_timeout: float = 5.0,
        deadline: float = 60.0,
        retries: int = 2,
        transport: Transport | None = None,
        zone: str | None = None,
        allow_insecure: bool = False,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            base_url: where the service is. Plain ``http`` is refused except on this machine or over a ``transport``.
            token: who speaks; without it sign in first.
            timeout: seconds to wait for each read or write of an attempt.
            connect_timeout: seconds to wait for a connection.
            deadline: seconds a call may take with all its retries.
            retries: how often a call may be sent again.
            transport: an ``httpx2`` transport of your own; closed with the client.
            zone: the IANA zone that ``logs.record`` uses when it is given none.
            allow_insecure: allow plain ``http`` to another machine. The diary would be readable on the way.
        """
        from ._transport import SyncLink

        url, proxies = _address(base_url, allow_insecure or transport is not None)
        clock = _clock(transport)
        limits = Limits(timeout=timeout, connect_timeout=connect_timeout, deadline=deadline, retries=retries)
        super().__init__(SyncLink(url, State(_sound(token), zone, clock), limits, transport, proxies, clock))
        self._base_url = url

    def close(self) -> None:
        """Close the connections."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Companion({self._base_url!r})"


class AsyncCompanion(AsyncSession):
    """A client of the Companion service for asyncio.

    Use it in an ``async with`` block, or await ``close()`` when done.

    Example::

        from companion_sdk import AsyncCompanion, Mood

        async with AsyncCompanion("https://companion.example", token="cmp_your_token") as client:
            await client.logs.record(Mood(mood=4))
            async for entry in client.logs.list(kind="mood"):
                print(entry.day, entry.body)

    Every method raises a ``CompanionError``: an ``ApiError`` when the service refused, a ``TransportError`` when no
    usable answer came. Requests that are safe to repeat are retried by themselves.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        timeout: float = 20.0,
        connect_timeout: float = 5.0,
        deadline: float = 60.0,
        retries: int = 2,
        transport: AsyncTransport | None = None,
        zone: str | None = None,
        allow_insecure: bool = False,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            base_url: where the service is. Plain ``http`` is refused except on this machine or over a ``transport``.
            token: who speaks; without it sign in first.
            timeout: seconds to wait for each read or write of an attempt.
            connect_timeout: seconds to wait for a connection.
            deadline: seconds a call may take with all its retries.
            retries: how often a call may be sent again.
            transport: an ``httpx2`` transport of your own; closed with the client.
            zone: the IANA zone that ``logs.record`` uses when it is given none.
            allow_insecure: allow plain ``http`` to another machine. The diary would be readable on the way.
        """
        from ._transport import AsyncLink

        url, proxies = _address(base_url, allow_insecure or transport is not None)
        clock = _clock(transport)
        limits = Limits(timeout=timeout, connect_timeout=connect_timeout, deadline=deadline, retries=retries)
        super().__init__(AsyncLink(url, State(_sound(token), zone, clock), limits, transport, proxies, clock))
        self._base_url = url

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncCompanion({self._base_url!r})"


def _clock(transport: object) -> Clock:
    """This device's clock, or the one that a transport of ``companion_sdk.testing`` brings along."""
    brought: Clock | None = getattr(transport, "companion_clock", None)
    return Clock() if brought is None else brought


def _sound(token: str | None) -> str | None:
    """The token, if it can stand in a header; the error does not show it."""
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token != ""):
        raise ValueError("a token is what sign-in answered: printable ASCII without spaces around it")
    return token


def _address(base_url: str, allow_insecure: bool) -> tuple[str, bool]:
    """The address without a slash at its end, and whether the environment's proxies apply (not on plain http)."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError('base_url is an address such as "https://companion.example"')
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("base_url holds no user, password, query or fragment")
    if parts.path.rstrip("/").endswith("/v1"):
        raise ValueError("base_url is the address before /v1")
    if parts.scheme == "http" and not allow_insecure and not _this_machine(host):
        raise ValueError(
            f"plain http to {host} would let anyone on the way read the diary: use https, "
            "or allow_insecure=True where the network itself is trusted"
        )
    return base_url.rstrip("/"), parts.scheme == "https"


def _this_machine(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or _loopback_ipv4(host)


def _loopback_ipv4(host: str) -> bool:
    numbers = host.split(".")
    return len(numbers) == 4 and numbers[0] == "127" and all(part.isascii() and part.isdigit() for part in numbers)
