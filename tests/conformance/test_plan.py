"""The crisis plan: guarded, so that a stale copy never overwrites a newer one; otherwise an entry like any other."""

from datetime import timedelta
from typing import Any

from conformance.backends import Backend, Person
from conformance.words import LOGS, NOON, PLAN, Phone, at, entry, faults, mood, new, plan, plan_id, walk, where, word


def sections(*texts: str) -> dict[str, Any]:
    return {"sections": [{"title": "Call", "text": text} for text in texts]}


async def test_there_is_none_until_it_is_written(ana: Person) -> None:
    assert word(await ana.get(PLAN)) == "not-found"
    made = await ana.put(PLAN, sections("Cleo", "Sam"))
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    stored = made.json()
    assert stored.pop("seq") > 0
    assert stored == {
        "id": plan_id(ana),
        "patient_id": str(ana.id),
        "kind": "safety_plan",
        "at": "2026-03-02T12:00:00Z",
        "zone": "America/New_York",
        "day": "2026-03-02",
        "source": "app",
        "revision": 1,
        "recorded_at": "2026-03-02T12:00:00Z",
        "deleted": False,
        "skewed": False,
        "author_id": str(ana.id),
        "body": {"kind": "safety_plan", **sections("Cleo", "Sam")},
    }
    assert (await ana.get(PLAN)).content == made.content
    assert (await ana.get(PLAN, headers={"If-None-Match": '"1"'})).status_code == 304


async def test_the_same_again_is_the_same_whenever_it_comes(backend: Backend, ana: Person) -> None:
    made = await ana.put(PLAN, sections("Cleo"))
    backend.advance(days=3)
    for headers in ({}, {"If-Match": '"1"'}, {"If-Match": '"9"'}, {"If-None-Match": "*"}):
        again = await ana.put(PLAN, {"kind": "safety_plan", **sections("Cleo")}, headers=headers)
        assert (again.status_code, again.content) == (200, made.content), headers


async def test_it_is_corrected_as_any_entry_is(backend: Backend, ana: Person) -> None:
    await ana.put(PLAN, sections("Cleo"))
    blind = await ana.put(PLAN, sections("Sam"))
    assert (blind.status_code, word(blind), blind.headers["etag"]) == (428, "revision-required", '"1"')
    backend.advance(hours=1)
    right = await ana.put(PLAN, sections("Sam"), headers={"If-Match": '"1"'})
    assert (right.status_code, right.json()["revision"], right.json()["at"]) == (200, 2, "2026-03-02T13:00:00Z")
    stale = await ana.put(PLAN, sections("Ann"), headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["current"]) == (412, right.json())
    only_new = await ana.put(PLAN, sections("Ann"), headers={"If-None-Match": "*"})
    assert only_new.status_code == 412
    revisions = (await ana.get(f"{where(plan_id(ana))}/history")).json()["items"]
    assert [one["body"]["sections"][0]["text"] for one in revisions] == ["Cleo", "Sam"]


async def test_sections_have_their_bounds(ana: Person) -> None:
    for body, fault in (
        ({}, ("/sections", "required")),
        (sections(*["x"] * 21), ("/sections", "length")),
        ({"sections": [{"title": "", "text": "x"}]}, ("/sections/0/title", "length")),
        ({"sections": [{"title": "Call", "text": "x" * 4001}]}, ("/sections/0/text", "length")),
        ({"sections": [{"title": "Call"}]}, ("/sections/0/text", "required")),
        ({"sections": [], "title": "x"}, ("", "unknown-field")),
        ({"kind": "mood", "sections": []}, ("/kind", "unknown-word")),
    ):
        answer = await ana.put(PLAN, body)
        assert (answer.status_code, faults(answer)) == (400, [fault]), body
    assert (await ana.put(PLAN, {"sections": []})).status_code == 201


async def test_it_is_emptied_and_not_deleted(ana: Person) -> None:
    await ana.put(PLAN, sections("Cleo"))
    phone = Phone(ana)
    refused = await ana.delete(where(plan_id(ana)))
    assert (refused.status_code, word(refused)) == (409, "conflict")
    pushed = await phone.one(phone.op(None, plan_id(ana), 1))
    assert (pushed["outcome"], pushed["revision"], pushed["problem"]["type"]) == ("rejected", 1, "/problems/conflict")
    assert (await ana.put(PLAN, sections(), headers={"If-Match": '"1"'})).json()["body"]["sections"] == []
    helped = (await ana.put(where(new()), mood(1, safe="no"))).json()["crisis"]
    assert "plan_url" not in helped, "an empty plan helps nobody"


async def test_it_stands_at_its_one_id_and_nothing_else_does(ana: Person) -> None:
    phone = Phone(ana)
    for log, place in ((plan("Cleo"), new()), (mood(), plan_id(ana))):
        answer = await ana.put(where(place), log)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "one-per-patient")
        result = await phone.one(phone.op(log, place))
        assert (result["outcome"], result["problem"]["type"]) == ("rejected", "/problems/invalid-request")
        assert faults(result["problem"]) == [("/ops/0/log/body/kind", "one-per-patient")]
    assert await walk(ana) == []
    assert (await ana.put(where(plan_id(ana)), plan("Cleo"))).status_code == 201
    assert (await ana.get(PLAN)).json()["body"] == {"kind": "safety_plan", **sections("Cleo")}


async def test_a_push_with_the_revision_it_corrects_is_applied(ana: Person) -> None:
    phone = Phone(ana)
    first = await phone.record(plan("Cleo"), plan_id(ana))
    second = await phone.record(plan("Sam"), plan_id(ana), base=first["revision"])
    assert second["revision"] == 2
    assert (await ana.get(PLAN)).json()["body"]["sections"][0]["text"] == "Sam"


async def test_a_push_with_another_base_is_a_conflict_with_what_is_stored(ana: Person) -> None:
    phone, tablet = Phone(ana), Phone(ana)
    await phone.record(plan("Cleo"), plan_id(ana))
    newer = await tablet.record(plan("Sam"), plan_id(ana), base=1)
    current = (await ana.get(PLAN)).json()
    for base in (0, 1, 3, 99):
        result = await phone.one(phone.op(plan("Ann"), plan_id(ana), base))
        assert result == {
            "n": result["n"],
            "outcome": "conflict",
            "revision": 2,
            "seq": newer["seq"],
            "current": current,
        }, base
    assert (await ana.get(PLAN)).json() == current


async def test_the_same_plan_from_both_is_no_conflict(ana: Person) -> None:
    phone, tablet = Phone(ana), Phone(ana)
    first = await phone.record(plan("Cleo", when=at(-1)), plan_id(ana))
    again = await tablet.record(plan("Cleo", when=at(-1)), plan_id(ana), base=0)
    assert (again["revision"], again["seq"]) == (1, first["seq"])


async def test_a_conflict_is_told_again_with_what_is_stored_now(ana: Person) -> None:
    phone = Phone(ana)
    first = await phone.record(plan("Cleo"), plan_id(ana))
    op = phone.op(plan("Ann"), plan_id(ana), 7)
    conflict = await phone.one(op)
    await ana.put(PLAN, sections("Sam"), headers={"If-Match": '"1"'})
    again = await phone.one(op)
    assert (again["outcome"], again["revision"], again["seq"]) == ("conflict", 1, first["seq"])
    assert conflict["current"]["body"]["sections"][0]["text"] == "Cleo"
    assert again["current"] == (await ana.get(PLAN)).json()


async def test_a_conflict_does_not_stop_what_stands_behind_it(ana: Person) -> None:
    phone = Phone(ana)
    await phone.record(plan("Cleo"), plan_id(ana))
    pushed = await phone.push(
        phone.op(plan("Ann"), plan_id(ana), 5), phone.op(mood()), phone.op(plan("Sam"), plan_id(ana), 1)
    )
    assert [result["outcome"] for result in pushed["results"]] == ["conflict", "applied", "applied"]


async def test_only_who_may_see_everything_is_shown_what_stands_in_the_way(backend: Backend, ana: Person) -> None:
    await ana.put(PLAN, sections("Cleo"))
    writes, both = await backend.app(ana, "logs:write"), await backend.app(ana, "logs:write", "logs:read")
    for app, shown in ((writes, False), (both, True)):
        phone = Phone(app)
        result = await phone.one(phone.op(plan("Ann"), plan_id(ana), 9))
        assert (result["outcome"], "current" in result) == ("conflict", shown)


async def test_a_clinician_sees_it_under_a_consent_that_names_it(ana: Person, dan: Person) -> None:
    await ana.put(PLAN, sections("Cleo"))
    theirs = f"/v1/patients/{ana.id}/safety-plan"
    await ana.consent(dan.id, ["mood"])
    assert (await dan.get(theirs)).status_code == 404
    await ana.consent(dan.id, ["safety_plan"])
    assert (await dan.get(theirs)).json() == (await ana.get(PLAN)).json()
    assert (await dan.put(theirs, sections("Dan"))).status_code == 404


async def test_it_is_listed_as_the_entry_it_is(ana: Person) -> None:
    made = (await ana.put(PLAN, sections("Cleo"))).json()
    assert (await ana.get(f"{LOGS}?kind=safety_plan")).json()["items"] == [made]
    assert (await ana.get(LOGS)).json()["items"] == [made]
    assert (await ana.get(where(made["id"]))).json() == made


async def test_a_plan_goes_by_its_own_bounds_in_a_push_too(ana: Person) -> None:
    phone = Phone(ana)
    too_many = entry(kind="safety_plan", sections=[{"title": "Call", "text": "x"}] * 21)
    result = await phone.one(phone.op(too_many, plan_id(ana)))
    assert faults(result["problem"]) == [("/ops/0/log/body/sections", "length")]
    late = plan("Cleo", when=NOON + timedelta(days=2))
    assert (await phone.one(phone.op(late, plan_id(ana))))["outcome"] == "rejected"


async def test_of_two_conflicts_in_one_push_the_last_shows_what_is_stored(ana: Person) -> None:
    """So that a small push cannot ask for a large answer."""
    phone = Phone(ana)
    await phone.record(plan("Cleo"), plan_id(ana))
    pushed = await phone.push(phone.op(plan("Mia"), plan_id(ana), 7), phone.op(plan("Bo"), plan_id(ana), 8))
    assert [(one["outcome"], "current" in one) for one in pushed["results"]] == [("conflict", False), ("conflict", True)]
