"""What a client of sync cannot see: that a push is one unit, what a failing disk leaves, who wins when many push at once."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from support import receivers
from support.cast import OPERATOR, Cast, Person, gather, monday
from support.clocks import ManualClock
from support.engines import Engine
from support.nudging import Desk, ledger, plan, put_hook, put_plan, states
from support.phone import Json, Phone, mood, note
from support.units import on_writer

from companion.core.db import Tx
from companion.core.postgres import Session
from companion.core.sqlite import SqliteDatabase
from companion.custody import service as custody
from companion.logs import pushes, store
from companion.post.office import Post
from companion.running import Running

MANY = 8
DUE = datetime.fromisoformat("2026-03-03T01:30:00+00:00")


async def sound(cast: Cast) -> None:
    report = await cast.running.db.read(OPERATOR, custody.verify)
    assert [str(fault) for fault in report.faults] == []


def outcomes(results: list[Json]) -> Counter[str]:
    return Counter(result["outcome"] for result in results)


# one unit


@pytest.fixture
def ran(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the service began each change, and committed."""
    seen: Counter[str] = Counter()
    for one in Tx.__subclasses__():
        run = one.run

        def counted(self: Any, statement: Any, run: Any = run, **named: Any) -> int:
            seen[" ".join(statement.text.split()[:3])] += 1
            return run(self, statement, **named)

        monkeypatch.setattr(one, "run", counted)
    on_sqlite = isinstance(cast.running.db, SqliteDatabase)
    owner: Any = SqliteDatabase if on_sqlite else Session
    name = "_attempt" if on_sqlite else "commit"
    commit = getattr(owner, name)

    def committed(self: Any, *args: Any) -> Any:
        seen["COMMIT"] += 1
        return commit(self, *args)

    monkeypatch.setattr(owner, name, committed)
    return seen


async def test_a_push_of_200_is_one_unit(cast: Cast, ran: Counter[str]) -> None:
    phone = Phone(cast.ana)
    results = await phone.push(*(phone.op(note(str(number))) for number in range(200)))
    assert outcomes(results) == {"applied": 200}
    assert ran == {"INSERT INTO logs": 200, "INSERT INTO pushes": 1, "UPDATE feeds SET": 1, "COMMIT": 1}
    assert [result["seq"] for result in results] == list(range(results[0]["seq"], results[0]["seq"] + 200))
    ran.clear()
    edits = [phone.op(note("edited"), UUID(change["id"]), 1) for change in (await phone.walk())[0][:3]]
    await phone.push(*edits, phone.op(None, edits[0]["id"], 2))
    assert ran == {
        "UPDATE logs SET": 4,
        "INSERT INTO logs": 4,
        "INSERT INTO pushes": 1,
        "UPDATE feeds SET": 1,
        "COMMIT": 1,
    }


async def test_a_repeat_and_a_push_that_changes_nothing_touch_no_feed(cast: Cast, ran: Counter[str]) -> None:
    phone = Phone(cast.ana)
    ops = [phone.op(note(str(number))) for number in range(20)]
    first = await phone.push(*ops)
    ran.clear()
    assert await phone.push(*ops) == first
    assert await phone.push() == []
    assert ran == {"COMMIT": 2}
    await phone.push(phone.op(None), phone.op(note("0"), ops[0]["id"], 1))
    assert ran == {"COMMIT": 3, "INSERT INTO pushes": 1}, "outcomes are kept, nothing else is written"


async def test_200_operations_and_not_one_more(cast: Cast) -> None:
    phone = Phone(cast.ana)
    ops = [phone.op(note()) for _ in range(201)]
    refused = await phone.send(*ops)
    assert (refused.status_code, refused.json()["errors"]) == (400, [{"pointer": "/ops", "code": "length"}])
    assert (await phone.walk())[0] == []
    assert outcomes(await phone.push(*ops[:200])) == {"applied": 200}


async def test_a_failure_in_the_middle_leaves_nothing(cast: Cast, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills with the 150th entry: 503, and the same push is then applied whole."""
    phone = Phone(cast.ana)
    kept, _ = await phone.write(note("before"))
    before = (await phone.walk())[0], await phone.digest()
    ops = [phone.op(note("x" * 4000)) for _ in range(200)]
    with monkeypatch.context() as patch:
        if isinstance(cast.running.db, SqliteDatabase):
            pages = (await on_writer(cast.running.db, "PRAGMA page_count"))[0][0]
            await on_writer(cast.running.db, f"PRAGMA max_page_count={pages + 120}")
        else:
            patch.setattr(store, "add", _fails_at(150, psycopg.errors.DiskFull("planned")))
        refused = await phone.send(*ops)
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/storage-unavailable")
        if isinstance(cast.running.db, SqliteDatabase):
            await on_writer(cast.running.db, "PRAGMA max_page_count=1000000000")
    assert ((await phone.walk())[0], await phone.digest()) == before
    await sound(cast)
    answer = (await phone.send(*ops)).json()
    assert (outcomes(answer["results"]), answer["last_n"]) == ({"applied": 200}, 201)
    changes, _ = await phone.walk()
    assert [change["id"] for change in changes] == [str(kept), *(op["id"] for op in ops)]
    await sound(cast)


async def test_a_failure_at_its_very_end_leaves_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries without what became of them would be applied twice."""
    phone = Phone(cast.ana)
    ops = [phone.op(note()) for _ in range(20)]
    error = sqlite3.OperationalError("planned")
    error.sqlite_errorname = "SQLITE_FULL"
    planned = error if isinstance(cast.running.db, SqliteDatabase) else psycopg.errors.DiskFull("planned")
    with monkeypatch.context() as patch:
        patch.setattr(pushes, "add", _fails_at(1, planned))
        assert (await phone.send(*ops)).status_code == 503
    assert (await phone.walk())[0] == []
    assert outcomes(await phone.push(*ops)) == {"applied": 20}
    await sound(cast)


def _fails_at(place: int, error: Exception) -> Callable[..., Any]:
    real, calls = store.add, iter(range(1, 10_000))

    def add(*args: Any) -> Any:
        if next(calls) == place:
            raise error
        return real(*args)

    return add


async def test_a_client_that_hangs_up_leaves_all_of_it_or_nothing(cast: Cast) -> None:
    phone = Phone(cast.ana)
    for wait in (0.0, 0.002, 0.01, 0.05):
        ops = [phone.op(note()) for _ in range(200)]
        sending = asyncio.create_task(phone.send(*ops))
        await asyncio.sleep(wait)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        results = await phone.push(*ops)
        assert outcomes(results) == {"applied": 200}
    changes, _ = await phone.walk()
    assert len(changes) == len({change["id"] for change in changes}) == 800
    await sound(cast)


# many at once


async def test_one_push_sent_by_many_at_once_is_applied_once(cast: Cast) -> None:
    phone = Phone(cast.ana)
    ops = [phone.op(mood(1 + number % 5)) for number in range(50)]
    answers = await asyncio.gather(*(phone.send(*ops) for _ in range(MANY)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({json.dumps(answer.json()["results"]) for answer in answers}) == 1
    changes, _ = await phone.walk()
    assert [change["id"] for change in changes] == [op["id"] for op in ops]
    assert {change["revision"] for change in changes} == {1}
    await sound(cast)


async def test_of_many_operations_with_one_number_one_is_applied(cast: Cast) -> None:
    """Eight processes of one phone's file, or eight phones restored from one backup: the others are told."""
    phone = Phone(cast.ana)
    rivals = [Phone(cast.ana, id=phone.id) for _ in range(MANY)]
    sent = [[rival.op(note(str(number))) for _ in range(10)] for number, rival in enumerate(rivals)]
    told = await asyncio.gather(*(rival.push(*ops) for rival, ops in zip(rivals, sent, strict=True)))
    assert Counter(str(dict(outcomes(results))) for results in told) == {
        "{'applied': 10}": 1,
        "{'rewound': 1}": MANY - 1,
    }
    won = next(ops for results, ops in zip(told, sent, strict=True) if results[0]["outcome"] == "applied")
    assert [change["id"] for change in (await phone.walk())[0]] == [op["id"] for op in won]


async def test_many_windows_of_one_outbox_are_applied_once_each(cast: Cast) -> None:
    """Overlapping pushes that overtake each other: what comes too early is a gap, and sent again."""
    phone = Phone(cast.ana)
    ops = [phone.op(note(str(number))) for number in range(100)]
    seen: dict[int, set[tuple[str, int]]] = {}

    async def send(start: int) -> None:
        window = ops[start : start + 30]
        while True:
            results = await phone.push(*window)
            for result in results:
                if result["outcome"] != "gap":
                    seen.setdefault(result["n"], set()).add((result["outcome"], result["seq"]))
            if results[-1]["outcome"] != "gap":
                return
            await asyncio.sleep(0.005)

    await asyncio.gather(*(send(start) for start in range(70, -1, -10)))
    assert sorted(seen) == [op["n"] for op in ops]
    assert all(len(told) == 1 and next(iter(told))[0] == "applied" for told in seen.values())
    assert [change["id"] for change in (await phone.walk())[0]] == [op["id"] for op in ops]
    await sound(cast)


async def test_many_phones_and_everything_else_at_once(cast: Cast) -> None:
    """Pushes among PUTs, deletions, consents, looks of a clinician and plans: one order without holes, one chain."""
    ana, cleo = cast.ana, cast.cleo
    phones = [Phone(ana) for _ in range(MANY)]
    shared = uuid4()
    sent: list[list[Json]] = []

    async def pushes_of(phone: Phone) -> None:
        for _ in range(4):
            ops = [phone.op(note()) for _ in range(10)] + [phone.op(mood(1 + phone.n % 5), shared, 0)]
            sent.append(ops)
            assert outcomes(await phone.push(*ops)) == {"applied": 11}

    async def others() -> None:
        for _ in range(6):
            log = await ana.mood(monday())
            assert (await ana.delete(f"/v1/patients/me/logs/{log['id']}")).status_code == 204
            given = await ana.consent(cast.dan.id, ["mood"])
            assert (await Phone(cleo, patient=str(ana.id)).asks()).status_code == 200
            assert (await cleo.get(f"/v1/patients/{ana.id}/logs")).status_code == 200
            assert (await ana.post(f"/v1/patients/me/consents/{given['id']}/revoke")).status_code == 200
            await put_plan(ana, plan("20:30"))

    async with asyncio.timeout(60):
        await asyncio.gather(*(pushes_of(phone) for phone in phones), others(), others())
    await sound(cast)
    changes, _ = await phones[0].walk(limit=37)
    ids = {op["id"] for ops in sent for op in ops} - {str(shared)}
    assert ids <= {change["id"] for change in changes}
    assert len(changes) == len(ids) + 1 + 12
    assert [change["seq"] for change in changes] == sorted({change["seq"] for change in changes})
    revisions = (await ana.get(f"/v1/patients/me/logs/{shared}/history")).json()["items"]
    assert [one["revision"] for one in revisions] == list(range(1, len(revisions) + 1))
    assert (await phones[0].digest())["count"] == len(ids) + 1


async def test_whoever_pulls_while_many_push_misses_nothing(cast: Cast) -> None:
    ana = cast.ana

    async def push(phone: Phone) -> None:
        for _ in range(5):
            await phone.push(*(phone.op(note()) for _ in range(10)))

    pushing = asyncio.gather(*(push(Phone(ana)) for _ in range(MANY)))
    reader, seen, cursor = Phone(ana), list[Json](), ""
    while not pushing.done():
        changes, cursor = await reader.walk(cursor or None)
        seen += changes
    await pushing
    changes, _ = await reader.walk(cursor or None)
    whole, _ = await reader.walk()
    assert [change["id"] for change in (*seen, *changes)] == [change["id"] for change in whole]
    assert len(whole) == MANY * 50
    assert len(changes) < len(whole), "some came while it was written"


# who is shown what


async def test_an_app_that_may_only_write_is_shown_nothing_that_stands_in_its_way(cast: Cast) -> None:
    ana = cast.ana
    where = "/v1/patients/me/safety-plan"
    stored = (await ana.put(where, {"sections": [{"title": "Call", "text": "my sister"}]})).json()

    def other(phone: Phone) -> Json:
        body = {"kind": "safety_plan", "sections": [{"title": "Call", "text": "nobody"}]}
        return phone.op({**mood(), "body": body}, stored["id"], 0)

    async def app(*scopes: str) -> Phone:
        made = await ana.post("/v1/me/tokens", {"name": "Watch", "scopes": list(scopes)})
        return Phone(Person("Watch", made.json()["token"], ana.http), patient=str(ana.id))

    writes, both = await app("logs:write"), await app("logs:write", "logs:read")
    looks = "/v1/patients/me/disclosures"
    op = other(writes)
    for _ in range(2):  # the second time it is the recorded outcome
        (result,) = await writes.push(op)
        assert (result["outcome"], result["revision"], result.get("current")) == ("conflict", stored["revision"], None)
    assert (await ana.get(looks)).json()["items"] == []
    op = other(both)
    for count in (1, 2):
        (result,) = await both.push(op)
        assert (result["outcome"], result["current"]) == ("conflict", stored)
        items = (await ana.get(looks)).json()["items"]
        assert [item["categories"] for item in items] == [["safety_plan"]] * count
    own = Phone(ana)
    (result,) = await own.push(other(own))
    assert result["current"] == stored
    assert len((await ana.get(looks)).json()["items"]) == 2, "she herself is no disclosure"
    assert (await writes.asks()).status_code == 403


# what follows


@pytest.fixture
async def desk(start: Any, clock: ManualClock) -> AsyncIterator[Desk]:
    """A worker whose steps the test takes, on a clock that it moves."""
    service: Running = await start(clock=clock, scheduler=False, egress_allow="127.0.0.1")
    post = Post(service.settings)
    yield Desk(service, clock, post)
    await post.close()


async def test_an_entry_of_a_second_ago_withholds_the_nudge_that_is_due(desk: Desk) -> None:
    """Written offline just before its time, pushed just after, and the worker comes later still."""
    async with receivers.hook() as hook, httpx2.AsyncClient(base_url=desk.running.url, timeout=30) as http:
        ana = (await gather(desk.running, http)).ana
        await put_hook(ana, hook)
        await put_plan(ana, plan("20:30"))
        await desk.at("2026-03-03T01:29:58")
        desk.clock.set(DUE + timedelta(seconds=1))
        phone = Phone(ana)
        await phone.push(phone.op(note("of another kind")), phone.op(mood(at=DUE - timedelta(seconds=1))), sent_at=DUE)
        assert states(await ledger(ana))[0] == ("2026-03-03T01:30:00Z", "withheld", "already-logged")
        await desk.run()
        assert hook.received == []


async def test_a_nudge_follows_what_a_push_leaves_of_the_day(desk: Desk) -> None:
    """Of one push many entries may come and go on one day: what stands at its end counts."""
    async with httpx2.AsyncClient(base_url=desk.running.url, timeout=30) as http:
        ana = (await gather(desk.running, http)).ana
        await put_plan(ana, plan("20:30"))
        await desk.at("2026-03-03T01:00:00")
        phone, at = Phone(ana), DUE - timedelta(hours=1)
        first, second = phone.op(mood(at=at)), phone.op(mood(at=at))

        async def state() -> tuple[str, str]:
            return states(await ledger(ana))[0][1:]

        await phone.push(first, second, phone.op(None, first["id"], 1), sent_at=DUE)
        assert await state() == ("withheld", "already-logged")
        await phone.push(phone.op(mood(at=at - timedelta(days=1)), second["id"], 1), sent_at=DUE)
        assert await state() == ("pending", "entry-deleted"), "it was moved to the day before"
        third = phone.op(mood(at=at))
        await phone.push(third, phone.op(None, third["id"], 1), sent_at=DUE)
        assert (await state())[0] == "pending"
        await phone.push(phone.op(mood(at=at)), sent_at=DUE)
        assert await state() == ("withheld", "already-logged")
