"""Somebody who listens to a diary's stream: what came, when, and how it ended."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import httpx2

from .cast import Person


@dataclass
class Ear:
    """One open stream: ``hints`` are the numbers that came, ``comments`` how many lines that say nothing."""

    answer: httpx2.Response
    hints: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    comments: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        event: dict[str, str] = {}
        try:
            async for line in self.answer.aiter_lines():
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif "data" in event:
                    self._hint(event)
                    event = {}
        finally:
            self.ended.set()

    def _hint(self, event: dict[str, str]) -> None:
        seq = json.loads(event["data"])["seq"]
        assert (event["id"], event["event"]) == (str(seq), "changed")
        self.hints.append(seq)
        self.times.append(time.monotonic())

    async def until(self, count: int, seconds: float = 5.0) -> list[int]:
        """Wait until so many hints have come."""
        async with asyncio.timeout(seconds):
            while len(self.hints) < count:
                await asyncio.sleep(0.002)
        return self.hints

    async def end(self, seconds: float = 5.0) -> float:
        """Wait until the service ends it; how long that took."""
        began = time.monotonic()
        async with asyncio.timeout(seconds):
            await self.ended.wait()
        return time.monotonic() - began


Asked = AbstractAsyncContextManager[httpx2.Response]


def asking(person: Person, patient: object = "me", last: object = None) -> Asked:
    """The request for a stream."""
    headers = person.headers | ({} if last is None else {"Last-Event-ID": str(last)})
    timeout = httpx2.Timeout(30, read=None)
    return person.http.stream("GET", f"/v1/patients/{patient}/sync/stream", headers=headers, timeout=timeout)


@asynccontextmanager
async def listening(person: Person, patient: object = "me", last: object = None) -> AsyncIterator[Ear]:
    """An open stream, read as it comes, until the block ends."""
    async with asking(person, patient, last) as answer:
        assert answer.status_code == 200, await answer.aread()
        ear = Ear(answer)
        reading = asyncio.create_task(ear.run())
        try:
            yield ear
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
