"""What a push says of its phone's clock and of its person: a skew is told and not punished, danger is answered at once."""

from datetime import timedelta

import pytest
from conformance.backends import Backend, Person
from conformance.words import NOON, Phone, at, mood, new, outcomes, plan, plan_id, where


@pytest.fixture
def phone(ana: Person) -> Phone:
    return Phone(ana)


async def test_a_phone_whose_clock_is_off_is_marked_and_refused_nothing(backend: Backend, phone: Phone, ana: Person) -> None:
    for minutes, skewed in ((0, False), (5, False), (-5, False), (5.01, True), (-6, True), (60 * 24 * 3, True)):
        sent = backend.now + timedelta(minutes=minutes)
        op = phone.op(mood(3, sent))
        assert (await phone.one(op, sent_at=sent))["outcome"] == "applied", minutes
        assert (await ana.get(where(op["id"]))).json()["skewed"] is skewed, minutes


async def test_the_skew_is_the_clocks_and_not_the_entrys(phone: Phone, ana: Person) -> None:
    """An entry of an hour from now, from a phone whose clock is right, is no sign of a wrong clock."""
    ahead, old = phone.op(mood(3, at(1))), phone.op(mood(3, at(-2000)))
    assert outcomes(await phone.push(ahead, old)) == ["applied", "applied"]
    assert [(await ana.get(where(op["id"]))).json()["skewed"] for op in (ahead, old)] == [False, False]


async def test_a_day_ahead_is_a_day_ahead_of_either_clock(phone: Phone) -> None:
    later = NOON + timedelta(days=10)
    for when, sent, outcome in (
        (NOON + timedelta(days=1), NOON, "applied"),
        (NOON + timedelta(days=1, seconds=1), NOON, "rejected"),
        (NOON + timedelta(days=1), NOON - timedelta(days=10), "applied"),
        (later + timedelta(days=1), later, "applied"),
        (later + timedelta(days=1, seconds=1), later, "rejected"),
    ):
        assert (await phone.one(phone.op(mood(3, when)), sent_at=sent))["outcome"] == outcome, (when, sent)


async def test_a_phone_that_lost_its_clock_writes_about_1970(phone: Phone, ana: Person) -> None:
    op = phone.op(mood(3, "1970-01-01T00:10:00Z"))
    assert (await phone.one(op, sent_at="1970-01-01T00:11:00Z"))["outcome"] == "applied"
    stored = (await ana.get(where(op["id"]))).json()
    assert (stored["at"], stored["skewed"]) == ("1970-01-01T00:10:00Z", True)
    assert (await phone.one(phone.op(mood(3, "1970-01-01T00:10:00Z"))))["outcome"] == "rejected"


async def test_a_deletion_from_a_phone_whose_clock_is_off_is_marked(phone: Phone, ana: Person) -> None:
    first = await phone.record(mood())
    await phone.one(phone.op(None, first["id"], 1), sent_at=NOON + timedelta(hours=1))
    items = (await ana.get(f"{where(first['id'])}/history")).json()["items"]
    assert [item["skewed"] for item in items] == [False, True]


# danger


async def test_help_comes_once_with_a_push_that_tells_of_danger_also_on_a_repeat(backend: Backend, phone: Phone) -> None:
    ops = [phone.op(mood(1, safe="no")), phone.op(mood(1, safe="unsure")), phone.op(mood(4))]
    for pushed in [await phone.push(*ops) for _ in range(2)]:
        assert pushed["crisis"] == (await backend.http.get("/v1/crisis")).json()
    assert "crisis" not in await phone.push(ops[2])
    refused = await phone.push(phone.op({**mood(1, safe="no"), "zone": "Nowhere/Land"}))
    assert "crisis" not in refused


async def test_help_names_the_persons_own_plan(phone: Phone, ana: Person) -> None:
    await phone.record(plan("Cleo"), plan_id(ana))
    helped = (await phone.push(phone.op(mood(1, safe="no"))))["crisis"]
    assert helped["plan_url"].endswith(f"/v1/patients/{ana.id}/safety-plan")
    assert (await ana.put(where(new()), mood(1, safe="no"))).json()["crisis"] == helped
