"""``AsyncDiary`` against the fake, and against the real service on both databases: one person's day, the same everywhere."""

import asyncio
import contextlib
import inspect
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from support import cast as people
from support.engines import engines

from companion_sdk import (
    AsyncCompanion,
    AsyncDiary,
    Diary,
    DiaryUnavailable,
    Mood,
    Note,
    PlanSection,
    SafetyPlan,
    Unauthenticated,
    UnsentEntries,
    WrongKey,
)
from companion_sdk.testing import FakeService

ZONE = "America/New_York"
SERVICES = ["fake", *engines()]


@pytest.fixture(params=SERVICES, ids=lambda one: one if isinstance(one, str) else one.__name__)
async def client(request, tmp_path) -> AsyncIterator[AsyncCompanion]:
    """Ana's client, of each service in turn."""
    if request.param == "fake":
        fake = FakeService()
        async with fake.async_client(fake.patient("Ana", zone=ZONE)) as made:
            yield made
        return
    from io import StringIO

    from companion import running, settings
    from companion.core.clock import SystemClock
    from companion.core.lines import Lines

    engine = request.param(tmp_path, request)
    chosen = settings.read({}, port=0, **engine.options)
    clock = SystemClock()
    service = await running.start(chosen, clock=clock, lines=Lines(clock, "warning", "text", StringIO()))
    try:
        async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
            cast = await people.gather(service, http)
        async with AsyncCompanion(service.url, cast.ana.token, zone=ZONE) as made:
            yield made
    finally:
        await service.stop()


@pytest.fixture
async def open_diary(client, tmp_path) -> AsyncIterator[Callable[..., Awaitable[AsyncDiary]]]:
    async with contextlib.AsyncExitStack() as stack:

        async def made(name: str = "phone", **options: Any) -> AsyncDiary:
            return await stack.enter_async_context(AsyncDiary(tmp_path / f"{name}.diary", client, zone=ZONE, **options))

        yield made


async def until(what: Callable[[], Awaitable[object]], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not await what():
            await asyncio.sleep(0.01)


async def whole(diary: AsyncDiary) -> None:
    while not (report := await diary.sync()).done:
        assert report.error is None, report.error


async def test_a_day_on_two_phones(client, open_diary):
    one, two = await open_diary("one"), await open_diary("two")
    walk = await one.record(Mood(mood=4, note="A walk helped"))
    note = await one.record(Note(text="Quiet day"))
    assert one.unsent == 2
    assert (await one.sync()).applied == 2
    await whole(two)
    assert {entry.id for entry in await two.entries()} == {walk.id, note.id}
    await two.correct(walk.id, Mood(mood=5))
    await one.delete(note)
    await whole(one)
    await whole(two)
    await whole(one)
    for diary in (one, two):
        proof = await diary.verify()
        assert (proof.agrees, proof.here, proof.there) == (True, 1, 1)
        assert [entry.body for entry in await diary.entries()] == [Mood(mood=5)]
        assert await diary.get(note.id) is None
    stored = [log async for log in client.logs.list()]
    assert [(log.id, log.revision) for log in stored] == [(walk.id, 2)]
    assert one.last_synced is not None
    assert one.patient_id == stored[0].patient_id


async def test_a_conflict_over_the_crisis_plan(client, open_diary):
    def plan(*titles: str) -> SafetyPlan:
        return SafetyPlan(sections=[PlanSection(title=title, text="…") for title in titles])

    one, two = await open_diary("one"), await open_diary("two")
    await two.record(plan("mine"))
    await one.record(plan("theirs"))
    await whole(one)
    await whole(two)
    (refused,) = await two.needs_attention()
    assert (refused.reason, refused.body) == ("conflict", plan("mine"))
    assert refused.current is not None
    assert refused.current.body == plan("theirs")
    await two.fix(refused, plan("theirs", "mine"))
    await whole(two)
    await whole(one)
    shown = await one.safety_plan()
    assert shown is not None
    assert shown.body == plan("theirs", "mine")
    assert (await client.safety_plan.get()).body == plan("theirs", "mine")
    assert (await two.verify()).agrees


async def test_one_bad_entry_among_many_is_refused_alone(client, open_diary):
    """Written while the phone's clock was wrong, sent when it was right again."""
    ahead = timedelta(days=400)
    diary = await open_diary(now=lambda: client._link.clock.now() + ahead)
    now = client._link.clock.now()
    for number in range(5):
        await diary.record(Note(text=f"{number}"), at=now)
    await diary.record(Note(text="From the future"))
    diary._book._now = None
    report = await diary.sync()
    assert (report.applied, report.attention, report.unsent) == (5, 1, 0)
    (refused,) = await diary.needs_attention()
    assert [(fault.pointer, fault.code) for fault in refused.faults] == [("/at", "out-of-range")]
    await diary.fix(refused, at=now)
    await whole(diary)
    assert (await diary.verify()).here == 6


async def test_four_hundred_and_fifty_entries_go_and_come(open_diary):
    one, two = await open_diary("one"), await open_diary("two")
    await asyncio.to_thread(lambda: [one._book.record(Note(text=f"{n}"), None, None, None) for n in range(450)])
    await whole(one)
    await whole(two)
    assert (await two.verify()).here == 450
    assert len(await two.entries()) == 450


async def test_it_keeps_itself_synced(client, open_diary):
    one, two = await open_diary("one"), await open_diary("two")
    await one.keep_synced()
    await one.keep_synced()
    await two.keep_synced()
    entry = await one.record(Mood(mood=4))

    async def arrived() -> bool:
        shown = await two.get(entry.id)
        return shown is not None and shown.body == Mood(mood=4)

    await until(arrived)
    await two.delete(entry.id)

    async def left() -> bool:
        return await one.get(entry.id) is None

    await until(left)
    assert one.last_error is None
    async with asyncio.timeout(1):
        await one.close()


async def test_signing_out_and_in_again(client, open_diary, tmp_path):
    diary = await open_diary()
    await diary.record(Mood(mood=4))
    invite = await client.invites.add_phone()
    with pytest.raises(UnsentEntries):
        await diary.sign_out()
    await whole(diary)
    await diary.sign_out()
    assert not (tmp_path / "phone.diary").exists()
    with pytest.raises(Unauthenticated):
        await client.me.get()
    with pytest.raises(DiaryUnavailable):
        await diary.entries()
    async with AsyncDiary(tmp_path / "next.diary", client) as fresh:
        signed = await fresh.sign_in(invite.code, device="Next phone", zone=ZONE)
        assert signed.me.patient_id == fresh.patient_id
        await whole(fresh)
        assert len(await fresh.entries()) == 1


# without a service


async def test_nothing_of_the_file_is_done_on_the_loop(tmp_path, monkeypatch):
    """Each use of SQLite is in another thread than the loop's."""
    import sqlite3

    here, seen = threading.get_ident(), set()
    real = sqlite3.connect

    def connect(*given: Any, **more: Any) -> Any:
        seen.add(threading.get_ident())
        connection = real(*given, **more)
        connection.set_trace_callback(lambda _: seen.add(threading.get_ident()))
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    fake = FakeService()
    async with (
        fake.async_client(fake.patient("Ana")) as client,
        AsyncDiary(tmp_path / "ana.diary", client, passphrase="made-up") as diary,
    ):
        entry = await diary.record(Mood(mood=4))
        await diary.correct(entry, Mood(mood=5))
        await diary.sync()
        await diary.entries()
        assert (diary.unsent, diary.patient_id is not None) == (0, True)
        await diary.verify()
        await diary.keep_synced()
        await diary.delete(entry)
    assert seen
    assert here not in seen


async def test_the_loop_goes_on_while_a_diary_is_opened_and_written(tmp_path, say):
    longest, last, done = 0.0, asyncio.get_running_loop().time(), False

    async def tick() -> None:
        nonlocal longest, last
        while not done:
            await asyncio.sleep(0.001)
            now = asyncio.get_running_loop().time()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(tick())
    async with AsyncDiary(tmp_path / "ana.diary", zone=ZONE, passphrase="made-up") as diary:
        await asyncio.gather(*(diary.record(Note(text=f"{n}")) for n in range(50)))
        assert len(await diary.entries()) == 50
    done = True
    await ticking
    say(f"the loop stood still for at most {longest * 1000:.1f} ms")


async def test_a_diary_that_was_never_opened_says_so(tmp_path):
    diary = AsyncDiary(tmp_path / "ana.diary", zone=ZONE)
    with pytest.raises(ValueError, match="open the diary first"):
        assert diary.unsent
    assert not (tmp_path / "ana.diary").exists()
    await diary.record(Mood(mood=4))
    assert diary.unsent == 1
    with pytest.raises(ValueError, match="has no client"):
        await diary.sync()
    await diary.close()
    await diary.close()


async def test_what_does_not_open_is_told_at_the_first_use(tmp_path):
    async with AsyncDiary(tmp_path / "ana.diary", passphrase="made-up"):
        pass
    diary = AsyncDiary(tmp_path / "ana.diary", passphrase="another")
    with pytest.raises(WrongKey):
        await diary.entries()
    await diary.close()


async def test_a_cancelled_sync_leaves_everything_whole(tmp_path):
    fake = FakeService()
    ana = fake.patient("Ana", zone=ZONE)
    async with fake.async_client(ana) as client, AsyncDiary(tmp_path / "ana.diary", client, zone=ZONE) as diary:
        for number in range(30):
            await diary.record(Note(text=f"{number}"))
        for moment in range(40):
            task = asyncio.create_task(diary.sync())
            await asyncio.sleep(moment / 4000)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await whole(diary)
        assert len(fake.entries(ana)) == 30
        assert (await diary.verify()).agrees


async def test_a_client_can_be_given_later(tmp_path):
    fake = FakeService()
    async with fake.async_client(fake.patient("Ana")) as client, AsyncDiary(tmp_path / "ana.diary", zone=ZONE) as diary:
        await diary.record(Mood(mood=4))
        diary.client = client
        assert (await diary.sync()).applied == 1
        await diary.keep_synced()
        with pytest.raises(ValueError, match="kept synced"):
            diary.client = None


# the two classes


def public(owner: type) -> dict[str, Any]:
    return {name: value for name, value in vars(owner).items() if not name.startswith("_")}


def test_both_diaries_have_the_same_names_and_take_the_same():
    assert public(Diary).keys() == public(AsyncDiary).keys()
    for name, one in public(Diary).items():
        two = public(AsyncDiary)[name]
        if isinstance(one, property):
            assert isinstance(two, property)
            assert name == "client" or one.fget.__annotations__ == two.fget.__annotations__
        else:
            assert inspect.signature(one) == inspect.signature(two), name
            assert inspect.iscoroutinefunction(two), name
            assert not inspect.iscoroutinefunction(one)
    one, two = (inspect.signature(kind.__init__).parameters for kind in (Diary, AsyncDiary))
    assert {name for name in one if one[name] != two.get(name)} == {"client"}
    assert one.keys() == two.keys()


@pytest.mark.parametrize("kind", [Diary, AsyncDiary])
def test_every_method_is_written_out_with_an_example(kind):
    for name, value in public(kind).items():
        doc = inspect.getdoc(value)
        assert doc, name
        if not isinstance(value, property) and name != "close":
            assert re.search(rf"^    .*\bdiary\.{name}\(", doc, re.MULTILINE), name
