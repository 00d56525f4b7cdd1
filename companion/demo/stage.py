"""Where the story plays: a service in a temporary folder, its people, and a receiver of nudges on this machine."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from companion_sdk import AsyncCompanion, wire
from companion_sdk.clinical.days import local_day

from .. import running, settings, storage
from ..commands import importing, serving
from ..core.actors import Operator
from ..core.clock import SystemClock
from ..core.db import Database
from ..core.errors import StartUpError
from ..core.ids import uuid7
from ..core.lines import Lines
from ..logs import service as logs
from ..nudges import jobs
from ..people import service as people
from ..post.office import Post
from . import diaries

OPERATOR = Operator("demo")
BEHIND = timedelta(minutes=5)
_AT_ONCE = 8


class LateClock(SystemClock):
    """The machine's clock, a few minutes late until it catches up: so a nudge can come due without waiting for it."""

    def __init__(self) -> None:
        self._behind = BEHIND

    def now(self) -> datetime:
        return super().now() - self._behind

    def catch_up(self) -> None:
        self._behind = timedelta()


class Player(msgspec.Struct):
    """One of the cast: who, with which token, through which client."""

    name: str
    id: UUID
    token: str
    client: AsyncCompanion


class Stage:
    """Everything the story needs; ``said`` is called with a short word of progress."""

    def __init__(self, folder: Path, port: int, said: Callable[[str, int, int], None]) -> None:
        self.folder = folder
        self.port = port
        self.said = said
        self.clock = LateClock()
        self.lines = Lines(self.clock, "warning")
        self.received: list[dict[str, Any]] = []
        self.written: dict[str, dict[UUID, wire.LogIn]] = {}
        self.plans: dict[str, UUID] = {}
        self.endpoint: UUID | None = None
        self.props: list[UUID] = []
        self._stack = AsyncExitStack()

    @property
    def database(self) -> str:
        return f"sqlite:///{self.folder / 'companion.db'}"

    async def begin(self) -> None:
        """Start the service (nudges wait) and bring the cast on."""
        self.hook = await self._receiver()
        self.settings = settings.read(
            {}, database=self.database, port=self.port, egress_allow="127.0.0.1", scheduler=False, log_level="warning"
        )
        listening = serving.listen(self.settings)
        self.service = await running.start(self.settings, clock=self.clock, lines=self.lines, listening=listening)
        self._stack.push_async_callback(self.service.stop)
        self.north = await self._operate(people.add_clinic, "North Clinic (made up)", "1 Example Street")
        self.south = await self._operate(people.add_clinic, "South Clinic (made up)", "2 Example Street")
        self.cleo = await self._clinician("Cleo", self.north)
        self.dan = await self._clinician("Dan", self.south)
        self.ana = await self._patient("Ana", self.cleo, "America/New_York")
        self.ben = await self._patient("Ben", self.dan, "America/Chicago")
        self.fay = await self._patient("Fay", self.cleo, "America/New_York")
        for player in (self.ana, self.fay):
            await player.client.consents.grant(self.cleo.id, list(wire.KINDS), signature=f"{player.name} Example")

    async def _operate(self, verb: Callable[..., Any], *args: Any) -> Any:
        return await self.service.db.write(OPERATOR, verb, *args)

    async def _clinician(self, name: str, clinic: UUID) -> Player:
        clinician = await self._operate(people.add_clinician, clinic, name)
        code = await self._operate(people.clinician_code, clinician)
        client = await self._client()
        signed = await client.sign_in_with_code(code)
        return Player(name, clinician, signed.access_token, client)

    async def _patient(self, name: str, clinician: Player, zone: str) -> Player:
        invite = await clinician.client.invites.create(name=name)
        client = await self._client(zone)
        signed = await client.sign_in(invite.code, device=f"{name}'s made-up phone", zone=zone)
        return Player(name, invite.patient_id, signed.access_token, client)

    async def _client(self, zone: str | None = None) -> AsyncCompanion:
        return await self._stack.enter_async_context(AsyncCompanion(self.service.url, zone=zone))

    async def _receiver(self) -> str:
        """A webhook receiver on loopback; the address it listens on."""

        async def take(request: web.Request) -> web.Response:
            self.received.append(await request.json())
            return web.Response(status=204)

        application = web.Application()
        application.router.add_post("/hook", take)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        listening = runner.addresses[0]
        return f"http://127.0.0.1:{listening[1]}/hook"

    async def write_diaries(self) -> None:
        """Ninety days of Ana and Ben, through the API."""
        for player, zone, substance in (
            (self.ana, "America/New_York", "alcohol"),
            (self.ben, "America/Chicago", "cannabis"),
        ):
            today = local_day(self.clock.now(), zone)
            made = diaries.diary(f"{player.name} of the demo", zone, today, substance)
            entries = {uuid7(entry.at): entry for entry in made}
            self.written[player.name] = entries
            await self.write(player, entries)

    async def write(self, player: Player, entries: dict[UUID, wire.LogIn]) -> None:
        """Store entries as the person, a few at once."""
        waiting = list(entries.items())
        done = 0

        async def worker() -> None:
            nonlocal done
            while waiting:
                log_id, entry = waiting.pop()
                await player.client.logs.put(log_id, entry)
                done += 1
                self.said(f"{player.name}'s diary", done, len(entries))

        await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))

    async def two_workers(self) -> None:
        """Two workers, each with the database opened for itself, look for due nudges at the same time until none is left."""
        async with AsyncExitStack() as stack:
            workers: list[tuple[Database, Post, jobs.Worker]] = []
            for name in ("first", "second"):
                db = await storage.open_database(self.settings, self.clock)
                stack.push_async_callback(db.close)
                post = Post(self.settings)
                stack.push_async_callback(post.close)
                workers.append((db, post, jobs.Worker(f"{name} worker", self.settings.nudge_lease, self.lines)))
            await asyncio.gather(*(self._work(*worker) for worker in workers))

    async def _work(self, db: Database, post: Post, worker: jobs.Worker) -> None:
        while (await jobs.step(db, post, self.clock, worker)).more:
            pass

    async def clear(self) -> None:
        """Take away what the story put there, so that a visitor's own plans find a day without entries; history stays."""
        for plan in self.plans.values():
            await self.ana.client.plans.delete(plan)
        if self.endpoint is not None:
            await self.ana.client.endpoints.delete(self.endpoint)
        for log in self.props:
            await self.ana.client.logs.delete(log)

    def open_for_visitors(self) -> None:
        """Nudges go out by themselves from here on."""
        nudging = running.Nudging(self.settings, self.service.db, self.clock, self.lines)
        nudging.scheduler.start()
        self._stack.push_async_callback(nudging.stop)

    async def take_diary(self, file: Path, map_file: Path) -> int:
        """A person's diary from a file, as one more patient of the north clinic; how many entries it made."""
        patient = await self._operate(people.add_patient, self.north, "Kit", "UTC")
        rows, complaints = importing.read(file, map_file, patient)
        if complaints:
            first = complaints[0]
            where = f"line {first.line}, {first.field}: {first.code}"
            raise StartUpError(f"the diary has {len(complaints)} bad lines, the first: {where}")
        return await self._operate(logs.take_in, patient, [(row.log_id, row.entry) for row in rows])

    def credentials(self) -> dict[str, Any]:
        """What a program needs to try the service."""
        return {
            "base_url": self.service.url,
            "database": self.database,
            "ana": {"token": self.ana.token, "patient_id": str(self.ana.id)},
            "ben": {"token": self.ben.token, "patient_id": str(self.ben.id)},
            "cleo": {"token": self.cleo.token, "clinician_id": str(self.cleo.id)},
            "dan": {"token": self.dan.token, "clinician_id": str(self.dan.id)},
        }

    async def end(self) -> None:
        await self._stack.aclose()


def free_port(wanted: int | None) -> int:
    """The wanted port; without one 8000, or any free one where that is taken."""
    if wanted is not None:
        return wanted
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8000))
        except OSError:
            return 0
    return 8000
