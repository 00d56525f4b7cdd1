"""Tombstones of 400 days leave the feed and stay in the history: who was away begins anew, and nothing comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from io import StringIO
from typing import Any
from uuid import UUID

import httpx2
import pytest
from support.cast import OPERATOR, Cast, gather
from support.clocks import ManualClock
from support.engines import Engine
from support.life import Hand
from support.phone import Phone, mood, note

from companion import scheduler
from companion.core.actors import Bearer
from companion.core.errors import NotFound
from companion.custody import service as custody
from companion.logs import jobs, store, sync
from companion.people import service as people
from companion.running import Running


@pytest.fixture
async def service(start: Any, clock: ManualClock) -> Running:
    """No scheduler: each test takes the steps itself."""
    return await start(clock=clock, scheduler=False)


@pytest.fixture
async def cast(service: Running, http: httpx2.AsyncClient) -> Cast:
    return await gather(service, http)


Later = Callable[..., Awaitable[None]]


@pytest.fixture
def later(cast: Cast, clock: ManualClock) -> Later:
    """Time passes, and whose token ended meanwhile gets a new one."""

    async def pass_(**span: float) -> None:
        clock.advance(**span)
        for person in (cast.ana, cast.ben):
            person.token = await cast.running.db.write(OPERATOR, people.operator_token, person.id, None, 600)

    return pass_


async def step(cast: Cast) -> bool:
    return await jobs.step(cast.running.db)


async def feed(cast: Cast, patient: UUID) -> sync.audit.Chain:
    return await cast.running.db.read(OPERATOR, lambda tx, actor: sync.audit.look(tx, patient))


async def sound(cast: Cast) -> None:
    """Every row opens, every chain holds, and ``current`` is where it must be."""
    report = await cast.running.db.read(OPERATOR, custody.verify)
    assert [str(fault) for fault in report.faults] == []


async def bury(phone: Phone, count: int = 1) -> list[UUID]:
    """Entries that were written and deleted."""
    made = [(await phone.write(note(f"gone {number}")))[0] for number in range(count)]
    for log_id in made:
        await phone.delete(log_id)
    return made


def kinds_of(changes: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [(change["id"], change["deleted"]) for change in changes]


# when


async def test_a_tombstone_leaves_the_feed_after_400_days_and_not_before(cast: Cast, later: Later) -> None:
    phone = Phone(cast.ana)
    (gone,) = await bury(phone)
    kept, _ = await phone.write(note("kept"))
    tombstone = (await phone.walk())[0][0]
    assert (tombstone["id"], tombstone["deleted"], tombstone["body"]) == (str(gone), True, None)
    await later(days=400)
    assert not await step(cast)
    assert kinds_of((await phone.walk())[0]) == [(str(gone), True), (str(kept), False)]
    assert (await feed(cast, cast.ana.id)).floor == 0
    await later(seconds=1)
    assert await step(cast)
    assert not await step(cast)
    assert kinds_of((await phone.walk())[0]) == [(str(kept), False)]
    assert (await feed(cast, cast.ana.id)).floor == tombstone["seq"]
    await sound(cast)


async def test_what_was_deleted_later_stays_in_the_feed(cast: Cast, later: Later) -> None:
    phone = Phone(cast.ana)
    (old,) = await bury(phone)
    await later(days=200)
    (young,) = await bury(phone)
    await later(days=201)
    assert await step(cast)
    assert kinds_of((await phone.walk())[0]) == [(str(young), True)]
    await sound(cast)
    await later(days=200)
    assert await step(cast)
    assert (await phone.walk())[0] == []
    assert not await step(cast)
    history = await cast.ana.get(f"/v1/patients/me/logs/{old}/history")
    assert [one["deleted"] for one in history.json()["items"]] == [False, True]
    await sound(cast)


async def test_everybody_is_purged_a_few_at_a_time(cast: Cast, later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BITE", 1)
    for person in (cast.ana, cast.ben):
        await bury(Phone(person), 2)
    await later(days=401)
    units: list[UUID] = []
    write = cast.running.db.write

    async def counted(caller: Any, verb: Any, *args: Any) -> Any:
        units.append(args[0])
        return await write(caller, verb, *args)

    monkeypatch.setattr(cast.running.db, "write", counted)
    assert [await step(cast) for _ in range(3)] == [True, True, False]
    assert sorted(units) == sorted([cast.ana.id, cast.ben.id]), "one unit a patient, however many tombstones"
    monkeypatch.undo()
    await sound(cast)


async def test_two_processes_that_purge_at_once_purge_once(cast: Cast, later: Later, start: Any, clock: ManualClock) -> None:
    phone = Phone(cast.ana)
    await bury(phone, 3)
    other = await start(clock=clock, scheduler=False)
    await later(days=401)
    await asyncio.gather(*(jobs.step(db) for db in (cast.running.db, other.db) for _ in range(4)))
    assert (await feed(cast, cast.ana.id)).floor == 6 + 1  # her consent for Cleo stands before them
    await sound(cast)


async def test_the_floor_and_the_rows_change_together_or_not_at_all(
    cast: Cast, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(cast.ana)
    await bury(phone)
    await later(days=401)
    before = (await phone.walk())[0]

    def fail(*args: Any) -> None:
        raise RuntimeError("the unit ends here")

    with monkeypatch.context() as patch:
        patch.setattr(sync.audit, "save", fail)
        with pytest.raises(RuntimeError):
            await step(cast)
    assert (await phone.walk())[0] == before
    assert (await feed(cast, cast.ana.id)).floor == 0
    await sound(cast)
    assert await step(cast)
    await sound(cast)


async def test_a_changed_chain_keeps_nobody_else_waiting(
    cast: Cast, later: Later, engine: Engine, clock: ManualClock
) -> None:
    """It is left as it is for verify to name, whoever's tombstones are older."""
    await bury(Phone(cast.ana), 3)
    clock.advance(seconds=1)
    await bury(Phone(cast.ben))
    hand = Hand(engine)
    row = hand.one("feeds", "patient_id = ?", cast.ana.id.bytes)
    after = hand.change("feeds", row, floor=row["floor"] + 1)
    await later(days=401)
    assert await step(cast)
    assert not await step(cast)
    assert (await Phone(cast.ben).walk())[0] == []
    hand.change("feeds", after, floor=row["floor"])
    hand.close()
    assert await step(cast)
    await sound(cast)


async def test_nobody_else_may_purge(cast: Cast) -> None:
    for person in (cast.ana, cast.cleo):
        with pytest.raises(NotFound):
            await cast.running.db.write(Bearer(person.token), sync.purge, cast.ana.id)
        with pytest.raises(NotFound):
            await cast.running.db.read(Bearer(person.token), sync.to_purge)


# what stays


async def test_the_history_still_answers_and_the_id_never_lives_again(cast: Cast, later: Later) -> None:
    ana, phone = cast.ana, Phone(cast.ana)
    (gone,) = await bury(phone)
    seq = (await phone.walk())[0][-1]["seq"]
    await later(days=401)
    assert await step(cast)
    where = f"/v1/patients/me/logs/{gone}"
    assert [one["revision"] for one in (await ana.get(f"{where}/history")).json()["items"]] == [1, 2]
    assert (await ana.get(where)).status_code == 410
    assert (await ana.put(where, note("again"))).status_code == 410
    assert (await ana.put(where, note("again"), headers={"If-None-Match": "*"})).status_code == 410
    assert (await ana.put(where, note("again"), headers={"If-Match": '"2"'})).status_code == 410
    assert (await ana.delete(where)).status_code == 204
    results = await phone.push(
        phone.op(note("again"), gone),
        phone.op(note("again"), gone, 1),
        phone.op(note("again"), gone, 2),
        phone.op(mood(), gone, 0),
        phone.op(None, gone, 2),
    )
    assert [(one["outcome"], one["revision"], one["seq"]) for one in results] == [("gone", 2, seq)] * 5
    assert (await phone.walk())[0] == []
    assert (await ana.get("/v1/patients/me/logs")).json()["items"] == []
    several = [phone.op(note("new")) for _ in range(3)]
    results = await phone.push(*several, phone.op(note("again"), gone))
    assert [one["outcome"] for one in results] == ["applied"] * 3 + ["gone"], "among others it is looked up with them"
    assert results[-1]["seq"] == seq
    await sound(cast)


async def test_the_digest_of_what_lives_is_as_it_was(cast: Cast, later: Later) -> None:
    phone = Phone(cast.ana)
    await phone.write(note("kept"))
    await bury(phone, 2)
    before = await phone.digest()
    await later(days=401)
    assert await step(cast)
    assert await phone.digest() == before


# cursors


async def test_an_old_cursor_expires_and_a_new_one_does_not(cast: Cast, later: Later) -> None:
    phone = Phone(cast.ana)
    await phone.write(note("before"))
    _, old = await phone.walk()
    await bury(phone)
    _, there = await phone.walk()
    await later(days=401)
    assert (await phone.asks(old)).status_code == 200
    assert await step(cast)
    refused = await phone.asks(old)
    assert (refused.status_code, refused.json()["type"]) == (410, "/problems/cursor-expired")
    assert (await phone.pull(there))["changes"] == [], "it had seen the tombstone"
    changes, new = await phone.walk()
    assert [change["deleted"] for change in changes] == [False]
    assert (await phone.pull(new))["changes"] == []


async def test_a_page_of_a_snapshot_below_the_floor_is_not_judged_against_it(cast: Cast, later: Later) -> None:
    """Else the walk that 410 asks for would itself be answered 410, for ever."""
    phone = Phone(cast.ana)
    kept = [(await phone.write(note(f"kept {number}")))[0] for number in range(3)]
    await bury(phone)
    await later(days=401)
    assert await step(cast)
    first = await phone.pull(limit=1)
    assert first["more"]
    assert first["changes"][0]["seq"] < (await feed(cast, cast.ana.id)).floor
    rest, _ = await phone.walk(first["cursor"], limit=1)
    assert [change["id"] for change in (*first["changes"], *rest)] == [str(one) for one in kept]


async def test_a_purge_in_the_middle_of_a_walk_ends_it_only_where_something_may_be_missed(cast: Cast, later: Later) -> None:
    phone = Phone(cast.ana)
    first, _ = await phone.write(note("first"))
    (gone,) = await bury(phone)
    await phone.write(note("second"))
    await phone.write(note("third"))
    await later(days=401)
    below = await phone.pull(limit=1)  # it has seen the first entry, and would come to the tombstone next
    beyond = await phone.pull(below["cursor"], limit=1)  # it has seen the tombstone
    assert kinds_of([*below["changes"], *beyond["changes"]]) == [(str(first), False), (str(gone), True)]
    assert await step(cast)
    assert (await phone.asks(below["cursor"], 1)).status_code == 410
    rest, cursor = await phone.walk(beyond["cursor"], limit=1)
    assert [change["body"]["text"] for change in rest] == ["second", "third"]
    assert (await phone.pull(cursor))["changes"] == []


async def test_a_second_purge_ends_a_walk_that_began_after_the_first(cast: Cast, later: Later) -> None:
    phone = Phone(cast.ana)
    await bury(phone)
    await phone.write(note("kept"))
    await later(days=200)
    (young,) = await bury(phone)
    await later(days=201)
    assert await step(cast)
    page = await phone.pull(limit=1)
    assert page["more"]
    await later(days=200)
    assert await step(cast)
    assert (await phone.asks(page["cursor"])).status_code == 410
    assert str(young) not in [change["id"] for change in (await phone.walk())[0]]


async def test_a_clinicians_cursor_expires_as_well(cast: Cast, later: Later) -> None:
    """She may have seen what is gone; that it is gone she can only learn by a new walk."""
    ana, cleo = cast.ana, cast.cleo
    phone, hers = Phone(ana), Phone(cleo, patient=str(ana.id))
    log_id, _ = await phone.write(note("to be deleted"))
    changes, cursor = await hers.walk()
    assert [change["id"] for change in changes] == [str(log_id)]
    await phone.delete(log_id)
    await later(days=401)
    assert await step(cast)
    cleo.token = await cast.running.db.write(OPERATOR, people.operator_token, None, cleo.id, 1)
    assert (await hers.asks(cursor)).status_code == 410
    assert (await hers.walk())[0] == []


# the job


async def test_the_scheduler_purges_once_a_day_and_at_once_while_there_is_more(
    start: Any, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    one = jobs.step

    async def counted(db: Any) -> bool:
        looks.append(clock.monotonic())
        return await one(db)

    monkeypatch.setattr(jobs, "step", counted)
    monkeypatch.setattr(jobs, "BITE", 1)
    service: Running = await start(clock=clock, nudge_beat=0.02, caller_rate=1e9)
    async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
        cast = await gather(service, http)
        for person in (cast.ana, cast.ben):
            await bury(Phone(person))
        await _until(lambda: len(looks) == 1)
        for _ in range(3):
            clock.advance(hours=7)
            await asyncio.sleep(0.1)
        assert len(looks) == 1, "not before a day has passed"
        clock.advance(days=401)
        await _until(lambda: len(looks) == 4)
        assert [(await feed(cast, person.id)).floor > 0 for person in (cast.ana, cast.ben)] == [True, True]
        await asyncio.sleep(0.1)
        assert len(looks) == 4, "one for each of them, and one that found nothing"


async def test_a_purge_that_fails_is_told_tried_in_an_hour_and_stops_no_nudge(
    start: Any, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []
    nudged: list[float] = []

    async def broken(db: Any) -> bool:
        tries.append(clock.monotonic())
        raise RuntimeError("Marigold")

    step_ = scheduler.jobs.step

    async def counted(*args: Any) -> Any:
        nudged.append(clock.monotonic())
        return await step_(*args)

    monkeypatch.setattr(jobs, "step", broken)
    monkeypatch.setattr(scheduler.jobs, "step", counted)
    log = StringIO()
    service: Running = await start(clock=clock, nudge_beat=0.02, log=log)
    await _until(lambda: len(nudged) >= 5)
    assert len(tries) == 1
    clock.advance(minutes=61)
    await _until(lambda: len(tries) == 2)
    service.lines.flush()
    assert log.getvalue().count("beat-failed") == 2
    assert "Marigold" not in log.getvalue()


async def _until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_look_for_tombstones_does_not_read_the_diary(cast: Cast, engine: Engine) -> None:
    """Its index holds tombstones alone, and SQLite takes it."""
    if engine.name == "sqlite":
        hand = Hand(engine)
        text = store._TO_PURGE.sqlite.replace(":before", "?").replace(":limit", "?")  # pyright: ignore[reportPrivateUsage]
        plan = [row[3] for row in hand.run(f"EXPLAIN QUERY PLAN {text}", 1, 1)]
        hand.close()
        assert plan == ["SEARCH logs USING INDEX logs_tombstones (recorded_at<?)"]
