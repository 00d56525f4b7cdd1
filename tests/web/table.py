"""Every route of the service with what each kind of caller may do there: THE table a new route must enter.

``ROUTES`` is read from the application; ``MAY``, ``SCOPES_OF`` and ``bodies`` are written by hand, so that a route without
an entry fails.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx2
from support.cast import OPERATOR, Cast, Person

from companion import app
from companion.core.actors import Actor
from companion.core.db import Tx
from companion.core.migrations import read
from companion.core.sql import Statement
from companion.web.edge import OPEN
from companion.web.request import BODY_LIMIT


@dataclass(frozen=True)
class Route:
    """One method at one path; ``body`` tells whether it takes one, of up to ``limit`` bytes."""

    name: str
    method: str
    path: str
    body: bool
    limit: int = BODY_LIMIT

    @property
    def open(self) -> bool:
        """Whether it asks for no sign-in."""
        return self.path in OPEN

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    def at(self, **ids: Any) -> str:
        """The path with its ids filled in; a random one where none is given."""
        path = self.path
        for part in path.split("/"):
            if part.startswith("{"):
                path = path.replace(part, str(ids.get(part.strip("{}")) or uuid4()))
        return path


def _routes() -> list[Route]:
    found: list[Route] = []
    for route in app.build().routes:
        for method, (handler, _) in route.route_handler_map.items():  # pyright: ignore
            if method != "OPTIONS":
                takes = handler.parsed_data_field is not None or "body" in handler.opt
                limit = handler.opt.get("body_limit", BODY_LIMIT)
                found.append(Route(handler.operation_id, method, route.path_format, takes, limit))
    return sorted(found, key=lambda one: (one.path, one.method))


ROUTES = _routes()
CLOSED = [route for route in ROUTES if not route.open]
WRITES = [route for route in ROUTES if route.writes]

COLUMNS = ("nobody", "patient", "app", "other", "consented", "without")
"""No token · the patient · an app with every scope · another patient · a clinician with consent · one without."""

MAY = {
    "getService": "200 200 200 200 200 200",
    "getCrisis": "200 200 200 200 200 200",
    "getHealthLive": "200 200 200 200 200 200",
    "getHealthReady": "200 200 200 200 200 200",
    "getOpenapi": "200 200 200 200 200 200",
    "getDocs": "200 200 200 200 200 200",
    "signIn": "401 401 401 401 401 401",
    "signOut": "401 204 204 204 204 204",
    "getMe": "401 200 200 200 200 200",
    "changeMe": "401 200 403 200 200 200",
    "listDevices": "401 200 403 200 404 404",
    "signOutDevice": "401 204 403 404 404 404",
    "listTokens": "401 200 403 200 404 404",
    "makeToken": "401 201 403 201 404 404",
    "endToken": "401 204 403 404 404 404",
    "inviteOwnPhone": "401 201 403 201 404 404",
    "invite": "401 404 403 404 201 404",
    "getPatient": "401 200 200 404 200 404",
    "listConsents": "401 200 200 404 404 404",
    "giveConsent": "401 200 403 404 404 404",
    "revokeConsent": "401 200 403 404 404 404",
    "listDisclosures": "401 200 200 404 404 404",
    "listLogs": "401 200 200 404 200 404",
    "getLog": "401 200 200 404 200 404",
    "getLogHistory": "401 200 200 404 200 404",
    "putLog": "401 200 200 404 404 404",
    "deleteLog": "401 204 204 404 404 404",
    "pushChanges": "401 200 200 404 404 404",
    "pullChanges": "401 200 200 404 200 404",
    "streamChanges": "401 200 200 404 200 404",
    "getDigest": "401 200 200 404 200 404",
    "putSafetyPlan": "401 200 200 404 404 404",
    "getSafetyPlan": "401 200 200 404 404 404",
    "getTrends": "401 200 200 404 200 404",
    "getSobriety": "401 200 200 404 200 404",
    "listPlans": "401 200 200 404 200 404",
    "getPlan": "401 200 200 404 404 404",
    "putPlan": "401 200 200 404 404 404",
    "deletePlan": "401 204 204 404 404 404",
    "listNudges": "401 200 200 404 404 404",
    "putEndpoint": "401 200 403 200 404 404",
    "deleteEndpoint": "401 204 403 204 404 404",
}

SCOPES_OF = {
    "getPatient": "profile:read",
    "listConsents": "consents:read",
    "listDisclosures": "consents:read",
    "listLogs": "logs:read",
    "getLog": "logs:read",
    "getLogHistory": "logs:read",
    "putLog": "logs:write",
    "deleteLog": "logs:write",
    "pushChanges": "logs:write",
    "pullChanges": "logs:read",
    "streamChanges": "logs:read",
    "getDigest": "logs:read",
    "putSafetyPlan": "logs:write",
    "getSafetyPlan": "logs:read",
    "getTrends": "trends:read",
    "getSobriety": "trends:read",
    "listPlans": "plans:read",
    "getPlan": "plans:read",
    "putPlan": "plans:write",
    "deletePlan": "plans:write",
    "listNudges": "nudges:read",
}
"""The one scope that opens a route to an app; ``getMe`` and ``signOut`` need none, the rest is for people."""

SECTIONS = [{"title": "People I can call", "text": "Cleo\n555 0100"}]
PLAN = {"about": "mood", "times": ["20:30"], "window_minutes": 60, "channels": ["email"]}


def bodies(recipient: UUID, patient: UUID) -> dict[str, dict[str, Any]]:
    """A good body for every route that takes one."""
    return {
        "signIn": {"method": "invite", "code": "A" * 20, "device": {"id": str(uuid4()), "name": "p", "zone": "UTC"}},
        "changeMe": {"name": "Somebody", "zone": "America/New_York", "language": "en"},
        "makeToken": {"name": "Watch", "scopes": ["logs:read"], "days": 90},
        "inviteOwnPhone": {},
        "invite": {"patient_id": str(patient)},
        "giveConsent": {
            "recipient": str(recipient),
            "categories": ["coping", "mood", "note", "sobriety"],
            "purpose": "treatment",
            "from": "2026-03-02T12:00:00Z",
            "until": "2999-01-01T00:00:00Z",
            "text_version": "1",
            "signature": "Ana",
        },
        "putLog": {
            "at": "2026-03-02T12:00:00Z",
            "zone": "America/New_York",
            "source": "app",
            "body": {
                "kind": "sobriety",
                "sober": False,
                "craving": 5,
                "triggers": ["stress"],
                "note": "as it was",
                "uses": [{"substance": "alcohol", "amount": 1.5, "at": "2026-03-02T11:00:00Z"}],
            },
        },
        "putSafetyPlan": {"kind": "safety_plan", "sections": SECTIONS},
        "pushChanges": push(),
        "putPlan": PLAN
        | {"days": ["mon"], "skip_if_logged": True, "gap_minutes": 5, "quiet": {"from": "22:00", "to": "07:00"}},
        "putEndpoint": {"channel": "email", "address": "ana@example.org"},
    }


def push() -> dict[str, Any]:
    """A push of a new device: one entry and, of another, the end."""
    body = {"kind": "mood", "mood": 4, "note": "from the bus"}
    log = {"at": "2026-03-02T12:00:00Z", "zone": "America/New_York", "source": "app", "body": body}
    first = {"n": 1, "op": str(uuid4()), "id": str(uuid4()), "base": 0, "log": log}
    return {
        "device": str(uuid4()),
        "sent_at": "2026-03-02T12:00:00Z",
        "ops": [first, {**first, "n": 2, "op": str(uuid4()), "base": 1, "log": None}],
    }


@dataclass
class Place:
    """What stands in Ana's record, to be named in paths."""

    ids: dict[str, Any]
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def at(self, route: Route) -> str:
        return route.at(**self.ids)


async def furnish(cast: Cast) -> Place:
    """One of everything in Ana's record: entry, consent, plan, phone, token, endpoint, crisis plan."""
    ana = cast.ana
    good = bodies(cast.cleo.id, ana.id)
    log = await ana.put(f"/v1/patients/me/logs/{uuid4()}", good["putLog"])
    code = (await ana.post("/v1/me/invites")).json()["code"]
    device = uuid4()
    phone = {"method": "invite", "code": code, "device": {"id": str(device), "name": "tablet", "zone": "UTC"}}
    assert (await cast.http.post("/v1/sign-in", json=phone)).status_code == 200
    token = (await ana.post("/v1/me/tokens", good["makeToken"])).json()["id"]
    given = (await ana.get("/v1/patients/me/consents")).json()["items"][0]["id"]
    plan, endpoint = uuid4(), uuid4()
    assert (await ana.put(f"/v1/patients/me/plans/{plan}", good["putPlan"])).status_code == 200
    assert (await ana.put(f"/v1/me/endpoints/{endpoint}", good["putEndpoint"])).status_code == 200
    assert (await ana.put("/v1/patients/me/safety-plan", good["putSafetyPlan"])).status_code == 201
    ids = {
        "patient": ana.id,
        "log": log.json()["id"],
        "consent": given,
        "device": device,
        "token": token,
        "plan": plan,
        "endpoint": endpoint,
    }
    return Place(ids, good)


async def app_of(person: Person, *scopes: str) -> Person:
    """A third party with a token of the person's."""
    made = await person.post("/v1/me/tokens", {"name": "Watch", "scopes": list(scopes)})
    assert made.status_code == 201, made.text
    return Person("Watch", made.json()["token"], person.http, UUID(made.json()["id"]))


def told(answer: httpx2.Response) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """All that a caller can see of an answer, but the date."""
    return answer.status_code, [pair for pair in answer.headers.raw if pair[0].lower() != b"date"], answer.content


TABLES = [
    statement.split()[2]
    for migration in read()
    for statement in migration.statements
    if statement.upper().startswith("CREATE TABLE")
]
_COUNTS = {table: Statement(f"SELECT count(*) FROM {table}") for table in TABLES if table not in ("beats", "repeats")}


def count(tx: Tx, actor: Actor) -> dict[str, int]:
    """Rows of every table but those that may grow by themselves."""
    return {table: tx.all(statement)[0][0] for table, statement in _COUNTS.items()}


async def rows(cast: Cast) -> dict[str, int]:
    return await cast.running.db.read(OPERATOR, count)
