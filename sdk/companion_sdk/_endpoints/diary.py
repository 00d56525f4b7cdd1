"""The diary: record, read, correct, delete and list entries."""

from collections.abc import Sequence
from datetime import date, datetime
from types import NoneType
from uuid import UUID

from companion_sdk._call import Call, Endpoint, Pages, State, Steps, ask, path_id, path_patient, query_of
from companion_sdk._zone import local_zone
from companion_sdk.paging import Page
from companion_sdk.wire import Body, Log, LogHistory, LogIn, LogPage
from companion_sdk.wire.kinds import Source

from .people import ME_GET

LOG_PUT = Endpoint("PUT", "/v1/patients/{patient}/logs/{log}", Log, LogIn)
LOG_GET = Endpoint("GET", "/v1/patients/{patient}/logs/{log}", Log)
LOG_DELETE = Endpoint("DELETE", "/v1/patients/{patient}/logs/{log}", NoneType)
LOG_HISTORY = Endpoint("GET", "/v1/patients/{patient}/logs/{log}/history", LogHistory)
LOGS_GET = Endpoint("GET", "/v1/patients/{patient}/logs", LogPage)


class Logs:
    """The diary. An entry is a ``Log``: when and where on the clock, and a ``body`` that says what."""

    @staticmethod
    def record(
        state: State,
        body: Body,
        *,
        at: datetime | None = None,
        zone: str | None = None,
        id: UUID | str | None = None,
        source: Source = "sdk",
        patient: UUID | str = "me",
    ) -> Steps[Log]:
        """Store one diary entry.

        Example::

            from companion_sdk import Mood

            entry = client.logs.record(Mood(mood=4, note="A walk helped"))
            print(entry.day, entry.revision)

        Args:
            body: what to record: ``Mood``, ``Sobriety``, ``Coping`` or ``Note``.
            at: when it happened, with an offset; now if left out.
            zone: the IANA zone it happened in, which decides the entry's local day. If left out: the client's zone,
                else this device's (unless it is set to UTC), else the zone of the signed-in person's profile.
            id: the entry's own UUID if you made one; the same id with the same content is the same entry.
            source: where the entry comes from.
            patient: whose diary; your own if left out.

        Returns:
            The entry as stored. ``crisis`` holds help to show at once when the entry tells of danger.
        """
        moment = _aware(state.clock.now() if at is None else at)
        place = zone or state.zone or local_zone() or state.person_zone
        if place is None:
            me = yield from ask(ME_GET.call())
            place = state.person_zone = me.zone
        chosen = state.clock.uuid7() if id is None else id
        entry = LogIn(at=moment, zone=place, body=body, source=source)
        return (yield from ask(Logs.put(chosen, entry, patient=patient)))

    @staticmethod
    def put(
        id: UUID | str,
        entry: LogIn,
        *,
        if_match: int | None = None,
        create_only: bool = False,
        patient: UUID | str = "me",
    ) -> Call[Log]:
        """Store an entry under an id you made. Safe to repeat: the same id and content is one entry.

        Example::

            from datetime import UTC, datetime
            from uuid import uuid4
            from companion_sdk import LogIn, Note

            evening = datetime(2026, 11, 2, 20, 30, tzinfo=UTC)
            said = LogIn(at=evening, zone="America/New_York", body=Note(text="Quiet day"))
            entry = client.logs.put(uuid4(), said)
            print(entry.revision)

        Args:
            id: the entry's UUID.
            entry: the whole entry.
            if_match: the revision you correct; needed to change what is stored.
            create_only: refuse (``RevisionMismatch``) if the id already exists.
            patient: whose diary; your own if left out.

        Raises:
            RevisionRequired: the id exists with other content and ``if_match`` was not given.
            RevisionMismatch: someone else changed it; ``error.current`` is what is stored.
            Gone: it was deleted.
        """
        _aware(entry.at)
        ids = {"patient": path_patient(patient), "log": path_id(id)}
        headers = (*_if_match(if_match), *([("If-None-Match", "*")] if create_only else []))
        return LOG_PUT.call(ids=ids, body=entry, headers=headers)

    @staticmethod
    def get(id: UUID | str, *, patient: UUID | str = "me") -> Call[Log]:
        """One entry. A kind this SDK does not know yet comes as an ``UnknownLog``.

        Example::

            from companion_sdk import Note

            entry = client.logs.record(Note(text="Called my sponsor"))
            again = client.logs.get(entry.id)
            print(again.body)
        """
        return LOG_GET.call(ids={"patient": path_patient(patient), "log": path_id(id)})

    @staticmethod
    def correct(log: Log, body: Body | None = None, *, at: datetime | None = None, zone: str | None = None) -> Call[Log]:
        """Change an entry you have read; what is left out stays, and the old revision stays in the history.

        Example::

            from companion_sdk import Mood

            entry = client.logs.record(Mood(mood=2))
            entry = client.logs.correct(entry, Mood(mood=3))
            print(entry.revision)

        Args:
            log: the entry as you last saw it; its revision is sent along.
            body: the new content, of the same kind.
            at: another moment.
            zone: another zone.

        Raises:
            RevisionMismatch: someone changed it since: look at ``error.current``, then decide.
        """
        content = body or log.body
        if content is None:
            raise ValueError("this entry has no content this version can write back: it is deleted or of an unknown kind")
        entry = LogIn(at=at or log.at, zone=zone or log.zone, body=content, source=log.source)
        return Logs.put(log.id, entry, if_match=log.revision, patient=log.patient_id)

    @staticmethod
    def delete(id: UUID | str, *, if_match: int | None = None, patient: UUID | str = "me") -> Call[None]:
        """Delete an entry. Its id never lives again; deleting twice is fine.

        Example::

            from companion_sdk import Note

            entry = client.logs.record(Note(text="Wrong day"))
            client.logs.delete(entry.id)

        Args:
            id: the entry's UUID.
            if_match: delete only this revision (else ``RevisionMismatch``); whatever is stored if left out.
            patient: whose diary; your own if left out.
        """
        ids = {"patient": path_patient(patient), "log": path_id(id)}
        return LOG_DELETE.call(ids=ids, headers=_if_match(if_match))

    @staticmethod
    def history(id: UUID | str, *, patient: UUID | str = "me") -> Call[Sequence[Log]]:
        """Every revision of one entry, oldest first; also of a deleted one.

        Example::

            from companion_sdk import Mood

            entry = client.logs.record(Mood(mood=2))
            client.logs.correct(entry, Mood(mood=3))
            for revision in client.logs.history(entry.id):
                print(revision.revision, revision.body)
        """
        call = LOG_HISTORY.call(ids={"patient": path_patient(patient), "log": path_id(id)})
        return call.then(lambda answer: answer.items)

    @staticmethod
    def list(
        kind: str | None = None,
        from_: date | None = None,
        to: date | None = None,
        limit: int = 100,
        cursor: str | None = None,
        patient: UUID | str = "me",
    ) -> Pages[Log]:
        """Entries, newest first. Loop over them; pages are fetched as you go.

        Example::

            from datetime import date

            for entry in client.logs.list(kind="mood", from_=date(2026, 10, 1)):
                print(entry.day, entry.body)

            for page in client.logs.list(limit=50).pages():
                print(len(page.items), page.next)

        Args:
            kind: only this kind, such as ``mood``.
            from_: from this local day on, inclusive.
            to: up to this local day, inclusive.
            limit: entries in a page (1–500), not in all.
            cursor: resume after a page's ``next``.
            patient: whose diary; your own if left out.
        """
        query = query_of(kind=kind, from_=from_, to=to, limit=limit, cursor=cursor)
        call = LOGS_GET.call(ids={"patient": path_patient(patient)}, query=query)
        return Pages(call.then(lambda page: Page(items=page.items, next=page.next)))


def _aware(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError("`at` needs an offset, for example datetime(2026, 11, 2, 20, 30, tzinfo=UTC)")
    return moment


def _if_match(revision: int | None) -> tuple[tuple[str, str], ...]:
    return () if revision is None else (("If-Match", f'"{revision}"'),)
