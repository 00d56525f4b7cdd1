"""The services of the sync machine that are reached by HTTP: the fake one, and the real one in a thread of its own."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any, TypeVar
from uuid import UUID

import httpx2

from companion import running, settings
from companion.core.actors import Operator
from companion.core.lines import Lines
from companion.logs import sync
from companion.people import service as people
from companion_sdk.testing import FakeService

from .clocks import ManualClock
from .engines import Engine
from .sync_real import ZONE, Asked, HttpService, Names, Reply

T = TypeVar("T")

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
FOR_EVER = datetime(2999, 1, 1, tzinfo=UTC)


class InMemory(HttpService):
    """The fake service with Ana."""

    def __init__(self, fake: FakeService | None = None) -> None:
        self.fake = fake or FakeService(at=NOON)
        self._ana = self.fake.patient("Ana", zone=ZONE)
        self._transport = self.transport()
        super().__init__("fake", self.fake.url, Names(self._ana.id))

    @property
    def observer(self) -> str:
        return self._ana.token

    def transport(self) -> httpx2.BaseTransport:
        transport = self.fake.transport
        assert isinstance(transport, httpx2.BaseTransport)
        return transport

    def carry(self, asked: Asked) -> Reply:
        request = httpx2.Request(asked.method, self.url + asked.target, headers=asked.headers, content=asked.content)
        response = self._transport.handle_request(request)
        return Reply(response.status_code, response.read(), response.headers.get("content-type", ""))

    def now(self) -> datetime:
        return self.fake.clock.now()

    def sign_in(self) -> str:
        return signed_in(self, self.fake.invite(self._ana))

    def revoke(self, token: str) -> None:
        self.fake.revoke(token)

    def purge(self) -> bool:
        self.fake.purge(before=FOR_EVER)
        return True

    def backup(self) -> Any:
        return self.fake.snapshot()

    def restore(self, backup: Any) -> None:
        self.fake.restore(backup)


def signed_in(service: HttpService, code: str) -> str:
    """The token of a phone that signs in by an invite."""
    asked = {"method": "invite", "code": code, "device": {"name": "A phone", "zone": ZONE}}
    content = json.dumps(asked).encode()
    reply = service.carry(Asked("POST", "/v1/sign-in", (("content-type", "application/json"),), content))
    assert reply.status == 200, reply
    return json.loads(reply.content)["access_token"]


OPERATOR = Operator("test")
_AT_WILL = {"port": 0, "caller_rate": 1e9, "anonymous_burst": 1_000_000, "log_level": "warning"}
_LONG = 36_500


class Shared:
    """One real service for many histories, each with a patient of its own; it runs in a thread with its own loop."""

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.clock = ManualClock(NOON)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        chosen = settings.read({}, **_AT_WILL, **engine.options)
        lines = Lines(self.clock, chosen.log_level, chosen.log_format, StringIO())
        self.running = self.run(running.start(chosen, clock=self.clock, lines=lines))
        self.http = httpx2.Client(base_url=self.running.url, timeout=30)
        self.clinic = self.run(self.running.db.write(OPERATOR, people.add_clinic, "North", "North Street"))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def patient(self) -> UUID:
        return self.run(self.running.db.write(OPERATOR, people.add_patient, self.clinic, "Ana", ZONE))

    def token(self, patient: UUID) -> str:
        return self.run(self.running.db.write(OPERATOR, people.operator_token, patient, None, _LONG))

    def close(self) -> None:
        self.http.close()
        self.run(self.running.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextlib.contextmanager
def shared(engine: Engine) -> Iterator[Shared]:
    """A running service on a database."""
    one = Shared(engine)
    try:
        yield one
    finally:
        one.close()


class Real(HttpService):
    """The real service with a new patient."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._patient = shared.patient()
        self._observer = shared.token(self._patient)
        super().__init__(shared.name, shared.running.url, Names(self._patient))

    @property
    def observer(self) -> str:
        return self._observer

    def now(self) -> datetime:
        return self._shared.clock.now()

    def carry(self, asked: Asked) -> Reply:
        response = self._shared.http.request(asked.method, asked.target, headers=asked.headers, content=asked.content)
        return Reply(response.status_code, response.content, response.headers.get("content-type", ""))

    def sign_in(self) -> str:
        return self._shared.token(self._patient)

    def revoke(self, token: str) -> None:
        reply = self.ask(token, "POST", "/v1/sign-out", {})
        assert reply.status == 204, reply

    def purge(self) -> bool:
        self._shared.clock.advance(days=401)
        return self._shared.run(self._shared.running.db.write(OPERATOR, sync.purge, self._patient))
