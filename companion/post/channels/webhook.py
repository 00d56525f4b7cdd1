"""Webhooks: a signed POST (Standard Webhooks 1.0) with a body of four opaque values."""

import base64
import binascii
import hmac
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from companion_sdk.wire import WebhookEndpoint

from .. import egress
from ..message import Message, Outcome

PREFIX = "whsec_"
_GONE = (404, 410)
_TEMPORARY = (408, 425, 429)


class Webhook:
    """Two pools of connections: one that reaches public addresses only, and one for the hosts the operator named."""

    def __init__(self, allowed: frozenset[str], resolver: AbstractResolver | None = None) -> None:
        self._allowed = allowed
        self._public = _session(aiohttp.TCPConnector(socket_factory=egress.guarded_socket, resolver=resolver, limit=0))
        self._named = _session(aiohttp.TCPConnector(limit=0))

    async def send(self, address: WebhookEndpoint, message: Message, seconds: float) -> Outcome:
        """POST it once; a redirect is not followed. Only the status is read; of a body at most 64 KiB are buffered."""
        url = URL(address.url)
        if (fault := egress.fault(url, self._allowed)) is not None:
            return Outcome("permanent", fault)
        session = self._named if url.host in self._allowed else self._public
        payload = body(message)
        try:
            async with session.post(
                url,
                data=payload,
                headers=headers(address.secret or "", message, payload),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as answer:
                return outcome(answer.status, answer.headers.get("Retry-After"), message.sent_at)
        except TimeoutError:
            return Outcome("temporary", "timeout")
        except aiohttp.InvalidURL:
            return Outcome("permanent", "format")
        except aiohttp.ClientConnectorError as error:
            refused = egress.REFUSED in str(error.os_error)
            return Outcome("permanent", "address-refused") if refused else Outcome("temporary", "no-connection")
        except (aiohttp.ClientError, OSError):
            return Outcome("temporary", "connection-lost")

    async def close(self) -> None:
        await self._public.close()
        await self._named.close()


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
    )


class _Body(msgspec.Struct):
    nudge_id: str
    occurrence: str
    patient: str
    sent_at: datetime


def body(message: Message) -> bytes:
    """All that a receiver is told."""
    return msgspec.json.encode(_Body(str(message.nudge_id), message.occurrence, message.patient, message.sent_at))


def headers(secret: str, message: Message, payload: bytes) -> dict[str, str]:
    """Standard Webhooks: ``webhook-id`` is the occurrence, so that a receiver knows a repeat."""
    name, stamp = f"msg_{message.occurrence}", str(int(message.sent_at.timestamp()))
    return {
        "Content-Type": "application/json",
        "User-Agent": "Companion",
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": sign(secret, name, stamp, payload),
    }


def sign(secret: str, name: str, stamp: str, payload: bytes) -> str:
    """``v1,`` and the HMAC-SHA-256 of ``id.timestamp.body`` in base64, under the secret's own bytes."""
    content = f"{name}.{stamp}.".encode() + payload
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), content, "sha256")).decode()


def key_of(secret: str) -> bytes:
    """The bytes of a ``whsec_…`` secret; empty where it has none."""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        return b""


def is_secret(secret: str) -> bool:
    """Whether it is ``whsec_`` and base64 of 24–64 bytes, as the standard asks."""
    return secret.startswith(PREFIX) and 24 <= len(key_of(secret)) <= 64


def secret_of(key: bytes) -> str:
    """A key of 24–64 bytes as a ``whsec_…`` secret."""
    return PREFIX + base64.b64encode(key).decode()


def outcome(status: int, retry_after: str | None, now: datetime) -> Outcome:
    """A receiver's status as an outcome: 2xx accepted, 404 and 410 a dead address, 408, 425, 429 and 5xx temporary."""
    if 200 <= status < 300:
        return Outcome("accepted", "accepted", status)
    if status in _TEMPORARY or status >= 500:
        return Outcome("temporary", f"http-{status}", status, seconds_of(retry_after, now))
    if 300 <= status < 400:
        return Outcome("permanent", "redirect-refused", status)
    return Outcome("permanent", f"http-{status}", status, gone=status in _GONE)


def seconds_of(retry_after: str | None, now: datetime) -> float | None:
    """``Retry-After`` (RFC 9110 §10.2.3) in seconds, whichever of its two forms it has; None when it has neither."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):  # a year or an offset of twenty digits
        return None
    return max((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 0.0)
