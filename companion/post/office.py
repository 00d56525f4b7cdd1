"""THE list of channels, and the one door out. A new channel is one file in ``channels/`` and one line here."""

from typing import Any

from companion_sdk.wire import EmailEndpoint, EndpointIn, WebhookEndpoint

from ..settings import Settings
from .channels.email import Email
from .channels.webhook import Webhook
from .message import Channel, Message, Outcome


class Post:
    """Sends a message to an address by the channel the address is of. Made on the event loop that sends."""

    def __init__(self, settings: Settings) -> None:
        self._channels: dict[type, Channel[Any]] = {
            EmailEndpoint: Email(settings.smtp_url, settings.mail_from),
            WebhookEndpoint: Webhook(settings.egress_hosts),
        }

    async def send(self, address: EndpointIn, message: Message, seconds: float) -> Outcome:
        """One attempt, at most ``seconds`` long; whatever the other side does is an outcome."""
        return await self._channels[type(address)].send(address, message, seconds)

    async def close(self) -> None:
        """Close every channel."""
        for channel in self._channels.values():
            await channel.close()
