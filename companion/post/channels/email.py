"""E-mail through the operator's own SMTP server: a fixed sentence, no link, no name of a clinic."""

import asyncio
import contextlib
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import aiosmtplib
import msgspec

from companion_sdk.wire import EmailEndpoint

from ...core.errors import StartUpError
from ..message import Message, Outcome

TEXTS = {
    "en": ("You have a reminder", "You have a reminder. Open your app to see it."),
    "es": ("Tienes un recordatorio", "Tienes un recordatorio. Abre tu aplicación para verlo."),
}
"""Subject and text by language; English where there is none."""

GOODBYE = 1.0
"""Seconds for the answer to QUIT: the mail was taken by then, whatever comes."""
_NO_SUCH_MAILBOX = (550, 551, 553)


class Server(msgspec.Struct, frozen=True):
    """The SMTP server of the settings: ``smtp://user:password@host:port``, or ``smtps://`` for TLS from the start."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None

    @classmethod
    def of(cls, url: str) -> "Server":
        """Read ``COMPANION_SMTP_URL``.

        Raises:
            StartUpError: if it is not an smtp:// or smtps:// address.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or port == -1:
            raise StartUpError("COMPANION_SMTP_URL must read smtp://user:password@host:port or smtps://…")
        tls = parts.scheme == "smtps"
        user = None if parts.username is None else unquote(parts.username)
        password = None if parts.password is None else unquote(parts.password)
        return cls(parts.hostname, port or (465 if tls else 587), tls, user, password)


class Email:
    """One connection a message. Without a server in the settings nothing can be sent."""

    def __init__(self, smtp_url: str, mail_from: str) -> None:
        self._server = Server.of(smtp_url) if smtp_url else None
        self._from = mail_from

    async def send(self, address: EmailEndpoint, message: Message, seconds: float) -> Outcome:
        """Hand it to the server; STARTTLS is used where the server offers it, and required before a password goes out."""
        server = self._server
        if server is None:
            return Outcome("permanent", "no-mail-server")
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls,
            start_tls=True if server.user and not server.tls else None,
            timeout=seconds,
        )
        try:
            async with asyncio.timeout(seconds):  # the client's own limit begins anew with each command
                await client.connect()
                await client.send_message(compose(message, self._from, address.address))
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=GOODBYE)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refused(error.recipients[0].code)
        except (aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPConnectResponseError) as error:
            return Outcome("temporary", f"smtp-{error.code}", error.code)
        except aiosmtplib.SMTPResponseException as error:
            return _refused(error.code)
        except aiosmtplib.SMTPNotSupported:
            return Outcome("permanent", "smtp-not-supported")
        except TimeoutError:
            return Outcome("temporary", "timeout")
        except (aiosmtplib.SMTPException, OSError):
            return Outcome("temporary", "no-connection")
        finally:
            client.close()
        return Outcome("accepted", "accepted", 250)

    async def close(self) -> None:
        """Nothing is kept open."""


def _refused(code: int) -> Outcome:
    """RFC 5321 §4.2.1: 4yz may be tried again, 5yz not."""
    if code < 500:
        return Outcome("temporary", f"smtp-{code}", code)
    return Outcome("permanent", f"smtp-{code}", code, gone=code in _NO_SUCH_MAILBOX)


def compose(message: Message, sender: str, recipient: str) -> EmailMessage:
    """The mail; its Message-ID is the occurrence, so that a repeat falls together with the first."""
    subject, text = TEXTS.get(message.language.partition("-")[0].lower(), TEXTS["en"])
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = subject
    mail["Date"] = format_datetime(message.sent_at)
    mail["Message-ID"] = f"<{message.occurrence}@{sender.rpartition('@')[2].rstrip('>')}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    return mail
