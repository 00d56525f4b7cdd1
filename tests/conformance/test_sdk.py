"""The same service through the SDK's own client: what comes back is typed, and refusals are its errors."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from conformance.backends import Backend, Person
from conformance.words import at, plan_id

import companion_sdk as sdk
from companion_sdk import wire
from companion_sdk.wire import LogIn, Mood, Note, PlanSection, Push, PushOp, SafetyPlan

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def op(n: int, body: wire.Body | None, base: int = 0) -> PushOp:
    log = None if body is None else LogIn(at=at(-1), zone="America/New_York", body=body)
    return PushOp(n=n, op=uuid4(), id=uuid4(), base=base, log=log)


async def test_a_diary_is_written_read_corrected_and_deleted(backend: Backend, ana: Person) -> None:
    client = backend.sdk(ana)
    entry = await client.logs.record(Mood(mood=2, emotions=("tired",)), at=at(-1))
    assert (entry.revision, entry.source) == (1, "sdk")
    better = await client.logs.correct(entry, Mood(mood=3))
    assert [one.revision for one in await client.logs.history(entry.id)] == [1, 2]
    assert [one async for one in client.logs.list(kind="mood")] == [better]
    await client.logs.delete(entry.id)
    with pytest.raises(sdk.Gone):
        await client.logs.get(entry.id)


async def test_refusals_are_errors_by_their_word(backend: Backend, ana: Person) -> None:
    client = backend.sdk(ana)
    entry = await client.logs.record(Mood(mood=2), at=at(-1))
    changed = LogIn(at=at(-1), zone="America/New_York", body=Mood(mood=4))
    with pytest.raises(sdk.RevisionRequired) as required:
        await client.logs.put(entry.id, changed)
    assert required.value.revision == 1
    with pytest.raises(sdk.RevisionMismatch) as stale:
        await client.logs.put(entry.id, changed, if_match=7)
    assert stale.value.current == entry
    with pytest.raises(sdk.NotFound):
        await client.logs.get(uuid4())
    with pytest.raises(sdk.InvalidRequest) as invalid:
        await client.logs.record(Mood(mood=2), at=at(100))
    assert [(fault.pointer, fault.code) for fault in invalid.value.problem.errors] == [("/at", "out-of-range")]
    with pytest.raises(sdk.Unauthenticated):
        await backend.sdk(backend.eve).me.get()
    with pytest.raises(sdk.InsufficientScope):
        await backend.sdk(await backend.app(ana, "trends:read")).logs.get(entry.id)


async def test_signing_in_by_invite_and_out(backend: Backend, ana: Person, cleo: Person) -> None:
    invite = await backend.sdk(cleo).invites.create(name="Noor", zone="Asia/Kathmandu")
    client = backend.client("cmp_nobody_yet")
    signed = await client.sign_in(invite.code, device="Noor's phone", zone="Asia/Kathmandu")
    assert (signed.me.name, signed.me.patient_id) == ("Noor", invite.patient_id)
    assert [device.current for device in await client.devices.list()] == [True]
    await client.sign_out()
    with pytest.raises(sdk.Unauthenticated):
        await client.me.get()
    await client.close()


async def test_a_push_a_pull_and_the_proof(backend: Backend, ana: Person) -> None:
    client = backend.sdk(ana)
    push = Push(device=uuid4(), sent_at=NOON, ops=[op(1, Mood(mood=4)), op(2, Note(text="words")), op(3, None, 5)])
    pushed = await client.sync.push(push)
    assert [result.outcome for result in pushed.results] == ["applied", "applied", "gone"]
    assert (await client.sync.push(push)).results == pushed.results
    changes = await client.sync.pull()
    assert [log.id for log in changes.changes] == [push.ops[0].id, push.ops[1].id]
    assert (await client.sync.pull(changes.cursor)).changes == []
    proof = await client.sync.digest()
    live = [(log.id, log.revision, wire.canonical.body_hash(log.body)) for log in changes.changes if log.body]
    assert (proof.count, proof.sha256) == (2, wire.canonical.digest(live))
    await backend.raise_epoch(ana)
    with pytest.raises(sdk.CursorExpired):
        await client.sync.pull(changes.cursor)


async def test_a_hint_comes_when_there_is_something_to_pull(backend: Backend, ana: Person) -> None:
    client = backend.sdk(ana)
    seen: list[int] = []
    async with asyncio.timeout(10), client.sync.stream() as hints:
        async for hint in hints:
            seen.append(hint.seq)
            if len(seen) == 2:
                break
            stored = await client.logs.record(Mood(mood=4), at=at(-1))
    assert seen == [0, stored.seq]


async def test_the_crisis_plan(backend: Backend, ana: Person) -> None:
    client = backend.sdk(ana)
    with pytest.raises(sdk.NotFound):
        await client.safety_plan.get()
    made = await client.safety_plan.put([PlanSection(title="I can call", text="Cleo")])
    assert (str(made.id), made.kind) == (plan_id(ana), "safety_plan")
    with pytest.raises(sdk.RevisionRequired):
        await client.safety_plan.put([])
    emptied = await client.safety_plan.put([], if_match=made.revision)
    assert isinstance(emptied.body, SafetyPlan)
    assert emptied == await client.safety_plan.get()
    stale = Push(device=uuid4(), sent_at=NOON, ops=[wire.PushOp(n=1, op=uuid4(), id=made.id, base=1, log=_plan("Sam"))])
    (result,) = (await client.sync.push(stale)).results
    assert (result.outcome, result.current) == ("conflict", emptied)


def _plan(text: str) -> LogIn:
    body = SafetyPlan(sections=[PlanSection(title="I can call", text=text)])
    return LogIn(at=at(-1), zone="America/New_York", body=body)


async def test_help_comes_with_the_entry_that_tells_of_danger(backend: Backend, ana: Person) -> None:
    client = backend.sdk(ana)
    entry = await client.logs.record(Mood(mood=1, safe="no"), at=at(-1))
    assert entry.crisis == await client.crisis.get("en")
    pushed = await client.sync.push(Push(device=uuid4(), sent_at=NOON, ops=[op(1, Mood(mood=1, safe="no"))]))
    assert pushed.crisis == entry.crisis


async def test_a_clinician_reads_under_a_consent_until_it_ends(backend: Backend, ana: Person, dan: Person) -> None:
    mine, theirs = backend.sdk(ana), backend.sdk(dan)
    entry = await mine.logs.record(Mood(mood=4), at=at(-1))
    consent = await mine.consents.grant(dan.id, ["mood"])
    assert await theirs.logs.get(entry.id, patient=ana.id) == entry
    await mine.consents.revoke(consent.id)
    with pytest.raises(sdk.NotFound):
        await theirs.logs.get(entry.id, patient=ana.id)
