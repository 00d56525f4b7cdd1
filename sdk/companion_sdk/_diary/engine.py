"""The order of calls that make this device and the service equal, as steps for either link. Knows no HTTP and no SQL.

One sync: whose diary it is (once for each token), what the service understands (once an hour), then push what waits, pull
what changed, and push once more what the pull gave back. Between two steps nothing is held: no transaction, no lock; so it
may be ended, doubled or killed at any of them, and whatever answer comes is taken in against what the file says by then.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec

from companion_sdk._call import Call, State, Steps, ask, query_of
from companion_sdk._endpoints.people import ME_GET
from companion_sdk._endpoints.service import CRISIS_GET, SERVICE_GET
from companion_sdk._endpoints.session import SIGN_OUT
from companion_sdk._endpoints.sync import SYNC_DIGEST, SYNC_PULL, SYNC_PUSH
from companion_sdk.errors import (
    ApiError,
    CompanionError,
    CursorExpired,
    InvalidRequest,
    InvalidResponse,
    RateLimited,
    ServerError,
    TooLarge,
    TransportError,
    Unauthenticated,
)
from companion_sdk.wire import Crisis, Digest, Pushed
from companion_sdk.wire.sync import MAX_OPS

from . import mirror, outbox, sending
from .book import Book, nothing_is_lost
from .records import Device, Facts, Page, Person, Place, Synced
from .sending import Batch
from .shapes import SyncReport, Verified

PAGE = 200
"""Changes asked for in one page: each is written in one transaction, which a person who records something waits for."""

PUSHES = 10
PAGES = 25
"""The most that one sync does of each."""

_FACTS_KEPT = timedelta(hours=1)
_TRIES = 2
_ENDLESS = 100_000
_PASSING = (TransportError, RateLimited, ServerError)


class Tally(msgspec.Struct):
    """What this sync has done so far."""

    pushed: int = 0
    applied: int = 0
    pulled: int = 0
    attention: int = 0
    more: bool = False
    reached: int = 0
    skew: timedelta | None = None
    crisis: Crisis | None = None


class Engine:
    """Sync for one open diary and one client. ``state`` is the client's: whose token it holds.

    ``reached``: a hint of just this change says nothing new.
    """

    def __init__(self, book: Book, state: State) -> None:
        self._book = book
        self._state = state
        self._known: str | None = None
        self.reached = 0

    def sync(self) -> Steps[SyncReport]:
        """A bounded piece of work. What passes by itself (no network, a busy service) is told in the report."""
        tally, error = Tally(), None
        try:
            device = yield from self._whose()
            facts = yield from self._understood()
            yield from self._push(tally, facts)
            yield from self._pull(tally, device)
            if self._sendable():
                yield from self._push(tally, facts)
        except _PASSING as failure:
            error = failure
        if error is None and not tally.more and tally.reached:
            self.reached = tally.reached  # lower than before where the service was put back to an earlier state
        return self._report(tally, error)

    def verify(self) -> Steps[Verified]:
        """Pull to the end, then compare; again where somebody wrote in between.

        The service is asked as of the newest change held here, so that what is written meanwhile does not count. Where
        that change was a deletion and is purged, only the present can be compared.
        """
        device = yield from self._whose()
        proof = None
        for as_of_here in (True, False) * _TRIES:
            yield from self._pull_all(device)
            here = mirror.digest(self._book.store)
            asked = query_of(through=here.through if as_of_here else None)
            there: Digest = yield from ask(SYNC_DIGEST.call(ids=_ids(device), query=asked))
            agrees = (here.count, here.sha256) == (there.count, there.sha256)
            unsent = self._book.standing().unsent
            proof = Verified(agrees=agrees, here=here.count, there=there.count, through=there.through, unsent=unsent)
            if agrees:
                break
        assert proof is not None
        return proof

    def sign_out(self, discard_unsent: bool) -> Steps[None]:
        """End the token, then destroy the file; a token that has ended already is as good."""
        if not discard_unsent:
            with self._book.store.read() as tx:
                nothing_is_lost(tx)
        if self._state.token is not None:
            with suppress(Unauthenticated):
                yield from ask(SIGN_OUT.call())
        self._state.token = self._state.person_zone = None
        self._book.wipe(discard_unsent)

    # whose, and what is understood

    def _whose(self) -> Steps[Device]:
        """The file's device, once it is sure that file and token are one person's."""
        token = self._state.token
        if token is not None and token == self._known:
            with self._book.store.read() as tx:
                return tx.device()
        me = yield from ask(ME_GET.call())
        device = self._book.belongs(me)
        self._state.person_zone = me.zone
        with self._book.store.read() as tx:
            language = self._book.language(tx)
        with suppress(ApiError):  # a site without help of its own: what is here stays
            self._book.keep_crisis((yield from ask(CRISIS_GET.call(query=query_of(language=language)))))
        self._known = token
        return device

    def _understood(self) -> Steps[Facts]:
        """What the service understands; asked again each hour, and at every sync while something waits for more."""
        now = self._book.now()
        with self._book.store.read() as tx:
            facts, waiting = tx.get(Facts), outbox.held(tx)
        if facts is not None and not waiting and timedelta(0) <= now - facts.read_at < _FACTS_KEPT:
            return facts
        return (yield from self._ask_service())

    def _ask_service(self) -> Steps[Facts]:
        now = self._book.now()
        service = yield from ask(SERVICE_GET.call())
        words = msgspec.json.encode(service.kinds, order="deterministic")
        stamp = f"{service.version} {sha256(words).hexdigest()[:16]}"
        facts = Facts(stamp, service.kinds, now)
        with self._book.store.write(lasting=False) as tx:
            tx.put(facts)
            outbox.release(tx, stamp)
        return facts

    # push

    def _push(self, tally: Tally, facts: Facts) -> Steps[None]:
        most = MAX_OPS
        for _ in range(PUSHES):
            with self._book.store.read() as tx:
                batch = sending.following(tx, most)
            if batch is None:
                return
            before = self._book.now()
            try:
                pushed: Pushed = yield from ask(_push_call(batch, before))
            except TooLarge:
                if len(batch.ops) == 1:
                    with self._book.store.write() as tx:
                        sending.too_large(tx, batch.ops[0])
                    tally.attention += 1
                    continue
                most = len(batch.ops) // 2
                continue
            if sending.too_old(pushed.results):
                facts = yield from self._ask_service()
            self._settle(tally, batch, pushed, facts)
            tally.skew = pushed.server_time - (before + (self._book.now() - before) / 2)
            tally.crisis = pushed.crisis or tally.crisis
        tally.more = tally.more or self._sendable()

    def _settle(self, tally: Tally, batch: Batch, pushed: Pushed, facts: Facts) -> None:
        for start in range(0, len(pushed.results), sending.SETTLED):
            some = pushed.results[start : start + sending.SETTLED]
            with self._book.store.write(lasting=False) as tx:
                done = sending.settle(tx, batch, some, facts, pushed.epoch, pushed.server_time)
            tally.pushed += done.pushed
            tally.applied += done.applied
            tally.attention += done.refused
            tally.reached = max([tally.reached, *(result.seq for result in some)])

    def _sendable(self) -> bool:
        with self._book.store.read() as tx:
            return outbox.sendable(tx)

    # pull

    def _pull(self, tally: Tally, device: Device) -> Steps[None]:
        for _ in range(PAGES):
            if (yield from self._one_page(device, tally)):
                return
        tally.more = True

    def _pull_all(self, device: Device) -> Steps[None]:
        tally = Tally()
        for _ in range(_ENDLESS):
            if (yield from self._one_page(device, tally)):
                return
        raise InvalidResponse("the pages of changes do not end")

    def _one_page(self, device: Device, tally: Tally) -> Steps[bool]:
        """One page, or one piece of a walk's beginning or end; whether the mirror is whole now."""
        place = self._ready_place()
        if place.walk is not None and place.walk.ended:
            with self._book.store.write(lasting=False) as tx:
                person = tx.get(Person)
                return mirror.sweep(tx, place, app=person is not None and person.app)
        try:
            page: Page = yield from ask(_pull_call(device, place))
        except (CursorExpired, InvalidRequest):
            if place.cursor is None:
                raise
            self._walk(place)
            return False
        tally.pulled += len(page.changes)
        tally.reached = max([tally.reached, *(envelope.seq for envelope, _ in page.changes)])
        with self._book.store.write(lasting=False) as tx:
            mirror.take_in(tx, place, page)
            after = tx.get(Place)
        return not page.more and after is not None and after.walk is None

    def _ready_place(self) -> Place:
        """Where the mirror stands; a walk is begun where there is no place yet."""
        with self._book.store.read() as tx:
            place = tx.get(Place)
        while place is None or (place.cursor is None and place.walk is None):
            place = self._walk(place)
        return place

    def _walk(self, place: Place | None) -> Place | None:
        with self._book.store.write(lasting=False) as tx:
            mirror.begin_walk(tx, place)
            return tx.get(Place)

    def _report(self, tally: Tally, error: CompanionError | None) -> SyncReport:
        store = self._book.store
        with store.read() as tx:
            unsent, held, synced = outbox.unsent(tx), outbox.held(tx), tx.get(Synced) or Synced()
        skew = synced.skew if tally.skew is None else tally.skew.total_seconds()
        at = self._book.now() if error is None and not tally.more else synced.at
        if (at, skew) != (synced.at, synced.skew):
            with store.write(lasting=False) as tx:
                tx.put(Synced(at, skew))
        store.tidy()
        return SyncReport(
            pushed=tally.pushed,
            applied=tally.applied,
            pulled=tally.pulled,
            attention=tally.attention,
            unsent=unsent,
            held=held,
            more=tally.more,
            skew=tally.skew,
            error=error,
            crisis=tally.crisis,
        )


def _ids(device: Device) -> dict[str, str]:
    """The patient by name and never ``me``: whatever token a call leaves with, nothing can get into another's diary."""
    return {"patient": str(device.patient)}


def _push_call(batch: Batch, sent_at: datetime) -> Call[Pushed]:
    ids = {"patient": str(batch.patient)}
    return SYNC_PUSH.call(ids=ids, body=sending.frame(batch, sent_at), repeatable=True)


def _pull_call(device: Device, place: Place) -> Call[Page]:
    call = SYNC_PULL.call(ids=_ids(device), query=query_of(cursor=place.cursor, limit=PAGE))
    return Call(
        call.method,
        call.route,
        call.path,
        mirror.read_page,
        call.query,
        call.body,
        call.headers,
        call.repeatable,
        call.signed,
        call.also,
    )
