"""What every answer needs, around the whole application: request id, headers, CORS, "401 first", limits, the log line.

It wraps from outside because the framework runs no middleware for a path it does not know. A 400, 404, 405, 413 or 415 that
no unit of work stood behind leaves only to a known caller; anyone else gets the same 401 as everywhere.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any

from ..core.actors import Actor, Anonymous, Bearer
from ..core.db import Tx
from ..core.errors import Busy, Problem, StorageUnavailable, Unauthenticated
from . import problems
from .exchange import Exchange, Scope, Site
from .limits import Buckets

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SIGN_IN = "/v1/sign-in"
OPEN = frozenset({"/v1/service", "/v1/crisis", SIGN_IN, "/health/live", "/health/ready", "/docs", "/openapi.json"})
"""Paths that ask for no sign-in."""

_GUARDED = frozenset({400, 404, 405, 413, 415})
_STATIC = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_TOKEN = 64
"""Characters of a token that are remembered: a forged one may be as long as a header, and a real one is shorter."""
_EXPOSED = b"ETag, Link, Retry-After, X-Request-Id"


def known(tx: Tx, actor: Actor) -> None:
    """Whether the caller may be told anything at all."""
    actor.known()


class Edge:
    """The outermost application."""

    def __init__(self, app: App, site: Site) -> None:
        self._app = app
        self.site = site
        settings = site.settings
        self._strangers = Buckets(settings.anonymous_burst, settings.anonymous_rate)
        self._callers = Buckets(settings.caller_rate * 2, settings.caller_rate)
        self._origins = {origin.encode() for origin in settings.origins}
        self._proxies = settings.proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self.site, scope)
        if scope["method"] == "HEAD":  # a GET whose body the server leaves out (RFC 9110 §9.3.2)
            scope = {**scope, "method": "GET"}
        scope["exchange"] = exchange
        reply = _Reply(self, exchange, scope, send)
        try:
            if self._origins and (preflight := self._preflight(scope)) is not None:
                await reply.bare(204, preflight)
            elif (wait := self._must_wait(exchange, scope)) > 0:
                await reply.problem(rate_limited(wait))
            elif not scope["path"].isascii():
                await reply.no_such_path()
            else:
                await self._app(scope, receive, reply)
        finally:
            self._log(exchange, scope)

    # limits

    def address(self, scope: Scope) -> str:
        """The caller's address: a proxy's word for it only where the proxy is trusted."""
        client = scope.get("client")
        peer = client[0] if client else ""
        if peer not in self._proxies:
            return peer
        told = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = [hop.strip() for hop in ",".join(told).split(",")]
        return next((hop for hop in reversed(hops) if hop and hop not in self._proxies), peer)

    def _must_wait(self, exchange: Exchange, scope: Scope) -> float:
        now = exchange.started
        caller = exchange.caller
        if scope["path"] == SIGN_IN or (isinstance(caller, Anonymous) and scope["path"] not in OPEN):
            return self._strangers.wait(self.address(scope), now)
        if isinstance(caller, Bearer):
            key = caller.token[:_TOKEN]
            if (wait := self._callers.wait(key, now)) > 0:
                return wait
            self._callers.take(key, now)
        return 0.0

    def stranger(self, exchange: Exchange, scope: Scope) -> float:
        """Count a call that had no valid token or code against its address; the seconds it must wait instead of an answer.

        A forged token is seen as such only here, so that whoever is signed in behind the same address is not kept waiting.
        """
        address = self.address(scope)
        wait = self._strangers.wait(address, exchange.started)
        if wait <= 0:
            self._strangers.take(address, exchange.started)
        return wait

    # browsers

    def _preflight(self, scope: Scope) -> list[tuple[bytes, bytes]] | None:
        if scope.get("method") != "OPTIONS":
            return None
        headers = dict(scope["headers"])
        if headers.get(b"origin") not in self._origins or b"access-control-request-method" not in headers:
            return None
        return [
            (b"access-control-allow-methods", b"GET, PUT, POST, PATCH, DELETE"),
            (
                b"access-control-allow-headers",
                b"Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Request-Id",
            ),
            (b"access-control-max-age", b"600"),
        ]

    def cross_origin(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The headers that let an allowed origin read the answer."""
        for name, value in scope["headers"]:
            if name == b"origin" and value in self._origins:
                return [
                    (b"access-control-allow-origin", value),
                    (b"access-control-expose-headers", _EXPOSED),
                    (b"vary", b"Origin"),
                ]
        return []

    @property
    def has_origins(self) -> bool:
        return bool(self._origins)

    # the log line

    def _log(self, exchange: Exchange, scope: Scope) -> None:
        milliseconds = (self.site.clock.monotonic() - exchange.started) * 1000
        self.site.lines.write(
            "info",
            "request",
            method=exchange.method,
            route=scope.get("path_template", "-"),
            status=exchange.status,
            ms=round(milliseconds, 1),
            request_id=exchange.request_id,
            caller=type(exchange.caller).__name__.lower(),
        )


def rate_limited(wait: float) -> Problem:
    """429 with what is left (nothing) and when to come again (draft-ietf-httpapi-ratelimit-headers-10)."""
    seconds = math.ceil(wait)
    return Problem("rate-limited", headers=(("Retry-After", str(seconds)), ("RateLimit", f'"calls";r=0;t={seconds}')))


class _Reply:
    """``send`` for one exchange: adds the headers every answer has, holds back what a stranger may not see."""

    __slots__ = ("_edge", "_exchange", "_scope", "_send", "_swallow")

    def __init__(self, edge: Edge, exchange: Exchange, scope: Scope, send: Send) -> None:
        self._edge = edge
        self._exchange = exchange
        self._scope = scope
        self._send = send
        self._swallow = False

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            if not self._swallow:
                await self._send(message)
            return
        exchange = self._exchange
        status = message["status"]
        refusal = Unauthenticated() if status == 401 else None
        if not exchange.resolved and (status in _GUARDED or exchange.method == "OPTIONS"):
            refusal = await self._refusal()
        if refusal is not None:
            self._swallow = True
            await self.problem(refusal)
            return
        exchange.status = status
        message["headers"] = [*message["headers"], *self._always()]
        await self._send(message)

    async def no_such_path(self) -> None:
        """No path of ours has other letters than ASCII; bytes that were no UTF-8 would make two ids look like one."""
        mangled = "\ufffd" in self._scope["path"]
        await self.problem(await self._refusal() or Problem("invalid-request" if mangled else "not-found"))

    async def _refusal(self) -> Problem | None:
        """What a caller gets that is not known, or whose token cannot be looked up now."""
        exchange = self._exchange
        if self._scope["path"] in OPEN:
            return None
        if isinstance(exchange.caller, Anonymous):
            return Unauthenticated()
        try:
            await exchange.site.db.read(exchange.caller, known)
        except (Unauthenticated, Busy, StorageUnavailable) as problem:
            return problem
        return None

    def _always(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-request-id", self._exchange.request_id.encode()), *_STATIC]
        if self._edge.has_origins:
            headers += self._edge.cross_origin(self._scope)
        return headers

    async def problem(self, problem: Problem) -> None:
        """Answer with a problem, past the application. Every 401 of the service leaves here: all are the same bytes."""
        if problem.status == 401 and (wait := self._edge.stranger(self._exchange, self._scope)) > 0:
            problem = rate_limited(wait)
        body = problems.body(problem, self._exchange.request_id)
        headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers]
        await self.bare(problem.status, [(b"content-type", problems.MEDIA.encode()), *headers], body)

    async def bare(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
        """Answer with these headers and bytes, past the application."""
        self._exchange.status = status
        length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
        start: Message = {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, *length, *self._always()],
        }
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
