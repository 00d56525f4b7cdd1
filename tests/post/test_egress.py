"""Where a webhook may go: the address that is connected to decides, whatever the name said."""

import socket
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from support import receivers
from support.messages import message
from yarl import URL

from companion.post import egress
from companion.post.channels.webhook import Webhook
from companion_sdk.wire import WebhookEndpoint

INSIDE = """
127.0.0.1 127.8.9.1 0.0.0.0 10.0.0.1 172.16.5.4 192.168.1.1 169.254.169.254 100.64.0.1 192.0.2.1 198.18.0.1 224.0.0.1
239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808
64:ff9b:1::1 fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 2002:7f00:1:: 2001:0:1::1 2001:db8::1 100::1
"""


@pytest.mark.parametrize("address", INSIDE.split())
def test_an_address_inside_is_refused(address: str) -> None:
    assert not egress.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::8a"])
def test_a_public_address_is_not(address: str) -> None:
    assert egress.is_public(address)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_that_is_not_global_passes_in_any_dress(address: Any) -> None:
    if not address.is_global or address.is_multicast:
        number = int(address)
        assert not egress.is_public(str(address))
        for dress in (f"::ffff:{address}", f"64:ff9b::{number >> 16:x}:{number & 65535:x}", f"::{address}"):
            assert not egress.is_public(dress)


class Liar(AbstractResolver):
    """A name server that says what it is told to."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.addresses
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["10.0.0.1", "192.168.0.1"], ["::1"], ["64:ff9b::7f00:1"]])
async def test_a_public_name_that_leads_inside_is_refused(addresses: list[str]) -> None:
    """DNS rebinding: nothing is connected."""
    async with receivers.hook() as hook:
        port = URL(hook.url).port
        webhook = Webhook(frozenset(), Liar(*addresses))
        outcome = await webhook.send(WebhookEndpoint(url=f"https://hooks.example.org:{port}/hook"), message(), 5.0)
        await webhook.close()
        assert (outcome.result, outcome.reason) == ("permanent", "address-refused")
        assert hook.received == []
        assert hook.forged == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://2130706433/", "format"),
        ("https://127.1/", "format"),
        ("https://0x7f.1/", "format"),
        ("https://0x7f000001/", "address-refused"),
        ("https://localhost/", "address-refused"),
        ("https://[::ffff:7f00:1]/", "address-refused"),
    ],
)
async def test_other_spellings_of_loopback_are_refused(url: str, reason: str) -> None:
    webhook = Webhook(frozenset())
    outcome = await webhook.send(WebhookEndpoint(url=url), message(), 5.0)
    await webhook.close()
    assert (outcome.result, outcome.reason) == ("permanent", reason), url


async def test_a_named_host_may_be_plain_http_on_any_port() -> None:
    async with receivers.hook() as hook:
        endpoint = WebhookEndpoint(url=hook.url, secret=hook.secret)
        for allowed, reason in ((frozenset[str](), "https-only"), (frozenset({"127.0.0.1"}), "accepted")):
            webhook = Webhook(allowed)
            assert (await webhook.send(endpoint, message(), 5.0)).reason == reason
            await webhook.close()
        assert len(hook.received) == 1


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://hooks.example.org/x?y=z", None),
        ("https://8.8.8.8/", None),
        ("http://hooks.example.org/", "https-only"),
        ("https://me@hooks.example.org/", "user-info"),
        ("https://:word@hooks.example.org/", "user-info"),
        ("https://127.0.0.1/", "address-refused"),
        ("http://inside.example/", None),
        ("gopher://hooks.example.org/", "format"),
    ],
)
def test_what_the_text_of_a_url_tells(url: str, fault: str | None) -> None:
    assert egress.fault(URL(url), frozenset({"inside.example"})) == fault
