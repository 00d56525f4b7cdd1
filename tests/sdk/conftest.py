"""The test double: a small diary service in memory behind ``httpx2.MockTransport``, with Ana signed in.

It answers in the contract's own types and knows no rule beyond what the SDK can see.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2
import msgspec
import pytest

from companion_sdk import AsyncCompanion, Companion, wire
from companion_sdk._clock import Clock, uuid7

NOW = datetime(2026, 11, 2, 20, 30, tzinfo=UTC)
ANA = UUID("0192e4a0-0000-7000-8000-00000000000a")
CLEO = UUID("0192e4a0-0000-7000-8000-00000000000c")
CLINIC = wire.Clinic(id=UUID("0192e4a0-0000-7000-8000-0000000000cc"), name="Riverside", site="Main street")
TOKEN = "cmp_fake_token_of_ana"
JSON = {"content-type": "application/json"}
PROBLEM = {"content-type": "application/problem+json"}

Answer = tuple[int, object]


def problem(word: str, request_id: str, *errors: wire.Fault) -> wire.Problem:
    """A refusal as the service words it."""
    status, title = wire.WORDS[word]
    return wire.Problem(
        type=f"/problems/{word}",
        title=title,
        status=status,
        detail="",
        instance=f"urn:uuid:{request_id}",
        request_id=request_id,
        errors=errors,
    )


class FakeService:
    """What Ana sees of a Companion service. ``seen`` holds every request."""

    def __init__(self) -> None:
        self.seen: list[httpx2.Request] = []
        self.logs: dict[UUID, list[wire.Log]] = {}
        self.consents: dict[UUID, wire.Consent] = {}
        self.plans: dict[UUID, wire.Plan] = {}
        self.me = wire.Me(
            id=ANA,
            role="patient",
            name="Ana",
            zone="America/New_York",
            scopes=(),
            language="en",
            patient_id=ANA,
            clinic=CLINIC,
            clinicians=(wire.Colleague(id=CLEO, name="Cleo"),),
        )
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = [
            (method, re.compile(route.replace("ID", "([0-9a-f-]{36})").replace("PATIENT", "(?:me|[0-9a-f-]{36})")), do)
            for method, route, do in self._table()
        ]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        for method, pattern, answer in self._routes:
            if method == request.method and (match := pattern.fullmatch(request.url.path)):
                status, body = answer(request, *match.groups())
                return self._respond(request, status, body)
        return self._respond(request, 404, "not-found")

    def _respond(self, request: httpx2.Request, status: int, body: object) -> httpx2.Response:
        if status >= 400:
            word, current = body if isinstance(body, tuple) else (str(body), None)
            refused = msgspec.structs.replace(problem(word, request.headers["x-request-id"]), current=current)
            return httpx2.Response(status, content=msgspec.json.encode(refused), headers=PROBLEM)
        if isinstance(body, wire.Changed):
            hint = b"id: %d\nevent: changed\ndata: %b\n\n" % (body.seq, msgspec.json.encode(body))
            return httpx2.Response(status, content=hint, headers={"content-type": "text/event-stream"})
        headers = {"etag": f'"{body.revision}"'} if isinstance(body, wire.Log | wire.Plan) else {}
        content = b"" if body is None else msgspec.json.encode(body)
        return httpx2.Response(status, content=content, headers=JSON | headers)

    def _table(self) -> Iterator[tuple[str, str, Callable[..., Answer]]]:
        one, mine = "/v1/patients/PATIENT", "/v1/me"
        yield "POST", "/v1/sign-in", self.sign_in
        yield "POST", "/v1/sign-out", self.done
        yield "GET", mine, lambda _: (200, self.me)
        yield "PATCH", mine, self.patch_me
        yield "GET", f"{mine}/devices", lambda _: (200, wire.DeviceList(items=(self.device(),)))
        yield "DELETE", f"{mine}/devices/ID", self.done
        yield "GET", f"{mine}/tokens", lambda _: (200, wire.TokenList(items=()))
        yield "POST", f"{mine}/tokens", self.token
        yield "DELETE", f"{mine}/tokens/ID", self.done
        yield "POST", "/v1/invites", self.invite
        yield "POST", f"{mine}/invites", self.invite
        yield "GET", one, lambda _: (200, wire.Patient(id=ANA, name="Ana", zone=self.me.zone, clinic=CLINIC))
        yield "PUT", f"{one}/logs/ID", self.put_log
        yield "GET", f"{one}/logs/ID", self.get_log
        yield "DELETE", f"{one}/logs/ID", self.done
        yield "GET", f"{one}/logs/ID/history", lambda _, log: (200, wire.LogHistory(items=self.logs[UUID(log)]))
        yield "GET", f"{one}/logs", self.list_logs
        yield "POST", f"{one}/sync/push", self.push
        yield (
            "GET",
            f"{one}/sync/pull",
            self.pull,
        )
        yield "GET", f"{one}/sync/digest", lambda _: (200, wire.Digest(count=len(self.logs), sha256="0" * 64, through=1))
        yield "GET", f"{one}/sync/stream", lambda _: (200, wire.Changed(seq=len(self.logs)))
        yield "GET", f"{one}/safety-plan", lambda _: self.get_log(_, str(wire.safety_plan_id(ANA)))
        yield "PUT", f"{one}/safety-plan", self.put_safety_plan
        yield "GET", f"{one}/consents", lambda _: (200, wire.ConsentList(items=list(self.consents.values())))
        yield "PUT", f"{one}/consents/ID", self.put_consent
        yield "POST", f"{one}/consents/ID/revoke", self.revoke
        yield "GET", f"{one}/disclosures", lambda _: (200, wire.DisclosurePage(items=(self.disclosure(),), next=None))
        yield "GET", f"{one}/trends", lambda _: (200, self.trends())
        yield "GET", f"{one}/sobriety", lambda _: (200, self.sobriety())
        yield "GET", f"{one}/plans", lambda _: (200, wire.PlanList(items=list(self.plans.values())))
        yield "GET", f"{one}/plans/ID", lambda _, plan: (200, self.plans[UUID(plan)])
        yield "PUT", f"{one}/plans/ID", self.put_plan
        yield "DELETE", f"{one}/plans/ID", self.done
        yield "PUT", f"{mine}/endpoints/ID", self.put_endpoint
        yield "DELETE", f"{mine}/endpoints/ID", self.done
        yield "GET", f"{one}/nudges", lambda _: (200, wire.NudgePage(items=(self.nudge(),), next=None))
        yield "GET", "/v1/service", lambda _: (200, wire.Service(version="1", kinds={}, limits={}, features=()))
        yield "GET", "/v1/crisis", lambda _: (200, self.crisis())
        yield "GET", "/health/live", lambda _: (200, wire.Health(status="ok", checks={}))
        yield "GET", "/health/ready", lambda _: (200, wire.Health(status="ok", checks={}))

    def done(self, request: httpx2.Request, *ids: str) -> Answer:
        return 204, None

    def sign_in(self, request: httpx2.Request) -> Answer:
        wire.decode(wire.SignIn, request.content)  # type: ignore[arg-type]
        return 200, wire.SignedIn(access_token=TOKEN, expires_at=NOW, me=self.me)

    def patch_me(self, request: httpx2.Request) -> Answer:
        wire.decode(wire.MePatch, request.content)
        self.me = msgspec.structs.replace(self.me, **json.loads(request.content))
        return 200, self.me

    def device(self) -> wire.Device:
        return wire.Device(id=uuid7(1, 2), name="Phone", zone="UTC", created_at=NOW, expires_at=NOW, current=True)

    def token(self, request: httpx2.Request) -> Answer:
        asked = wire.decode(wire.TokenIn, request.content)
        return 201, wire.Token(
            id=uuid7(1, 3), name=asked.name, scopes=asked.scopes, created_at=NOW, expires_at=NOW, token="cmp_fake_app"
        )

    def invite(self, request: httpx2.Request) -> Answer:
        return 201, wire.Invite(code="K7QF-2M9D", patient_id=ANA, expires_at=NOW)

    def put_log(self, request: httpx2.Request, log: str) -> Answer:
        return self.put_entry(request, UUID(log), wire.decode(wire.LogIn, request.content))

    def put_entry(self, request: httpx2.Request, log: UUID, entry: wire.LogIn) -> Answer:
        """Create, repeat or correct, as DESIGN's "What the words mean" has it."""
        history = self.logs.setdefault(log, [])
        asked = request.headers.get("if-match")
        if history and history[-1].body == entry.body:
            return 200, history[-1]
        if history and asked is None:
            return 428, "revision-required"
        if asked is not None and asked != f'"{len(history)}"':
            return 412, ("revision-mismatch", history[-1])
        history.append(self.stored(log, entry, len(history) + 1))
        return 201 if len(history) == 1 else 200, history[-1]

    def stored(self, log: UUID, entry: wire.LogIn, revision: int) -> wire.Log:
        day: date = entry.at.astimezone(ZoneInfo(entry.zone)).date()
        return wire.Log(
            id=log,
            patient_id=ANA,
            kind=wire.kind_of(entry.body),
            at=entry.at.astimezone(UTC),
            zone=entry.zone,
            day=day,
            source=entry.source,
            revision=revision,
            seq=len(self.logs),
            recorded_at=NOW,
            deleted=False,
            skewed=False,
            author_id=ANA,
            body=entry.body,
        )

    def get_log(self, request: httpx2.Request, log: str) -> Answer:
        history = self.logs.get(UUID(log))
        return (200, history[-1]) if history else (404, "not-found")

    def pull(self, request: httpx2.Request) -> Answer:
        newest = [history[-1] for history in self.logs.values()]
        return 200, wire.Changes(changes=newest, cursor="c1", more=False, epoch=1)

    def push(self, request: httpx2.Request) -> Answer:
        """Every operation is new and applied."""
        pushed = wire.decode(wire.Push, request.content)
        for op in pushed.ops:
            if op.log is not None:
                self.logs[op.id] = [self.stored(op.id, op.log, op.base + 1)]
        results = [wire.PushResult(n=op.n, outcome="applied", revision=op.base + 1, seq=op.n) for op in pushed.ops]
        last = max((op.n for op in pushed.ops), default=0)
        return 200, wire.Pushed(results=results, last_n=last, epoch=1, server_time=NOW)

    def put_safety_plan(self, request: httpx2.Request) -> Answer:
        plan = wire.LogIn(at=NOW, zone="UTC", body=wire.decode(wire.SafetyPlan, request.content), source="sdk")
        return self.put_entry(request, wire.safety_plan_id(ANA), plan)

    def list_logs(self, request: httpx2.Request) -> Answer:
        """Newest first; the cursor is the number of entries already given."""
        asked = request.url.params
        kept = [history[-1] for history in reversed(self.logs.values())]
        kept = [log for log in kept if asked.get("kind") in (None, log.kind)]
        start, size = int(asked.get("cursor", "0")), int(asked["limit"])
        after = start + size
        return 200, wire.LogPage(items=kept[start:after], next=str(after) if after < len(kept) else None)

    def put_consent(self, request: httpx2.Request, consent: str) -> Answer:
        asked = wire.decode(wire.ConsentIn, request.content)
        made = wire.Consent(
            id=UUID(consent),
            patient_id=ANA,
            recipient=asked.recipient,
            categories=asked.categories,
            purpose=asked.purpose,
            from_=NOW,
            until=asked.until,
            text_version=asked.text_version,
            signature=asked.signature,
            revision=1,
            recorded_at=NOW,
            revoked_at=None,
            active=True,
        )
        self.consents[made.id] = made
        return 200, made

    def revoke(self, request: httpx2.Request, consent: str) -> Answer:
        ended = msgspec.structs.replace(self.consents[UUID(consent)], active=False, revoked_at=NOW)
        self.consents[ended.id] = ended
        return 200, ended

    def disclosure(self) -> wire.Disclosure:
        return wire.Disclosure(
            id=uuid7(1, 4),
            at=NOW,
            recipient=CLEO,
            recipient_name="Cleo",
            consent_id=None,
            purpose="treatment",
            action="read",
            categories=("mood",),
        )

    def trends(self) -> wire.Trends:
        mood = wire.Series(
            points=(wire.Point(day=NOW.date(), n=1, value=4.0),),
            smooth=(),
            baseline=None,
            alarms=(),
            drift=None,
            means={"7": ()},
            missing=wire.Missing(days=89, share=0.99),
            not_yet=("not_enough_answers",),
        )
        return wire.Trends(from_=date(2026, 8, 5), to=NOW.date(), series={"mood": mood})

    def sobriety(self) -> wire.SobrietySummary:
        return wire.SobrietySummary(
            substance="alcohol",
            on=NOW.date(),
            days_since_use=42,
            confirmed=40,
            unknown=2,
            longest=40,
            total_confirmed=40,
            percent_abstinent=wire.PercentAbstinent(reported=100.0, missing_as_use=95.2),
            check_in_streak=40,
            last_use=None,
            lapses=0,
            excused=0,
            tested=None,
        )

    def put_plan(self, request: httpx2.Request, plan: str) -> Answer:
        asked = wire.decode(wire.PlanIn, request.content)
        made = wire.Plan(id=UUID(plan), patient_id=ANA, author_id=ANA, revision=1, recorded_at=NOW, plan=asked, next_due=NOW)
        self.plans[made.id] = made
        return 200, made

    def put_endpoint(self, request: httpx2.Request, endpoint: str) -> Answer:
        channel = json.loads(request.content)["channel"]
        return 200, wire.Endpoint(id=UUID(endpoint), channel=channel, created_at=NOW, state="on")

    def nudge(self) -> wire.Nudge:
        return wire.Nudge(
            id=uuid7(1, 5),
            plan_id=uuid7(1, 6),
            occurrence="2026-11-02T20:30",
            due_at=NOW,
            window_end=NOW,
            zone="America/New_York",
            state="sent",
            reason="due",
            attempts=1,
            decisions=(wire.NudgeDecision(at=NOW, state="sent", reason="due"),),
            deliveries=(wire.Delivery(at=NOW, channel="email", outcome="accepted", attempt=1),),
        )

    def crisis(self) -> wire.Crisis:
        line = wire.CrisisResource(name="988 Lifeline", languages=("en", "es"), hours="always", call="988")
        return wire.Crisis(text="You are not alone", resources=(line,), monitored=False, hours="always")


class TestClock(Clock):
    """Time that only moves when someone sleeps or a test says so; randomness that is always the middle."""

    __test__ = False

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.seconds = 1000.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)

    def random(self) -> float:
        return 0.5


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> TestClock:
    """The one clock of every client made in the test."""
    made = TestClock()
    monkeypatch.setattr("companion_sdk.client.Clock", lambda: made)
    return made


@pytest.fixture
def client(service: FakeService, clock: TestClock) -> Iterator[Companion]:
    """Ana's client."""
    with Companion("https://companion.example", TOKEN, transport=httpx2.MockTransport(service)) as made:
        yield made


@pytest.fixture
async def async_client(service: FakeService, clock: TestClock):
    """Ana's client, for asyncio."""
    transport = httpx2.MockTransport(service)
    async with AsyncCompanion("https://companion.example", TOKEN, transport=transport) as made:
        yield made


@pytest.fixture
def quick_hints(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stream that connects again after a fiftieth of the time, and leaves no thread behind."""
    monkeypatch.setattr("companion_sdk._watch._FIRST_WAIT", 0.02)
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.name == "companion-hints"]
    assert left == []


@pytest.fixture
def against(clock: TestClock) -> Iterator[Callable[..., Companion]]:
    """Ana's client against one answer, or one after the other: ``against(httpx2.Response(503), …, retries=1)``."""
    made: list[Companion] = []

    def build(*answers: httpx2.Response | Exception, **options: object) -> Companion:
        left = list(answers)

        def answer(request: httpx2.Request) -> httpx2.Response:
            following = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(following, Exception):
                raise following
            return httpx2.Response(following.status_code, content=following.content, headers=following.headers)

        transport = httpx2.MockTransport(answer)
        made.append(Companion("https://companion.example", TOKEN, transport=transport, **options))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for one in made:
        one.close()
