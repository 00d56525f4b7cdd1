"""The property test of sync: three phones, a network that does everything a network may do, and what must hold all the same.

It drives whatever speaks ``sync_words``: the pure model, the fake, the real service with the real ``Diary``. The invariants
are I1–I7 of the design, and three of ours: nothing is applied twice (I8), a phone sees what it wrote once it is stored (I9),
the digests agree (I10).
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from .sync_words import DAILY, PLAN, STOPS, Content, Device, Errand, Flight, Made, Service, Told

PHONES = 3
ROUNDS = 10
PHONE = st.integers(0, PHONES - 1)
PICK = st.integers(0, 30)
PLACES = st.sampled_from(["new", "new", "daily", "daily", "plan"])
KINDS = st.sampled_from(["mood", "mood", "note"])
BAD = st.sampled_from([False, False, False, False, True])


class SyncMachine(RuleBasedStateMachine):
    """Subclasses say which service and which phones."""

    restored: ClassVar[bool] = False
    """Whether what happened may have been forgotten by the service."""

    def service(self) -> Service:
        raise NotImplementedError

    def phone(self, number: int) -> Device:
        raise NotImplementedError

    @initialize()
    def open(self) -> None:
        self.server = self.service()
        self.phones = [self.phone(number) for number in range(PHONES)]
        self.tokens: list[Any] = [None] * PHONES
        self.revoked = [False] * PHONES
        self.ended: set[Any] = set()
        self.bag: list[Flight] = []
        self.backups: list[tuple[Any, list[Made]]] = [(self.phones[0].backup(), [])]
        self.books: list[list[Made]] = [[] for _ in range(PHONES)]
        self.outcomes: dict[tuple[object, int, object], tuple[str, int, int]] = {}
        self.applied: dict[object, tuple[int, int]] = {}
        self.dead: set[int] = set()
        self.never: set[int] = set()
        self.settled: set[int] = set()
        self.own: list[set[int]] = [set() for _ in range(PHONES)]
        self.numbers = count(10)
        for number in range(PHONES):
            self._sign_in(number)

    # what the person does

    @rule(d=PHONE, where=PLACES, which=PICK, kind=KINDS, bad=BAD)
    def write(self, d: int, where: str, which: int, kind: str, bad: bool) -> None:
        """Record something, new or under an id that other phones may use too."""
        word = next(self.numbers)
        entry = {"new": word, "daily": DAILY[which % len(DAILY)], "plan": PLAN}[where]
        self._write(d, entry, Content("plan" if entry == PLAN else kind, word, bad))

    @rule(d=PHONE, which=PICK, bad=BAD)
    def correct(self, d: int, which: int, bad: bool) -> None:
        seen = sorted(self.phones[d].view())
        if seen:
            self._write(d, seen[which % len(seen)], Content("mood", next(self.numbers), bad))

    def _write(self, d: int, entry: int, content: Content) -> None:
        shown = self.phones[d].view().get(entry)
        if shown is not None:
            content = content._replace(kind=shown.kind)
        if self.phones[d].write(entry, content):
            self.books[d].append(Made(entry, content.word))

    @rule(d=PHONE, which=PICK)
    def delete(self, d: int, which: int) -> None:
        seen = sorted(set(self.phones[d].view()) - {PLAN})
        if seen:
            entry = seen[which % len(seen)]
            self.phones[d].delete(entry)
            self.own[d].discard(entry)
            self.books[d].append(Made(entry, 0))

    # what the network does

    @rule(d=PHONE)
    def begin(self, d: int) -> None:
        if sum(flight.phone == d and flight.errand is not None for flight in self.bag) < 2:
            self._depart(d, self.phones[d].begin())

    def _depart(self, d: int, errand: Errand) -> None:
        if errand.request is not None:
            self.bag.append(Flight(d, errand, errand.request, self.tokens[d]))

    def _pick(self, which: int, wanted: Callable[[Flight], object]) -> Iterator[Flight]:
        found = [flight for flight in self.bag if wanted(flight)]
        if found:
            yield found[which % len(found)]

    @precondition(lambda self: self.bag)
    @rule(which=PICK)
    def arrive(self, which: int) -> None:
        """A request reaches the service, for the first time or again; its transaction is open."""
        for flight in self._pick(which, lambda flight: len(flight.arrived) < 2):
            flight.arrived.append(self.server.begin(flight.request))

    @precondition(lambda self: any(flight.arrived for flight in self.bag))
    @rule(which=PICK)
    def commit(self, which: int) -> None:
        for flight in self._pick(which, lambda flight: flight.arrived):
            flight.replies.append(self._commit(flight))

    @precondition(lambda self: any(flight.arrived for flight in self.bag))
    @rule(which=PICK)
    def abort(self, which: int) -> None:
        for flight in self._pick(which, lambda flight: flight.arrived):
            flight.arrived.pop(0)

    def _commit(self, flight: Flight) -> Any:
        reply = flight.arrived.pop(0)()
        told = self._check_told(flight.request, reply)
        assert not told or flight.token not in self.ended, "a revoked token pushed"
        return reply

    def _reply(self, flight: Flight) -> None:
        flight.arrived.append(self.server.begin(flight.request))
        flight.replies.append(self._commit(flight))

    @precondition(lambda self: any(flight.replies and flight.errand for flight in self.bag))
    @rule(which=PICK)
    def answer(self, which: int) -> None:
        for flight in self._pick(which, lambda flight: flight.replies and flight.errand):
            self._answer(flight)

    def _answer(self, flight: Flight) -> None:
        errand, flight.errand = flight.errand, None
        assert errand is not None
        phone = self.phones[flight.phone]
        before, reply = phone.place(), flight.replies.pop(0)
        errand.answer(reply)
        self._check_phone(flight, reply, before)
        self._depart(flight.phone, errand)

    @precondition(lambda self: self.bag)
    @rule(which=PICK)
    def through(self, which: int) -> None:
        """One request goes there and back."""
        for flight in self._pick(which, lambda flight: flight.errand):
            flight.arrived.append(self.server.begin(flight.request))
            flight.replies = [self._commit(flight)]
            self._answer(flight)

    @precondition(lambda self: any(flight.errand for flight in self.bag))
    @rule(which=PICK)
    def time_out(self, which: int) -> None:
        """The phone waits no longer; the request may still arrive."""
        for flight in self._pick(which, lambda flight: flight.errand):
            errand, flight.errand = flight.errand, None
            assert errand is not None
            errand.fail()
            self._depart(flight.phone, errand)

    @precondition(lambda self: self.bag)
    @rule(which=PICK)
    def lose(self, which: int) -> None:
        for flight in self._pick(which, lambda flight: flight.errand is None):
            self.bag.remove(flight)

    # what seldom comes about by itself: without such macros some faults live through thousands of histories

    @rule(d=PHONE)
    def sync_ok(self, d: int) -> None:
        """A whole sync on a good network."""
        if not self.revoked[d]:
            self._sync(d)

    @rule()
    def everybody(self) -> None:
        for d in range(PHONES):
            self.sync_ok(d)

    @rule(d=PHONE, which=PICK, back=st.sampled_from(["no", "yes", "new phone"]))
    def bury(self, d: int, which: int, back: str) -> None:
        """An entry is deleted, and 400 days pass; then, perhaps, the phone is restored to how it was before, or was new."""
        if back == "new phone":
            self.restore(d, 0)
            self.write(d, "new", 0, "note", False)
        if back != "no":
            self.backup(d)
        self.delete(d, which)
        self.sync_ok(d)
        self.purge()
        if back != "no":
            self.restore(d, len(self.backups) - 1)

    @rule(d=PHONE, e=PHONE, which=PICK)
    def race(self, d: int, e: int, which: int) -> None:
        """While a push is being committed another phone writes, and everybody else pulls."""
        self.write(d, "new", 0, "mood", False)
        self._hold(d, lambda flight: flight.arrived.append(self.server.begin(flight.request)))
        self.correct(e, which, False)
        for other in {0, 1, 2} - {d}:
            self.sync_ok(other)

    @rule(d=PHONE, e=PHONE, which=PICK)
    def slow(self, d: int, e: int, which: int) -> None:
        """An answer is under way while another phone writes and syncs."""
        self._hold(d, self._reply)
        self.correct(e, which, False)
        self.sync_ok(e)

    @rule(d=PHONE, e=PHONE, which=PICK, early=st.booleans(), send=st.booleans(), late=st.booleans())
    def overlap(self, d: int, e: int, which: int, early: bool, send: bool, late: bool) -> None:
        """Two processes of one phone: while one waits for a page, the other records, and sends it if ``send``.

        The page is made before the other's push (``early``), or after it and after another phone corrected that entry.
        ``late``: it is asked for 400 days after another phone deleted something, so that it may have expired.
        """
        if late:
            self.bury(e, which, "no")
        pulling = self._hold(d, self._reply if early else lambda _: None)
        self.write(d, "new", 0, "mood", False)
        pushing = self._hold(d, self._reply) if send else []
        if early:
            for flight in pushing + pulling:
                self._answer(flight)
            return
        for other in (e,) if send else (d, e):
            self.sync_ok(other)
        self.correct(e, len(self.phones[e].view()) - 1, False)
        self.sync_ok(e)
        for flight in pulling:
            self._reply(flight)
        for flight in pulling + pushing:
            self._answer(flight)

    def _hold(self, d: int, half: Callable[[Flight], None]) -> list[Flight]:
        """Start a sync of which the first request goes half the way; none where two are under way."""
        before = len(self.bag)
        self.begin(d)
        for flight in self.bag[before:]:
            half(flight)
        return self.bag[before:]

    # what happens to phones and to the service

    @rule(d=PHONE)
    def crash(self, d: int) -> None:
        self.phones[d].kill()
        self._alone(d)

    def _alone(self, d: int) -> None:
        """Nobody on this phone waits for an answer any more."""
        for flight in self.bag:
            if flight.phone == d:
                flight.errand = None

    @rule(d=PHONE)
    def backup(self, d: int) -> None:
        """The oldest one stays: it is a new phone."""
        self.backups = [self.backups[0], *self.backups[1:][-1:], (self.phones[d].backup(), list(self.books[d]))]

    @rule(d=PHONE, which=PICK)
    def restore(self, d: int, which: int) -> None:
        """From a backup of this phone, or of another one (a new phone set up from it)."""
        backup, book = self.backups[which % len(self.backups)]
        self.phones[d].restore(backup)
        self._alone(d)
        self.books[d], self.own[d] = list(book), set()
        self.phones[d].sign_in(self.tokens[d])

    @rule(d=PHONE)
    def revoke(self, d: int) -> None:
        if not self.revoked[d]:
            self.server.revoke(self.tokens[d])
            self.revoked[d] = True
            self.ended.add(self.tokens[d])

    @rule(d=PHONE)
    def sign_in(self, d: int) -> None:
        if self.revoked[d]:
            self._sign_in(d)

    def _sign_in(self, d: int) -> None:
        self.tokens[d], self.revoked[d] = self.server.sign_in(), False
        self.phones[d].sign_in(self.tokens[d])

    @rule()
    def purge(self) -> None:
        """400 days pass: no packet lives so long, no process waits so long."""
        self._silence()
        self.server.purge()

    def _silence(self) -> None:
        """Whatever is on the network is lost, and nobody waits for it any more."""
        for flight in self.bag:
            if flight.errand is not None:
                flight.errand.fail()
        self.bag.clear()

    # the end: a good network heals everything, and what was still on its way arrives

    def teardown(self) -> None:
        if not hasattr(self, "server"):
            return
        late = [flight.request for flight in self.bag]
        for flight in self.bag:
            while flight.arrived:
                self._commit(flight)
        for d in range(PHONES):
            self.crash(d)
        self.bag.clear()
        self.heal()
        if late:
            for request in late:
                self._check_told(request, self.server.begin(request)())
            self.heal()

    def heal(self) -> None:
        """Everybody signs in and syncs until nothing changes, then every invariant is checked."""
        for d in range(PHONES):
            if self.revoked[d]:
                self._sign_in(d)
        before: Any = None
        for _ in range(ROUNDS):
            for d in range(PHONES):
                self._sync(d)
            now = [(phone.view(), phone.place()) for phone in self.phones]
            if now == before:
                break
            before = now
        else:
            raise AssertionError("I6: the phones do not come to rest")
        self._check_all()

    def _sync(self, d: int) -> None:
        """Sync a phone until it has sent everything and there is no more to pull (I6, I7)."""
        pages, longest, more = 0, 0, True
        for _ in range(self._records() + 2 * self.phones[d].unsent() + 10):
            errand = self.phones[d].begin()
            while errand.request is not None:
                flight = Flight(d, errand, errand.request, self.tokens[d])
                flight.arrived.append(self.server.begin(flight.request))
                reply = self._commit(flight)
                page = self.server.page(flight.request, reply)
                pages = 0 if self.server.told(flight.request, reply) else pages
                if page is not None:
                    longest, pages, more = max(longest, pages + 1), (pages + 1) * page, page
                before = self.phones[d].place()
                errand.answer(reply)
                self._check_phone(flight, reply, before)
            if not more and not self.phones[d].unsent():
                break
        assert self.phones[d].unsent() == 0, "I6: the outbox does not drain"
        assert not more, "I7: a pull has no end"
        records = self._records()
        assert longest <= -(-records // self.server.limit) + 1, f"I7: {longest} pages for {records} records"

    def _records(self) -> int:
        """Entries that the service has had."""
        return len({entry for entry, _ in self.applied.values()})

    # what must hold

    def _check_told(self, request: Any, reply: Any) -> list[Told]:
        found = self.server.told(request, reply)
        for told in found:
            known = (told.outcome, told.revision, told.seq)
            new = False
            if told.outcome not in STOPS:
                new = (told.device, told.n, told.op) not in self.outcomes
                first = self.outcomes.setdefault((told.device, told.n, told.op), known)
                assert first == known, f"I2: operation {told.n} had another outcome: {first}, {known}"
                if told.outcome != "applied" and told.content is not None:
                    self.settled.add(told.content.word)
            if told.outcome == "applied":
                stale = told.id == PLAN and told.op not in self.applied and told.base != told.revision - 1
                assert self.restored or not stale, "a stale copy of the guarded record was stored"
                once = self.applied.setdefault(told.op, (told.id, told.seq))
                assert once == (told.id, told.seq), "I8: an operation was applied twice"
                assert not new or told.content is None or told.id not in self.dead, "I3: a deleted id was written to"
            if told.revision and (told.outcome == "gone" or (told.outcome == "applied" and told.content is None)):
                self.dead.add(told.id)
            elif told.outcome == "gone" and told.content is None:
                self.never.add(told.id)
        return found

    def _check_phone(self, flight: Flight, reply: Any, before: tuple[int, int] | None) -> None:
        phone = self.phones[flight.phone]
        after = phone.place()
        if before is not None and after is not None and before[0] == after[0]:
            assert after[1] >= before[1], f"I4: the cursor went back from {before} to {after}"
        for told in self.server.told(flight.request, reply):
            if told.outcome == "applied" and told.content is not None and told.id in phone.view():
                self.own[flight.phone].add(told.id)
        if lost := self.own[flight.phone] - self.dead - set(phone.view()):
            raise AssertionError(f"I9: the phone no longer shows what it wrote: {lost}")

    def _check_all(self) -> None:
        history = self.server.history()
        live = {entry: lines[-1].content for entry, lines in history.items() if lines[-1].content is not None}
        for phone in self.phones:
            assert phone.view() == live, f"I1: a phone shows {phone.view()}, the service has {live}"
            assert phone.proves(self.server), "I10: the digests differ"
        assert not self.dead & set(live), f"I3: deleted ids live again: {self.dead & set(live)}"
        words = [line.content.word for lines in history.values() for line in lines if line.content is not None]
        self._check_words(words)
        for entry, lines in history.items():
            assert [line.revision for line in lines] == list(range(1, len(lines) + 1)), f"I5: revisions of {entry}"
            assert lines == sorted(lines, key=lambda line: line.seq), f"I5: the order of {entry}"
            stored = [seq for told, seq in self.applied.values() if told == entry]
            assert not stored or max(stored) == lines[-1].seq, f"I5: the last write to {entry} is not what stands"
        self._check_books(set(words), set(live))

    def _check_words(self, words: list[int]) -> None:
        assert self.restored or len(words) == len(set(words)), "I8: an entry was applied twice"

    def _check_books(self, stored: set[int], live: set[int]) -> None:
        """I2: everything a person did is in the log, or has a recorded outcome; then their newest words wait for them."""
        for phone, book in zip(self.phones, self.books, strict=True):
            newest = {made.id: made for made in book}
            for made in book:
                if not made.word:
                    assert made.id in self.never or made.id not in live, f"I2: {made} was not done"
                elif made.word not in stored:
                    assert made.word in self.settled, f"I2: {made} is nowhere"
                    assert made != newest[made.id] or made.word in phone.words(), f"I2: {made} was dropped in silence"
