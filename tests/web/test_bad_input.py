"""Every hostile body at every route that takes one: the listed answer, nothing stored, nothing echoed, alive after it."""

import json
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import httpx2
import msgspec
import pytest
from support.cast import Cast, Person, monday
from support.stage import stage
from web.bad_bodies import CANARY, FITS, JSON, VALUES, Bad, fields, inside, replaced, value_at, whole
from web.table import ROUTES, Place, Route, furnish, push, rows

from companion import app

TAKING = [route for route in ROUTES if route.body]

SORTS = {
    "name": "text",
    "title": "text",
    "text": "text",
    "code": "text",
    "signature": "text",
    "text_version": "text",
    "note": "text",
    "triggers": "words",
    "amount": "float",
    "sober": "bool",
    "skip_if_logged": "bool",
    "at": "time",
    "from": "time",
    "until": "time",
    "n": "count",
    "base": "count",
    "craving": "number",
    "days": "number",
    "gap_minutes": "number",
    "window_minutes": "number",
}
"""Fields that take free text, a fraction, a switch …; every other field is a fixed word, an id or an object."""
SHORT = {"text_version", "code"}
NEW_DEVICE = str(UUID(int=0xDE71CE))


def fits(path: tuple[str | int, ...], good: Any, name: str) -> bool:
    """Whether the value is a good one for the field, so that the body is not bad."""
    key = path[-1]
    if isinstance(key, int):
        return path[-2] == "triggers" and name in FITS["text"]
    value = value_at(good, path)
    sort = "fixed" if isinstance(value, list | dict) and key != "triggers" else SORTS.get(key, "fixed")
    return name in FITS[sort]


def made(route: Route, good: dict[str, Any]) -> list[Bad]:
    bad = [*whole(good, route.limit), *inside(good)]
    if route.name == "changeMe":
        bad = [one for one in bad if not one.name.startswith("null")] + [Bad("null", b"null")]
    for path in fields(good):
        for name, raw in VALUES:
            if not fits(path, good, name):
                bad.append(Bad(f"{'/'.join(map(str, path))}: {name}", replaced(good, path, raw)))
    return bad


async def check(person: Person, route: Route, place: Place, bad: Bad) -> str | None:
    """What is wrong with the answer, if anything."""
    content = bad.sent()
    if isinstance(content, bytes):
        content = content.replace(NEW_DEVICE.encode(), str(uuid4()).encode())
    answer = await person.call(route.method, place.at(route), content=content, headers=bad.headers)
    if route.name == "pushChanges" and bad.status == (400,) and answer.status_code == 200:
        return rejected(bad, answer)
    if answer.status_code not in bad.status:
        return f"{route.name}, {bad.name}: {answer.status_code} {answer.text}"
    if CANARY in answer.text or answer.headers["content-type"] != "application/problem+json":
        return f"{route.name}, {bad.name}: said {answer.text}"
    if answer.status_code == 400 and not answer.json()["errors"]:
        return f"{route.name}, {bad.name}: no pointer"
    return None


def rejected(bad: Bad, answer: httpx2.Response) -> str | None:
    """What is wrong with a push that was read: its one operation is refused by itself, and the pointer leads into it."""
    (result,) = answer.json()["results"]
    faults = result.get("problem", {}).get("errors", [])
    good = result["outcome"] == "rejected" and result["seq"] == 0
    if good and CANARY not in answer.text and faults and all(fault["pointer"].startswith("/ops/0") for fault in faults):
        return None
    return f"push, {bad.name}: {answer.text}"


def of_a_new_device(body: dict[str, Any]) -> dict[str, Any]:
    """A push of one operation under a device's first number: what the service makes of it is not remembered from before."""
    return {**body, "device": NEW_DEVICE, "ops": body["ops"][:1]}


@pytest.mark.parametrize("route", TAKING, ids=[route.name for route in TAKING])
async def test_bad_bodies(start: Any, route: Route) -> None:
    log = StringIO()
    async with stage(start, log=log) as cast:
        place = await furnish(cast)
        person = {"signIn": cast.dan, "invite": cast.cleo}.get(route.name, cast.ana)
        before = await rows(cast)
        good = place.bodies[route.name]
        tries = made(route, of_a_new_device(good) if route.name == "pushChanges" else good)
        wrong = [found for bad in tries if (found := await check(person, route, place, bad))]
        assert not wrong, f"{len(wrong)} of {len(tries)}\n" + "\n".join(wrong[:40])
        after = await rows(cast)
        if route.name == "pushChanges":  # that a number was used up is kept, also of what was refused
            assert after.pop("pushes") - before.pop("pushes") > 300
        assert after == before
        assert (await cast.http.get("/health/ready")).status_code == 200
        cast.running.lines.flush()
        assert CANARY not in log.getvalue()
        assert " error " not in log.getvalue()
        assert len(tries) > 70


async def test_the_good_body_is_good(cast: Cast) -> None:
    """Else every test above would be about something else."""
    place = await furnish(cast)
    for route in TAKING:
        if route.name == "signIn":
            continue
        person = cast.cleo if route.name == "invite" else cast.ana
        for media in (
            "application/json",
            "Application/JSON",
            'application/json; charset="UTF-8"',
            "application/json;charset=utf-8",
        ):
            answer = await person.call(
                route.method, place.at(route), json=place.bodies[route.name], headers={"Content-Type": media}
            )
            assert answer.status_code in (200, 201), (route.name, answer.text)


async def test_text_is_kept_as_it_was_written(cast: Cast) -> None:
    """Bidi overrides, joiners, emoji, newline and tab are a person's own; NFC is the only change."""
    for text in ("\u202eevil", "a\u200db", "\U0001f468\u200d\U0001f469", "line\nline\ttab", "\ufeff", "\ufffd", "x" * 4000):
        log = await cast.ana.log(monday(), kind="note", text=text)
        assert log["body"]["text"] == text
        assert (await cast.ana.get(f"/v1/patients/me/logs/{log['id']}")).json()["body"]["text"] == text
    assert (await cast.ana.log(monday(), kind="note", text="e\u0301"))["body"]["text"] == "\u00e9"
    for text in ("", "x" * 4001, "\r", "\u0000", "\u001b[31m"):
        answer = await cast.ana.put(f"/v1/patients/me/logs/{uuid4()}", cast.ana.entry(monday(), kind="note", text=text))
        assert answer.status_code == 400, repr(text)


async def test_a_body_of_just_the_limit_is_read(cast: Cast) -> None:
    raw = json.dumps(cast.ana.entry(monday(), kind="mood", mood=3)).encode()
    for size, status in ((65_536, 201), (65_537, 413)):
        where = f"/v1/patients/me/logs/{uuid4()}"
        answer = await cast.ana.call("PUT", where, content=raw + b" " * (size - len(raw)), headers=JSON)
        assert answer.status_code == status
    raw = json.dumps(push()).encode()
    for size, status in ((1_048_576, 200), (1_048_577, 413)):
        where = "/v1/patients/me/sync/push"
        answer = await cast.ana.call("POST", where, content=raw + b" " * (size - len(raw)), headers=JSON)
        assert answer.status_code == status


async def test_routes_that_read_no_body_do_nothing_else_for_one(cast: Cast) -> None:
    """A body sent to them is not read: large, broken or strange, the answer is that of none, and the next call works."""
    place = await furnish(cast)
    for route in ROUTES:
        if route.body or route.open or route.name == "signOut":
            continue
        for content, headers in (
            (b"x" * 200_000, JSON),
            (b"[" * 5_000, JSON),
            (b"\xff", {"Content-Type": "text/plain"}),
            (b"x", {"Content-Encoding": "gzip"}),
        ):
            bare = await cast.ana.call(route.method, route.at(patient=cast.ana.id))
            answer = await cast.ana.call(route.method, route.at(patient=cast.ana.id), content=content, headers=headers)
            assert answer.status_code == bare.status_code < 500, route.name
    assert (await cast.ana.get(place.at(next(one for one in ROUTES if one.name == "getLog")))).status_code == 200


async def test_a_query_belongs_to_routes_that_have_one(cast: Cast) -> None:
    """Elsewhere nothing in the URL goes unread: a token, a %ff, a repeated name are 400, and nothing is stored."""
    place = await furnish(cast)
    queries = ("%ff=1", "a=1&a=2", "access_token=cmp_x", "x=%EF%BF%BD", f"{CANARY}=1", "=", "%00", "limit=-1")
    before = await rows(cast)
    for route in ROUTES:
        if route.open or route.name in ("invite", "signOut"):
            continue
        sent: dict[str, Any] = {"json": place.bodies[route.name]} if route.body else {}
        path = place.at(route)
        for query in queries:
            answer = await cast.ana.call(route.method, f"{path}?{query}", **sent)
            assert answer.status_code == 400, (route.name, query)
            assert CANARY not in answer.text
    assert await rows(cast) == before


EDGES = ("0001-01-01", "9999-12-31", "2000-01-01", "1969-12-31", "0000-01-01", "2026-02-30", "x", "", "%00", "%D9%A1")


async def test_no_query_is_a_failure(cast: Cast) -> None:
    """Every parameter of every route at its edges, and one that is none: 400 or an answer, never 5xx."""
    await furnish(cast)
    asked = 0
    for handler in app.HANDLERS:
        kind = handler.opt.get("query")
        if kind is None:
            continue
        route = next(one for one in ROUTES if one.name == handler.operation_id)
        for field in (*msgspec.structs.fields(kind), None):
            name = "nothing" if field is None else field.encode_name
            for value in (*EDGES, "-1", "0", "501", "9" * 30, "1e9", "NaN", "A" * 5000, "a,b,,c", ","):
                answer = await cast.ana.get(f"{route.at(patient='me')}?{name}={value}")
                assert answer.status_code in (200, 400), (route.name, name, value)
                asked += 1
    assert asked > 200
