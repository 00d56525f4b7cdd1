"""From a plan to a message that arrived, and every reason for which none goes out."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from support.cast import Person
from support.nudging import Desk, ledger, plan, put_hook, put_plan, states
from support.receivers import Hook, Mailbox

T = "2026-03-03T01:30:00"
"""20:30 on Monday 2 March in New York."""


async def test_a_plan_sends_at_its_time_on_her_wall_clock(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    made = await put_plan(ana, plan("20:30"))
    assert made["next_due"] == f"{T}Z"
    await desk.at("2026-03-03T01:29:59")
    assert hook.received == []
    await desk.at(T)
    await desk.run()
    assert len(hook.received) == 1
    first, *later = await ledger(ana)
    assert (first["state"], first["attempts"], first["reason"], first["due_at"]) == ("sent", 1, "accepted", f"{T}Z")
    assert first["occurrence"] == f"{made['id']}|20:30|2026-03-02|America/New_York"
    assert [decision["reason"] for decision in first["decisions"]] == ["planned", "due", "accepted"]
    assert first["deliveries"] == [{"at": f"{T}Z", "channel": "webhook", "outcome": "accepted", "attempt": 1, "status": 204}]
    assert {nudge["state"] for nudge in later} == {"pending"}


async def test_the_step_says_when_the_next_nudge_is_due(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_plan(ana, plan("20:30"))
    following = await desk.step()
    assert following.more is False
    assert following.at == datetime.fromisoformat(f"{T}+00:00")


async def test_the_webhook_says_nothing_but_four_opaque_values(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await ana.patch("/v1/me", {"name": "Ana Marigold"})
    made = await put_plan(ana, plan("20:30", text="Remember the Marigold meeting"))
    await desk.at(T)
    (body,) = hook.received
    assert sorted(body) == ["nudge_id", "occurrence", "patient", "sent_at"]
    assert hook.names == [f"msg_{body['occurrence']}"]
    heard = hook.raw[0].lower()
    for word in ("marigold", "ana", "mood", "north", "remember", "20:30", "new_york", str(ana.id), made["id"]):
        assert word.encode() not in heard, word


async def test_the_mail_is_a_fixed_sentence_in_her_language(ana: Person, desk: Desk, mailbox: Mailbox) -> None:
    assert (
        await ana.put(f"/v1/me/endpoints/{uuid4()}", {"channel": "email", "address": "ana@example.org"})
    ).status_code == 200
    await ana.patch("/v1/me", {"language": "es-MX", "name": "Ana Marigold"})
    await put_plan(ana, plan("20:30", channels=["email"], text="Marigold"))
    await desk.at(T)
    (mail,) = mailbox.received
    assert mailbox.recipients == ["ana@example.org"]
    assert b"Subject: Tienes un recordatorio" in mail
    for word in (b"marigold", b"mood", b"north", b"http"):
        assert word not in mail.lower(), word


async def test_a_log_a_second_before_its_time_withholds_it(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    await desk.at("2026-03-03T01:29:59")
    await ana.mood(desk.clock.now())
    assert states(await ledger(ana))[0] == (f"{T}Z", "withheld", "already-logged")
    await desk.at(T)
    assert hook.received == []


async def test_only_an_entry_of_the_plans_kind_and_day_withholds(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    await put_plan(ana, plan("20:31", skip_if_logged=False))
    await ana.log(desk.clock.now(), kind="note", text="x")
    await ana.mood(datetime.fromisoformat("2026-03-02T04:59:59+00:00"))
    await desk.at(T)
    assert len(hook.received) == 1
    await ana.mood(desk.clock.now())
    await desk.at("2026-03-03T01:31:00")
    assert len(hook.received) == 2


async def test_an_entry_that_came_in_unseen_is_met_when_it_is_due(ana: Person, desk: Desk, hook: Hook) -> None:
    """Logged before the plan was made: nothing withheld the row, so the worker must look."""
    await put_hook(ana, hook)
    await ana.mood(desk.clock.now())
    await put_plan(ana, plan("20:30"))
    assert (await ledger(ana))[0]["state"] == "pending"
    await desk.at(T)
    assert states(await ledger(ana))[0] == (f"{T}Z", "withheld", "already-logged")
    assert hook.received == []


async def test_deleting_the_entry_before_its_time_gives_the_nudge_back(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    first = await ana.mood(desk.clock.now())
    second = await ana.mood(desk.clock.now())
    await ana.delete(f"/v1/patients/me/logs/{first['id']}")
    assert (await ledger(ana))[0]["state"] == "withheld"
    await ana.delete(f"/v1/patients/me/logs/{second['id']}")
    assert states(await ledger(ana))[0] == (f"{T}Z", "pending", "entry-deleted")
    await desk.at(T)
    assert len(hook.received) == 1


async def test_deleting_it_afterwards_does_not(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    entry = await ana.mood(desk.clock.now())
    await desk.at(T)
    await ana.delete(f"/v1/patients/me/logs/{entry['id']}")
    await desk.run()
    assert states(await ledger(ana))[0] == (f"{T}Z", "withheld", "already-logged")
    assert hook.received == []


async def test_a_correction_to_another_day_gives_the_nudge_back(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    log = uuid4()
    await ana.mood(desk.clock.now(), log_id=log)
    moved = ana.entry("2026-03-01T12:00:00-05:00", kind="mood", mood=3)
    assert (await ana.put(f"/v1/patients/me/logs/{log}", moved, headers={"If-Match": '"1"'})).status_code == 200
    await desk.at(T)
    assert len(hook.received) == 1


async def test_after_its_window_it_expires(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    await desk.at("2026-03-03T02:30:00")
    assert states(await ledger(ana))[0] == (f"{T}Z", "expired", "window-closed")
    assert hook.received == []


async def test_what_was_missed_during_a_long_pause_is_told_as_expired(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    await desk.at("2026-03-09T00:00:00")
    expired = [nudge["due_at"] for nudge in await ledger(ana, "?state=expired")]
    assert len(expired) == 6
    assert expired[-1] == "2026-03-08T01:30:00Z"
    assert hook.received == []
    await desk.at("2026-03-09T00:30:00")
    assert len(hook.received) == 1


async def test_a_deleted_plan_sends_nothing(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    made = await put_plan(ana, plan("20:30"))
    path = f"/v1/patients/me/plans/{made['id']}"
    assert [(await ana.delete(path)).status_code for _ in range(2)] == [204, 204]
    assert (await ana.get(path)).status_code == 410
    assert (await ana.get("/v1/patients/me/plans")).json() == {"items": []}
    assert {(state, reason) for _, state, reason in states(await ledger(ana))} == {("suppressed", "plan-gone")}
    await desk.at(T)
    assert hook.received == []


async def test_without_an_address_it_fails_and_says_so(ana: Person, desk: Desk) -> None:
    await put_plan(ana, plan("20:30"))
    await desk.at(T)
    assert states(await ledger(ana))[0] == (f"{T}Z", "failed", "no-endpoint")


async def test_a_deleted_endpoint_gets_nothing(ana: Person, desk: Desk, hook: Hook) -> None:
    endpoint = await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    assert [(await ana.delete(f"/v1/me/endpoints/{endpoint}")).status_code for _ in range(2)] == [204, 204]
    await desk.at(T)
    assert hook.received == []


async def test_quiet_hours_wait_or_suppress(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    quiet = {"from": "20:00", "to": "21:00"}
    await put_plan(ana, plan("20:30", quiet=quiet))
    await put_plan(ana, plan("20:31", quiet=quiet, window_minutes=10))
    await desk.at(T)
    await desk.at("2026-03-03T01:31:00")
    first, second, *_ = await ledger(ana)
    assert (first["state"], first["reason"]) == ("pending", "quiet-hours")
    assert (second["state"], second["reason"]) == ("suppressed", "quiet-hours")
    await desk.at("2026-03-03T01:59:59")
    assert hook.received == []
    await desk.at("2026-03-03T02:00:00")
    assert len(hook.received) == 1


async def test_a_gap_is_kept_from_any_other_nudge(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30", "20:30"))
    await put_plan(ana, plan("20:40", gap_minutes=30))
    await put_plan(ana, plan("21:10", gap_minutes=30))
    for time in ("01:30:00", "01:40:00", "02:10:00"):
        await desk.at(f"2026-03-03T{time}")
    reasons = [reason for _, _, reason in states(await ledger(ana, "?from=2026-03-02&to=2026-03-02"))]
    assert reasons == ["accepted", "min-gap", "accepted"]


async def test_two_due_at_once_keep_the_gap_too(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    for _ in range(3):
        await put_plan(ana, plan("20:30", gap_minutes=30))
    await desk.at(T)
    assert len(hook.received) == 1


# who else is asked


async def test_a_clinicians_plan_needs_consent_at_the_moment_of_sending(
    ana: Person, cleo: Person, desk: Desk, hook: Hook
) -> None:
    await put_hook(ana, hook)
    made = await put_plan(cleo, plan("20:30"), ana.id)
    assert made["author_id"] == str(cleo.id)
    (consent,) = (await ana.get("/v1/patients/me/consents")).json()["items"]
    assert (await ana.post(f"/v1/patients/me/consents/{consent['id']}/revoke")).status_code == 200
    await desk.at(T)
    assert states(await ledger(ana))[0] == (f"{T}Z", "suppressed", "consent-gone")
    assert hook.received == []


async def test_a_clinicians_plan_goes_out_under_consent(ana: Person, cleo: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(cleo, plan("20:30"), ana.id)
    await desk.at(T)
    assert len(hook.received) == 1


async def test_consent_to_another_kind_covers_no_plan_about_this_one(
    ana: Person, dan: Person, desk: Desk, hook: Hook
) -> None:
    await ana.consent(dan.id, ["coping"])
    path = f"/v1/patients/{ana.id}/plans/{uuid4()}"
    assert (await dan.put(path, plan("20:30"))).status_code == 404
    assert (await dan.put(path, plan("20:30", about="coping"))).status_code == 200
    assert (await dan.put(f"/v1/patients/{ana.id}/plans/{uuid4()}", plan("20:30", about="session"))).status_code == 200


# the zone in force


async def test_a_move_supersedes_and_plans_anew(ana: Person, desk: Desk, hook: Hook) -> None:
    """Vector T3: the nudge of 09:00 New York went out, 09:00 Los Angeles of the same day is too soon after it."""
    await put_hook(ana, hook)
    await desk.at("2026-03-12T10:00:00")
    await put_plan(ana, plan("09:00"))
    await desk.at("2026-03-12T13:00:00")
    await desk.at("2026-03-12T13:30:00")
    await ana.patch("/v1/me", {"zone": "America/Los_Angeles"})
    for time in ("2026-03-12T16:00:00", "2026-03-13T13:00:00", "2026-03-13T16:00:00"):
        await desk.at(time)
    told = states(await ledger(ana))
    assert told[:4] == [
        ("2026-03-12T13:00:00Z", "sent", "accepted"),
        ("2026-03-12T16:00:00Z", "suppressed", "min-gap"),
        ("2026-03-13T13:00:00Z", "superseded", "zone-changed"),
        ("2026-03-13T16:00:00Z", "sent", "accepted"),
    ]
    assert len(hook.received) == 2


async def test_a_slot_the_move_jumped_over_is_due_at_once(ana: Person, desk: Desk, hook: Hook) -> None:
    """Vector T4: 09:00, window four hours; at 06:00 Los Angeles she lands in New York, where it is 10:00."""
    await put_hook(ana, hook)
    await ana.patch("/v1/me", {"zone": "America/Los_Angeles"})
    await desk.at("2026-03-11T12:00:00")
    await put_plan(ana, plan("09:00", window_minutes=240))
    await desk.at("2026-03-11T16:00:00")
    await desk.at("2026-03-12T14:00:00")
    await ana.patch("/v1/me", {"zone": "America/New_York"})
    await desk.run()
    await desk.at("2026-03-13T13:00:00")
    sent = [nudge["decisions"][-1]["at"] for nudge in await ledger(ana, "?state=sent")]
    assert sent == ["2026-03-11T16:00:00Z", "2026-03-12T14:00:00Z", "2026-03-13T13:00:00Z"]


async def test_there_and_back_again_sends_once(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    for zone in ("America/Los_Angeles", "America/New_York"):
        await ana.patch("/v1/me", {"zone": zone})
    told = states(await ledger(ana, "?to=2026-03-02"))
    assert told == [
        (f"{T}Z", "pending", "plan-restored"),
        ("2026-03-03T04:30:00Z", "superseded", "zone-changed"),
    ]
    await desk.at(T)
    await desk.at("2026-03-03T04:30:00")
    assert len(hook.received) == 1


@pytest.mark.parametrize(
    ("change", "sent_at"),
    [
        ({"text": "other words"}, T),
        ({"times": ["20:45"]}, "2026-03-03T01:45:00"),
        ({"window_minutes": 5}, T),
    ],
    ids=["words", "time", "window"],
)
async def test_a_changed_plan_sends_once_by_its_new_word(
    ana: Person, desk: Desk, hook: Hook, change: dict[str, Any], sent_at: str
) -> None:
    await put_hook(ana, hook)
    made = await put_plan(ana, plan("20:30"))
    again = await put_plan(ana, {**plan("20:30"), **change}, plan_id=UUID(made["id"]))
    assert again["revision"] == 2
    await desk.at(T)
    await desk.at("2026-03-03T01:45:00")
    sent = [nudge["decisions"][-1]["at"] for nudge in await ledger(ana, "?state=sent")]
    assert sent == [f"{sent_at}Z"]
    assert len(hook.received) == 1
