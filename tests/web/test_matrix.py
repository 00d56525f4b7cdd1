"""Who may and who may not: route × role × state of the consent, from the route table."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from support.cast import Cast, Person, new_clinician
from support.clocks import ManualClock
from support.stage import stage
from web.table import CLOSED, COLUMNS, MAY, ROUTES, SCOPES_OF, Place, Route, app_of, bodies, furnish

from companion_sdk.wire import SCOPES

NEEDS_OWN = {"signOut"}
"""Ends the caller's own token: asked with a fresh one."""


def test_every_route_stands_in_the_table() -> None:
    names = {route.name for route in ROUTES}
    assert names == MAY.keys(), "a new route says in MAY who may use it"
    assert len(names) == len(ROUTES)
    assert {route.name for route in ROUTES if route.body} == bodies(uuid4(), uuid4()).keys()
    apps = {name for name, row in MAY.items() if row.split()[COLUMNS.index("app")] not in ("403", "401")}
    open_routes = {route.name for route in ROUTES if route.open}
    assert apps - open_routes == SCOPES_OF.keys() | {"getMe", "signOut"}
    assert set(SCOPES_OF.values()) == set(SCOPES)


async def ask(person: Person | None, route: Route, place: Place, cast: Cast) -> int:
    """One call with a good request; 201 counts as 200 for a PUT, which creates or repeats."""
    sent: dict[str, Any] = {"json": place.bodies[route.name]} if route.body else {}
    if person is None:
        answer = await cast.http.request(route.method, place.at(route), **sent)
    else:
        answer = await person.call(route.method, place.at(route), **sent)
    return 200 if route.method == "PUT" and answer.status_code == 201 else answer.status_code


async def clinicians(cast: Cast, clock: ManualClock) -> dict[str, list[Person]]:
    """Clinicians in every state of a consent, by the column that says what they may."""
    ana, now = cast.ana, clock.now()
    kinds = ["coping", "mood", "note", "sobriety"]
    named: dict[str, Person] = {}
    for name in ("lasting", "running", "revoked", "over", "early", "changed", "narrowed"):
        named[name] = await new_clinician(cast.running, cast.http, cast.north, name)
    lasting = named["lasting"]
    await ana.consent(lasting.id, kinds)
    await ana.consent(
        named["running"].id, kinds, **{"from": now.isoformat(), "until": (now + timedelta(days=1)).isoformat()}
    )
    await ana.consent(named["over"].id, kinds, **{"from": "2026-01-01T00:00:00Z", "until": now.isoformat()})
    await ana.consent(named["early"].id, kinds, **{"from": (now + timedelta(microseconds=1)).isoformat()})
    revoked = await ana.consent(named["revoked"].id, kinds)
    await ana.post(f"/v1/patients/me/consents/{revoked['id']}/revoke")
    changed = await ana.consent(named["changed"].id, kinds)
    terms = {"recipient": str(lasting.id), "categories": kinds}
    assert (await ana.put(f"/v1/patients/me/consents/{changed['id']}", terms)).status_code == 200
    without = [named[name] for name in ("revoked", "over", "early", "changed")]
    return {"consented": [cast.cleo, lasting, named["running"]], "without": [cast.dan, *without]}


async def test_the_matrix(start: Any, clock: ManualClock) -> None:
    """Every cell; whoever may is asked last, because some routes end what they name."""
    async with stage(start, clock=clock) as cast:
        place = await furnish(cast)
        callers: dict[str, list[Person | None]] = {"nobody": [None], "other": [cast.ben], "patient": [cast.ana]}
        callers |= {"app": [await app_of(cast.ana, *SCOPES)]}
        callers |= await clinicians(cast, clock)  # type: ignore[arg-type]
        order = ("nobody", "other", "without", "consented", "app", "patient")
        wrong: list[str] = []
        last = ("deleteLog", "deletePlan", "signOutDevice", "endToken", "deleteEndpoint", "revokeConsent", "signOut")
        for route in sorted(ROUTES, key=lambda one: last.index(one.name) if one.name in last else -1):
            row = dict(zip(COLUMNS, MAY[route.name].split(), strict=True))
            for column in order:
                for caller in callers[column]:
                    status = await ask(caller, route, place, cast)
                    name = "nobody" if caller is None else caller.name
                    if str(status) != row[column]:
                        wrong.append(f"{route.name} for {column} ({name}): {status}, not {row[column]}")
        assert not wrong, "\n".join(wrong)


async def test_a_clinics_consent_gives_the_same_column(cast: Cast) -> None:
    place = await furnish(cast)
    await cast.ana.consent(cast.north, ["coping", "mood", "note", "sobriety"])
    for route in CLOSED:
        expected = MAY[route.name].split()[COLUMNS.index("consented")]
        if "{patient}" in route.path:
            assert str(await ask(cast.dan, route, place, cast)) == expected, route.name


async def test_each_scope_opens_its_routes_and_no_other(cast: Cast) -> None:
    place = await furnish(cast)
    for scope in SCOPES:
        watch = await app_of(cast.ana, scope)
        for route in CLOSED:
            if route.name in NEEDS_OWN or route.name.startswith("delete"):
                continue
            status = await ask(watch, route, place, cast)
            may = route.name == "getMe" or SCOPES_OF.get(route.name) == scope
            assert (status == 403) is not may, (scope, route.name, status)
            assert status in ((200, 201, 204) if may else (403,)), (scope, route.name, status)


async def test_a_scope_that_lacks_says_so_before_what_is_hidden(cast: Cast) -> None:
    """403 tells of the token, not of the record: the same for an entry that is there and one that is not."""
    place = await furnish(cast)
    watch = await app_of(cast.ana, "plans:read")
    for route in CLOSED:
        if SCOPES_OF.get(route.name) in (None, "plans:read"):
            continue
        sent: dict[str, Any] = {"json": place.bodies[route.name]} if route.body else {}
        rid = {"X-Request-Id": str(uuid4())}
        there = await watch.call(route.method, place.at(route), headers=rid, **sent)
        elsewhere = await watch.call(route.method, route.at(), headers=rid, **sent)
        assert there.status_code == 403, route.name
        assert there.json()["type"] == "/problems/insufficient-scope"
        assert there.content == elsewhere.content, route.name


async def test_an_app_reaches_no_other_patient(cast: Cast) -> None:
    place = await furnish(cast)
    watch = await app_of(cast.ben, *SCOPES)
    for route in CLOSED:
        if "{patient}" in route.path:
            status = await ask(watch, route, place, cast)
            person_only = MAY[route.name].split()[COLUMNS.index("app")] == "403"
            assert status == (403 if person_only else 404), route.name
