"""Who makes and sees plans, and what a plan answers."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from support.cast import Person
from support.nudging import Desk, ledger, plan, put_plan


async def test_a_plan_comes_back_as_it_was_made(ana: Person, desk: Desk) -> None:
    asked = plan(
        "08:00",
        "20:30",
        days=["mon", "wed"],
        quiet={"from": "22:00", "to": "07:00"},
        start="2026-03-01",
        until="2026-06-30",
        gap_minutes=30,
        jitter_minutes=10,
        text="one line for me",
    )
    plan_id = uuid4()
    made = await put_plan(ana, asked, plan_id=plan_id)
    assert made["plan"] == asked
    assert (made["id"], made["patient_id"], made["author_id"]) == (str(plan_id), str(ana.id), str(ana.id))
    assert made["revision"] == 1
    assert (await ana.get(f"/v1/patients/{ana.id}/plans/{plan_id}")).json() == made
    assert (await ana.get("/v1/patients/me/plans")).json() == {"items": [made]}


async def test_the_same_again_is_the_same_revision(ana: Person, desk: Desk) -> None:
    plan_id = uuid4()
    first = await put_plan(ana, plan("20:30"), plan_id=plan_id)
    before = await ledger(ana)
    assert await put_plan(ana, plan("20:30", skip_if_logged=True), plan_id=plan_id) == first
    assert await ledger(ana) == before
    assert (await put_plan(ana, plan("20:31"), plan_id=plan_id))["revision"] == 2


async def test_what_next_due_says_is_what_the_ledger_holds(ana: Person, desk: Desk) -> None:
    made = await put_plan(ana, plan("20:30", "07:15", jitter_minutes=40, window_minutes=50))
    assert made["next_due"] == (await ledger(ana))[0]["due_at"]


async def test_a_plan_that_is_over_is_never_due(ana: Person, desk: Desk) -> None:
    made = await put_plan(ana, plan("20:30", until="2026-03-01"))
    assert made["next_due"] is None
    assert await ledger(ana) == []


async def test_a_deleted_plan_stays_deleted(ana: Person, desk: Desk) -> None:
    plan_id = uuid4()
    await put_plan(ana, plan("20:30"), plan_id=plan_id)
    await ana.delete(f"/v1/patients/me/plans/{plan_id}")
    again = await ana.put(f"/v1/patients/me/plans/{plan_id}", plan("20:30"))
    assert (again.status_code, again.json()["type"]) == (410, "/problems/gone")
    assert (await ana.delete(f"/v1/patients/me/plans/{uuid4()}")).status_code == 404


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"times": ["24:00"]}, "/times/*", "format"),
        ({"times": []}, "/times", "length"),
        ({"window_minutes": 0}, "/window_minutes", "out-of-range"),
        ({"window_minutes": "60"}, "/window_minutes", "type"),
        ({"about": "weather"}, "/about", "unknown-word"),
        ({"channels": ["pigeon"]}, "/channels/*", "unknown-word"),
        ({"days": ["funday"]}, "/days/*", "unknown-word"),
        ({"start": "2026-03-02", "until": "2026-03-01"}, "/until", "before-start"),
        ({"adaptive": True}, "/adaptive", "unknown-field"),
    ],
)
async def test_a_plan_that_makes_no_sense_is_refused(
    ana: Person, desk: Desk, change: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await ana.put(f"/v1/patients/me/plans/{uuid4()}", {**plan("20:30"), **change})
    assert answer.status_code == 400
    (fault,) = answer.json()["errors"]
    assert fault["code"] == code
    assert fault["pointer"].startswith(pointer.removesuffix("/*")) or code == "unknown-field"


async def test_a_clinician_sees_her_own_plans_and_the_patient_all(ana: Person, cleo: Person, desk: Desk) -> None:
    hers = await put_plan(cleo, plan("09:00"), ana.id)
    own = await put_plan(ana, plan("20:30"))
    there = f"/v1/patients/{ana.id}/plans"
    assert [one["id"] for one in (await cleo.get(there)).json()["items"]] == [hers["id"]]
    assert {one["id"] for one in (await ana.get(there)).json()["items"]} == {hers["id"], own["id"]}
    for call in (
        cleo.get(f"{there}/{own['id']}"),
        cleo.put(f"{there}/{own['id']}", plan("10:00")),
        cleo.delete(f"{there}/{own['id']}"),
    ):
        assert (await call).status_code == 404
    assert (await cleo.get(f"{there}/{hers['id']}")).json() == hers
    assert (await ana.delete(f"{there}/{hers['id']}")).status_code == 204


async def test_looking_at_her_plans_is_told_to_the_patient(ana: Person, cleo: Person, desk: Desk) -> None:
    """As what it was: no entry of the diary was shown."""
    there = f"/v1/patients/{ana.id}/plans"
    hers = await cleo.put(f"{there}/{uuid4()}", plan("20:30"))
    await cleo.get(there)
    await cleo.get(f"{there}/{hers.json()['id']}")
    looks = (await ana.get("/v1/patients/me/disclosures")).json()["items"]
    assert [(look["action"], look["recipient"], look["categories"]) for look in looks] == [
        ("plan", str(cleo.id), []),
        ("plans", str(cleo.id), []),
    ]


@pytest.mark.parametrize("who", ["ben", "dan", "eve"])
async def test_nobody_else_sees_that_there_is_a_plan(
    ana: Person, desk: Desk, who: str, request: pytest.FixtureRequest
) -> None:
    made = await put_plan(ana, plan("20:30"))
    stranger: Person = request.getfixturevalue(who)
    known, none = f"/v1/patients/{ana.id}", f"/v1/patients/{uuid4()}"
    headers = {"X-Request-Id": str(uuid4())}
    for method, path, body in (
        ("GET", "plans", None),
        ("GET", f"plans/{made['id']}", None),
        ("PUT", f"plans/{made['id']}", plan("20:30")),
        ("DELETE", f"plans/{made['id']}", None),
        ("GET", "nudges", None),
    ):
        answers = [await stranger.call(method, f"{there}/{path}", json=body, headers=headers) for there in (known, none)]
        assert {answer.status_code for answer in answers} == {401 if who == "eve" else 404}
        assert answers[0].content == answers[1].content


async def test_the_ledger_is_the_patients_alone(ana: Person, cleo: Person, desk: Desk) -> None:
    await put_plan(cleo, plan("09:00"), ana.id)
    assert (await cleo.get(f"/v1/patients/{ana.id}/nudges")).status_code == 404
    assert len(await ledger(ana)) == 2


async def test_an_app_needs_the_scope(ana: Person, desk: Desk) -> None:
    made = await ana.post("/v1/me/tokens", {"name": "watch", "scopes": ["plans:read"], "days": 1})
    app = Person("app", made.json()["token"], ana.http, ana.id)
    assert (await app.get("/v1/patients/me/plans")).status_code == 200
    assert (await app.put(f"/v1/patients/me/plans/{uuid4()}", plan("20:30"))).status_code == 403
    assert (await app.get("/v1/patients/me/nudges")).status_code == 403
    assert (
        await app.put(f"/v1/me/endpoints/{uuid4()}", {"channel": "email", "address": "a@example.org"})
    ).status_code == 403


async def test_a_thousand_plans_a_patient(ana: Person, desk: Desk, full: bool) -> None:
    count = 1000 if full else 100
    for _ in range(count):
        await put_plan(ana, plan("20:30", about="custom"))
    assert len((await ana.get("/v1/patients/me/plans")).json()["items"]) == count
    await ana.patch("/v1/me", {"zone": "America/Chicago"})
    items: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = (await ana.get(f"/v1/patients/me/nudges?state=pending&limit=500{cursor and f'&cursor={cursor}'}")).json()
        items += page["items"]
        cursor = page["next"]
    assert len(items) == 2 * count
    assert {item["zone"] for item in items} == {"America/Chicago"}


async def test_the_list_can_be_narrowed_and_walked(ana: Person, desk: Desk) -> None:
    made = await put_plan(ana, plan("00:30", "12:00", "20:30"))
    whole = (await ana.get("/v1/patients/me/nudges")).json()["items"]
    assert [item["due_at"] for item in whole] == sorted((item["due_at"] for item in whole), reverse=True)
    walked: list[dict[str, Any]] = []
    path = "/v1/patients/me/nudges?limit=2"
    while path:
        answer = await ana.get(path)
        walked += answer.json()["items"]
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    assert walked == whole
    today = (await ana.get("/v1/patients/me/nudges?from=2026-03-03&to=2026-03-03")).json()["items"]
    assert [item["occurrence"] for item in today] == [
        f"{made['id']}|{slot}|2026-03-03|America/New_York" for slot in ("20:30", "12:00", "00:30")
    ]
    assert (await ana.get("/v1/patients/me/nudges?state=sent")).json() == {"items": [], "next": None}
    assert (await ana.get("/v1/patients/me/nudges?state=lost")).status_code == 400
    assert UUID(whole[0]["id"])
