"""Every kind of the contract, as its golden file has it: stored, read, listed, consented to and refused alike."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from support.cast import Person, monday

from companion_sdk import wire

GOLDEN = Path(__file__).parents[1] / "contract/golden"


def golden(kind: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{wire.KINDS[kind].__name__}.json").read_bytes())


def place(person: Person, kind: str) -> str:
    """Where an entry of the kind may stand: the crisis plan at its own id only."""
    return f"/v1/patients/me/logs/{wire.safety_plan_id(person.id) if kind == 'safety_plan' else uuid4()}"


@pytest.mark.parametrize("kind", wire.KINDS)
async def test_an_entry_of_every_kind_is_kept_as_it_was_written(ana: Person, kind: str) -> None:
    path, body = place(ana, kind), golden(kind)
    made = await ana.put(path, ana.entry(monday(), **body))
    assert made.status_code == 201, made.text
    assert (made.json()["kind"], made.json()["body"]) == (kind, body)
    assert (await ana.put(path, ana.entry(monday(), **body))).status_code == 200
    listed = (await ana.get(f"/v1/patients/me/logs?kind={kind}")).json()["items"]
    assert [entry["body"] for entry in listed] == [body]
    assert (await ana.get(path)).json() == listed[0]


async def test_an_instant_inside_an_entry_comes_back_in_utc(ana: Person) -> None:
    body = golden("medication") | {"due_at": "2026-03-02T08:00:00-05:00"}
    log = await ana.log(monday(), **body)
    assert log["body"]["due_at"] == "2026-03-02T13:00:00Z"
    again = await ana.put(f"/v1/patients/me/logs/{log['id']}", ana.entry(monday(), **golden("medication")))
    assert (again.status_code, again.json()["revision"]) == (200, 1), "the same moment is the same entry"


async def test_a_crisis_plan_stands_at_its_own_id_and_nothing_else_does(ana: Person) -> None:
    plan_id: UUID = wire.safety_plan_id(ana.id)
    elsewhere = await ana.put(f"/v1/patients/me/logs/{uuid4()}", ana.entry(monday(), **golden("safety_plan")))
    assert elsewhere.status_code == 400
    other = await ana.put(f"/v1/patients/me/logs/{plan_id}", ana.entry(monday(), kind="note", text="not a plan"))
    assert other.status_code == 400


async def test_cleo_sees_the_kinds_she_was_given_and_no_other(ana: Person, cleo: Person) -> None:
    for kind in wire.KINDS:
        await ana.put(place(ana, kind), ana.entry(monday(), **golden(kind)))
    given = {"eating", "goal", "safety_plan"}
    await ana.consent(cleo.id, sorted(given))
    before = {"coping", "mood", "note", "sobriety"}
    seen = (await cleo.get(f"/v1/patients/{ana.id}/logs")).json()["items"]
    assert {entry["kind"] for entry in seen} == given | before
