"""One open diary: what a person does to it and sees of it, each in one transaction. Knows no link; the engine does.

Safe between threads and processes. ``Diary`` calls it where it stands, ``AsyncDiary`` from a thread.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from companion_sdk._clock import Clock
from companion_sdk._zone import local_zone
from companion_sdk.clinical import crisis as help_in
from companion_sdk.clinical.redflags import flags
from companion_sdk.errors import UnsentEntries, WrongPerson
from companion_sdk.wire import Body, Crisis, Me
from companion_sdk.wire.kinds import Source

from . import attention, outbox, reading, writing
from .reading import Days, Found
from .records import Device, Person, Site, Synced
from .seal import secret
from .shapes import Attention, Entry
from .store import Store, Tx, open_store


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the app wants its diary."""

    path: Path
    passphrase: str | None = None
    key: bytes | None = None
    zone: str | None = None
    language: str | None = None
    source: Source = "app"

    def __repr__(self) -> str:
        return f"Settings({self.path.name!r})"


class Standing(msgspec.Struct, frozen=True):
    """What an app shows of the whole diary."""

    unsent: int
    needs_attention: int
    device: UUID
    patient: UUID | None
    last_synced: datetime | None
    skew: timedelta | None


class Book:
    """One open diary."""

    def __init__(self, settings: Settings, clock: Clock, now: Callable[[], datetime] | None = None) -> None:
        self.clock = clock
        self._now = now
        self._settings = settings
        given = secret(settings.passphrase, settings.key)
        self.store: Store = open_store(settings.path, given, lambda: self.clock.uuid7())
        self.client_zone: str | None = None

    def now(self) -> datetime:
        """What this device takes the time to be."""
        return self.clock.now() if self._now is None else self._now()

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()

    # what a person does

    def record(self, body: Body, at: datetime | None, zone: str | None, id: UUID | None) -> Entry:
        """A new entry, or a correction where the id exists."""
        with self.store.write() as tx:
            return self._told(tx, writing.record(tx, self._moment(tx, zone), body, at, zone, id))

    def correct(self, entry: "Entry | UUID", body: Body | None, at: datetime | None, zone: str | None) -> Entry:
        """Other words, another time or place."""
        seen = entry.revision if isinstance(entry, Entry) else None
        with self.store.write() as tx:
            return self._told(tx, writing.correct(tx, self._moment(tx, zone), _id(entry), body, at, zone, seen))

    def delete(self, entry: "Entry | UUID") -> None:
        """Delete an entry."""
        with self.store.write() as tx:
            writing.delete(tx, _id(entry))

    def fix(self, refused: Attention, body: Body | None, at: datetime | None, zone: str | None) -> Entry:
        """Send refused words again in another form."""
        with self.store.write() as tx:
            return self._told(tx, writing.fix(tx, self._moment(tx, zone), refused.entry_id, body, at, zone))

    def discard(self, refused: Attention) -> None:
        """Give refused words up."""
        with self.store.write() as tx:
            attention.discard(tx, refused.entry_id)

    # what a person sees

    def get(self, id: UUID) -> Entry | None:
        """One entry."""
        with self.store.read() as tx:
            found = reading.one(tx, writing.resolve(tx.device(), id))
        return None if found is None else reading.entry_of(found, found.kept)

    def safety_plan(self) -> Entry | None:
        """The crisis plan."""
        return self.get(writing.UNKNOWN_PATIENT_PLAN)

    def entries(self, kind: str | None, days: Days, most: int | None) -> list[Entry]:
        """Entries, newest first."""
        narrow = kind is None and days == Days()
        with self.store.read() as tx:
            found = reading.several(tx, days, most if narrow else None)
        return list(reading.chosen(self.store, found, kind, days, most))

    def needs_attention(self) -> list[Attention]:
        """What the service refused."""
        with self.store.read() as tx:
            found = attention.find_all(tx)
        return [reading.attention_of(entry, refused) for entry, refused in found]

    def standing(self) -> Standing:
        """Where the diary stands."""
        with self.store.read() as tx:
            device, synced = tx.device(), tx.get(Synced) or Synced()
            skew = None if synced.skew is None else timedelta(seconds=synced.skew)
            counts = outbox.unsent(tx), attention.count(tx)
        return Standing(*counts, device.id, device.patient, synced.at, skew)

    # whose it is

    def belongs(self, me: Me) -> Device:
        """Make sure that the file is this person's; at the first sync it becomes theirs.

        Raises:
            WrongPerson: it is somebody else's, or this is nobody with a diary.
        """
        if me.patient_id is None:
            raise WrongPerson("a diary is a patient's: sign in as one")
        with self.store.write() as tx:
            device = tx.device()
            if device.patient is None:
                device = msgspec.structs.replace(device, patient=me.patient_id)
                tx.put(device)
                outbox.move(tx, writing.UNKNOWN_PATIENT_PLAN, writing.plan_id(device))
            elif device.patient != me.patient_id:
                raise WrongPerson("this file is another person's diary: open another file for this one")
            tx.put(Person(me.zone, me.language, app=me.role == "app"))
        return device

    def keep_crisis(self, crisis: Crisis) -> None:
        """Remember the site's own help for when there is no network."""
        with self.store.write(lasting=False) as tx:
            tx.put(Site(crisis))

    def language(self, tx: Tx) -> str:
        """In which language to speak to the person."""
        person = tx.get(Person)
        return self._settings.language or (person.language if person is not None else "en")

    def wipe(self, discard_unsent: bool) -> None:
        """Destroy the file.

        Raises:
            UnsentEntries: there are words in it that only this device has.
        """
        self.store.wipe(lambda tx: None if discard_unsent else nothing_is_lost(tx))

    def zone(self) -> str | None:
        """Where this device is, as far as anybody told it."""
        with self.store.read() as tx:
            return self._zone(tx)

    def _zone(self, tx: Tx) -> str | None:
        place = self._settings.zone or self.client_zone or local_zone()
        if place is None and (person := tx.get(Person)) is not None:
            return person.zone
        return place

    def _moment(self, tx: Tx, zone: str | None) -> writing.Moment:
        return writing.Moment(self.now(), zone or self._zone(tx), self._settings.source)

    def _told(self, tx: Tx, found: Found) -> Entry:
        """The entry just written, with help where it tells of danger."""
        entry = reading.entry_of(found, found.kept)
        if entry.body is None or not flags(entry.body):
            return entry
        return msgspec.structs.replace(entry, crisis=self._crisis(tx))

    def _crisis(self, tx: Tx) -> Crisis:
        site = tx.get(Site)
        if site is not None:
            return site.crisis
        language = self.language(tx)
        return help_in.crisis(help_in.us_resources(language), help_in.usual_hours(language), language=language)


def nothing_is_lost(tx: Tx) -> None:
    """See that no words are on this device alone."""
    unsent, refused = outbox.unsent(tx), attention.count(tx)
    if unsent or refused:
        raise UnsentEntries(unsent, refused)


def _id(entry: "Entry | UUID") -> UUID:
    return entry.id if isinstance(entry, Entry) else entry
