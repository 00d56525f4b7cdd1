"""The mail: fixed sentences, and what an SMTP server's answers mean."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from support import receivers
from support.messages import message

from companion import settings
from companion.core.errors import StartUpError
from companion.post.channels import email
from companion.post.channels.email import Email, Server
from companion.post.office import Post
from companion_sdk.wire import EmailEndpoint

ANA = EmailEndpoint(address="ana@example.org")


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("en", "You have a reminder"),
        ("es-MX", "Tienes un recordatorio"),
        ("ES", "Tienes un recordatorio"),
        ("fr", "You have a reminder"),
    ],
)
def test_a_fixed_sentence_in_the_language_there_is(language: str, subject: str) -> None:
    mail = email.compose(message(language=language), "reminder@mail.example", "ana@example.org")
    assert mail["Subject"] == subject
    assert mail["Message-ID"] == f"<{'0123456789abcdef' * 2}@mail.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert set(mail.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted",
        "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip
    assert "http" not in mail.get_content()


@pytest.mark.parametrize(
    ("answers", "result", "reason", "gone"),
    [
        ([], "accepted", "accepted", False),
        (["451 later"], "temporary", "smtp-451", False),
        (["550 no such mailbox"], "permanent", "smtp-550", True),
        (["554 no"], "permanent", "smtp-554", False),
    ],
)
async def test_what_the_servers_answer_means(answers: list[str], result: str, reason: str, gone: bool) -> None:
    async with receivers.mailbox() as mailbox:
        mailbox.answers = list(answers)
        outcome = await Email(mailbox.url, "reminder@mail.example").send(ANA, message(), 5.0)
        assert (outcome.result, outcome.reason, outcome.gone) == (result, reason, gone)
        assert len(mailbox.received) == (result == "accepted")


async def test_a_server_that_is_not_there_is_temporary_and_none_at_all_permanent() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    outcome = await Email(f"smtp://127.0.0.1:{port}", "a@b.example").send(ANA, message(), 2.0)
    assert (outcome.result, outcome.reason) == ("temporary", "no-connection")
    assert (await Email("", "a@b.example").send(ANA, message(), 2.0)).reason == "no-mail-server"


async def test_a_server_that_hangs_is_cut_off() -> None:
    held = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await Email(f"smtp://127.0.0.1:{port}", "a@b.example").send(ANA, message(), 0.1)
    held.set()
    server.close()
    await server.wait_closed()
    assert outcome.result == "temporary"


@asynccontextmanager
async def _speaks(pause: float, done: list[bytes]) -> AsyncGenerator[str, None]:
    """An SMTP server that thinks before each answer and never answers QUIT; ``done`` gets each mail it took."""
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 made up\r\n")
        while line := await reader.readline():
            await asyncio.sleep(pause)
            if line == b"QUIT\r\n":
                continue
            if line == b"DATA\r\n":
                writer.write(b"354 go on\r\n")
                done.append(await reader.readuntil(b"\r\n.\r\n"))
            writer.write(b"250 ok\r\n")
        writer.close()
        ended.set()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.wait_for(ended.wait(), 10)  # the client has closed its end
    server.close()
    await server.wait_closed()


async def test_a_server_that_is_slow_with_every_answer_is_cut_off_all_the_same() -> None:
    """Or a mail would still be on its way when the lease of its nudge ends, and another worker would send it again."""
    loop, done = asyncio.get_running_loop(), list[bytes]()
    async with _speaks(0.15, done) as url:
        began = loop.time()
        outcome = await Email(url, "a@b.example").send(ANA, message(), 0.4)
        assert loop.time() - began < 1.0
    assert (outcome.result, outcome.reason, done) == ("temporary", "timeout", [])


async def test_a_mail_that_was_taken_is_sent_although_the_server_says_no_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "GOODBYE", 0.1)
    done: list[bytes] = []
    async with _speaks(0.0, done) as url:
        outcome = await Email(url, "a@b.example").send(ANA, message(), 5.0)
    assert (outcome.result, len(done)) == ("accepted", 1)


async def test_a_password_never_goes_over_a_bare_connection() -> None:
    """The server offers no STARTTLS: the mail waits instead."""
    async with receivers.mailbox() as mailbox:
        url = mailbox.url.replace("smtp://", "smtp://user:word@")
        outcome = await Email(url, "a@b.example").send(ANA, message(), 5.0)
        assert outcome.result == "temporary"
        assert mailbox.received == []


def test_how_a_servers_address_reads() -> None:
    assert Server.of("smtp://mail.example") == Server("mail.example", 587, False, None, None)
    assert Server.of("smtps://u:p%40ss@mail.example") == Server("mail.example", 465, True, "u", "p@ss")
    for wrong in ("http://mail.example", "smtp://mail.example:abc", "smtp://"):
        with pytest.raises(StartUpError, match="COMPANION_SMTP_URL"):
            Server.of(wrong)


async def test_every_channel_of_the_contract_has_a_way_out() -> None:
    async with receivers.mailbox() as mailbox, receivers.hook() as hook:
        post = Post(settings.read({}, smtp_url=mailbox.url, egress_allow="127.0.0.1"))
        from companion_sdk.wire import WebhookEndpoint

        addresses = [ANA, WebhookEndpoint(url=hook.url, secret=hook.secret)]
        outcomes = [await post.send(address, message(), 5.0) for address in addresses]
        await post.close()
    assert [outcome.result for outcome in outcomes] == ["accepted", "accepted"]
