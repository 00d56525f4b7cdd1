"""Real receivers on loopback: a webhook that checks each signature, and an SMTP server."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes here").decode()


@dataclass
class Hook:
    """A webhook receiver: what came, and what to answer (the last answer stands for all that follow).

    ``flying`` are the senders' ports whose requests are not answered yet.
    """

    url: str = ""
    secret: str = SECRET
    answers: list[int] = field(default_factory=lambda: [204])
    headers: dict[str, str] = field(default_factory=dict)
    received: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    forged: int = 0
    flying: set[int] = field(default_factory=set)
    before: Callable[[], Awaitable[None]] | None = None

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert request.transport is not None
        port = request.transport.get_extra_info("peername")[1]
        self.flying.add(port)
        if self.before is not None:
            await self.before()
        self.flying.discard(port)
        if not self._is_signed(request, body):
            self.forged += 1
            return web.Response(status=400)
        self.received.append(json.loads(body))
        self.raw.append(repr(sorted(request.headers.items())).encode() + body)
        self.names.append(request.headers["webhook-id"])
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, headers=self.headers)

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        """The standard's own words: HMAC-SHA-256 of id.timestamp.body with the decoded secret, in base64."""
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
        wanted = "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
        return hmac.compare_digest(request.headers["webhook-signature"], wanted)


@asynccontextmanager
async def hook(secret: str = SECRET) -> AsyncIterator[Hook]:
    """A webhook receiver on 127.0.0.1."""
    found = Hook(secret=secret)
    application = web.Application()
    application.router.add_post("/hook", found.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield found
    finally:
        await runner.cleanup()


@dataclass
class Mailbox:
    """An SMTP server: what came, and what to answer to a recipient (empty: accepted)."""

    url: str = ""
    received: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.received.append(envelope.content)
        self.recipients += envelope.rcpt_tos
        return "250 OK"


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    """An SMTP server on 127.0.0.1."""
    found = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(found, hostname="mail.test"), "127.0.0.1", 0)
    found.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()
