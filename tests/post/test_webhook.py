"""The signed POST: the standard's own vector, what each answer means, what it does not do."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from support import receivers
from support.messages import message

from companion.post.channels import webhook
from companion.post.channels.webhook import Webhook
from companion_sdk.wire import WebhookEndpoint

NOW = datetime(2026, 3, 3, 1, 30, tzinfo=UTC)
LOOPBACK = frozenset({"127.0.0.1"})


def test_the_signature_is_the_standards() -> None:
    """The example that Standard Webhooks' libraries share."""
    secret, name, stamp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"
    signature = webhook.sign(secret, name, stamp, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_body_is_four_values_and_the_headers_name_the_occurrence() -> None:
    sent = message()
    body = webhook.body(sent)
    assert msgspec.json.decode(body) == {
        "nudge_id": "00000000-0000-0000-0000-000000000007",
        "occurrence": sent.occurrence,
        "patient": sent.patient,
        "sent_at": "2026-03-03T01:30:00Z",
    }
    headers = webhook.headers("whsec_" + "A" * 32, sent, body)
    assert headers["webhook-id"] == f"msg_{sent.occurrence}"
    assert headers["webhook-timestamp"] == "1772501400"


@pytest.mark.parametrize(
    ("status", "result", "gone"),
    [
        (200, "accepted", False),
        (204, "accepted", False),
        (301, "permanent", False),
        (308, "permanent", False),
        (400, "permanent", False),
        (403, "permanent", False),
        (404, "permanent", True),
        (410, "permanent", True),
        (413, "permanent", False),
        (408, "temporary", False),
        (425, "temporary", False),
        (429, "temporary", False),
        (500, "temporary", False),
        (503, "temporary", False),
    ],
)
def test_what_a_status_means(status: int, result: str, gone: bool) -> None:
    outcome = webhook.outcome(status, None, NOW)
    assert (outcome.result, outcome.gone, outcome.status) == (result, gone, status)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("Tue, 03 Mar 2026 01:35:00 GMT", 300.0),
        ("Tue, 03 Mar 2026 01:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 400, 999_999_999.0),
        (f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT", None),
        (f"Mon, 01 Jan 2024 00:00:00 +{'9' * 20}", None),
    ],
)
def test_both_forms_of_retry_after(text: str | None, seconds: float | None) -> None:
    assert webhook.seconds_of(text, NOW) == seconds


async def test_a_receiver_that_hangs_is_cut_off() -> None:
    async with receivers.hook() as hook:

        async def hang() -> None:
            await asyncio.sleep(1)

        hook.before = hang
        channel = Webhook(LOOPBACK)
        outcome = await channel.send(WebhookEndpoint(url=hook.url), message(), 0.05)
        await channel.close()
    assert (outcome.result, outcome.reason) == ("temporary", "timeout")


async def test_a_redirect_is_not_followed() -> None:
    async with receivers.hook() as hook:
        hook.answers, hook.headers = [307], {"Location": hook.url}
        channel = Webhook(LOOPBACK)
        outcome = await channel.send(WebhookEndpoint(url=hook.url, secret=hook.secret), message(), 5.0)
        await channel.close()
        assert len(hook.received) == 1
    assert (outcome.result, outcome.reason, outcome.status) == ("permanent", "redirect-refused", 307)


@pytest.mark.parametrize(
    "answer",
    [b"", b"not HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000],
    ids=["nothing", "nonsense", "endless"],
)
async def test_a_broken_receiver_is_temporary(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    channel = Webhook(LOOPBACK)
    outcome = await channel.send(WebhookEndpoint(url=f"http://127.0.0.1:{port}/"), message(), 5.0)
    await channel.close()
    server.close()
    await server.wait_closed()
    assert (outcome.result, outcome.reason) == ("temporary", "connection-lost")


async def test_a_large_answer_is_not_read() -> None:
    """The status decides; of a body that never ends no more than a buffer is taken."""
    written = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        try:
            while written < 200_000_000:
                writer.write(b"x" * 65536)
                await writer.drain()
                written += 65536
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    channel = Webhook(LOOPBACK)
    outcome = await channel.send(WebhookEndpoint(url=f"http://127.0.0.1:{port}/"), message(), 5.0)
    await channel.close()
    await asyncio.sleep(0.05)
    server.close()
    await server.wait_closed()
    assert outcome.result == "accepted"
    assert written < 20_000_000


async def test_no_connection_is_temporary() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    channel = Webhook(LOOPBACK)
    outcome = await channel.send(WebhookEndpoint(url=f"http://127.0.0.1:{port}/"), message(), 5.0)
    await channel.close()
    assert (outcome.result, outcome.reason) == ("temporary", "no-connection")


@pytest.mark.parametrize(
    ("secret", "good"),
    [
        ("whsec_" + "A" * 32, True),
        ("whsec_" + "A" * 84 + "AA==", True),
        ("whsec_" + "A" * 28, False),
        ("whsec_" + "A" * 88, False),
        ("whsec_" + "A" * 33, False),
        ("A" * 32, False),
    ],
)
def test_what_a_secret_is(secret: str, good: bool) -> None:
    assert webhook.is_secret(secret) is good
