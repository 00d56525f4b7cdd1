"""A bounded load on a loopback port: keep-alive connections that put entries, and a reader of all that is stored.

Just enough HTTP/1.1 to keep the server busier than the generator.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

_FIRST = datetime(2025, 1, 1, tzinfo=UTC)


class Put(NamedTuple):
    """One entry on its way: its id and its request body."""

    id: UUID
    body: dict[str, Any]


def entries(count: int, minute: int = 0) -> list[Put]:
    """Moods that differ from each other; half carry a note."""
    made: list[Put] = []
    for number in range(count):
        at = (_FIRST + timedelta(minutes=minute + number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        body: dict[str, Any] = {"kind": "mood", "mood": 1 + number % 5}
        if number % 2:
            body["note"] = f"entry {minute + number} " + "x" * (number % 200)
        made.append(Put(uuid4(), {"at": at, "zone": "America/New_York", "body": body}))
    return made


class Line:
    """One keep-alive connection."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One exchange: status and body.

        Raises:
            OSError: if the connection fails or ends before the whole answer is there.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        extra = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}{extra}\r\n".encode() + body)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            length = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)
            answer = await reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            self.close()
            raise ConnectionResetError("the answer was cut") from error
        except OSError:
            self.close()
            raise
        if "connection: close" in lines:
            self.close()
        return int(head[9:12]), answer

    async def put(self, entry: Put) -> int:
        """Store one entry as the patient of the token; the status."""
        return (await self.ask("PUT", f"/v1/patients/me/logs/{entry.id}", json.dumps(entry.body).encode()))[0]

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def put_twice(port: int, token: str, puts: Sequence[Put], clients: int = 64) -> list[tuple[int, int]]:
    """Every entry sent on two connections at once, by so many clients; the two statuses of each."""
    waiting = list(enumerate(puts))
    statuses = [(0, 0)] * len(puts)

    async def client() -> None:
        first, second = Line(port, token), Line(port, token)
        while waiting:
            place, entry = waiting.pop()
            one, other = await asyncio.gather(first.put(entry), second.put(entry))
            statuses[place] = (one, other)
        first.close()
        second.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return statuses


async def stored(port: int, token: str) -> list[dict[str, Any]]:
    """Every live entry of the patient, page after page."""
    line = Line(port, token)
    found: list[dict[str, Any]] = []
    path = "/v1/patients/me/logs?limit=500"
    while path:
        status, answer = await line.ask("GET", path)
        assert status == 200, answer
        page = json.loads(answer)
        found += page["items"]
        more = page.get("next")
        path = f"/v1/patients/me/logs?limit=500&cursor={more}" if more else ""
    line.close()
    return found


def differences(puts: Sequence[Put], found: Sequence[dict[str, Any]]) -> list[str]:
    """What is lost, doubled or changed of the entries that were put, in words; empty when all is well."""
    wrong: list[str] = []
    by_id: dict[str, dict[str, Any]] = {}
    for log in found:
        if log["id"] in by_id:
            wrong.append(f"{log['id']} is there twice")
        by_id[log["id"]] = log
    for put in puts:
        log = by_id.get(str(put.id))
        if log is None:
            wrong.append(f"{put.id} is lost")
        elif (log["revision"], log["at"], log["body"]) != (1, put.body["at"], put.body["body"]):
            wrong.append(f"{put.id} is changed")
    return wrong


def holes(found: Sequence[dict[str, Any]]) -> list[int]:
    """Numbers missing or doubled in the patient's sequence 1 … n, where entries are all that a patient wrote."""
    seqs = sorted(log["seq"] for log in found)
    return [seq for place, seq in enumerate(seqs, 1) if seq != place]
