"""``AsyncDiary``: the diary for asyncio. Everything that touches the file is done in a thread, never on the loop."""

import asyncio
from collections.abc import Callable
from datetime import date, datetime, timedelta
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

from companion_sdk._call import Steps, path_id
from companion_sdk._clock import Clock
from companion_sdk._endpoints.sync import DiarySync
from companion_sdk.client import AsyncCompanion
from companion_sdk.streams import AsyncHints
from companion_sdk.wire import Body, Changed, SignedIn
from companion_sdk.wire.kinds import Source

from .asking import days, no_client, own_id, sign_in_zone, which
from .book import Book, Settings, Standing
from .driving import async_link_of, run_on_loop
from .engine import Engine
from .keeping_on_loop import AsyncKeeper, AsyncWork
from .shapes import Attention, Entry, SyncReport, Verified

T = TypeVar("T")


class AsyncDiary:
    """One person's diary in one file, for asyncio: the names of ``Diary``, awaited.

    Nothing is opened before the first use or ``async with``. Use it on one event loop; the file itself may be open in
    several threads and processes.

    Example::

        from companion_sdk import AsyncCompanion, AsyncDiary, Mood

        async with AsyncCompanion("https://companion.example", token="cmp_your_token") as client:
            async with AsyncDiary("ana.diary", client, zone="America/New_York") as diary:
                await diary.keep_synced()
                entry = await diary.record(Mood(mood=4, note="A walk helped"))
                print(entry.day, entry.state, diary.unsent)

    Everything raised is a ``CompanionError``, or a ``ValueError`` where the program itself is wrong.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        client: AsyncCompanion | None = None,
        *,
        passphrase: str | None = None,
        key: bytes | None = None,
        zone: str | None = None,
        language: str | None = None,
        source: Source = "app",
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """Make the diary; the file is opened, or made, when it is first used.

        Args:
            path: where the diary is. Beside it lie ``-wal``, ``-shm`` and ``-lock`` while it is open.
            client: how to reach the service; without one the diary works all the same, and one may be set later.
            passphrase: seal the file with this (needs the extra ``companion-sdk[sealed]``). Nobody can recover it.
            key: seal the file with these 32 bytes, as from the device's key store, in place of a passphrase.
            zone: the IANA zone of new entries. If left out: the client's, else this device's (unless it is set to UTC),
                else the person's own as the service told it, else UTC.
            language: a language tag for help in a crisis; the person's own if left out.
            source: where this app's entries come from.
            now: reads the time; the client's clock if left out.

        The first use raises:
            UnreadableDiary: the file is no diary, is damaged, or is of a newer SDK; it was not touched.
            WrongKey: it is sealed by another passphrase or key, or not sealed.
            DiaryUnavailable: it cannot be read or written.
        """
        self._settings = Settings(
            path=Path(path), passphrase=passphrase, key=key, zone=zone, language=language, source=source
        )
        self._now = now
        self._opening, self._turn = asyncio.Lock(), asyncio.Lock()
        self._book: Book | None = None
        self._seen: Standing | None = None
        self._client = client
        self._engine: Engine | None = None
        self._keeper: AsyncKeeper | None = None

    # what a person does

    async def record(
        self, body: Body, at: datetime | None = None, zone: str | None = None, *, id: UUID | str | None = None
    ) -> Entry:
        """Write an entry. It is on the disk when this returns; see ``Diary.record``.

        Example::

            from companion_sdk import Sobriety

            entry = await diary.record(Sobriety(sober=True, craving=6))
            print(entry.id, entry.day, entry.state)
        """
        chosen = own_id(id)
        return self._woken(await self._do(lambda book: book.record(body, at, zone, chosen)))

    async def correct(
        self, entry: Entry | UUID | str, body: Body | None = None, *, at: datetime | None = None, zone: str | None = None
    ) -> Entry:
        """Change an entry; what is left out stays. See ``Diary.correct``.

        Example::

            from companion_sdk import Mood

            entry = await diary.record(Mood(mood=2))
            entry = await diary.correct(entry, Mood(mood=3))
            print(entry.body)
        """
        chosen = which(entry)
        return self._woken(await self._do(lambda book: book.correct(chosen, body, at, zone)))

    async def delete(self, entry: Entry | UUID | str) -> None:
        """Delete an entry. Its id never lives again; deleting twice is fine.

        Example::

            from companion_sdk import Note

            entry = await diary.record(Note(text="Wrong day"))
            await diary.delete(entry)
            print(await diary.get(entry.id))
        """
        chosen = which(entry)
        await self._do(lambda book: book.delete(chosen))
        self._woken(None)

    async def fix(
        self, refused: Attention, body: Body | None = None, *, at: datetime | None = None, zone: str | None = None
    ) -> Entry:
        """Send refused words again as they should be. Words of an entry that was deleted become a new entry.

        Example::

            for refused in await diary.needs_attention():
                if refused.body is not None:
                    await diary.fix(refused, refused.body, zone="America/New_York")
        """
        return self._woken(await self._do(lambda book: book.fix(refused, body, at, zone)))

    async def discard(self, refused: Attention) -> None:
        """Give refused words up; the entry is what is stored.

        Example::

            for refused in await diary.needs_attention():
                await diary.discard(refused)
        """
        await self._do(lambda book: book.discard(refused))

    # what a person sees

    async def get(self, id: UUID | str) -> Entry | None:
        """One entry as this device has it; None where there is none, or it was deleted.

        Example::

            from companion_sdk import Note

            entry = await diary.record(Note(text="Called my sponsor"))
            print(await diary.get(entry.id))
        """
        chosen = UUID(path_id(id))
        return await self._do(lambda book: book.get(chosen))

    async def entries(
        self, kind: str | None = None, from_: date | None = None, to: date | None = None, *, limit: int | None = None
    ) -> list[Entry]:
        """Entries as this device has them, newest first. See ``Diary.entries``.

        Example::

            from datetime import date

            for entry in await diary.entries(kind="mood", from_=date(2026, 10, 1)):
                print(entry.day, entry.body, entry.state)
        """
        between = days(from_, to)
        return await self._do(lambda book: book.entries(kind, between, limit))

    async def safety_plan(self) -> Entry | None:
        """The person's crisis plan; None where there is none yet.

        Example::

            from companion_sdk import PlanSection, SafetyPlan

            await diary.record(SafetyPlan(sections=[PlanSection(title="I can call", text="Cleo")]))
            plan = await diary.safety_plan()
            if plan is not None and isinstance(plan.body, SafetyPlan):
                print([section.title for section in plan.body.sections])
        """
        return await self._do(lambda book: book.safety_plan())

    async def needs_attention(self) -> list[Attention]:
        """What the service refused, oldest first, each to ``fix`` or ``discard``; it holds up nothing else.

        Example::

            for refused in await diary.needs_attention():
                print(refused.reason, refused.body, refused.faults)
        """
        return await self._do(lambda book: book.needs_attention())

    @property
    def unsent(self) -> int:
        """Entries with something that the service does not have yet, as this diary last saw the file."""
        return self._standing.unsent

    @property
    def last_synced(self) -> datetime | None:
        """When a sync last came to its end; None before the first."""
        return self._standing.last_synced

    @property
    def skew(self) -> timedelta | None:
        """How far the service's clock is ahead of this device's, as last told."""
        return self._standing.skew

    @property
    def device_id(self) -> UUID:
        """As which device this file syncs; another one after it was restored from a backup."""
        return self._standing.device

    @property
    def patient_id(self) -> UUID | None:
        """Whose diary this is; None before the first sync."""
        return self._standing.patient

    @property
    def last_error(self) -> Exception | None:
        """What went wrong in the last sync that ``keep_synced`` made; None where it went well."""
        return None if self._keeper is None else self._keeper.last_error

    # sync

    @property
    def client(self) -> AsyncCompanion | None:
        """How to reach the service; may be set while the diary is not kept synced. The diary never closes it."""
        return self._client

    @client.setter
    def client(self, client: AsyncCompanion | None) -> None:
        if self._keeper is not None:
            raise ValueError("this diary is kept synced by its client: close it first")
        self._client, self._engine = client, None
        if self._book is not None:
            self._join(self._book)

    async def sync(self) -> SyncReport:
        """Do a bounded piece of sync: send what waits, fetch what changed. See ``Diary.sync``.

        Example::

            report = await diary.sync()
            while report.more and report.error is None:
                report = await diary.sync()
            print(report.pushed, report.pulled, report.unsent)
        """
        engine = await self._with_client()
        async with self._turn:
            return await self._run(engine.sync())

    async def verify(self) -> Verified:
        """Fetch what changed, then compare everything with the service by one hash.

        Example::

            proof = await diary.verify()
            print(proof.agrees, proof.here, proof.unsent)
        """
        engine = await self._with_client()
        async with self._turn:
            return await self._run(engine.verify())

    async def keep_synced(self) -> None:
        """Sync from now on by itself: after each entry, when something changed elsewhere, when the network is back.

        In two tasks of the running loop, until ``close``. See ``Diary.keep_synced``.

        Example::

            from companion_sdk import Mood

            await diary.keep_synced()
            await diary.record(Mood(mood=4))
        """
        engine = await self._with_client()
        if self._keeper is None:
            link = async_link_of(self._need_client())
            news: Callable[[Changed], bool] = lambda hint: hint.seq != engine.reached  # noqa: E731
            self._keeper = AsyncKeeper(AsyncWork(self.sync, self._hints, news, link.state, link.clock))
            self._keeper.start()

    async def sign_in(self, code: str, *, device: str, zone: str | None = None) -> SignedIn:
        """Sign the client in by the code of an invite, as the device that this file is. See ``Diary.sign_in``.

        Example::

            signed = await diary.sign_in("K7QF-2M9D", device="Ana's phone", zone="America/New_York")
            print(signed.me.name)
        """
        client = self._need_client()
        known = await self._do(lambda book: book.zone())  # opens the file, which knows the device
        place = sign_in_zone(zone or known)
        signed = await client.sign_in(code, device=device, zone=place, device_id=self.device_id)
        await self._do(lambda book: book.belongs(signed.me))
        return self._woken(signed)

    async def sign_out(self, *, discard_unsent: bool = False) -> None:
        """End the sign-in and destroy the file. The diary is closed then. See ``Diary.sign_out``.

        Example::

            await diary.sync()
            await diary.sign_out()
        """
        await self._ready()
        keeping = self._keeper is not None
        await self._rest()
        try:
            if self._engine is None:
                await asyncio.to_thread((await self._ready()).wipe, discard_unsent)
            else:
                await run_on_loop(async_link_of(self._need_client()), self._engine.sign_out(discard_unsent))
        except BaseException:
            if keeping:
                await self.keep_synced()
            raise

    async def close(self) -> None:
        """Stop syncing and let go of the file. What was not sent is sent another time."""
        await self._rest()
        async with self._opening:
            if self._book is not None:
                await asyncio.to_thread(self._book.close)

    async def __aenter__(self) -> Self:
        await self._ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncDiary({self._settings.path.name!r})"

    async def _ready(self) -> Book:
        """The open file."""
        if self._book is not None:
            return self._book
        async with self._opening:
            if self._book is None:
                book = await asyncio.to_thread(Book, self._settings, Clock(), self._now)
                self._seen = await asyncio.to_thread(book.standing)
                self._join(book)
                self._book = book
            return self._book

    def _join(self, book: Book) -> None:
        """Let the file and the client know each other."""
        if self._client is not None:
            link = async_link_of(self._client)
            book.clock, book.client_zone = link.clock, link.state.zone
            self._engine = Engine(book, link.state)

    @property
    def _standing(self) -> Standing:
        if self._seen is None:
            raise ValueError("open the diary first: async with AsyncDiary(…) as diary")
        return self._seen

    async def _with_client(self) -> Engine:
        await self._ready()
        if self._engine is None:
            raise no_client()
        return self._engine

    def _need_client(self) -> AsyncCompanion:
        if self._client is None:
            raise no_client()
        return self._client

    async def _do(self, work: Callable[[Book], T]) -> T:
        """Work on the file, in a thread."""
        book = await self._ready()
        done, self._seen = await asyncio.to_thread(lambda: (work(book), book.standing()))
        return done

    async def _run(self, steps: Steps[T]) -> T:
        done = await run_on_loop(async_link_of(self._need_client()), steps)
        self._seen = await asyncio.to_thread((await self._ready()).standing)
        return done

    def _hints(self) -> AsyncHints[Changed]:
        patient = self.patient_id
        stream = DiarySync.stream(patient="me" if patient is None else patient)
        return AsyncHints(async_link_of(self._need_client()), stream)

    def _woken(self, done: T) -> T:
        if self._keeper is not None:
            self._keeper.wake()
        return done

    async def _rest(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.stop()
