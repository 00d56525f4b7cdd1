"""What the sync machine drives where nothing is a model: ``Diary`` on files, and services that are reached by HTTP.

Each process of a phone is one open ``Diary``. Its sync runs in a thread that stands still at every request until the
machine says what became of it, so a history is the same each time.
"""

import itertools
import json
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import httpx2
import msgspec

from companion_sdk import (
    Companion,
    CompanionError,
    Diary,
    Entry,
    InvalidEntry,
    Mood,
    NoSuchEntry,
    Note,
    PlanSection,
    SafetyPlan,
)
from companion_sdk._diary.records import Place
from companion_sdk.wire import Body, LogHistory, daily_id, safety_plan_id

from .sync_words import DAILY, PLAN, Content, Revision, Told

AHEAD = timedelta(days=10)
"""How far a phone's clock was off when it took an entry that the service must refuse."""

ZONE = "America/New_York"
_BAD = " in ten days"

LIMIT = 2
"""Records in a page, whatever the phone asked for."""


class Asked(NamedTuple):
    """One request on the network."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    content: bytes


class Reply(NamedTuple):
    status: int
    content: bytes
    media: str


class PowerCut(BaseException):
    """The phone's process ends where it stands."""


Carry = Callable[[Asked], Reply]
"""What brings a request to the service and its reply back."""


class Names:
    """The numbers of the machine and the UUIDs they stand for, with one patient."""

    def __init__(self, patient: UUID) -> None:
        self.patient = patient
        self._numbers: dict[UUID, int] = {safety_plan_id(patient): PLAN}
        for number in DAILY:
            self._numbers[daily_id(patient, "mood", date(2026, 3, number))] = number
        self._ids = {number: entry for entry, number in self._numbers.items()}

    def id(self, number: int) -> UUID:
        if number not in self._ids:
            self._ids[number] = uuid5(self.patient, f"entry {number}")
            self._numbers[self._ids[number]] = number
        return self._ids[number]

    def number(self, entry: UUID | str) -> int:
        return self._numbers[entry if isinstance(entry, UUID) else UUID(entry)]

    def all(self) -> list[int]:
        return sorted(self._ids)


def body_of(content: Content) -> Body:
    """The entry that says a word."""
    word = f"{content.word}{_BAD if content.bad else ''}"
    if content.kind == "plan":
        return SafetyPlan(sections=[PlanSection(title="The word", text=word)])
    return Mood(mood=3, note=word) if content.kind == "mood" else Note(text=word)


def content_of(body: object) -> Content:
    """The word that an entry says."""
    if isinstance(body, SafetyPlan):
        return _said("plan", body.sections[0].text)
    if isinstance(body, Mood):
        return _said("mood", body.note or "0")
    assert isinstance(body, Note)
    return _said("note", body.text)


def _said(kind: str, text: str) -> Content:
    return Content(kind, int(text.removesuffix(_BAD)), text.endswith(_BAD))


# a phone


class Line(httpx2.BaseTransport):
    """One process's way to the network: sync waits for the machine unless the way is ``straight``, all else is carried."""

    def __init__(self, carry: Carry) -> None:
        self._carry = carry
        self.straight = False
        self.departed: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self.arrived: queue.SimpleQueue[Reply | BaseException] = queue.SimpleQueue()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        target = request.url.raw_path.decode().replace("limit=200", f"limit={LIMIT}")
        headers = tuple((name, value) for name, value in request.headers.items() if name.lower() in _CARRIED)
        asked = Asked(request.method, target, headers, request.read())
        came = self._held(asked) if "/sync/p" in target and not self.straight else self._carry(asked)
        if isinstance(came, httpx2.ReadTimeout):
            raise httpx2.ReadTimeout("no reply came", request=request)
        if isinstance(came, BaseException):
            raise came
        return httpx2.Response(came.status, headers={"content-type": came.media}, content=came.content)

    def _held(self, asked: Asked) -> Reply | BaseException:
        self.departed.put(asked)
        return self.arrived.get()


_CARRIED = frozenset({"authorization", "content-type", "x-request-id", "accept"})


class Errand:
    """One sync, in a thread of its own that stands still while a request is on the network."""

    def __init__(self, diary: Diary, line: Line) -> None:
        self._line = line
        self.request: Asked | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(diary,), daemon=True)
        self._thread.start()
        self._wait()

    def _run(self, diary: Diary) -> None:
        try:
            diary.sync()
        except (CompanionError, PowerCut):
            pass
        except BaseException as error:  # noqa: BLE001 - told in the machine's own thread
            self.error = error
        self._line.departed.put(None)

    def _wait(self) -> None:
        self.request = self._line.departed.get()
        if self.request is None:
            self._thread.join()
            if self.error is not None:
                raise self.error

    def _go_on(self, came: Reply | BaseException) -> None:
        if self.request is not None:
            self._line.arrived.put(came)
            self._wait()

    def answer(self, reply: Reply) -> None:
        self._go_on(reply)

    def fail(self) -> None:
        self._go_on(httpx2.ReadTimeout("no reply came"))

    def cut(self) -> None:
        self._go_on(PowerCut())


@dataclass
class Process:
    """One open diary, its clients so far (a sync under way keeps the one it began with), and that sync."""

    diary: Diary
    line: Line
    clients: list[Companion]
    errand: Errand | None = None

    def close(self) -> None:
        self.diary.close()
        for client in self.clients:
            client.close()


_files = itertools.count(1)


class DiaryPhone:
    """A phone: one file, opened by one process for the person and by one more for each sync beside another."""

    def __init__(self, names: Names, service: "HttpService", folder: Path) -> None:
        self._names = names
        self._service = service
        self._folder = folder
        self._path = folder / f"{next(_files)}.diary"
        self._token = ""
        self._ahead = timedelta(0)
        self._processes: list[Process] = []

    def _open(self) -> Process:
        line = Line(self._service.exchange)
        client = self._client(line)
        diary = self.diary(self._path, client)
        self._processes.append(Process(diary, line, [client]))
        return self._processes[-1]

    def diary(self, path: Path, client: Companion) -> Diary:
        """How a diary is opened; tests of faults open theirs."""
        return Diary(path, client, zone=ZONE, now=lambda: self._service.now() + self._ahead)

    @property
    def _main(self) -> Diary:
        return (self._processes[0] if self._processes else self._open()).diary

    def write(self, id: int, content: Content) -> bool:
        self._ahead = AHEAD if content.bad else timedelta(0)
        entry = None if content.kind == "plan" else self._names.id(id)
        try:
            self._main.record(body_of(content), id=entry)
        except (NoSuchEntry, InvalidEntry):
            return False
        finally:
            self._ahead = timedelta(0)
        return True

    def delete(self, id: int) -> None:
        self._main.delete(self._names.id(id))

    def begin(self) -> Errand:
        free = [process for process in self._processes if process.errand is None or process.errand.request is None]
        process = free[0] if free else self._open()
        process.errand = Errand(process.diary, process.line)
        return process.errand

    def kill(self) -> None:
        """What hangs on the network ends there; closing writes nothing more."""
        for process in self._processes:
            if process.errand is not None:
                process.errand.cut()
            process.close()
        self._processes.clear()

    def backup(self) -> Path:
        kept = self._folder / f"{next(_files)}.backup"
        self._main.entries(limit=1)
        source, copy = sqlite3.connect(self._path), sqlite3.connect(kept)
        source.backup(copy)
        source.close()
        copy.close()
        return kept

    def restore(self, backup: Path) -> None:
        self.kill()
        self._path = self._folder / f"{next(_files)}.diary"
        self._path.write_bytes(backup.read_bytes())

    def sign_in(self, token: str) -> None:
        """The app signs in again; requests that are under way carry the old token."""
        self._token = token
        for process in self._processes:
            process.clients.append(self._client(process.line))
            process.diary.client = process.clients[-1]

    def _client(self, line: Line) -> Companion:
        return Companion(self._service.url, self._token or None, transport=line, retries=0, zone=ZONE)

    def view(self) -> dict[int, Content]:
        """What is stored or on its way to be; refused words of an entry that is nowhere else are not in it."""
        return {self._number(entry): content_of(entry.body) for entry in self._main.entries() if _stands(entry)}

    def _number(self, entry: Entry) -> int:
        return PLAN if entry.kind == "safety_plan" else self._names.number(entry.id)

    def words(self) -> set[int]:
        return {content_of(one.body).word for one in self._main.needs_attention() if one.body is not None}

    def unsent(self) -> int:
        return self._main.unsent

    def proves(self, service: Any) -> bool:
        diary = self._main
        self._processes[0].line.straight = True
        try:
            return diary.verify().agrees
        finally:
            self._processes[0].line.straight = False

    def place(self) -> tuple[int, int] | None:
        with self._main._book.store.read() as tx:
            place = tx.get(Place)
        return None if place is None or place.cursor is None else self._service.places.get(place.cursor)


def _stands(entry: Entry) -> bool:
    return entry.state != "needs attention" or entry.revision > 0


# a service


@dataclass
class HttpService:
    """A service that is asked by HTTP, and one patient of it. Subclasses know who its operator is."""

    name: str
    url: str
    names: Names
    limit: int = LIMIT
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def carry(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def transport(self) -> httpx2.BaseTransport:
        """A good network to it."""
        return httpx2.HTTPTransport()

    def sign_in(self) -> str:
        raise NotImplementedError

    def now(self) -> datetime:
        """What its clock shows, and every phone's."""
        raise NotImplementedError

    def begin(self, request: Asked) -> Callable[[], Reply]:
        """It cannot be seen from outside when a request has arrived and not committed."""
        return lambda: self.exchange(request)

    def exchange(self, asked: Asked) -> Reply:
        """Carry a request, and see how far the cursor in its reply has come."""
        reply = self.carry(asked)
        if "/sync/pull" in asked.target and reply.status == 200:
            page = json.loads(reply.content)
            epoch, before = self.place(asked) or (0, 0)
            reached = max([before if epoch == page["epoch"] else 0, *(log["seq"] for log in page["changes"])])
            self.places[page["cursor"]] = max(self.places.get(page["cursor"], (0, 0)), (page["epoch"], reached))
        return reply

    def ask(self, token: str, method: str, path: str, content: Any = None) -> Reply:
        """A request of the tests' own."""
        headers = (("authorization", f"Bearer {token}"), ("content-type", "application/json"))
        return self.carry(Asked(method, path, headers, b"" if content is None else json.dumps(content).encode()))

    def told(self, request: Asked, reply: Reply) -> list[Told]:
        if not request.target.endswith("/sync/push") or reply.status != 200:
            return []
        push, pushed = json.loads(request.content), json.loads(reply.content)
        return [
            Told(
                push["device"],
                op["n"],
                op["op"],
                self.names.number(op["id"]),
                op["base"],
                None if op["log"] is None else content_of(msgspec.convert(op["log"]["body"], Body)),
                result["outcome"],
                result["revision"],
                result["seq"],
            )
            for op, result in zip(push["ops"], pushed["results"], strict=False)
        ]

    def page(self, request: Asked, reply: Reply) -> bool | None:
        if "/sync/pull" not in request.target or reply.status != 200:
            return None
        return json.loads(reply.content)["more"]

    def place(self, request: Asked) -> tuple[int, int] | None:
        """How far the cursor of a pull has come; None where it begins, and for anything else."""
        if "cursor=" not in request.target:
            return None
        return self.places.get(httpx2.URL(self.url + request.target).params["cursor"])

    def history(self) -> dict[int, list[Revision]]:
        found: dict[int, list[Revision]] = {}
        token = self.observer
        for number in self.names.all():
            reply = self.ask(token, "GET", f"/v1/patients/me/logs/{self.names.id(number)}/history")
            if reply.status == 200:
                items = msgspec.json.decode(reply.content, type=LogHistory).items
                found[number] = [
                    Revision(log.revision, log.seq, None if log.body is None else content_of(log.body)) for log in items
                ]
        return found

    @property
    def observer(self) -> str:
        """A token of the tests' own."""
        raise NotImplementedError
