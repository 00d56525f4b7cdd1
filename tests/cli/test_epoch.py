"""After a restore every phone begins anew, once, by itself; a database put back in another way has a command for it."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from support.cast import OPERATOR, Cast, Person, monday
from support.cli import Cli, run
from support.elsewhere import Elsewhere, key_file
from support.engines import Engine
from support.life import Hand, Life
from support.make_v1 import unpack
from support.phone import Phone, note

from companion import running, settings, storage
from companion.commands import storing
from companion.core import audit, backup, beats, postgres_backup
from companion.core.clock import SystemClock
from companion.core.errors import StartUpError
from companion.core.lines import Lines
from companion.custody import service as custody
from companion.logs import jobs, sync

pytestmark = pytest.mark.usefixtures("tools")

Restore = Callable[..., Any]


@pytest.fixture
async def saved(life: Life, cli: Cli, tmp_path: Path) -> tuple[Path, Path]:
    """A backup of the data and one of the keys."""
    data, keys = tmp_path / "saved-data", tmp_path / "saved-keys"
    await cli.beside("backup", data, "--keys", keys)
    return data, keys


@pytest.fixture
def restore(saved: tuple[Path, Path], engine: Engine, hand: Hand, tmp_path: Path) -> Restore:
    """Put the backup, or another one, back somewhere, with its key file: ``await restore("name")``."""

    async def one(name: str = "elsewhere", data: Path = saved[0], keys: Path = saved[1]) -> Elsewhere:
        place = await asyncio.to_thread(Elsewhere, engine, tmp_path, hand, name)
        await place.cli.beside("restore", data, "--keys", keys)
        shutil.copy(key_file(engine), place.key)
        return place

    return one


def chosen(place: Elsewhere) -> settings.Settings:
    return settings.read({}, **place.options, port=0, scheduler=False)


@asynccontextmanager
async def serving(place: Elsewhere) -> AsyncIterator[running.Running]:
    service = await running.start(chosen(place), lines=Lines(SystemClock(), "info", "text", StringIO()))
    try:
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def phone_of(person: Person, place: Elsewhere) -> AsyncIterator[Phone]:
    """Her phone, talking to the restored service."""
    async with serving(place) as service, httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
        yield Phone(Person(person.name, person.token, http, person.id))


async def epochs(place: Elsewhere) -> dict[UUID, int]:
    """Everybody's epoch, as the next start leaves them."""
    db = await storage.open_database(chosen(place), SystemClock())
    try:
        everybody = await db.read(OPERATOR, sync.everybody)
        return {one: (await db.read(OPERATOR, lambda tx, actor, one=one: audit.look(tx, one))).epoch for one in everybody}
    finally:
        await db.close()


def marks(place: Elsewhere, engine: Engine) -> list[int]:
    """The mark of a restore in a database that nobody may open now."""
    hand = Hand(Engine(engine.name, place.options))
    try:
        return [at for (at,) in hand.run("SELECT at FROM beats WHERE name = ?", beats.RESTORED)]
    finally:
        hand.close()


async def test_after_a_restore_every_phone_begins_anew_once(life: Life, restore: Restore, engine: Engine) -> None:
    ana, ben = life.cast.ana, life.cast.ben
    cursors = {person.name: (await Phone(person).walk())[1] for person in (ana, ben)}
    before = await Phone(ana).pull()
    place = await restore()
    assert len(marks(place, engine)) == 1
    async with phone_of(ana, place) as phone:
        for person in (ana, ben):
            answer = await Phone(Person(person.name, person.token, phone.person.http)).asks(cursors[person.name])
            assert (answer.status_code, answer.json()["type"]) == (410, "/problems/cursor-expired"), person.name
        changes, cursor = await phone.walk()
        assert changes == before["changes"]
        raised = (await phone.pull(cursor))["epoch"]
        assert raised > before["epoch"] == 1
        report = await phone.person.http.get("/health/ready")
        assert report.status_code == 200
    assert marks(place, engine) == []
    async with phone_of(ana, place) as phone:
        again = await phone.pull(cursor)
        assert (again["epoch"], again["changes"]) == (raised, []), "a second start raises nothing"
    assert json.loads(await place.cli.beside("verify", "--json"))["ok"]


async def test_a_push_is_told_the_epoch_and_goes_on(life: Life, restore: Restore) -> None:
    """A phone that pushes first learns of it too, and its numbers go on or are a gap, never another operation's."""
    ana = life.cast.ana
    old = Phone(ana)
    await old.write(note("before the backup was made? no: after it"))
    place = await restore()
    async with phone_of(ana, place) as phone:
        phone.id, phone.n = old.id, old.n
        answer = (await phone.send(phone.op(note("next")))).json()
        assert answer["epoch"] > 1
        assert (answer["results"][0]["outcome"], answer["last_n"]) == ("gap", 0)


async def test_every_process_that_opens_it_tells_phones_first(life: Life, restore: Restore, engine: Engine) -> None:
    """A worker, a command, the service: whichever comes first."""
    places = [await restore(name) for name in ("worked", "asked")]
    ready = asyncio.Event()
    work = asyncio.create_task(
        running.work(chosen(places[0]), lines=Lines(SystemClock(), "info", "text", StringIO()), ready=ready.set)
    )
    await asyncio.wait_for(ready.wait(), 10)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await places[1].cli.beside("patient", "list")
    for place in places:
        assert marks(place, engine) == []
        assert min((await epochs(place)).values()) > 1


async def test_a_start_that_is_cut_short_is_done_again_and_raises_nobody_twice(
    life: Life, restore: Restore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await restore()
    raised: list[UUID] = []
    real = sync.raise_epoch

    def second_fails(tx: Any, actor: Any, patient: UUID, epoch: int | None = None) -> int:
        if raised and patient not in raised:
            raise RuntimeError("killed")
        raised.append(patient)
        return real(tx, actor, patient, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "_AT_ONCE", 1)
        patch.setattr(sync, "raise_epoch", second_fails)
        with pytest.raises(RuntimeError):
            await storage.open_database(chosen(place), SystemClock())
    (mark,) = marks(place, engine)
    assert len(set(raised)) == 1
    found = await epochs(place)
    assert set(found.values()) == {mark // 1_000_000}
    assert marks(place, engine) == []


async def test_two_that_start_at_once_raise_once(life: Life, restore: Restore, engine: Engine) -> None:
    place = await restore()
    (mark,) = marks(place, engine)
    opened = await asyncio.gather(*(storage.open_database(chosen(place), SystemClock()) for _ in range(3)))
    for db in opened:
        await db.close()
    assert set((await epochs(place)).values()) == {mark // 1_000_000}


async def test_one_backup_put_back_twice_gives_two_epochs(
    life: Life, restore: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a phone that synced with the first would take what it has for complete on the second."""
    ana = life.cast.ana
    clock = SystemClock()

    class Later(SystemClock):
        def now(self) -> datetime:
            return clock.now() + timedelta(minutes=1)

    first = await restore("first")
    async with phone_of(ana, first) as phone:
        _, cursor = await phone.walk()
    monkeypatch.setattr(storing, "SystemClock", Later)
    second = await restore("second")
    async with phone_of(ana, second) as phone:
        assert (await phone.asks(cursor)).status_code == 410


async def test_a_clock_that_was_set_back_makes_no_old_epoch_new(
    life: Life, restore: Restore, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup has an epoch of today; the machine that it is put back on thinks it is 2001."""
    await cli.beside("epoch", "raise")

    class Old(SystemClock):
        def now(self) -> datetime:
            return datetime(2001, 1, 1, tzinfo=UTC)

    ana = life.cast.ana
    _, cursor = await Phone(ana).walk()
    newest = (await Phone(ana).pull(cursor))["epoch"]
    monkeypatch.setattr(storing, "SystemClock", Old)
    data, keys = tmp_path / "today", tmp_path / "today-keys"
    await cli.beside("backup", data, "--keys", keys)
    place = await restore(data=data, keys=keys)
    async with phone_of(ana, place) as phone:
        assert (await phone.asks(cursor)).status_code == 410
        assert (await phone.pull())["epoch"] > newest


async def test_a_patient_whose_chain_was_changed_stops_no_start(
    life: Life, restore: Restore, engine: Engine, cli: Cli
) -> None:
    ana, ben = life.cast.ana, life.cast.ben
    place = await restore()
    hand = Hand(Engine(engine.name, place.options))
    row = hand.one("feeds", "patient_id = ?", ana.id.bytes)
    hand.change("feeds", row, seq=row["seq"] - 1)
    hand.close()
    async with phone_of(ben, place) as phone:
        assert (await phone.pull())["epoch"] > 1
        hers = Phone(Person("Ana", ana.token, phone.person.http))
        assert (await hers.asks()).status_code == 500, "nothing of hers is served"
    refused = await asyncio.to_thread(place.cli.try_, "epoch", "raise")
    assert refused.code == 1
    assert str(ana.id) in refused.out
    assert "run companion verify" in refused.out


# cut short


async def test_a_restore_that_is_cut_short_leaves_nothing_that_serves(
    life: Life, saved: tuple[Path, Path], engine: Engine, hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else phones would sync with a database that nobody marked."""
    place = await asyncio.to_thread(Elsewhere, engine, tmp_path, hand)
    real = postgres_backup._restore  # pyright: ignore[reportPrivateUsage]

    def last_fails(source: Path, url: str, *more: str) -> None:
        if any(option.endswith("/last") for option in more):
            _killed()
        real(source, url, *more)

    with monkeypatch.context() as patch:
        patch.setattr(backup, "_name", _killed)
        patch.setattr(postgres_backup, "_restore", last_fails)
        stopped = await asyncio.to_thread(place.cli.try_, "restore", saved[0])
    assert (stopped.code, stopped.err.split()[-1]) == (1, "stopped")
    shutil.copy(key_file(engine), place.key)
    if engine.name == "sqlite":
        assert [path.name for path in place.folder.iterdir()] == [place.key.name]
        return
    with pytest.raises(StartUpError, match="schema version 0"):
        await storage.open_database(chosen(place), SystemClock())
    again = await asyncio.to_thread(place.cli.try_, "restore", saved[0])
    assert "is not empty and is left as it is" in again.err


async def test_a_file_has_its_name_only_with_its_mark(saved: tuple[Path, Path], engine: Engine, tmp_path: Path) -> None:
    if engine.name != "sqlite":
        return
    with pytest.raises(KeyboardInterrupt):
        backup.put(saved[0], tmp_path / "target", _killed)
    assert [path.name for path in tmp_path.iterdir() if "target" in path.name] == []


def _killed(*args: Any) -> None:
    raise KeyboardInterrupt


async def test_verify_of_a_restored_file_leaves_it_byte_for_byte(restore: Restore, engine: Engine) -> None:
    place = await restore()
    if engine.name != "sqlite":
        return
    path = Path(place.options["database"].removeprefix("sqlite:///"))
    before = path.read_bytes()
    await place.cli.beside("verify")
    assert path.read_bytes() == before
    assert len(marks(place, engine)) == 1


def test_a_backup_of_version_1_is_marked_too(tmp_path: Path, engine: Engine) -> None:
    """It is put back as it is, brought to this schema by the start, and tells phones then."""
    if engine.name != "sqlite":
        return
    (tmp_path / "old").mkdir()
    unpack(tmp_path / "old")
    old = Cli({"database": f"sqlite:///{tmp_path}/old/companion.db"})
    old("backup", tmp_path / "data", "--keys", tmp_path / "keys")
    new = Cli({"database": f"sqlite:///{tmp_path}/new/companion.db"})
    new("restore", tmp_path / "data", "--keys", tmp_path / "keys")
    shutil.copy(tmp_path / "old" / "companion.db.key", tmp_path / "new" / "companion.db.key")
    new("patient", "list")
    assert json.loads(new("verify", "--json"))["ok"]
    hand = Hand(Engine("sqlite", new.options))
    assert [epoch > 1 for (epoch,) in hand.run("SELECT epoch FROM feeds")] == [True, True]
    hand.close()


# by hand


async def test_the_operator_raises_everybody_or_one(cast: Cast, cli: Cli) -> None:
    ana, ben = Phone(cast.ana), Phone(cast.ben)
    cursors = [(await one.walk())[1] for one in (ana, ben)]
    told = json.loads(await cli.beside("epoch", "raise", "--patient", cast.ana.id, "--json"))
    assert [one["patient_id"] for one in told["items"]] == [str(cast.ana.id)]
    assert [(await one.asks(cursor)).status_code for one, cursor in zip((ana, ben), cursors, strict=True)] == [410, 200]
    _, cursor = await ana.walk()
    assert (await ana.pull(cursor))["epoch"] == told["items"][0]["epoch"]
    assert await cli.beside("epoch", "raise") == "raised: 2"
    assert [(await one.asks(cursor)).status_code for one, cursor in zip((ana, ben), (cursor, cursors[1]), strict=True)] == [
        410,
        410,
    ]
    report = await cast.running.db.read(OPERATOR, custody.verify)
    assert report.ok


async def test_nobody_by_that_id(cast: Cast, cli: Cli) -> None:
    refused = await asyncio.to_thread(cli.try_, "epoch", "raise", "--patient", uuid4())
    assert refused.code == 1
    assert "nobody" in refused.err


def test_a_mistyped_path_makes_no_database(tmp_path: Path) -> None:
    refused = run("epoch", "raise", "--database", f"sqlite:///{tmp_path}/nothing.db")
    assert refused.code == 1
    assert list(tmp_path.iterdir()) == []


async def test_raised_twice_in_one_second_is_two_epochs(cast: Cast) -> None:
    first, second = [await cast.running.db.write(OPERATOR, sync.raise_epoch, cast.ana.id) for _ in range(2)]
    assert second > first > 1
    assert await cast.running.db.write(OPERATOR, sync.raise_epoch, cast.ana.id, second) == second
    assert await cast.running.db.write(OPERATOR, sync.raise_epoch, cast.ana.id, first) == second
    assert first >= int(monday().timestamp()) // 10
