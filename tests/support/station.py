"""A station that sends server-sent events to whoever listens, connection by connection as a test scripts it."""

import socket
import ssl
import threading
import time
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from companion_sdk import wire

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n"
KIND = {"content-type": "text/event-stream"}
TIME = 5.0


Script = Callable[["Station", socket.socket], None]


def changed(seq: int) -> bytes:
    """A hint as the service sends it."""
    return b'id: %d\nevent: changed\ndata: {"seq":%d}\n\n' % (seq, seq)


class Station:
    """A service on a loopback port that plays one script a connection, the last one for ever; ``seen`` holds what was
    asked, ``gone`` counts connections that the other side has closed.
    """

    def __init__(self, *scripts: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[str] = []
        self.gone = threading.Semaphore(0)
        self._scripts = list(scripts)
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http{'s' if tls else ''}://127.0.0.1:{self._server.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            with self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as talking:
                self.seen.append(talking.recv(65536).decode("latin-1"))
                (self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0])(talking)
        except OSError:
            return

    def hold(self, connection: socket.socket) -> None:
        """Until the other side closes."""
        connection.settimeout(TIME)
        with suppress(ConnectionError):
            while connection.recv(1024):
                pass
        self.gone.release()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            connection.close()


@contextmanager
def on_air(*scripts: Callable[..., None], tls: ssl.SSLContext | None = None) -> Iterator[Station]:
    """A station on the air until the block ends."""
    station = Station(*(lambda connection, script=script: script(station, connection) for script in scripts), tls=tls)
    try:
        yield station
    finally:
        station.close()


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a station on this machine and for who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "station")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start.replace(year=2126))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    signed = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    file = folder / "station.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + signed)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=signed.decode())


def playing(*parts: bytes, then: str = "hold") -> Script:
    """A stream with these parts."""

    def script(station: Station, connection: socket.socket) -> None:
        connection.sendall(HEAD)
        for part in parts:
            connection.sendall(part)
        if then == "hold":
            station.hold(connection)

    return script


def refusing(status: int, *headers: bytes) -> Script:
    """An answer without a body."""

    def script(station: Station, connection: socket.socket) -> None:
        lines = [b"HTTP/1.1 %d No" % status, b"content-length: 0", b"connection: close", *headers]
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")

    return script


def mute(station: Station, connection: socket.socket) -> None:
    """Never a word."""
    station.hold(connection)


def refused_then_mute(station: Station, connection: socket.socket) -> None:
    """Two requests over one connection: the second gets no answer."""
    connection.sendall(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
    connection.recv(65536)
    station.hold(connection)


def half_refused(station: Station, connection: socket.socket) -> None:
    """A refusal that breaks off."""
    connection.sendall(b"HTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\n{")
    station.hold(connection)


PLACES: dict[str, Script] = {
    "open": playing(b": open\n\n"),
    "before the first byte": mute,
    "between connections": refusing(503, b"retry-after: 60"),
    "before the first byte after a refusal": refused_then_mute,
    "in a refusal's body": half_refused,
}
"""Where a loop may be when it is ended."""


def waiting(station: Station) -> None:
    """Until the station was asked, and a moment more."""
    until = time.monotonic() + TIME
    while not station.seen and time.monotonic() < until:
        time.sleep(0.01)
    assert station.seen
    time.sleep(0.1)


@contextmanager
def soon(most: float = 1.0) -> Iterator[None]:
    """Fails when the block takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < most


def take(hints: Iterable[wire.Changed], count: int) -> list[int]:
    """The first ``count`` hints, then the loop is left."""
    taken: list[int] = []
    for hint in hints:
        taken.append(hint.seq)
        if len(taken) == count:
            return taken
    return taken


async def take_async(hints: AsyncIterable[wire.Changed], count: int) -> list[int]:
    """The first ``count`` hints, then the loop is left."""
    taken: list[int] = []
    async for hint in hints:
        taken.append(hint.seq)
        if len(taken) == count:
            return taken
    return taken
