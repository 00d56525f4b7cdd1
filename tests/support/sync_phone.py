"""The device's side of sync as a pure model: mirror, outbox, cursor, walk of a snapshot; a switch for each seeded fault.

A sync is a generator that gives requests and is sent replies; between two of them anything may happen to the phone, so
whatever a reply does is done against what is on the disk by then.
"""

import copy
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from .sync_model import Cursor, Op, Page, Pull, Push, Pushed, Refused, Reply, Request, Result, Row, Server
from .sync_words import PLAN, STOPS, Content

BATCH = 3
PAGES = 2
"""Operations in one push, and pages in one sync: small, so that histories cross both bounds."""

FAULTS = {
    "push moves cursor": "the answer to a push moves the cursor of the pull",
    "refused blocks": "a refused operation stays at the head of the outbox",
    "edit after send": "an edit changes the operation that is already on its way",
    "ack overwrites": "an acknowledgement overwrites a newer revision",
    "walk drops outbox": "a new walk begins with an empty outbox",
    "ack stamped": "an entry acknowledged during a walk is taken for one that the walk saw",
    "ack swept": "a walk ends although something was acknowledged since its last page was asked for",
    "no sweep": "what a snapshot no longer has stays",
    "cursor before rows": "the cursor is written before the page",
    "late page": "a page is applied although the cursor has moved on",
    "rewound kept": "a rewound phone goes on under its old device id",
    "numbered late": "numbers are given at the first push; until then an edit changes an operation and a deletion drops it",
    "401 drops outbox": "signing in again begins with an empty outbox",
    "keeps nothing": "nothing is given back to a service that was restored to an earlier state",
    "lost is gone": "what a restored service does not know any more is taken for deleted",
    "dead are swept": "a walk forgets what was deleted and is not in the snapshot",
    "gone silent": "words that met a tombstone are dropped",
}
"""What each switch of the device does."""

_devices = count(1)
_ops = count(1)


@dataclass
class Kept:
    """One operation in the outbox. Its ``base`` may change until it is ``sent``; number, id and content never do."""

    op: int
    id: int
    base: int
    content: Content | None
    clock: int
    n: int = 0
    sent: bool = False


class Copy(NamedTuple):
    """One entry of the mirror, and the walk that last saw it."""

    revision: int
    seq: int
    content: Content | None
    generation: int


class Waiting(NamedTuple):
    """A refused operation, for the person."""

    content: Content | None
    why: str


@dataclass
class Disk:
    """All that a phone keeps: what a backup holds."""

    device: object = field(default_factory=lambda: next(_devices))
    last_n: int = 0
    outbox: list[Kept] = field(default_factory=list)
    mirror: dict[int, Copy] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    cursor: Cursor | None = None
    generation: int = 1
    walking: bool = True
    acks: int = 0
    epoch: int = 0


Steps = Generator[Request, Reply | None, None]


class Errand:
    """A sync under way."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.request: Request | None = next(steps, None)

    def answer(self, reply: Reply | None) -> None:
        try:
            self.request = self._steps.send(reply)
        except StopIteration:
            self.request = None

    def fail(self) -> None:
        self.answer(None)


class Phone:
    """A device with one file; every method between two ``yield`` is one local transaction."""

    def __init__(self, *faults: str, skew: int = 0) -> None:
        assert set(faults) <= set(FAULTS), faults
        self.faults = frozenset(faults)
        self.disk = Disk()
        self.token = 0
        self.skew = skew
        self.power = 0
        self._unwritten: list[Row] = []

    # what the person does

    def write(self, id: int, content: Content) -> bool:
        """One operation more, also after one that has not left yet: what a number stands for never changes."""
        row = self.disk.mirror.get(id)
        pending = [kept for kept in self.disk.outbox if kept.id == id]
        if (row is not None and row.content is None) or (pending and pending[-1].content is None):
            return False
        last = pending[-1] if pending else None
        if last is not None and ("edit after send" in self.faults or ("numbered late" in self.faults and not last.n)):
            last.content = content
            last.op = last.op if last.n else next(_ops)
            return True
        self._keep(id, row.revision if row else 0, content)
        return True

    def delete(self, id: int) -> None:
        """Sent also for what has not left yet: this phone may be one from a backup, and the service may have the entry."""
        if "numbered late" in self.faults:
            self.disk.outbox = [kept for kept in self.disk.outbox if kept.id != id or kept.n]
        row = self.disk.mirror.get(id)
        self._keep(id, row.revision if row else 0, None)

    def _keep(self, id: int, base: int, content: Content | None) -> None:
        kept = Kept(next(_ops), id, base, content, self.skew)
        kept.clock += kept.op
        self.disk.outbox.append(kept)
        if "numbered late" not in self.faults:
            self._number(kept)

    def _number(self, kept: Kept) -> None:
        self.disk.last_n += 1
        kept.n = self.disk.last_n

    # sync

    def begin(self) -> Errand:
        self._write()
        return Errand(self._sync(self.power))

    def _sync(self, power: int) -> Steps:
        """Push until the outbox is empty, then pull some pages; a request that fails ends it."""
        while batch := self._batch():
            device = self.disk.device
            reply = yield Push(self.token, device, batch)
            if power != self.power or not isinstance(reply, Pushed):
                return
            before = len(self.disk.outbox), self.disk.device
            self._acknowledge(device, reply)
            if before == (len(self.disk.outbox), self.disk.device):
                return
        for _ in range(PAGES):
            asked = self._place()
            reply = yield Pull(self.token, self.disk.cursor)
            if power != self.power or reply is None or isinstance(reply, Pushed):
                return
            if isinstance(reply, Refused):
                if reply.status != 410:
                    return
                self._walk_anew(asked)
                continue
            self._take_in(asked, reply)
            if not reply.more:
                return

    def _batch(self) -> tuple[Op, ...]:
        """The first operations, up to a second one of the guarded record: its base is known with the first one's answer."""
        chosen: list[Kept] = []
        for kept in self.disk.outbox[:BATCH]:
            if kept.id == PLAN and any(other.id == PLAN for other in chosen):
                break
            if not kept.n:
                self._number(kept)
            kept.sent = True
            chosen.append(kept)
        return tuple(Op(kept.n, kept.op, kept.id, kept.base, kept.content, kept.clock) for kept in chosen)

    def _acknowledge(self, device: object, reply: Pushed) -> None:
        """Rules 7 and 9, in one transaction; only while the phone still is the device that sent."""
        disk = self.disk
        if disk.device != device:
            return
        disk.acks += 1
        disk.epoch = disk.epoch or reply.epoch
        for result in reply.results:
            kept = next((kept for kept in disk.outbox if kept.n == result.n), None)
            if kept is None:
                continue
            if result.outcome in STOPS:
                self._renumber(kept)
            else:
                self._settle(kept, result, reply.epoch != disk.epoch)
        if "push moves cursor" in self.faults and disk.cursor is not None:
            seqs = [result.seq for result in reply.results]
            disk.cursor = disk.cursor._replace(seq=max([disk.cursor.seq, *seqs]))

    def _renumber(self, first: Kept) -> None:
        """A new device id, from the old one and the operation that did not fit: the same backup restored twice, on any
        phone, comes to the same device and the same numbers, so that the service knows what it has had.
        """
        if "rewound kept" in self.faults:
            self.disk.outbox = [kept for kept in self.disk.outbox if not kept.sent]
            return
        self.disk.device = (self.disk.device, first.op)
        self.disk.last_n = 0
        for kept in self.disk.outbox:
            kept.n = 0
            self._number(kept)

    def _settle(self, kept: Kept, result: Result, restored: bool) -> None:
        if result.outcome == "rejected" and "refused blocks" in self.faults:
            return
        self.disk.outbox.remove(kept)
        if result.outcome == "applied":
            self._put(Row(kept.id, result.revision, result.seq, 0, kept.content), ack=True)
            for later in self.disk.outbox:
                if later.id == kept.id and not later.sent:
                    later.base = result.revision
        elif self._lost(kept, result, restored) and kept.content is not None:
            self._offer(kept.id, 0, kept.content)
        elif result.outcome == "gone":
            old = self.disk.mirror.get(kept.id)
            if result.revision or old is not None:
                self._put(Row(kept.id, max(result.revision, old.revision if old else 0), result.seq, 0, None), ack=True)
            if kept.content is not None and "gone silent" not in self.faults:
                self.disk.waiting.append(Waiting(kept.content, "gone"))
        else:
            self.disk.waiting.append(Waiting(kept.content, result.outcome))
            if result.current is not None:
                self._put(result.current, ack=True)

    def _lost(self, kept: Kept, result: Result, restored: bool) -> bool:
        """The service does not know the id because it was restored to before it; not because it was deleted."""
        return restored and result.outcome == "gone" and not result.revision and "lost is gone" not in self.faults

    def _put(self, row: Row, *, ack: bool = False) -> None:
        """Write a row where it is not older, stamped with the walk that is under way."""
        old = self.disk.mirror.get(row.id)
        stamp = self.disk.generation
        if ack and "ack stamped" not in self.faults:
            stamp = old.generation if old else stamp - self.disk.walking
        newer = old is None or row.revision >= old.revision or (not ack and old.generation < stamp)
        if newer or (ack and "ack overwrites" in self.faults):
            self.disk.mirror[row.id] = Copy(row.revision, row.seq, row.content, stamp)

    def _place(self) -> tuple[Cursor | None, int, int]:
        return self.disk.cursor, self.disk.generation, self.disk.acks

    def _walk_anew(self, asked: tuple[Cursor | None, int, int]) -> None:
        """Rule 8: from the start, into a new generation; the outbox stays."""
        if asked[:2] != self._place()[:2]:
            return
        self.disk.cursor, self.disk.walking = None, True
        self.disk.generation += 1
        if "walk drops outbox" in self.faults:
            self.disk.outbox.clear()

    def _take_in(self, asked: tuple[Cursor | None, int, int], page: Page) -> None:
        """Rule 6: a page and its cursor, in one transaction, if the cursor is still the one that was asked with."""
        disk = self.disk
        same = asked == self._place() if disk.walking and "ack swept" not in self.faults else asked[:2] == self._place()[:2]
        if not same and "late page" not in self.faults:
            return
        mending = disk.walking and disk.epoch not in (0, page.epoch)
        for row in page.rows:
            self._mend(row, mending)
        self._unwritten = list(page.rows)
        if "cursor before rows" not in self.faults or page.more:
            self._write()
        disk.cursor = page.cursor
        if disk.walking and not page.more:
            self._sweep(mending)
            disk.epoch, disk.walking = page.epoch, False

    def _sweep(self, mending: bool) -> None:
        """What is alive here and a finished walk did not bring goes; if the service was restored it is offered again."""
        for entry, old in list(self.disk.mirror.items()):
            if old.generation == self.disk.generation or "no sweep" in self.faults:
                continue
            if old.content is None and "dead are swept" not in self.faults:
                self.disk.mirror[entry] = old._replace(generation=self.disk.generation)
                continue
            del self.disk.mirror[entry]
            if mending and old.content is not None:
                self._offer(entry, 0, old.content)

    def _mend(self, row: Row, mending: bool) -> None:
        """The service was restored to an earlier state: give back what it lost (rule 13)."""
        old = self.disk.mirror.get(row.id)
        if old is None or row.content is None or "keeps nothing" in self.faults:
            return
        earlier = row.revision <= old.revision and row.content != old.content
        if old.content is None:
            self._offer(row.id, row.revision, None)
        elif mending and old.generation < self.disk.generation and earlier:
            self._offer(row.id, row.revision, old.content)

    def _offer(self, id: int, base: int, content: Content | None) -> None:
        """Once more to the service; what the person did since stands above it, and follows what is there now."""
        later = [kept for kept in self.disk.outbox if kept.id == id]
        for kept in later:
            kept.base = kept.base if kept.sent else base
        if not later:
            self._keep(id, base, content)

    def _write(self) -> None:
        for row in self._unwritten:
            self._put(row)
        self._unwritten = []

    # what happens to the phone

    def kill(self) -> None:
        self.power += 1
        self._unwritten = []

    def backup(self) -> Disk:
        return copy.deepcopy(self.disk)

    def restore(self, backup: Disk) -> None:
        self.kill()
        self.disk = copy.deepcopy(backup)

    def sign_in(self, token: int) -> None:
        self.token = token
        if "401 drops outbox" in self.faults:
            self.disk.outbox.clear()

    # what the tests look at

    def view(self) -> dict[int, Content]:
        shown: dict[int, Any] = {entry: row.content for entry, row in self.disk.mirror.items()}
        shown |= {row.id: row.content for row in self._unwritten}
        shown |= {kept.id: kept.content for kept in self.disk.outbox}
        return {entry: content for entry, content in shown.items() if content is not None}

    def words(self) -> set[int]:
        return {waiting.content.word for waiting in self.disk.waiting if waiting.content is not None}

    def unsent(self) -> int:
        return len(self.disk.outbox)

    def proves(self, service: Server) -> bool:
        live = [(entry, row) for entry, row in self.disk.mirror.items() if row.content is not None]
        return service.digest() == sorted((entry, row.revision, row.content) for entry, row in live)

    def place(self) -> tuple[int, int] | None:
        cursor = self.disk.cursor
        return None if cursor is None else (cursor.epoch, cursor.seq)
