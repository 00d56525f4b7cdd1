"""A client of sync written from ``companion/docs/client.md`` alone: the page and the vectors are enough to write one.

It keeps all in memory, and has a switch for each mistake that the vectors are there to find.
"""

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4, uuid5

from .replay import Answer, Json, digest_of, hash_of

GUARDED = "safety_plan"
TOO_OLD = {"unknown-word", "unknown-field"}
PUSH, PULL = "/v1/patients/me/sync/push", "/v1/patients/me/sync/pull"

Ask = Callable[[str, str, Mapping[str, str], Any], Answer]

MISTAKES = {
    "a push moves the cursor",
    "a lost operation is made again",
    "an edit changes what was sent",
    "an edit is lost by the answer",
    "an older revision is written",
    "what is refused is sent again",
    "what is gone lives on here",
    "words that are gone are dropped",
    "a conflict overwrites",
    "two of a guarded entry go together",
    "the cursor goes before its page",
    "a walk sweeps nothing",
    "a walk sweeps at its first page",
    "a walk empties the outbox",
    "a rewound device keeps its id",
    "a restored service gets nothing back",
    "an entry is shown as it was acknowledged",
    "a busy service loses the push",
    "the clock corrects the entry",
    "what a service is too old for is the person's fault",
    "an unknown kind is passed over",
    "tombstones are forgotten",
}


@dataclass
class Op:
    n: int
    op: str
    id: str
    base: int
    log: Json | None

    def sent(self) -> Json:
        return {"n": self.n, "op": self.op, "id": self.id, "base": self.base, "log": self.log}


@dataclass
class Disk:
    """All that the device keeps."""

    device: str = field(default_factory=lambda: str(uuid4()))
    last_n: int = 0
    outbox: list[Op] = field(default_factory=list)
    waiting: list[tuple[str, Op]] = field(default_factory=list)
    copy: dict[str, Json] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    attention: list[Json] = field(default_factory=list)
    cursor: str | None = None
    epoch: int | None = None
    walk: int = 0
    walking: bool = False
    acknowledged: int = 0


class PlainClient:
    """One device; ``ask`` is its way to the service."""

    def __init__(self, ask: Ask, *mistakes: str) -> None:
        assert set(mistakes) <= MISTAKES, mistakes
        self._ask = ask
        self._mistakes = mistakes
        self._version = ""
        self._backup = Disk()
        self.disk = Disk()

    # the person

    def record(self, at: str, zone: str, body: Json) -> str:
        entry = str(uuid4())
        self._write(entry, {"at": at, "zone": zone, "source": "app", "body": body})
        return entry

    def correct(self, entry: str, body: Json) -> None:
        before = self._newest(entry)
        if "an edit changes what was sent" in self._mistakes and (waiting := self._waiting(entry)):
            waiting[-1].log = {**before, "body": body}
            return
        self._write(entry, {**before, "body": body})

    def delete(self, entry: str) -> None:
        self._write(entry, None)

    def _write(self, entry: str, log: Json | None) -> None:
        disk = self.disk
        disk.last_n += 1
        base = disk.copy.get(entry, {"revision": 0})["revision"]
        disk.outbox.append(Op(disk.last_n, str(uuid4()), entry, base, log))

    def _waiting(self, entry: str) -> list[Op]:
        return [op for op in self.disk.outbox if op.id == entry]

    def _newest(self, entry: str) -> Json:
        found = [op.log for op in self._waiting(entry) if op.log is not None]
        return found[-1] if found else {key: self.disk.copy[entry][key] for key in ("at", "zone", "source", "body")}

    # sync

    def sync(self) -> None:
        self._look_around()
        if self._push_all() and self._pull_all():
            self._push_all()

    def _push_all(self) -> bool:
        """Whether the service answered."""
        while self.disk.outbox:
            ops, device = self._batch(), self.disk.device
            sent = {"device": device, "sent_at": "2026-03-02T13:00:00Z", "ops": [op.sent() for op in ops]}
            answer = self._ask("POST", PUSH, {}, sent)
            if answer is None or answer[0] != 200:
                self._missed(ops, answer)
                return False
            if device == self.disk.device:
                self._acknowledge(ops, answer[1])
        return True

    def _missed(self, ops: Sequence[Op], answer: Answer) -> None:
        """Nothing is changed by having had no answer, except by mistake."""
        if answer is not None and "a busy service loses the push" in self._mistakes:
            self.disk.outbox.clear()
        elif "a lost operation is made again" in self._mistakes:
            for op in ops:
                self.disk.last_n += 1
                op.n, op.op = self.disk.last_n, str(uuid4())

    def _look_around(self) -> None:
        answer = self._ask("GET", "/v1/service", {}, None)
        assert answer is not None
        self._version = answer[1]["version"]
        ready = [op for version, op in self.disk.waiting if version != self._version]
        self.disk.waiting = [(version, op) for version, op in self.disk.waiting if version == self._version]
        for op in ready:
            self.disk.last_n += 1
            self.disk.outbox.append(Op(self.disk.last_n, str(uuid5(UUID(op.op), self._version)), op.id, op.base, op.log))

    def _batch(self) -> list[Op]:
        ops: list[Op] = []
        guarded: set[str] = set()
        for op in self.disk.outbox[:200]:
            kind = self.disk.copy.get(op.id, {}).get("kind") or (op.log or {"body": {"kind": ""}})["body"]["kind"]
            if op.id in guarded and "two of a guarded entry go together" not in self._mistakes:
                break
            guarded |= {op.id} if kind == GUARDED else set()
            ops.append(op)
        return ops

    def _acknowledge(self, ops: Sequence[Op], answer: Json) -> None:
        self.disk.acknowledged += 1
        for op, result in zip(ops, answer["results"], strict=False):
            if result["outcome"] in ("gap", "rewound"):
                self._begin_anew(op)
                return
            if not (result["outcome"] == "rejected" and "what is refused is sent again" in self._mistakes):
                self.disk.outbox = [other for other in self.disk.outbox if other is not op]
            getattr(self, f"_{result['outcome']}")(op, result)
            if "a push moves the cursor" in self._mistakes and self.disk.cursor:
                self.disk.cursor = f"c{result['seq']}"
            if "an edit is lost by the answer" in self._mistakes:
                self.disk.outbox = [other for other in self.disk.outbox if other.id != op.id]

    def _begin_anew(self, first: Op) -> None:
        disk = self.disk
        if "a rewound device keeps its id" not in self._mistakes:
            disk.device = str(uuid5(UUID(disk.device), first.op))
        for place, op in enumerate(disk.outbox, start=1):
            op.n = place
        disk.last_n = len(disk.outbox)

    def _applied(self, op: Op, result: Json) -> None:
        for later in self._waiting(op.id):
            later.base = result["revision"]
        if self.disk.copy.get(op.id, {"revision": 0})["revision"] <= result["revision"]:
            self._put(op.id, result, op.log)

    def _put(self, entry: str, result: Json, log: Json | None) -> None:
        disk = self.disk
        disk.copy[entry] = {
            **disk.copy.get(entry, {"recorded_at": ""}),
            **(log or {}),
            "id": entry,
            "revision": result["revision"],
            "seq": result["seq"],
            "deleted": log is None,
            "body": None if log is None else log["body"],
        }
        disk.marks.setdefault(entry, disk.walk - disk.walking)

    def _rejected(self, op: Op, result: Json) -> None:
        codes = {fault["code"] for fault in result["problem"].get("errors", ())}
        if codes & TOO_OLD and "what a service is too old for is the person's fault" not in self._mistakes:
            self.disk.waiting.append((self._version, op))
        elif not self._waiting(op.id):
            self._tell(op, "rejected", errors=[inside(fault) for fault in result["problem"].get("errors", ())])

    def _gone(self, op: Op, result: Json) -> None:
        if "what is gone lives on here" not in self._mistakes:
            self._bury(op.id, result)
        if op.log is not None and "words that are gone are dropped" not in self._mistakes:
            self._tell(op, "gone")

    def _bury(self, entry: str, result: Json) -> None:
        if result["revision"] == 0 or "tombstones are forgotten" in self._mistakes:
            self.disk.copy.pop(entry, None)
        else:
            self._put(entry, result, None)

    def _conflict(self, op: Op, result: Json) -> None:
        if "a conflict overwrites" in self._mistakes:
            self._put(op.id, result, op.log)
            return
        self.disk.copy[op.id] = result["current"]
        self._tell(op, "conflict", current=result["current"]["revision"])

    def _tell(self, op: Op, reason: str, **more: Any) -> None:
        self.disk.attention.append(
            {"id": op.id, "reason": reason, "body": None if op.log is None else op.log["body"], **more}
        )

    # pull

    def _pull_all(self) -> bool:
        """Whether the service answered."""
        while True:
            disk, before = self.disk, self.disk.acknowledged
            answer = self._ask("GET", PULL, {"cursor": disk.cursor} if disk.cursor else {}, None)
            if answer is None or answer[0] not in (200, 410):
                return False
            if answer[0] == 410:
                self._walk()
            elif (before == disk.acknowledged or not disk.walking) and not self._page(answer[1]):
                return True

    def _walk(self) -> None:
        disk = self.disk
        disk.cursor, disk.walking, disk.walk = None, True, disk.walk + 1
        if "a walk empties the outbox" in self._mistakes:
            disk.outbox.clear()

    def _page(self, page: Json) -> bool:
        """Take a page in; whether there is more."""
        disk = self.disk
        restored = disk.epoch not in (None, page["epoch"])
        for change in page["changes"]:
            self._take_in(change, restored)
        disk.cursor = page["cursor"]
        if "a walk sweeps at its first page" in self._mistakes or not page["more"]:
            self._sweep(restored)
        if not page["more"]:
            disk.epoch = page["epoch"]
        elif "the cursor goes before its page" in self._mistakes:
            disk.cursor = f"{page['cursor']}+"
        return bool(page["more"])

    def _take_in(self, change: Json, restored: bool) -> None:
        disk, entry = self.disk, change["id"]
        old = disk.copy.get(entry)
        stale = old is not None and disk.marks[entry] < disk.walk
        if old is not None and stale and restored:
            self._offer(old, change)
        elif (
            old is not None and old["revision"] > change["revision"] and "an older revision is written" not in self._mistakes
        ):
            return
        if change["kind"] not in KNOWN and "an unknown kind is passed over" in self._mistakes:
            return
        if change["deleted"] and "tombstones are forgotten" in self._mistakes:
            disk.copy.pop(entry, None)
            return
        disk.copy[entry], disk.marks[entry] = change, disk.walk
        if "the clock corrects the entry" in self._mistakes and change["skewed"]:
            disk.copy[entry] = {**change, "at": change["recorded_at"]}

    def _offer(self, old: Json, new: Json | None) -> None:
        """Give back what a restored service lost (rule 13)."""
        if "a restored service gets nothing back" in self._mistakes:
            return
        log = None if old["deleted"] else {key: old[key] for key in ("at", "zone", "source", "body")}
        lost = new is None or (old["deleted"] and not new["deleted"]) or old["recorded_at"] > new["recorded_at"]
        if lost and not (new is None and log is None):
            disk = self.disk
            disk.last_n += 1
            disk.outbox.append(Op(disk.last_n, str(uuid4()), old["id"], 0 if new is None else new["revision"], log))

    def _sweep(self, restored: bool) -> None:
        disk = self.disk
        if disk.walking and "a walk sweeps nothing" not in self._mistakes:
            for entry in [entry for entry in disk.copy if disk.marks[entry] < disk.walk]:
                old = disk.copy.pop(entry)
                if restored:
                    self._offer(old, None)
        disk.walking = False

    # what happens to the device

    def back_up(self) -> None:
        self._backup = copy.deepcopy(self.disk)

    def restore(self) -> None:
        self.disk = copy.deepcopy(self._backup)

    def an_hour_passes(self) -> None:
        pass

    # what the test looks at

    def shows(self) -> list[Json]:
        shown: dict[str, Json] = {}
        waiting = {notice["id"] for notice in self.disk.attention}
        for entry, row in self.disk.copy.items():
            state = "needs attention" if entry in waiting else "sent"
            if not row["deleted"]:
                shown[entry] = {"id": entry, "state": state, "body": row["body"], "at": row["at"]}
        for notice in self.disk.attention:
            if notice["id"] not in self.disk.copy and notice["reason"] == "rejected":
                shown[notice["id"]] = {"id": notice["id"], "state": "needs attention", "body": notice["body"]}
        if "an entry is shown as it was acknowledged" not in self._mistakes:
            for op in [*(op for _, op in self.disk.waiting), *self.disk.outbox]:
                if op.log is None:
                    shown.pop(op.id, None)
                else:
                    shown[op.id] = {"id": op.id, "state": "kept", "body": op.log["body"], "at": op.log["at"]}
        return list(shown.values())

    def copy(self) -> list[Json]:
        return list(self.disk.copy.values())

    def outbox(self) -> list[Json]:
        return [{"id": op.id, "base": op.base, "body": op.log and op.log["body"]} for op in self.disk.outbox]

    def attention(self) -> list[Json]:
        return self.disk.attention

    def digest(self) -> tuple[int, str]:
        live = [row for row in self.disk.copy.values() if not row["deleted"]]
        return len(live), digest_of([(UUID(row["id"]), row["revision"], hash_of(row["body"])) for row in live])


def inside(fault: Json) -> Json:
    """A fault of an operation as one of the entry: ``/ops/1/log/at`` is ``/at``."""
    return {**fault, "pointer": re.sub(r"^/ops/\d+/log", "", fault["pointer"])}


KNOWN = {"mood", "note", "goal", "safety_plan"}
