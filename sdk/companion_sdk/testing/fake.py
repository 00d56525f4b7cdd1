"""The fake service: Companion in memory, for the tests of an app. Deterministic, and safe to share between threads.

It answers sign-in, the diary, sync, the crisis plan and consents by itself and to the word as the service does (one suite
of tests runs against both). What else an app asks, the test answers with ``FakeService.answer``.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol
from uuid import UUID

import msgspec

from companion_sdk.client import AsyncCompanion, AsyncTransport, Companion, Transport
from companion_sdk.wire import WORDS, Body, Clinic, ConsentIn, Log, LogIn, TokenIn
from companion_sdk.wire.people import Scope

from . import _consenting, _entries, _gate, _routes, _signing
from ._answers import Answers
from ._exchange import Heard, Said
from ._gate import Unit
from ._refusals import GUARDED, MEDIA, Refused, unauthenticated
from ._site import URL, Site, normal_code
from ._world import Account, Coded, World
from .clock import Clock

if TYPE_CHECKING:
    from ._carrier import Carrier

_ALWAYS = {"cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
_KEPT_FOR = timedelta(days=400)


class AnyTransport(Transport, AsyncTransport, Protocol):
    """A transport that a ``Companion`` and an ``AsyncCompanion`` both take: an ``httpx2`` one of either kind."""


class Person(msgspec.Struct, frozen=True):
    """Somebody of the fake service, signed in: ``id`` is the patient's or the clinician's, ``token`` speaks for them."""

    name: str
    role: Literal["patient", "clinician"]
    id: UUID
    token: str
    zone: str


class Exchange(msgspec.Struct, frozen=True):
    """One request as the fake service saw it, and how it ended."""

    method: str
    path: str
    status: int


class Snapshot(msgspec.Struct, frozen=True):
    """What ``FakeService.snapshot`` saved."""

    world: World


class FakeService:
    """A Companion service in memory.

    Example::

        from companion_sdk import Mood
        from companion_sdk.testing import FakeService

        fake = FakeService()
        ana = fake.patient("Ana", zone="America/New_York")
        with fake.client(ana) as client:
            client.logs.record(Mood(mood=4))
        print(fake.entries(ana))
    """

    def __init__(self, *, seed: object = 0, at: datetime | None = None) -> None:
        """Make a service with one clinic and nobody in it.

        Args:
            seed: ids, tokens, codes and jitter are the same for the same seed.
            at: where its clock stands until the test moves it; the machine's time if left out.
        """
        self.clock: Clock = Clock(at, seed=seed)
        self.url: str = URL
        self._site = Site(self.clock, seed)
        self._world = World()
        self._lock = threading.RLock()
        self._bell: set[Callable[[], None]] = set()
        self._answers = Answers()
        self._asked: deque[Exchange] = deque(maxlen=10_000)
        self._epochs = 1
        self._clinic = self.clinic("North", "North Street")

    # whoever asks it

    @property
    def transport(self) -> AnyTransport:
        """What carries a client's requests here, for as many clients as you like.

        ``Companion(fake.url, token, transport=fake.transport)`` speaks to this service and goes by its clock.
        """
        return self._carrier(self.clock)

    def _carrier(self, clock: Clock) -> "Carrier":
        from ._carrier import Carrier

        return Carrier(self._hear, self._bell, clock)

    def client(
        self, person: Person | str | None = None, *, over: AnyTransport | None = None, clock: Clock | None = None
    ) -> Companion:
        """A client that speaks for a person or with a token; for nobody yet, without one.

        Args:
            person: who speaks.
            over: a transport around this service's own, such as a ``Network``.
            clock: the client's clock, such as ``fake.clock.skewed(minutes=7)``; the service's if left out.
        """
        token, zone = _speaks(person)
        return Companion(URL, token, transport=over or self._carrier(clock or self.clock), zone=zone)

    def async_client(
        self, person: Person | str | None = None, *, over: AnyTransport | None = None, clock: Clock | None = None
    ) -> AsyncCompanion:
        """As ``client``, for asyncio."""
        token, zone = _speaks(person)
        return AsyncCompanion(URL, token, transport=over or self._carrier(clock or self.clock), zone=zone)

    @property
    def requests(self) -> Sequence[Exchange]:
        """What was asked so far, the last ten thousand, in order."""
        with self._lock:
            return tuple(self._asked)

    # who is there

    def clinic(self, name: str, site: str = "Main Street") -> UUID:
        """Another clinic; its id."""
        with self._lock:
            made = Clinic(id=self._site.new_id(self.clock.now()), name=name, site=site)
            self._world.clinics[made.id] = made
            return made.id

    def patient(
        self, name: str, *, zone: str = "America/New_York", language: str = "en", clinic: UUID | None = None
    ) -> Person:
        """A patient who has just signed in on a phone."""
        with self._lock:
            unit = self._unit()
            _signing.check_zone(zone, "/zone")
            account = _signing.new_person(unit, "patient", clinic or self._clinic, name, zone, language)
            device = self._site.new_id(unit.now)
            signed = _signing.begin_device(unit, account, device, f"{name}'s phone", zone)
            return Person(name, "patient", account.id, signed.access_token, zone)

    def clinician(self, name: str, *, clinic: UUID | None = None) -> Person:
        """A clinician who has just signed in; she sees nothing of anybody without ``consent``."""
        with self._lock:
            unit = self._unit()
            account = _signing.new_person(unit, "clinician", clinic or self._clinic, name, "UTC")
            signed = _signing.begin_session(unit, account)
            return Person(name, "clinician", account.id, signed.access_token, "UTC")

    def invite(self, person: Person) -> str:
        """A code with which a patient's next phone signs in once, within seven days."""
        with self._lock:
            return _signing.make_invite(self._unit(), self._account(person).id, None).code

    def code(self, person: Person) -> str:
        """A clinician's one-time sign-in code of fifteen minutes."""
        with self._lock:
            code = self._site.new_code()
            ends = self.clock.now() + _signing.CODE_LASTS
            self._world.codes[normal_code(code)] = Coded(self._account(person).id, ends)
            return code

    def token(self, person: Person, scopes: Sequence[Scope], *, name: str = "App", days: int = 90) -> str:
        """A scoped token that a patient gave to a third party."""
        with self._lock:
            asked = TokenIn(name=name, scopes=scopes, days=days)
            held = _signing.new_token(self._unit(), self._account(person).id, asked)
            secret = self._site.new_token(name)
            self._world.tokens[secret] = held
            return secret

    def revoke(self, token: Person | str) -> None:
        """End a token now; streams it opened end too."""
        with self._lock:
            secret = token.token if isinstance(token, Person) else token
            if secret not in self._world.tokens:
                raise KeyError("no such token was ever given out")
            _signing.end(self._unit(), secret)
        self._ring()

    def consent(self, patient: Person, to: Person | UUID, kinds: Sequence[str] | None = None) -> UUID:
        """Let a clinician or a clinic see some kinds of entry, or all; the consent's id."""
        with self._lock:
            unit = self._unit()
            recipient = to.id if isinstance(to, Person) else to
            asked = ConsentIn(recipient=recipient, categories=tuple(kinds or sorted(_gate.ALL)))
            return _consenting.keep(unit, self._account(patient).id, self._site.new_id(unit.now), asked).id

    def end_consent(self, patient: Person, consent: UUID) -> None:
        """Revoke a consent now; streams it allowed end too."""
        with self._lock:
            _consenting.end(self._unit(), self._account(patient).id, consent)
        self._ring()

    def _account(self, person: Person) -> Account:
        found = self._world.people.get(person.id)
        if found is None:
            raise KeyError(f"{person.name} is not of this service")
        return found

    # what is there

    def record(
        self, patient: Person, body: Body, *, at: datetime | None = None, zone: str | None = None, id: UUID | None = None
    ) -> Log:
        """Store an entry as if the patient had; for what a test begins with."""
        with self._lock:
            unit = self._unit()
            account = self._account(patient)
            entry = LogIn(at=at or unit.now, zone=zone or account.zone, body=body)
            grant = _gate.Grant(account.id, account.id, _gate.ALL)
            log = _entries.append(unit, grant, id or self._site.new_id(unit.now), entry, timedelta(0))
        self._ring()
        return log

    def entries(self, patient: Person) -> Sequence[Log]:
        """The live entries of a patient, newest first."""
        with self._lock:
            newest = self._world.feeds[self._account(patient).id].newest.values()
            return sorted((log for log in newest if not log.deleted), key=lambda log: (log.at, log.id.bytes), reverse=True)

    # what its operator does

    def advance(self, **span: float) -> None:
        """Time passes: ``fake.advance(days=1)``."""
        self.clock.advance(**span)
        self._ring()

    def set_clock(self, at: datetime) -> None:
        """The service's clock shows ``at``."""
        self.clock.set(at)
        self._ring()

    def purge(self, before: datetime | None = None) -> None:
        """Take tombstones from before an instant (400 days ago, if left out) out of what is pulled, and raise the floor."""
        with self._lock:
            edge = before or self.clock.now() - _KEPT_FOR
            for feed in self._world.feeds.values():
                old = [log.seq for log in feed.newest.values() if log.deleted and log.recorded_at < edge]
                if old:
                    feed.floor = max(feed.floor, *old)
                    kept = {log.id: log for log in feed.newest.values() if not log.deleted or log.seq > max(old)}
                    feed.newest = kept

    def raise_epoch(self) -> None:
        """Tell every device that the order of changes was put back to an earlier state."""
        with self._lock:
            self._epochs = max(self._epochs + 1, int(self.clock.now().timestamp()))
            for feed in self._world.feeds.values():
                feed.epoch = self._epochs
        self._ring()

    def snapshot(self) -> Snapshot:
        """A backup of everything."""
        with self._lock:
            return Snapshot(self._world.copy())

    def restore(self, saved: Snapshot, *, announced: bool = True) -> None:
        """Put a backup back; what came later is lost. Unless it is not ``announced``, the epoch is raised."""
        with self._lock:
            self._world = saved.world.copy()
            if announced:
                self.raise_epoch()
        self._ring()

    def older(self, version: str, without: Sequence[str] = ()) -> None:
        """Become a service that lacks some kinds (``"goal"``) or fields (``"mood.energy"``); with none, the newest again."""
        with self._lock:
            self._site.version, self._site.without = version, frozenset(without)

    def answer(
        self,
        method: str,
        route: str,
        answer: object = None,
        *,
        status: int = 200,
        times: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer a route of the contract in the service's place.

        Example::

            fake.answer("GET", "/v1/patients/{patient}/nudges", {"items": [], "next": None})
            fake.answer("POST", "/v1/patients/{patient}/sync/push", "busy", times=1)

        Args:
            method: such as ``GET``.
            route: the path with ``{…}`` where an id stands, as the contract writes it.
            answer: a struct of the contract or what JSON holds; a problem's word, such as ``busy``, is that refusal; None
                has no body.
            status: of the answer; a refusal has its own.
            times: how often; until another answer is set, if left out.
            headers: more headers, such as ``{"Retry-After": "1"}``.
        """
        if isinstance(answer, str) and answer not in WORDS:
            raise ValueError(f"a problem's word is one of {', '.join(sorted(WORDS))}")
        with self._lock:
            self._answers.set(method, route, answer, status, times, headers or {})

    # answering

    def _unit(self, heard: Heard | None = None) -> Unit:
        now = self.clock.now()
        actor = _gate.NOBODY if heard is None else _gate.resolve(self._world, now, heard.token())
        return Unit(self._world, self._site, now, actor, heard or Heard("", "", (), b""))

    def _hear(self, heard: Heard) -> Said:
        with self._lock:
            request_id = heard.request_id() or self._site.new_request_id()
            try:
                said = self._answered(heard)
            except Refused as refused:
                said = self._refused(heard, refused, request_id)
            self._asked.append(Exchange(heard.method, heard.path, said.status))
        if heard.method not in ("GET", "HEAD"):
            self._ring()
        length = {} if said.stream or said.status in (204, 304) else {"content-length": str(len(said.body))}
        return msgspec.structs.replace(said, headers={**said.headers, **length, "x-request-id": request_id, **_ALWAYS})

    def _answered(self, heard: Heard) -> Said:
        unit, path = self._unit(heard), heard.path
        if path not in _routes.OPEN:
            unit.actor.known()
        if not path.isascii():
            raise Refused("invalid-request" if "\ufffd" in path else "not-found")
        path = path.rstrip("/") or "/"
        method = "GET" if heard.method == "HEAD" else heard.method
        if (set_by_test := self._answers.take(method, path)) is not None:
            return set_by_test
        found = _routes.find(path)
        if found is None or method not in found[0]:
            raise self._answers.missing(method, path, None if found is None else sorted(found[0]))
        verbs, fields = found
        if verbs[method] is _routes.STREAM:
            return _routes.STREAM(unit, **fields, look=lambda read: self._look(heard, read))
        return verbs[method](unit, **fields)

    def _look(self, heard: Heard, read: Callable[[Unit], int]) -> int:
        with self._lock:
            return read(self._unit(heard))

    def _refused(self, heard: Heard, refused: Refused, request_id: str) -> Said:
        stranger = refused.status in GUARDED and heard.path not in _routes.OPEN
        if stranger and self._unit(heard).actor.role == "anonymous":
            refused = unauthenticated()
        headers = {name.lower(): value for name, value in refused.headers}
        return Said(refused.status, {"content-type": MEDIA, **headers}, refused.body(request_id))

    def _ring(self) -> None:
        for ring in tuple(self._bell):
            ring()


def _speaks(person: Person | str | None) -> tuple[str | None, str | None]:
    """The token and zone of whoever speaks."""
    return (person.token, person.zone) if isinstance(person, Person) else (person, None)


__all__ = ["AnyTransport", "Exchange", "FakeService", "Person", "Snapshot"]
