"""The stream: a hint that there is something to pull, and its end when one may look no more."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
from conformance.backends import Backend, Person
from conformance.words import SYNC, Phone, mood, new, note, pull, where

SOON = 3.0
SILENCE = 0.8


@dataclass
class Listener:
    """What comes of one stream, line by line; None at its end."""

    response: httpx2.Response
    lines: "asyncio.Queue[str | None]" = field(default_factory=asyncio.Queue)

    async def read(self) -> None:
        """Until it ends."""
        async for line in self.response.aiter_lines():
            self.lines.put_nowait(line)
        self.lines.put_nowait(None)

    async def event(self, seconds: float = SOON) -> dict[str, str]:
        """The next event, by its fields."""
        found: dict[str, str] = {}
        async with asyncio.timeout(seconds):
            while (line := await self.lines.get()) is not None:
                name, colon, value = line.partition(": ")
                if not line and "data" in found:
                    return found
                if colon and name in ("id", "event", "data"):
                    found[name] = value
        raise AssertionError("the stream ended")

    async def seq(self) -> int:
        """The change the next hint names."""
        told = await self.event()
        assert told["event"] == "changed"
        assert json.loads(told["data"]) == {"seq": int(told["id"])}
        return int(told["id"])

    async def is_silent(self) -> bool:
        """Whether nothing comes for a while."""
        try:
            await self.event(SILENCE)
        except TimeoutError:
            return True
        return False

    async def ends(self) -> bool:
        """Whether it ends by itself, without another hint."""
        async with asyncio.timeout(SOON):
            while (line := await self.lines.get()) is not None:
                if line.startswith("data"):
                    return False
        return True


@asynccontextmanager
async def listening(person: Person, last: int | str | None = None, base: str = SYNC) -> AsyncIterator[Listener]:
    """An open stream of somebody's."""
    headers: dict[str, str] = {**person.headers, **({} if last is None else {"Last-Event-ID": str(last)})}
    async with person.http.stream("GET", f"{base}/stream", headers=headers) as response:
        assert response.status_code == 200
        listener = Listener(response)
        reading = asyncio.create_task(listener.read())
        try:
            yield listener
        finally:
            reading.cancel()
            await asyncio.wait([reading])


async def test_the_first_hint_comes_at_once_and_names_the_newest_change(ana: Person) -> None:
    async with listening(ana) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-store"
        assert await stream.seq() == 0
    stored = await Phone(ana).record(mood())
    async with listening(ana) as stream:
        assert await stream.seq() == stored["seq"]
        assert await stream.is_silent()


async def test_its_head_ends_at_once(ana: Person) -> None:
    async with asyncio.timeout(SOON):
        answer = await ana.call("HEAD", f"{SYNC}/stream")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_a_hint_comes_for_each_way_to_change_the_diary(ana: Person) -> None:
    phone = Phone(ana)
    first = await phone.record(mood())
    async with listening(ana, first["seq"]) as stream:
        stored = (await ana.put(where(new()), mood())).json()
        assert await stream.seq() == stored["seq"]
        pushed = await phone.record(note())
        assert await stream.seq() == pushed["seq"]
        await ana.delete(where(first["id"]))
        assert await stream.seq() > pushed["seq"]
        plan = await ana.put("/v1/patients/me/safety-plan", {"sections": []})
        assert await stream.seq() == plan.json()["seq"]


async def test_what_was_told_is_not_told_again(ana: Person) -> None:
    stored = await Phone(ana).record(mood())
    async with listening(ana, stored["seq"]) as stream:
        assert await stream.is_silent()
    async with listening(ana, stored["seq"] - 1) as stream:
        assert await stream.seq() == stored["seq"]
    for nonsense in ("x", "", "-1", "1.5", "9" * 40):
        async with listening(ana, nonsense) as stream:
            assert await stream.seq() == stored["seq"], nonsense


async def test_an_id_from_the_future_is_told_the_truth(ana: Person) -> None:
    """The service was put back to a backup: whoever has seen more must look."""
    stored = await Phone(ana).record(mood())
    async with listening(ana, stored["seq"] + 100) as stream:
        assert await stream.seq() == stored["seq"]


async def test_a_repeat_is_no_change(ana: Person) -> None:
    phone = Phone(ana)
    op = phone.op(mood())
    first = await phone.one(op)
    async with listening(ana, first["seq"]) as stream:
        await phone.one(op)
        await ana.put(where(op["id"]), mood())
        await pull(ana)
        assert await stream.is_silent()


async def test_many_changes_may_be_one_hint_and_the_last_names_the_newest(ana: Person) -> None:
    phone = Phone(ana)
    async with listening(ana, 0) as stream:
        pushed = await phone.push(*(phone.op(mood()) for _ in range(50)))
        newest = pushed["results"][-1]["seq"]
        while (seq := await stream.seq()) < newest:
            pass
        assert seq == newest
        assert await stream.is_silent()


async def test_a_stream_is_of_ones_own_diary(backend: Backend, ana: Person) -> None:
    async with listening(ana, 0) as mine, listening(backend.ben) as theirs:
        assert await theirs.seq() == 0
        stored = await Phone(ana).record(mood())
        assert await mine.seq() == stored["seq"]
        assert await theirs.is_silent()


async def test_a_clinician_is_told_of_the_kinds_she_may_see(ana: Person, dan: Person) -> None:
    await ana.consent(dan.id, ["mood"])
    phone = Phone(ana)
    async with listening(dan, base=f"/v1/patients/{ana.id}/sync") as stream:
        assert await stream.seq() == 0
        await phone.record(note())
        assert await stream.is_silent()
        stored = await phone.record(mood())
        assert await stream.seq() == stored["seq"]


async def _ended(stream: Listener, end: Any) -> float:
    """Seconds until the stream ends, once ``end`` is done."""
    await end
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await stream.ends()
    return loop.time() - began


async def test_it_ends_within_a_second_of_signing_out(backend: Backend, ana: Person) -> None:
    second = await backend.sign_in(ana)
    async with listening(second) as stream, listening(ana) as other:
        assert [await stream.seq(), await other.seq()] == [0, 0]
        assert await _ended(stream, second.post("/v1/sign-out")) < 1.5
        stored = await Phone(ana).record(mood())
        assert await other.seq() == stored["seq"]
    answer = await second.get(f"{SYNC}/stream")
    assert answer.status_code == 401


async def test_it_ends_within_a_second_of_a_revoked_token_and_consent(backend: Backend, ana: Person, dan: Person) -> None:
    app = await backend.app(ana, "logs:read")
    token = (await ana.get("/v1/me/tokens")).json()["items"][0]["id"]
    consent = (await ana.consent(dan.id, ["mood"]))["id"]
    async with listening(app) as theirs, listening(dan, base=f"/v1/patients/{ana.id}/sync") as hers:
        assert [await theirs.seq(), await hers.seq()] == [0, 0]
        assert await _ended(theirs, ana.delete(f"/v1/me/tokens/{token}")) < 1.5
        assert await _ended(hers, ana.post(f"/v1/patients/me/consents/{consent}/revoke")) < 1.5


async def test_it_ends_when_a_consent_runs_out(backend: Backend, ana: Person, dan: Person) -> None:
    until = (backend.now + timedelta(hours=1)).isoformat()
    await ana.consent(dan.id, ["mood"], until=until)
    async with listening(dan, base=f"/v1/patients/{ana.id}/sync") as stream:
        assert await stream.seq() == 0

        async def later() -> None:
            backend.advance(hours=1)

        assert await _ended(stream, later()) < 1.5
