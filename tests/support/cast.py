"""The same few people in every test: Ana (patient), Ben (another clinic's), Cleo (Ana's clinician, with consent), Dan (a
clinician of Ana's clinic without consent), Eve (an outsider with a forged token)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2

from companion.core.actors import Operator
from companion.core.ids import new_token
from companion.people import service as people
from companion.running import Running

OPERATOR = Operator("test")
ZONE = "America/New_York"
ALL_KINDS = ["coping", "mood", "note", "sobriety"]


@dataclass
class Person:
    """Somebody with a token, and a plain HTTP client that carries it."""

    name: str
    token: str
    http: httpx2.AsyncClient
    id: UUID = field(default_factory=uuid4)
    device: UUID = field(default_factory=uuid4)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def call(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx2.Response:
        """One request as this person."""
        return await self.http.request(method, path, headers={**self.headers, **(headers or {})}, **more)

    async def get(self, path: str, **more: Any) -> httpx2.Response:
        return await self.call("GET", path, **more)

    async def put(self, path: str, json: Any, **more: Any) -> httpx2.Response:
        return await self.call("PUT", path, json=json, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> httpx2.Response:
        return await self.call("POST", path, json={} if json is None else json, **more)

    async def patch(self, path: str, json: Any, **more: Any) -> httpx2.Response:
        return await self.call("PATCH", path, json=json, **more)

    async def delete(self, path: str, **more: Any) -> httpx2.Response:
        return await self.call("DELETE", path, **more)

    # what a patient does

    def entry(self, at: datetime | str, zone: str = ZONE, **body: Any) -> dict[str, Any]:
        """A request body for one entry."""
        stamp = at if isinstance(at, str) else at.isoformat()
        return {"at": stamp, "zone": zone, "body": body}

    async def log(self, at: datetime | str, zone: str = ZONE, log_id: UUID | None = None, **body: Any) -> dict[str, Any]:
        """Store one entry; fails the test if it is not stored."""
        answer = await self.put(f"/v1/patients/me/logs/{log_id or uuid4()}", self.entry(at, zone, **body))
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def mood(self, at: datetime | str, mood: int = 3, **more: Any) -> dict[str, Any]:
        return await self.log(at, kind="mood", mood=mood, **more)

    async def sober(self, first: datetime, days: int) -> None:
        """A sober check-in at the same hour on each of some days."""
        for day in range(days):
            await self.log(first + timedelta(days=day), kind="sobriety", sober=True)

    async def used(self, substance: str, at: datetime) -> dict[str, Any]:
        return await self.log(at, kind="sobriety", sober=False, uses=[{"substance": substance}])

    async def consent(self, recipient: UUID, categories: list[str] | None = None, **more: Any) -> dict[str, Any]:
        """Let somebody see some kinds."""
        terms = {"recipient": str(recipient), "categories": categories or ALL_KINDS, "purpose": "treatment", **more}
        answer = await self.put(f"/v1/patients/me/consents/{uuid4()}", terms)
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass
class Cast:
    """Everybody, on one running service."""

    running: Running
    http: httpx2.AsyncClient
    north: UUID
    south: UUID
    ana: Person
    ben: Person
    cleo: Person
    dan: Person
    eve: Person


async def new_clinic(running: Running, name: str) -> UUID:
    return await running.db.write(OPERATOR, people.add_clinic, name, f"{name} Street")


async def new_clinician(running: Running, http: httpx2.AsyncClient, clinic: UUID, name: str) -> Person:
    """A clinician, signed in by a one-time code."""
    clinician = await running.db.write(OPERATOR, people.add_clinician, clinic, name)
    code = await running.db.write(OPERATOR, people.clinician_code, clinician)
    answer = await http.post("/v1/sign-in", json={"method": "code", "code": code})
    assert answer.status_code == 200, answer.text
    return Person(name, answer.json()["access_token"], http, clinician)


async def new_patient(http: httpx2.AsyncClient, clinician: Person, name: str, zone: str = ZONE) -> Person:
    """A patient, invited by a clinician and signed in on a phone."""
    invite = await clinician.post("/v1/invites", {"name": name})
    assert invite.status_code == 201, invite.text
    device = uuid4()
    answer = await http.post(
        "/v1/sign-in",
        json={
            "method": "invite",
            "code": invite.json()["code"],
            "device": {"id": str(device), "name": f"{name}'s phone", "zone": zone},
        },
    )
    assert answer.status_code == 200, answer.text
    return Person(name, answer.json()["access_token"], http, UUID(invite.json()["patient_id"]), device)


async def gather(running: Running, http: httpx2.AsyncClient) -> Cast:
    """Two clinics with everybody in place; Cleo has Ana's consent."""
    north = await new_clinic(running, "North")
    south = await new_clinic(running, "South")
    cleo = await new_clinician(running, http, north, "Cleo")
    dan = await new_clinician(running, http, north, "Dan")
    sue = await new_clinician(running, http, south, "Sue")
    ana = await new_patient(http, cleo, "Ana")
    ben = await new_patient(http, sue, "Ben")
    await ana.consent(cleo.id)
    eve = Person("Eve", new_token(), http)
    return Cast(running, http, north, south, ana, ben, cleo, dan, eve)


def monday(hour: int = 12, **later: float) -> datetime:
    """Monday 2 March 2026 at an hour UTC, and later."""
    return datetime(2026, 3, 2, hour, 0, tzinfo=UTC) + timedelta(**later)
