"""The service's side of sync as a pure model: API.md "Sync, version 1", rules 1–13, with a switch for each seeded fault.

One patient. No I/O, no clock: time is the order of calls.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from .sync_words import PLAN, STOPS, Content, Revision, Told


class Op(NamedTuple):
    n: int
    op: int
    id: int
    base: int
    content: Content | None
    clock: int = 0


class Push(NamedTuple):
    token: int
    device: object
    ops: tuple[Op, ...]


class Result(NamedTuple):
    n: int
    outcome: str
    revision: int = 0
    seq: int = 0
    current: "Row | None" = None


class Pushed(NamedTuple):
    results: tuple[Result, ...]
    last_n: int
    epoch: int


class Cursor(NamedTuple):
    epoch: int
    seq: int
    floor: int
    scope: int


class Pull(NamedTuple):
    token: int
    cursor: Cursor | None


class Row(NamedTuple):
    """One entry at its newest revision; ``content`` is None for a tombstone."""

    id: int
    revision: int
    seq: int
    recorded: int
    content: Content | None


class Page(NamedTuple):
    rows: tuple[Row, ...]
    cursor: Cursor
    more: bool
    epoch: int


class Refused(NamedTuple):
    """401, or 410 ``cursor-expired``."""

    status: int


Request = Push | Pull
Reply = Pushed | Page | Refused

FAULTS = {
    "no dedup": "an operation that comes again is applied again",
    "resurrection": "a write to a deleted id makes it live",
    "purge forgets": "a purge forgets ids, and a correction of an unknown id creates it",
    "no floor": "a purge leaves the floor where it was",
    "late commit": "seq is taken before the commit, as a serial column does",
    "rewound ignored": "another operation under a used number is taken for the one that used it",
    "snapshot judged by floor": "a page of a snapshot expires below the floor that its walk began above",
    "conflict overwrites": "a stale copy of a guarded record is stored",
    "clock decides": "a write with an older clock is answered applied and dropped",
    "tombstones left out": "a snapshot has no tombstones, and neither has a pull",
    "revoked accepted": "a revoked token still pushes",
}
"""What each switch of the service does."""


@dataclass
class Numbers:
    """What the service remembers of one device."""

    last_n: int = 0
    outcomes: dict[int, tuple[int, Result]] = field(default_factory=dict)


@dataclass
class Feed:
    """All that one patient has on the service."""

    epoch: int = 1
    seq: int = 0
    floor: int = 0
    records: dict[int, list[Row]] = field(default_factory=dict)
    purged: set[int] = field(default_factory=set)
    devices: dict[object, Numbers] = field(default_factory=dict)

    def newest(self) -> Iterable[Row]:
        """The feed: each entry at its newest revision, without purged tombstones."""
        return (rows[-1] for entry, rows in self.records.items() if entry not in self.purged)


class Server:
    """The service. ``begin`` is a request's arrival; calling what it gives is its commit."""

    def __init__(self, *faults: str, limit: int = 2) -> None:
        assert set(faults) <= set(FAULTS), faults
        self.faults = frozenset(faults)
        self.limit = limit
        self.feed = Feed()
        self.scopes: dict[int, int] = {}
        self._tokens = count(1)
        self._time = count(1)

    def begin(self, request: Request) -> Callable[[], Reply]:
        if not isinstance(request, Push):
            return lambda: self._pull(request)
        if "late commit" not in self.faults:
            return lambda: self._push(request, None)
        first = self.feed.seq
        self.feed.seq += len(request.ops)
        return lambda: self._push(request, iter(range(first + 1, first + len(request.ops) + 1)))

    def _push(self, push: Push, taken: Any) -> Reply:
        if push.token not in self.scopes and "revoked accepted" not in self.faults:
            return Refused(401)
        numbers = self.feed.devices.setdefault(push.device, Numbers())
        results: list[Result] = []
        for op in push.ops:
            results.append(self._decide(numbers, op, taken))
            if results[-1].outcome in STOPS:
                break
        return Pushed(tuple(results), numbers.last_n, self.feed.epoch)

    def _decide(self, numbers: Numbers, op: Op, taken: Any) -> Result:
        """Rules 1 and 9: a known number repeats its outcome, or was another operation's; a number too far on is a gap."""
        if op.n <= numbers.last_n and "no dedup" not in self.faults:
            known, result = numbers.outcomes.get(op.n, (0, Result(op.n, "applied")))
            return result if known == op.op or "rewound ignored" in self.faults else Result(op.n, "rewound")
        if op.n > numbers.last_n + 1:
            return Result(op.n, "gap")
        result = self._apply(op, taken)
        numbers.last_n = max(op.n, numbers.last_n)
        numbers.outcomes[op.n] = (op.op, result)
        return result

    def _apply(self, op: Op, taken: Any) -> Result:
        """Rules 2, 3 and 4 on one new operation."""
        rows = self.feed.records.get(op.id)
        if rows is None:
            unknown = op.base > 0 and "purge forgets" not in self.faults
            if unknown or op.content is None:
                return Result(op.n, "gone")
            return self._checked(op, None, taken)
        last = rows[-1]
        if last.content is None and not ("resurrection" in self.faults and op.content is not None):
            return Result(op.n, "gone", last.revision, last.seq)
        return self._checked(op, last, taken)

    def _checked(self, op: Op, last: Row | None, taken: Any) -> Result:
        revision, seq = (last.revision, last.seq) if last is not None else (0, 0)
        content = op.content
        if content is not None and (content.bad or (content.kind == "plan") != (op.id == PLAN)):
            return Result(op.n, "rejected", revision, seq)
        if last is not None and last.content is not None:
            if content is not None and content.kind != last.content.kind:
                return Result(op.n, "rejected", revision, seq)
            if content == last.content:
                return Result(op.n, "applied", revision, seq)
            if last.content.kind == "plan" and content is None:
                return Result(op.n, "rejected", revision, seq)
            if last.content.kind == "plan" and op.base != revision and "conflict overwrites" not in self.faults:
                return Result(op.n, "conflict", revision, seq, last)
            if "clock decides" in self.faults and op.clock < last.recorded:
                return Result(op.n, "applied", revision, seq)
        return self._store(op, revision + 1, taken)

    def _store(self, op: Op, revision: int, taken: Any) -> Result:
        """A new line of the log, with the next ``seq`` of the patient's own order."""
        if taken is None:
            self.feed.seq += 1
            seq = self.feed.seq
        else:
            seq = next(taken)
        recorded = op.clock if "clock decides" in self.faults else next(self._time)
        self.feed.records.setdefault(op.id, []).append(Row(op.id, revision, seq, recorded, op.content))
        self.feed.purged.discard(op.id)
        return Result(op.n, "applied", revision, seq)

    def _pull(self, pull: Pull) -> Reply:
        scope = self.scopes.get(pull.token)
        if scope is None:
            return Refused(401)
        feed = self.feed
        at = pull.cursor or Cursor(feed.epoch, 0, feed.floor, scope)
        below = at.seq < feed.floor and (at.floor < feed.floor or "snapshot judged by floor" in self.faults)
        if (at.epoch, at.scope) != (feed.epoch, scope) or at.seq > feed.seq or (below and pull.cursor is not None):
            return Refused(410)
        rows = sorted((row for row in feed.newest() if row.seq > at.seq), key=lambda row: row.seq)
        shown, more = rows[: self.limit], len(rows) > self.limit
        end = shown[-1].seq if more else feed.seq
        if "late commit" in self.faults and not more:
            end = max([at.seq, *(row.seq for row in shown)])
        if "tombstones left out" in self.faults:
            shown = [row for row in shown if row.content is not None]
        return Page(tuple(shown), Cursor(feed.epoch, end, at.floor, scope), more, feed.epoch)

    def purge(self) -> bool:
        """Rule 12: tombstones leave the feed and the floor rises to the last of them; the ids stay dead."""
        dead = [row for row in self.feed.newest() if row.content is None]
        self.feed.purged |= {row.id for row in dead}
        for row in dead if "purge forgets" in self.faults else ():
            del self.feed.records[row.id]
        if dead and "no floor" not in self.faults:
            self.feed.floor = max(self.feed.floor, *(row.seq for row in dead))
        return True

    def sign_in(self) -> int:
        """A new token; every third one sees another part of the diary's history of cursors (its scope differs)."""
        token = next(self._tokens)
        self.scopes[token] = token // 3
        return token

    def revoke(self, token: int) -> None:
        self.scopes.pop(token, None)

    def backup(self) -> Feed:
        return copy.deepcopy(self.feed)

    def restore(self, feed: Feed) -> None:
        """Rule 13: the operator puts an older copy back and raises the epoch."""
        epoch = self.feed.epoch + 1
        self.feed = copy.deepcopy(feed)
        self.feed.epoch = epoch

    # what the tests look at

    def told(self, request: Request, reply: Reply) -> list[Told]:
        if not isinstance(request, Push) or not isinstance(reply, Pushed):
            return []
        return [
            Told(request.device, op.n, op.op, op.id, op.base, op.content, result.outcome, result.revision, result.seq)
            for op, result in zip(request.ops, reply.results, strict=False)
        ]

    def page(self, request: Request, reply: Reply) -> bool | None:
        return reply.more if isinstance(reply, Page) else None

    def history(self) -> dict[int, list[Revision]]:
        found: dict[int, list[Revision]] = {}
        for entry, rows in self.feed.records.items():
            found[entry] = [Revision(row.revision, row.seq, row.content) for row in rows]
        return found

    def digest(self) -> object:
        return sorted((row.id, row.revision, row.content) for row in self.feed.newest() if row.content is not None)
