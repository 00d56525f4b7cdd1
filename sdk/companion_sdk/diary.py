"""The diary on the device: works for ever without a network, and syncs itself when there is one.

``Diary`` keeps every entry in one file, durably before ``record`` returns, and brings it to the service exactly once; what
happened on other devices comes back. ``AsyncDiary`` is the same for asyncio. Importing ``companion_sdk`` loads none of it.
"""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

from ._call import Steps, path_id
from ._clock import Clock
from ._diary.asking import days, no_client, own_id, sign_in_zone, which
from ._diary.book import Book, Settings, Standing
from ._diary.driving import link_of, run
from ._diary.engine import Engine
from ._diary.keeping import Keeper, Work
from ._diary.on_loop import AsyncDiary
from ._diary.shapes import Attention, Entry, SyncReport, Verified
from ._endpoints.sync import DiarySync
from .client import Companion
from .streams import Hints
from .wire import Body, Changed, SignedIn
from .wire.kinds import Source

__all__ = ["AsyncDiary", "Attention", "Diary", "Entry", "SyncReport", "Verified"]

T = TypeVar("T")


class Diary:
    """One person's diary in one file.

    What ``record``, ``correct`` and ``delete`` return from is on the disk, whether there is a network or not. ``sync``
    brings it to the service; ``keep_synced`` does so by itself. The file may be open in several threads and processes.
    Use it in a ``with`` block, or call ``close()`` when done.

    Example::

        from companion_sdk import Companion, Diary, Mood

        with Companion("https://companion.example", token="cmp_your_token") as client:
            with Diary("ana.diary", client, zone="America/New_York") as diary:
                diary.keep_synced()
                entry = diary.record(Mood(mood=4, note="A walk helped"))
                print(entry.day, entry.state, diary.unsent)

    Everything raised is a ``CompanionError``, or a ``ValueError`` where the program itself is wrong.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        client: Companion | None = None,
        *,
        passphrase: str | None = None,
        key: bytes | None = None,
        zone: str | None = None,
        language: str | None = None,
        source: Source = "app",
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """Open the file, or make it.

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

        Raises:
            UnreadableDiary: the file is no diary, is damaged, or is of a newer SDK; it was not touched.
            WrongKey: it is sealed by another passphrase or key, or not sealed.
            DiaryUnavailable: it cannot be read or written.
        """
        settings = Settings(path=Path(path), passphrase=passphrase, key=key, zone=zone, language=language, source=source)
        self._path = settings.path
        self._book = Book(settings, Clock(), now)
        self._turn = threading.Lock()
        self._client: Companion | None = None
        self._engine: Engine | None = None
        self._keeper: Keeper | None = None
        self.client = client

    # what a person does

    def record(
        self, body: Body, at: datetime | None = None, zone: str | None = None, *, id: UUID | str | None = None
    ) -> Entry:
        """Write an entry. It is on the disk when this returns.

        Example::

            from companion_sdk import Sobriety

            entry = diary.record(Sobriety(sober=True, craving=6))
            print(entry.id, entry.day, entry.state)

        Args:
            body: what to record, such as ``Mood``. A ``SafetyPlan`` is the person's one crisis plan.
            at: when it happened, with an offset; now if left out.
            zone: the IANA zone it happened in; the diary's if left out.
            id: the entry's own UUID if you made one. Where it exists this corrects it; the same content changes nothing.

        Returns:
            The entry. ``crisis`` holds help to show at once when it tells of danger, also offline.

        Raises:
            InvalidEntry: the service would refuse its form; ``faults`` says where.
            NoSuchEntry: the id was deleted; it never lives again.
        """
        return self._woken(self._book.record(body, at, zone, own_id(id)))

    def correct(
        self, entry: Entry | UUID | str, body: Body | None = None, *, at: datetime | None = None, zone: str | None = None
    ) -> Entry:
        """Change what an entry says, when or where. Of two devices that correct one entry, the last to sync wins.

        Example::

            from companion_sdk import Mood

            entry = diary.record(Mood(mood=2))
            entry = diary.correct(entry, Mood(mood=3))
            print(entry.body)

        Args:
            entry: the entry as you last saw it, or its id.
            body: the new content, of the same kind, in place of the whole old one; the same content if left out.
            at: another moment.
            zone: another zone.

        Raises:
            NoSuchEntry: this device has none with this id, or it was deleted.
            InvalidEntry: the service would refuse its form.
        """
        return self._woken(self._book.correct(which(entry), body, at, zone))

    def delete(self, entry: Entry | UUID | str) -> None:
        """Delete an entry. Its id never lives again; deleting twice is fine.

        Example::

            from companion_sdk import Note

            entry = diary.record(Note(text="Wrong day"))
            diary.delete(entry)
            print(diary.get(entry.id))

        Args:
            entry: the entry or its id.
        """
        self._book.delete(which(entry))
        self._woken(None)

    def fix(
        self, refused: Attention, body: Body | None = None, *, at: datetime | None = None, zone: str | None = None
    ) -> Entry:
        """Send refused words again as they should be. Words of an entry that was deleted become a new entry.

        Example::

            for refused in diary.needs_attention():
                if refused.body is not None:
                    diary.fix(refused, refused.body, zone="America/New_York")

        Args:
            refused: what ``needs_attention`` told.
            body: the content; the refused one if left out.
            at: when it happened; as it was if left out.
            zone: the zone; as it was if left out.
        """
        return self._woken(self._book.fix(refused, body, at, zone))

    def discard(self, refused: Attention) -> None:
        """Give refused words up; the entry is what is stored.

        Example::

            for refused in diary.needs_attention():
                diary.discard(refused)
        """
        self._book.discard(refused)

    # what a person sees

    def get(self, id: UUID | str) -> Entry | None:
        """One entry as this device has it; None where there is none, or it was deleted.

        Example::

            from companion_sdk import Note

            entry = diary.record(Note(text="Called my sponsor"))
            print(diary.get(entry.id))
        """
        return self._book.get(UUID(path_id(id)))

    def entries(
        self, kind: str | None = None, from_: date | None = None, to: date | None = None, *, limit: int | None = None
    ) -> list[Entry]:
        """Entries as this device has them, newest first.

        Example::

            from datetime import date

            for entry in diary.entries(kind="mood", from_=date(2026, 10, 1)):
                print(entry.day, entry.body, entry.state)

        Args:
            kind: only this kind, such as ``mood``.
            from_: from this local day on, inclusive.
            to: up to this local day, inclusive.
            limit: at most so many.
        """
        return self._book.entries(kind, days(from_, to), limit)

    def safety_plan(self) -> Entry | None:
        """The person's crisis plan; None where there is none yet.

        Example::

            from companion_sdk import PlanSection, SafetyPlan

            diary.record(SafetyPlan(sections=[PlanSection(title="I can call", text="Cleo")]))
            plan = diary.safety_plan()
            if plan is not None and isinstance(plan.body, SafetyPlan):
                print([section.title for section in plan.body.sections])
        """
        return self._book.safety_plan()

    def needs_attention(self) -> list[Attention]:
        """What the service refused, oldest first, each to ``fix`` or ``discard``; it holds up nothing else.

        Example::

            for refused in diary.needs_attention():
                print(refused.reason, refused.body, refused.faults)
        """
        return self._book.needs_attention()

    @property
    def unsent(self) -> int:
        """Entries with something that the service does not have yet."""
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
    def client(self) -> Companion | None:
        """How to reach the service; may be set at any time. The diary never closes it."""
        return self._client

    @client.setter
    def client(self, client: Companion | None) -> None:
        keeping = self._keeper is not None
        self._rest()
        self._client = client
        if client is None:
            self._engine = None
            return
        link = link_of(client)
        self._book.clock, self._book.client_zone = link.clock, link.state.zone
        self._engine = Engine(self._book, link.state)
        if keeping:
            self.keep_synced()

    def sync(self) -> SyncReport:
        """Do a bounded piece of sync: send what waits, fetch what changed. ``more`` in the report: call again.

        Example::

            report = diary.sync()
            while report.more and report.error is None:
                report = diary.sync()
            print(report.pushed, report.pulled, report.unsent)

        Returns:
            What was done. No network, or a busy service, is ``error`` in it, and no exception.

        Raises:
            Unauthenticated: sign in again; nothing on this device is lost.
            WrongPerson: the client speaks for another person than the file's.
        """
        with self._turn:
            return self._run(self._with_client.sync())

    def verify(self) -> Verified:
        """Fetch what changed, then compare everything with the service by one hash.

        Example::

            proof = diary.verify()
            print(proof.agrees, proof.here, proof.unsent)
        """
        with self._turn:
            return self._run(self._with_client.verify())

    def keep_synced(self) -> None:
        """Sync from now on by itself: after each entry, when something changed elsewhere, when the network is back.

        In two daemon threads, until ``close``. What goes wrong there is ``last_error`` and tried again; after a sign-in
        that ended, nothing is until the next one.

        Example::

            from companion_sdk import Mood

            diary.keep_synced()
            diary.record(Mood(mood=4))
        """
        if self._keeper is None:
            engine, link = self._with_client, link_of(self._need_client())
            work = Work(self.sync, self._hints, lambda hint: hint.seq != engine.reached, link.state, link.clock)
            self._keeper = Keeper(work)
            self._keeper.start()

    def sign_in(self, code: str, *, device: str, zone: str | None = None) -> SignedIn:
        """Sign the client in by the code of an invite, as the device that this file is.

        Example::

            signed = diary.sign_in("K7QF-2M9D", device="Ana's phone", zone="America/New_York")
            print(signed.me.name)

        Args:
            code: the invite's code.
            device: what the person calls this device.
            zone: the device's IANA zone; as for entries if left out.

        Raises:
            WrongPerson: the code was another person's than the file's.
        """
        place = sign_in_zone(zone or self._book.zone())
        signed = self._need_client().sign_in(code, device=device, zone=place, device_id=self.device_id)
        self._book.belongs(signed.me)
        return self._woken(signed)

    def sign_out(self, *, discard_unsent: bool = False) -> None:
        """End the sign-in and destroy the file. The diary is closed then; open the path anew for the next person.

        Example::

            diary.sync()
            diary.sign_out()

        Args:
            discard_unsent: also where there are words that only this device has.

        Raises:
            UnsentEntries: there are such words; nothing was done.
            TransportError: the service could not be reached; nothing was done. Without a client nobody is asked.
        """
        keeping = self._keeper is not None
        self._rest()
        try:
            if self._engine is None:
                self._book.wipe(discard_unsent)
            else:
                self._run(self._engine.sign_out(discard_unsent))
        except BaseException:
            if keeping:
                self.keep_synced()
            raise

    def close(self) -> None:
        """Stop syncing and let go of the file, within a second. What was not sent is sent another time."""
        self._rest()
        self._book.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Diary({self._path.name!r})"

    @property
    def _standing(self) -> Standing:
        return self._book.standing()

    @property
    def _with_client(self) -> Engine:
        if self._engine is None:
            raise no_client()
        return self._engine

    def _need_client(self) -> Companion:
        if self._client is None:
            raise no_client()
        return self._client

    def _run(self, steps: Steps[T]) -> T:
        return run(link_of(self._need_client()), steps)

    def _hints(self) -> Hints[Changed]:
        patient = self.patient_id
        return Hints(link_of(self._need_client()), DiarySync.stream(patient="me" if patient is None else patient))

    def _woken(self, done: T) -> T:
        if self._keeper is not None:
            self._keeper.wake()
        return done

    def _rest(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.stop()
