"""What a worker does when the other side does not take a nudge, and when another worker is at it."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from support.cast import Person
from support.nudging import Desk, ledger, plan, put_hook, put_plan, states
from support.receivers import Hook, Mailbox

from companion.core.actors import Bearer, System
from companion.core.errors import NotFound
from companion.core.sql import Statement
from companion.nudges import due, jobs, making
from companion.post.message import Outcome

T = "2026-03-03T01:30:00"
JOB = System("nudges")


async def test_a_temporary_failure_is_tried_again(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    hook.answers = [503, 500, 204]
    await put_plan(ana, plan("20:30"))
    await desk.at(T)
    for _ in range(20):
        desk.clock.advance(seconds=10)
        await desk.run()
    (nudge,) = await ledger(ana, "?state=sent")
    assert [one["status"] for one in nudge["deliveries"]] == [503, 500, 204]
    assert [one["reason"] for one in nudge["decisions"]] == [
        "planned", "due", "http-503", "due", "http-500", "due", "accepted",
    ]  # fmt: skip
    assert len(set(hook.names)) == 1, "a repeat bears the same webhook-id"


async def test_retry_after_is_honoured(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    hook.answers, hook.headers = [429, 204], {"Retry-After": "900"}
    await put_plan(ana, plan("20:30"))
    await desk.at(T)
    await desk.at("2026-03-03T01:44:59")
    assert len(hook.received) == 1
    await desk.at("2026-03-03T01:45:00")
    assert len(hook.received) == 2


async def test_tries_end_with_the_window(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    hook.answers = [503]
    await put_plan(ana, plan("20:30", window_minutes=15))
    await desk.at(T)
    for _ in range(100):
        desk.clock.advance(seconds=10)
        await desk.run()
    (nudge,) = await ledger(ana, "?state=expired")
    assert nudge["reason"] == "window-closed"
    assert 3 <= len(nudge["deliveries"]) == len(hook.received)


async def test_a_refusal_for_good_goes_to_the_next_channel(ana: Person, desk: Desk, hook: Hook, mailbox: Mailbox) -> None:
    await put_hook(ana, hook)
    await ana.put(f"/v1/me/endpoints/{uuid4()}", {"channel": "email", "address": "ana@example.org"})
    hook.answers = [400]
    await put_plan(ana, plan("20:30", channels=["webhook", "email"]))
    await desk.at(T)
    (nudge,) = await ledger(ana, "?state=sent")
    assert [(one["channel"], one["outcome"]) for one in nudge["deliveries"]] == [
        ("webhook", "permanent"),
        ("email", "accepted"),
    ]
    assert len(mailbox.received) == 1


async def test_without_another_channel_it_fails_with_the_reason(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    hook.answers = [403]
    await put_plan(ana, plan("20:30"))
    await desk.at(T)
    assert states(await ledger(ana))[0] == (f"{T}Z", "failed", "http-403")
    assert len(hook.received) == 1


async def test_a_redirect_is_refused(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    hook.answers, hook.headers = [307], {"Location": hook.url}
    await put_plan(ana, plan("20:30"))
    await desk.at(T)
    assert states(await ledger(ana))[0] == (f"{T}Z", "failed", "redirect-refused")
    assert len(hook.received) == 1


async def test_a_dead_address_is_switched_off_until_it_is_put_again(ana: Person, desk: Desk, hook: Hook) -> None:
    endpoint = await put_hook(ana, hook)
    hook.answers = [410, 204]
    await put_plan(ana, plan("20:30"))
    await desk.at(T)
    await desk.at("2026-03-04T01:30:00")
    assert [reason for _, _, reason in states(await ledger(ana))[:2]] == ["http-410", "no-endpoint"]
    assert len(hook.received) == 1
    assert f'"endpoint":"{endpoint}"' in desk.log.getvalue()
    assert await put_hook(ana, hook, endpoint)
    await desk.at("2026-03-05T01:30:00")
    assert len(hook.received) == 2


async def test_a_mailbox_that_is_full_is_tried_again_and_one_that_is_not_there_is_not(
    ana: Person, desk: Desk, mailbox: Mailbox
) -> None:
    await ana.put(f"/v1/me/endpoints/{uuid4()}", {"channel": "email", "address": "ana@example.org"})
    mailbox.answers = ["452 full", "550 no such"]
    await put_plan(ana, plan("20:30", channels=["email"]))
    await desk.at(T)
    desk.clock.advance(seconds=30)
    await desk.run()
    assert states(await ledger(ana))[0] == (f"{T}Z", "failed", "smtp-550")
    assert mailbox.received == []


async def test_two_workers_at_once_send_it_once(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    for _ in range(40):
        await put_plan(ana, plan("20:30", about="custom"))
    desk.clock.set(desk.clock.now() + timedelta(hours=13, minutes=30))
    for _ in range(3):
        await asyncio.gather(desk.step("one"), desk.step("two"))
    assert len(hook.received) == len(set(hook.names)) == 40
    assert {nudge["attempts"] for nudge in await ledger(ana, "?state=sent")} == {1}


async def test_a_lease_of_a_dead_worker_is_taken_over_and_its_late_word_does_not_count(
    ana: Person, desk: Desk, hook: Hook
) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    desk.clock.set(desk.clock.now() + timedelta(hours=13, minutes=30))
    db = desk.running.db
    dead = await db.write(JOB, due.claim, "dead", 60.0, 10)
    assert (await ledger(ana))[0]["state"] == "leased"
    desk.clock.advance(seconds=59)
    assert (await db.write(JOB, due.claim, "eager", 60.0, 10)).sends == ()
    desk.clock.advance(seconds=1)
    alive = await db.write(JOB, due.claim, "alive", 60.0, 10)
    assert [send.attempt for send in alive.sends] == [2]
    late = due.Done(dead.sends[0], Outcome("permanent", "http-400", 400), desk.clock.now())
    assert (await db.write(JOB, due.settle, "dead", [late])).fenced == (dead.sends[0].nudge_id,)
    assert (await ledger(ana))[0]["state"] == "leased"
    done = due.Done(alive.sends[0], Outcome("accepted", "accepted", 204), desk.clock.now())
    assert (await db.write(JOB, due.settle, "alive", [done])).fenced == ()
    nudge = (await ledger(ana))[0]
    assert (nudge["state"], nudge["attempts"]) == ("sent", 2)
    assert [one["reason"] for one in nudge["decisions"]] == ["planned", "due", "taken-over", "accepted"]
    assert [one["outcome"] for one in nudge["deliveries"]] == ["permanent", "accepted"]


async def test_a_worker_that_is_told_to_stop_gives_back_what_it_holds(
    ana: Person, desk: Desk, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    desk.clock.set(desk.clock.now() + timedelta(hours=13, minutes=30))
    stopping: list[bool] = []
    claim = due.claim

    def claim_and_stop(*args: Any) -> due.Claimed:
        stopping.append(True)
        return claim(*args)

    monkeypatch.setattr(due, "claim", claim_and_stop)
    worker = desk.worker("going")
    told = jobs.Worker(worker.owner, worker.lease, worker.lines, lambda: bool(stopping))
    following = await jobs.step(desk.running.db, desk.post, desk.clock, told)
    assert following.more is False
    assert states(await ledger(ana))[0] == (f"{T}Z", "pending", "released")
    await desk.run()
    assert len(hook.received) == 1


async def test_a_nudge_that_does_not_open_is_told_and_stops_no_other(ana: Person, desk: Desk, hook: Hook) -> None:
    await put_hook(ana, hook)
    await put_plan(ana, plan("20:30"))
    await put_plan(ana, plan("20:30", about="custom"))
    desk.clock.set(desk.clock.now() + timedelta(hours=13, minutes=30))
    spoil = Statement("UPDATE nudges SET kind = 'note' WHERE patient_id = :patient AND kind = 'mood'")
    await desk.running.db.write(JOB, lambda tx, actor: tx.run(spoil, patient=ana.id.bytes))
    await desk.run()
    assert len(hook.received) == 1
    assert "nudge-unreadable" in desk.log.getvalue()
    before = desk.log.getvalue().count("nudge-unreadable")
    await desk.run()
    assert desk.log.getvalue().count("nudge-unreadable") == before
    await ana.log(desk.clock.now(), kind="note", text="an entry is not refused for it")


async def test_times_of_work_that_make_no_sense_stop_nobody(ana: Person, desk: Desk, hook: Hook) -> None:
    """``next_try_at`` and ``extend_at`` are bound by no seal: whatever stands there, the other nudges go out."""
    await put_hook(ana, hook)
    for slot in ("20:29", "20:30", "20:31"):
        await put_plan(ana, plan(slot, about="custom"))
    for wild in (2**62, -(2**62)):
        for text in (
            "UPDATE nudges SET next_try_at = :wild WHERE patient_id = :patient AND slot <> '20:30' AND state = 'pending'",
            "UPDATE plans SET extend_at = :wild WHERE patient_id = :patient",
        ):
            statement = Statement(text)
            await desk.running.db.write(
                JOB, lambda tx, actor, wild=wild, statement=statement: tx.run(statement, patient=ana.id.bytes, wild=wild)
            )
        await desk.run()
    await desk.at(T)
    sent = [nudge["occurrence"].split("|")[1] for nudge in await ledger(ana, "?state=sent")]
    assert "20:30" in sent
    assert len(hook.received) == len(sent)


async def test_only_the_service_itself_claims_and_settles(ana: Person, desk: Desk) -> None:
    caller = Bearer(ana.token)
    db = desk.running.db
    for call in (
        db.read(caller, due.to_do),
        db.write(caller, due.claim, "me", 60.0, 10),
        db.write(caller, due.settle, "me", []),
        db.write(caller, making.extend, 10),
    ):
        with pytest.raises(NotFound):
            await call
