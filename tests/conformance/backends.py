"""One face for the fake service and the real one: the same people, the same clock, the same operator."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
from support.cast import OPERATOR, Cast, Person, gather, new_clinician, new_patient
from support.clocks import ManualClock

from companion.core.ids import new_token
from companion.logs import sync
from companion.people import service as people
from companion.running import Running
from companion_sdk import AsyncCompanion
from companion_sdk.testing import FakeService
from companion_sdk.testing import Person as Fake

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""Where every backend's clock begins, and stands."""


@dataclass
class Backend(ABC):
    """A service with everybody in place. ``http`` is a plain client of it, without a token."""

    name: str
    http: httpx2.AsyncClient
    ana: Person
    ben: Person
    cleo: Person
    dan: Person
    eve: Person
    _closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    @abstractmethod
    def now(self) -> datetime:
        """What its clock shows."""

    @abstractmethod
    def advance(self, **span: float) -> None:
        """Time passes."""

    @abstractmethod
    async def code(self, clinician: Person) -> str:
        """A clinician's one-time code, from the operator."""

    @abstractmethod
    async def invite(self, patient: Person) -> str:
        """A code for a patient's phone, from the operator."""

    @abstractmethod
    async def purge(self, patient: Person) -> None:
        """What the service does by itself now and then: tombstones of 400 days leave the feed."""

    @abstractmethod
    async def raise_epoch(self, patient: Person) -> None:
        """What the operator does after a restore."""

    @abstractmethod
    def client(self, token: str) -> AsyncCompanion:
        """The SDK's own client."""

    async def sign_in(self, patient: Person, device: UUID | None = None) -> Person:
        """The patient on another phone, or again on the one they had."""
        answer = await self.http.post("/v1/sign-in", json=invited(await self.invite(patient), device or uuid4()))
        assert answer.status_code == 200, answer.text
        return Person(patient.name, answer.json()["access_token"], self.http, patient.id)

    async def app(self, patient: Person, *scopes: str) -> Person:
        """A third party with a token of the patient's."""
        answer = await patient.post("/v1/me/tokens", {"name": "App", "scopes": list(scopes)})
        assert answer.status_code == 201, answer.text
        return Person("App", answer.json()["token"], self.http, patient.id)

    def sdk(self, person: Person) -> AsyncCompanion:
        """The SDK's client, for somebody; closed with the test."""
        client = self.client(person.token)
        self._closing.push_async_callback(client.close)
        return client

    async def close(self) -> None:
        """Close the clients it gave out."""
        await self._closing.aclose()


def invited(code: str, device: UUID | None = None, zone: str = "America/New_York") -> dict[str, Any]:
    """A sign-in with an invite's code."""
    return {"method": "invite", "code": code, "device": {"id": str(device or uuid4()), "name": "phone", "zone": zone}}


@dataclass
class InMemory(Backend):
    """``companion_sdk.testing.FakeService``."""

    fake: FakeService = field(default_factory=FakeService)

    @property
    def now(self) -> datetime:
        return self.fake.clock.now()

    def advance(self, **span: float) -> None:
        self.fake.advance(**span)

    async def code(self, clinician: Person) -> str:
        return self.fake.code(_fake(clinician))

    async def invite(self, patient: Person) -> str:
        return self.fake.invite(_fake(patient))

    async def purge(self, patient: Person) -> None:
        self.fake.purge()

    async def raise_epoch(self, patient: Person) -> None:
        self.fake.raise_epoch()

    def client(self, token: str) -> AsyncCompanion:
        return AsyncCompanion(self.fake.url, token, transport=self.fake.transport, zone="America/New_York")


def _fake(person: Person) -> Fake:
    return Fake(person.name, "patient", person.id, person.token, "America/New_York")


@dataclass
class Real(Backend):
    """A running service on a database."""

    running: Running | None = None
    clock: ManualClock = field(default_factory=ManualClock)

    @property
    def service(self) -> Running:
        assert self.running is not None
        return self.running

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def advance(self, **span: float) -> None:
        self.clock.advance(**span)

    async def code(self, clinician: Person) -> str:
        return await self.service.db.write(OPERATOR, people.clinician_code, clinician.id)

    async def invite(self, patient: Person) -> str:
        return (await self.service.db.write(OPERATOR, people.invite_for, patient.id)).code

    async def purge(self, patient: Person) -> None:
        await self.service.db.write(OPERATOR, sync.purge, patient.id)

    async def raise_epoch(self, patient: Person) -> None:
        await self.service.db.write(OPERATOR, sync.raise_epoch, patient.id)

    def client(self, token: str) -> AsyncCompanion:
        return AsyncCompanion(self.service.url, token, zone="America/New_York")


@asynccontextmanager
async def in_memory() -> AsyncIterator[Backend]:
    """The fake, with the cast."""
    fake = FakeService(at=NOON)
    south = fake.clinic("South", "South Street")
    async with httpx2.AsyncClient(transport=fake.transport, base_url=fake.url) as http:  # type: ignore[arg-type]

        def person(made: Fake) -> Person:
            return Person(made.name, made.token, http, made.id)

        cleo, dan = fake.clinician("Cleo"), fake.clinician("Dan")
        ana, ben = fake.patient("Ana"), fake.patient("Ben", clinic=south)
        fake.consent(ana, cleo, ["coping", "mood", "note", "sobriety"])
        eve = Person("Eve", new_token(), http)
        cast = [person(one) for one in (ana, ben, cleo, dan)]
        backend = InMemory("fake", http, *cast, eve, fake=fake)
        yield backend
        await backend.close()


@asynccontextmanager
async def on_engine(name: str, start: Any) -> AsyncIterator[Backend]:
    """The real service, with the cast."""
    clock = ManualClock(NOON)
    running = await start(clock=clock, anonymous_burst=1_000_000)
    async with httpx2.AsyncClient(base_url=running.url, timeout=30) as http:
        cast: Cast = await gather(running, http)
        backend = Real(name, http, cast.ana, cast.ben, cast.cleo, cast.dan, cast.eve, running=running, clock=clock)
        yield backend
        await backend.close()


__all__ = ["NOON", "Backend", "Person", "in_memory", "invited", "new_clinician", "new_patient", "on_engine"]
