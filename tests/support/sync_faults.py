"""Faults seeded in the fake service and in ``Diary``: the ones that people build into their own sync (SDK_UX.md 2.2).

Each puts one wrong line in the place of a right one. Reaches into both on purpose; knows no history.
"""

import itertools
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec
import pytest

from companion_sdk._diary import mirror, outbox, sending
from companion_sdk.testing import FakeService, _syncing

from .sync_real import Asked, Reply
from .sync_services import InMemory

Patch = pytest.MonkeyPatch
Fault = Callable[[Patch], None]
EXPIRED = Reply(410, b'{"type":"/problems/cursor-expired","title":"Expired","status":410}', "application/problem+json")


def no_dedup(patch: Patch) -> None:
    """An operation that comes again is applied again."""
    right = _syncing._Desk.take

    def take(self: Any, op: Any) -> Any:
        if op.n > len(self.kept):
            return right(self, op)
        return self._told(op, self._decide(op))

    patch.setattr(_syncing._Desk, "take", take)


def resurrection(patch: Patch) -> None:
    """A write to a deleted id makes it live."""
    right = _syncing._Desk._decide

    def decide(self: Any, op: Any) -> Any:
        before = None if op.asked is None else self.feed.current(op.asked.id)
        if before is not None and before.deleted and op.asked.log is not None:
            return self._store(op, op.asked.id, op.asked.log)
        return right(self, op)

    patch.setattr(_syncing._Desk, "_decide", decide)


def no_floor(patch: Patch) -> None:
    """A purge leaves the floor where it was."""
    right = FakeService.purge

    def purge(self: FakeService, before: Any = None) -> None:
        floors = {patient: feed.floor for patient, feed in self._world.feeds.items()}
        right(self, before)
        for patient, floor in floors.items():
            self._world.feeds[patient].floor = floor

    patch.setattr(FakeService, "purge", purge)


def late_commit(patch: Patch) -> None:
    """``seq`` is taken when a push arrives, and not when it is committed."""

    def begin(self: InMemory, request: Asked) -> Callable[[], Reply]:
        if not request.target.endswith("/sync/push"):
            return lambda: self.exchange(request)
        feed = self.fake._world.feeds[self.names.patient]
        taken = itertools.count(feed.seq + 1)
        feed.seq += 5
        return lambda: commit(self, request, taken)

    def commit(self: InMemory, request: Asked, taken: "itertools.count[int]") -> Reply:
        feed = self.fake._world.feeds[self.names.patient]
        newest = feed.seq
        with Patch.context() as inner:
            inner.setattr(type(feed), "next", lambda _: next(taken))
            reply = self.exchange(request)
        feed.seq = newest
        feed.newest = dict(sorted(feed.newest.items(), key=lambda one: one[1].seq))
        return reply

    patch.setattr(InMemory, "begin", begin)


def rewound_ignored(patch: Patch) -> None:
    """Another operation under a used number is taken for the one that used it."""

    def take(self: Any, op: Any) -> Any:
        if op.n <= len(self.kept):
            return self._told(op, self.kept[op.n - 1])
        return right(self, op)

    right = _syncing._Desk.take
    patch.setattr(_syncing._Desk, "take", take)


def snapshot_judged_by_floor(patch: Patch) -> None:
    """A page of a snapshot expires below the floor that its walk began above."""
    right = InMemory.carry

    def carry(self: InMemory, asked: Asked) -> Reply:
        place = self.place(asked)
        floor = self.fake._world.feeds[self.names.patient].floor
        return EXPIRED if place is not None and place[1] < floor and _in_walk(self, asked) else right(self, asked)

    patch.setattr(InMemory, "carry", carry)


def _in_walk(service: InMemory, asked: Asked) -> bool:
    """Whether more follows: the cursor of a finished walk is the feed's own end."""
    cursor = httpx2.URL(service.url + asked.target).params["cursor"]
    feed = service.fake._world.feeds[service.names.patient]
    return any(log.seq > service.places[cursor][1] for log in feed.newest.values())


def push_moves_cursor(patch: Patch) -> None:
    """After a push the phone takes the newest cursor, and not what lies before it."""
    right_settle, right_take_in = sending.settle, mirror.take_in
    pushed: set[int] = set()

    def settle(tx: Any, *more: Any) -> Any:
        pushed.add(id(tx))
        return right_settle(tx, *more)

    def take_in(tx: Any, used: Any, page: Any) -> None:
        known = used.cursor is not None and id(tx) in pushed
        pushed.discard(id(tx))
        right_take_in(tx, used, msgspec.structs.replace(page, changes=()) if known else page)

    patch.setattr(sending, "settle", settle)
    patch.setattr(mirror, "take_in", take_in)


def refused_blocks(patch: Patch) -> None:
    """A refused operation stays at the head of the outbox."""
    right = sending._Desk.take

    def take(self: Any, result: Any) -> None:
        if result.outcome != "rejected":
            right(self, result)

    patch.setattr(sending._Desk, "take", take)


def edit_after_send(patch: Patch) -> None:
    """An edit changes the operation that may already be on its way."""
    right = outbox.add

    def add(tx: Any, entry: Any, base: int, log: Any, *, offered: bool = False) -> None:
        last = outbox.newest(tx, entry)
        if last is None or log is None or last.log is None:
            right(tx, entry, base, log, offered=offered)
        else:
            tx.run("UPDATE outbox SET log = ? WHERE place = ?", tx.shut(outbox._bound(last.op, entry), log), last.place)

    patch.setattr(outbox, "add", add)


def ack_overwrites(patch: Patch) -> None:
    """An acknowledgement overwrites a newer revision."""
    right = sending._Desk._mirror

    def put(self: Any, op: Any, result: Any) -> None:
        self._restored = True
        right(self, op, result)

    patch.setattr(sending._Desk, "_mirror", put)


def late_page(patch: Patch) -> None:
    """A page is applied although the cursor has moved on."""
    right = mirror.take_in

    def take_in(tx: Any, used: Any, page: Any) -> None:
        tx.put(used)
        right(tx, used, page)

    patch.setattr(mirror, "take_in", take_in)


def no_sweep(patch: Patch) -> None:
    """What a snapshot no longer has stays."""

    def sweep(tx: Any, used: Any, **_: Any) -> None:
        tx.put(mirror.Place(used.cursor, used.walk.epoch, used.walk.generation))

    patch.setattr(mirror, "sweep", sweep)


def gone_silent(patch: Patch) -> None:
    """Words that met a tombstone are dropped."""
    right = sending._Desk._refuse

    def refuse(self: Any, op: Any, reason: str, *more: Any) -> None:
        if reason != "gone":
            right(self, op, reason, *more)

    patch.setattr(sending._Desk, "_refuse", refuse)


def old_device_id(patch: Patch) -> None:
    """A restored phone goes on under its old device id, and drops what does not fit."""

    def begin_anew(self: Any, result: Any) -> None:
        op = self._sent.get(result.n)
        if op is not None:
            outbox.drop(self._tx, op)

    patch.setattr(sending._Desk, "begin_anew", begin_anew)


def conflict_overwrites(patch: Patch) -> None:
    """A stale copy of the guarded record is stored."""
    right = _syncing._Desk._decide

    def decide(self: Any, op: Any) -> Any:
        before = None if op.asked is None else self.feed.current(op.asked.id)
        if before is not None and op.asked.log is not None and before.kind == "safety_plan" and not self._faults_of(op):
            return self._store(op, op.asked.id, op.asked.log)
        return right(self, op)

    patch.setattr(_syncing._Desk, "_faults_of", lambda self, op: self._faults(op, op.asked.id, op.asked.log), raising=False)
    patch.setattr(_syncing._Desk, "_decide", decide)


def walk_drops_outbox(patch: Patch) -> None:
    """A new walk begins with an empty outbox."""
    right = mirror.begin_walk

    def begin_walk(tx: Any, used: Any) -> None:
        if used is not None:
            tx.run("DELETE FROM outbox")
        right(tx, used)

    patch.setattr(mirror, "begin_walk", begin_walk)


NINE: tuple[Fault, ...] = (
    push_moves_cursor,
    no_dedup,
    resurrection,
    no_floor,
    late_commit,
    rewound_ignored,
    snapshot_judged_by_floor,
    refused_blocks,
    edit_after_send,
)
"""The faults that the issue names."""


MORE: tuple[Fault, ...] = (
    ack_overwrites,
    late_page,
    no_sweep,
    gone_silent,
    conflict_overwrites,
    walk_drops_outbox,
    old_device_id,
)
