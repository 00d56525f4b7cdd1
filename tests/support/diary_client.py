"""The SDK's ``Diary`` as a client of the vectors: one file, its transport answers from the script, its clock is a hand's."""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx2
import msgspec

from companion_sdk import Companion, Diary, wire
from companion_sdk._diary import mirror, outbox, said

from .replay import Json, Replay

START = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)


def _body(raw: bytes | None) -> Json | None:
    return None if raw is None else said.tree_of(said.read(raw))


class DiaryClient:
    """One device with a file at ``path``; ``replay`` is its service."""

    def __init__(self, replay: Replay, path: Path) -> None:
        self._replay = replay
        self._path = path
        self._now = START
        transport = httpx2.MockTransport(self._ask)
        self._client = Companion("https://companion.example", "cmp_made-up", transport=transport, retries=0)
        self._diary = self._opened()

    def _opened(self) -> Diary:
        return Diary(self._path, self._client, zone="America/New_York", now=lambda: self._now)

    def _ask(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content) if request.content else None
        answer = self._replay.answer(request.method, request.url.path, dict(request.url.params), body)
        if answer is None:
            raise httpx2.ReadError("the connection broke", request=request)
        status, content = answer
        media = "application/json" if status < 400 else "application/problem+json"
        return httpx2.Response(status, json=content, headers={"content-type": media})

    def close(self) -> None:
        self._diary.close()
        self._client.close()

    # the person

    def record(self, at: str, zone: str, body: Json) -> str:
        entry = self._diary.record(wire.decode(wire.Body, json.dumps(body).encode()), datetime.fromisoformat(at), zone)
        return str(entry.id)

    def correct(self, entry: str, body: Json) -> None:
        self._diary.correct(UUID(entry), wire.decode(wire.Body, json.dumps(body).encode()))

    def delete(self, entry: str) -> None:
        self._diary.delete(UUID(entry))

    def sync(self) -> None:
        self._diary.sync()

    # what happens to the device

    def back_up(self) -> None:
        self._diary.close()
        shutil.copy(self._path, self._path.with_suffix(".backup"))
        self._diary = self._opened()

    def restore(self) -> None:
        self._diary.close()
        for leftover in self._path.parent.glob(f"{self._path.name}-*"):
            leftover.unlink()
        shutil.copy(self._path.with_suffix(".backup"), self._path)
        self._diary = self._opened()

    def an_hour_passes(self) -> None:
        self._now += timedelta(hours=1)

    # what the test looks at

    def shows(self) -> list[Json]:
        return [
            {"id": str(one.id), "state": one.state, "at": one.at.isoformat(), "body": _shown(one.body, one.raw)}
            for one in self._diary.entries()
        ]

    def copy(self) -> list[Json]:
        with self._diary._book.store.read() as tx:
            rows = [mirror.find(tx, UUID(bytes=entry)) for (entry,) in tx.all("SELECT id FROM entries")]
        return [
            {"id": str(row.id), "revision": row.revision, "seq": row.seq, "deleted": row.deleted, "body": _body(row.log)}
            for row in rows
            if row is not None
        ]

    def outbox(self) -> list[Json]:
        with self._diary._book.store.read() as tx:
            ops = [outbox.load(tx, row) for row in tx.all(f"SELECT {outbox._COLUMNS} FROM outbox ORDER BY place")]
        return [{"id": str(op.id), "base": op.base, "body": _body(op.log)} for op in ops]

    def attention(self) -> list[Json]:
        return [
            {
                "id": str(one.entry_id),
                "reason": one.reason,
                "body": _shown(one.body, None),
                "errors": [{"pointer": fault.pointer, "code": fault.code} for fault in one.faults],
                "current": None if one.current is None else one.current.revision,
            }
            for one in self._diary.needs_attention()
        ]

    def digest(self) -> tuple[int, str]:
        held = mirror.digest(self._diary._book.store)
        return held.count, held.sha256


def _shown(body: wire.Body | None, raw: Mapping[str, object] | None) -> Json | None:
    return dict(raw) if raw is not None else None if body is None else msgspec.to_builtins(body)
