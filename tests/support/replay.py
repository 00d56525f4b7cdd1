"""Replaying ``tests/contract/sync_vectors.json`` against a client: the service is the script, the person is the steps.

How the file is to be read it says itself (``how``). Knows no client: see ``Client`` for what one must offer.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid5

Json = dict[str, Any]
Answer = tuple[int, Any] | None
"""Status and body; None when the connection broke."""

VECTORS: Json = json.loads((Path(__file__).parents[1] / "contract/sync_vectors.json").read_text(encoding="utf-8"))
HISTORIES: dict[str, Json] = {history["name"]: history for history in VECTORS["histories"]}
_MADE_UP = UUID("01950000-0000-7000-8000-000000000000")


class Client(Protocol):
    """A device under test. Ids are texts; what a method gives back is what ``expect`` in the file looks like."""

    def record(self, at: str, zone: str, body: Json) -> str: ...
    def correct(self, entry: str, body: Json) -> None: ...
    def delete(self, entry: str) -> None: ...
    def sync(self) -> None: ...
    def back_up(self) -> None: ...
    def restore(self) -> None: ...
    def an_hour_passes(self) -> None: ...
    def shows(self) -> Sequence[Json]: ...
    def copy(self) -> Sequence[Json]: ...
    def outbox(self) -> Sequence[Json]: ...
    def attention(self) -> Sequence[Json]: ...
    def digest(self) -> tuple[int, str]: ...


class Names:
    """What each name of a history stands for: bound where it is met first, the same ever after."""

    def __init__(self) -> None:
        self.bound: dict[str, str] = {}

    def fit(self, wanted: str, found: str) -> bool:
        if wanted == "*" or not wanted.startswith("$"):
            return wanted in ("*", found)
        if wanted not in self.bound and found not in self.bound.values():
            self.bound[wanted] = found
        return self.bound.get(wanted) == found

    def filled(self, node: Any) -> Any:
        """The same with ids in the place of names. A name that nothing has bound is another phone's, as good as any id."""
        if isinstance(node, dict):
            return {key: self.filled(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.filled(item) for item in node]
        if isinstance(node, str) and node.startswith("$"):
            return self.bound.get(node, str(uuid5(_MADE_UP, node)))
        return node


def completed(answer: Json) -> Json:
    """An answer to a push or a pull with what it leaves out."""
    of = VECTORS["defaults"]
    if "results" in answer:
        results = [{**of["result"], **result} for result in answer["results"]]
        for result in results:
            if "current" in result:
                result["current"] = {**of["entry"], **result["current"]}
            if "problem" in result:
                result["problem"] = {**of["problem"], **result["problem"]}
        return {**of["pushed"], **answer, "results": results}
    return {**of["page"], **answer, "changes": [{**of["entry"], **change} for change in answer["changes"]]}


def refusal(exchange: Json) -> Json:
    return {**VECTORS["defaults"]["problem"], **exchange["refused"]}


def written(what: Json) -> Json:
    """What a person wrote, with what the file leaves out."""
    return {**VECTORS["defaults"]["written"], **what}


class Replay:
    """One history on one client. ``answer`` is the service."""

    def __init__(self, history: Json, make: Callable[["Replay"], Client]) -> None:
        self.history = history
        self.around: Mapping[str, Any] = {**VECTORS["around"], **history.get("around", {})}
        self.names = Names()
        self.script: list[Json] = []
        self.wrong: list[str] = []
        self.client = make(self)

    def run(self) -> None:
        """Every step, in order; fails at the first that is not as the file says."""
        for place, step in enumerate(self.history["steps"]):
            self._do(step)
            assert self.wrong == [], f"{self.history['name']}, step {place}: {self.wrong}"

    # the service

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Answer:
        """What the service answers to a request."""
        if f"{method} {path}" in self.around:
            return 200, self.around[f"{method} {path}"]
        asked = f"{method} {path} {dict(query)} {json.dumps(body)}"
        if not self.script:
            self.wrong.append(f"nothing was to be asked: {asked}")
            return None
        exchange = self.script.pop(0)
        fits = self._is_push(exchange, body) if path.endswith("/sync/push") else self._is_pull(exchange, path, query)
        if not fits:
            self.wrong.append(f"{json.dumps(self.names.filled(exchange))} was to come, not {asked}")
            return None
        for step in exchange.get("meanwhile", ()):
            self._do(step)
        if "refused" in exchange:
            return exchange["refused"]["status"], refusal(exchange)
        return None if exchange["answer"] is None else (200, self.names.filled(completed(exchange["answer"])))

    def _is_pull(self, exchange: Json, path: str, query: Mapping[str, str]) -> bool:
        return path.endswith("/sync/pull") and "pull" in exchange and query.get("cursor") == exchange["pull"]

    def _is_push(self, exchange: Json, body: Json) -> bool:
        wanted = exchange.get("push")
        if wanted is None or len(wanted["ops"]) != len(body["ops"]) or not self.names.fit(wanted["device"], body["device"]):
            return False
        return all(self._is_op(one, other) for one, other in zip(wanted["ops"], body["ops"], strict=True))

    def _is_op(self, wanted: Json, found: Json) -> bool:
        same = all(wanted[key] == found[key] for key in ("n", "base"))
        named = self.names.fit(wanted["id"], found["id"]) and self.names.fit(wanted["op"], found["op"])
        return same and named and says_the_same(wanted["log"], found["log"])

    # the person

    def _do(self, step: Json) -> None:
        match step["do"]:
            case "record":
                told = written(step)
                made = self.client.record(told["at"], told["zone"], told["body"])
                if not self.names.fit(step["entry"], made):
                    self.wrong.append(f"{step['entry']} has the id of another")
            case "correct":
                self.client.correct(self.names.filled(step["entry"]), step["body"])
            case "delete":
                self.client.delete(self.names.filled(step["entry"]))
            case "sync":
                self.script = list(step["exchanges"])
                self.client.sync()
                self.wrong += [f"not asked: {json.dumps(exchange)}" for exchange in self.script]
            case "back up":
                self.client.back_up()
            case "restore":
                self.client.restore()
            case "upgrade":
                self.around = VECTORS["around"]
                self.client.an_hour_passes()
            case "expect":
                self._expect(self.names.filled(step))
            case other:
                raise AssertionError(f"a step that the file does not explain: {other}")

    def _expect(self, step: Json) -> None:
        ignored = step.get("ignore", ())
        for what, found in (
            ("shows", self.client.shows()),
            ("copy", self.client.copy()),
            ("outbox", self.client.outbox()),
            ("attention", self.client.attention()),
        ):
            if what in ignored:
                continue
            wanted = step[what] if what == "outbox" else sorted(step[what], key=by_id)
            seen = list(found) if what == "outbox" else sorted(found, key=by_id)
            if len(wanted) != len(seen) or not all(holds(one, other) for one, other in zip(wanted, seen, strict=True)):
                self.wrong.append(f"{what} is {json.dumps(seen)}, not {json.dumps(wanted)}")
        live = [row for row in step["copy"] if not row["deleted"]]
        proof = (len(live), digest_of([(UUID(row["id"]), row["revision"], hash_of(row["body"])) for row in live]))
        if "digest" in step:
            assert proof == (step["digest"]["count"], step["digest"]["sha256"]), "the file's own digest"
        if self.client.digest() != proof:
            self.wrong.append(f"digest is {self.client.digest()}, not {proof}")


def by_id(row: Json) -> str:
    return row["id"]


def holds(wanted: Json, found: Json) -> bool:
    """Whether something on the device is what the file says of it; instants are compared as such."""
    same = {key: value == found.get(key) for key, value in wanted.items()}
    if "at" in wanted:
        same["at"] = instant(wanted["at"]) == instant(found.get("at"))
    return all(same.values())


def says_the_same(wanted: Json | None, found: Json | None) -> bool:
    """Whether a push's ``log`` is what the person wrote."""
    if wanted is None or found is None:
        return wanted is found
    whole = written(wanted)
    return (instant(whole["at"]), whole["zone"], whole["body"]) == (instant(found["at"]), found["zone"], found["body"])


def instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


# the digest, by the page and not by the SDK


def hash_of(body: Json) -> bytes:
    """SHA-256 of a body in RFC 8785, for the bodies of this file: sorted keys, whole numbers without a fraction."""
    tidy = json.loads(
        json.dumps(body), parse_float=lambda text: int(float(text)) if float(text).is_integer() else float(text)
    )
    return sha256(json.dumps(tidy, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()).digest()


def digest_of(entries: Sequence[tuple[UUID, int, bytes]]) -> str:
    whole = b"".join(
        entry.bytes + revision.to_bytes(8, "big") + body
        for entry, revision, body in sorted(entries, key=lambda one: one[0].bytes)
    )
    return sha256(whole).hexdigest()
