"""The story: each promise is tried for real and ticked off, or it is named as broken."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import msgspec

from companion_sdk import AsyncDiary, CompanionError, Mood, NotFound, PlanIn, Sobriety, WebhookEndpoint, wire
from companion_sdk.wire.kinds import as_stored

from ..core.ids import uuid7
from . import scratch
from .stage import OPERATOR, Stage

ZONE = "America/New_York"


class Broken(Exception):
    """A promise did not hold; the text says what was seen."""


class Told(msgspec.Struct, frozen=True):
    """One tick: its name, whether it held, what was seen, and how long it took in seconds."""

    name: str
    held: bool
    seen: str
    seconds: float


def _expect(true: bool, seen: str) -> None:
    if not true:
        raise Broken(seen)


async def stored(stage: Stage) -> str:
    """Every entry that was written comes back as it was written."""
    total = 0
    for player in (stage.ana, stage.ben):
        wanted = stage.written[player.name]
        found = {log.id: log async for log in player.client.logs.list(limit=500)}
        for log_id, entry in wanted.items():
            log = found.get(log_id)
            _expect(
                log is not None and (log.at, log.body) == (entry.at, as_stored(entry.body)),
                f"{player.name}: an entry is missing",
            )
        _expect(len(found) == len(wanted), f"{player.name}: {len(found)} entries for {len(wanted)} written")
        total += len(found)
    _expect(total > 900, f"only {total} entries")
    return f"{total} entries written through the API and read back, each as it was written"


async def repeat(stage: Stage) -> str:
    """The same entry sent twice at once is stored once."""
    entry = wire.LogIn(at=stage.clock.now(), zone=ZONE, body=Mood(mood=4, note="made-up note: sent twice"))
    log_id = uuid7(stage.clock.now())
    before = await _count(stage)
    first, second = await asyncio.gather(*(stage.ana.client.logs.put(log_id, entry) for _ in range(2)))
    after = await _count(stage)
    _expect(after == before + 1, f"{after - before} entries from one")
    _expect((first.revision, second.revision) == (1, 1), "a repeat made a new revision")
    await stage.ana.client.logs.delete(log_id)
    return "an entry sent twice at once is stored once"


async def _count(stage: Stage) -> int:
    return len([log async for log in stage.ana.client.logs.list(limit=500)])


async def correction(stage: Stage) -> str:
    """A correction keeps what was there before."""
    log = await stage.ana.client.logs.record(Mood(mood=2), at=stage.clock.now(), zone=ZONE)
    corrected = await stage.ana.client.logs.correct(log, body=Mood(mood=4))
    history = await stage.ana.client.logs.history(log.id)
    moods = [one.body.mood for one in history if isinstance(one.body, Mood)]
    _expect(corrected.revision == 2 and moods == [2, 4], f"the history reads {moods}")
    await stage.ana.client.logs.delete(log.id)
    _expect(len(await stage.ana.client.logs.history(log.id)) == 3, "the deletion took the history with it")
    return "a correction and a deletion keep the history: 2, then 4, then deleted"


async def phones(stage: Stage) -> str:
    """Two phones write without a network, and end with the same diary when they have one again."""
    fay = stage.fay.client
    async with (
        AsyncDiary(stage.folder / "phone-a.diary", zone=ZONE, now=stage.clock.now) as first,
        AsyncDiary(stage.folder / "phone-b.diary", zone=ZONE, now=stage.clock.now) as second,
    ):
        for diary in (first, second):
            entries = [await diary.record(Mood(mood=1 + number % 5)) for number in range(8)]
            await diary.correct(entries[0], Mood(mood=5, note="made-up note: corrected without a network"))
            await diary.delete(entries[1])
        edits = first.unsent + second.unsent
        first.client = second.client = fay
        for diary in (first, second, first):
            _expect((await diary.sync()).done, "a sync did not come to its end")
        here, there = await first.entries(), await second.entries()
        stored = [log.id async for log in fay.logs.list(limit=500)]
        _expect([one.id for one in here] == [one.id for one in there] == stored, f"{len(here)} and {len(there)} entries")
        _expect((await first.verify()).agrees and (await second.verify()).agrees, "a digest does not agree")
        _expect(len(here) == 14, f"{len(here)} entries of 14")
    for log_id in stored:
        await fay.logs.delete(log_id)
    return f"two phones, {edits} entries written or changed without a network, reconnected: identical, 0 lost"


async def claim(stage: Stage) -> str:
    """A nudge that two workers want to send is sent once."""
    client = stage.ana.client
    stage.endpoint = (await client.endpoints.create(WebhookEndpoint(url=stage.hook))).id
    due = (stage.clock.now() + timedelta(minutes=2)).astimezone(ZoneInfo(ZONE))
    plan = PlanIn(about="custom", times=[f"{due:%H:%M}"], window_minutes=60, channels=["webhook"])
    stage.plans["sent"] = (await client.plans.create(plan)).id
    stage.plans["withheld"] = (await client.plans.create(msgspec.structs.replace(plan, about="sobriety"))).id
    stage.props.append((await client.logs.record(Sobriety(sober=True, craving=2), at=stage.clock.now(), zone=ZONE)).id)
    stage.clock.catch_up()
    await stage.two_workers()
    nudge = await _decided(stage, "sent")
    received = [one for one in stage.received if one["nudge_id"] == str(nudge.id)]
    _expect(nudge.state == "sent", f"the nudge that was due is {nudge.state}")
    _expect(len(received) == 1, f"the receiver got it {len(received)} times")
    return f"a nudge due at {due:%H:%M} in New York, wanted by two workers, sent once"


async def withhold(stage: Stage) -> str:
    """A nudge whose entry is there already keeps quiet, and says why."""
    nudge = await _decided(stage, "withheld")
    received = [one for one in stage.received if one["nudge_id"] == str(nudge.id)]
    _expect(nudge.state == "withheld" and not received, f"a nudge about a check-in that was made is {nudge.state}")
    return f"the other one, about a check-in that she had made, withheld: {nudge.reason}"


async def _decided(stage: Stage, which: str) -> wire.Nudge:
    async for nudge in stage.ana.client.nudges.list():
        if nudge.plan_id == stage.plans[which] and nudge.state != "pending":
            return nudge
    raise Broken("the nudge is still pending")


async def consent(stage: Stage) -> str:
    """Consent opens, revocation closes at once, and what may not be seen does not exist."""
    ben, dan = stage.ben, stage.dan
    await _hidden(dan.client.trends.get(patient=ben.id), "a clinician without consent saw a trend")
    given = await ben.client.consents.grant(dan.id, ["mood"], signature="Ben Example")
    seen = await dan.client.trends.get(patient=ben.id, series=["mood"])
    _expect(len(seen.series["mood"].points) > 0, "consent showed nothing")
    await ben.client.consents.revoke(given.id)
    await _hidden(dan.client.trends.get(patient=ben.id), "a revoked consent still opened the record")
    looks = [look async for look in ben.client.disclosures.list()]
    _expect(len(looks) == 1, f"{len(looks)} disclosures for one look")
    return "consent revoked: the clinician gets 404 like for nobody; the patient's list shows the one look there was"


async def _hidden(call: Awaitable[object], seen: str) -> None:
    try:
        await call
    except NotFound:
        return
    raise Broken(seen)


async def crisis(stage: Stage) -> str:
    """An entry that says "not safe" is answered with people to call."""
    log = await stage.ana.client.logs.record(Mood(mood=1, safe="no"), at=stage.clock.now(), zone=ZONE)
    stage.props.append(log.id)
    _expect(log.crisis is not None, "a red flag was answered with silence")
    assert log.crisis is not None
    calls = [resource.call for resource in log.crisis.resources]
    _expect("988" in calls and not log.crisis.monitored, f"the answer names {calls}")
    return f"“not safe” answered at once with {', '.join(call for call in calls if call)}"


async def chain(stage: Stage) -> str:
    """Every row opens and every chain holds."""
    from ..custody import service as custody

    report = await stage.service.db.read(OPERATOR, custody.verify)
    _expect(not report.faults, f"{len(report.faults)} faults, the first: {report.faults[:1]}")
    return f"{report.patients} chains walked and {sum(report.rows.values())} rows opened: all as they were written"


async def durability(stage: Stage) -> str:
    """A scratch server is killed with -9 in the middle of writes, and nothing it acknowledged is lost."""
    folder = stage.folder / "scratch"
    folder.mkdir()
    acknowledged = await scratch.write_and_kill(folder)
    found = await scratch.read_back(folder)
    lost = [log_id for log_id, entry in acknowledged.items() if found.get(log_id) != (entry.at.astimezone(UTC), entry.body)]
    _expect(len(acknowledged) >= scratch.ENOUGH, f"only {len(acknowledged)} acknowledged before the kill")
    _expect(not lost, f"{len(lost)} of {len(acknowledged)} acknowledged entries are lost or changed")
    return f"a server killed with -9 under load: {len(acknowledged)} acknowledged, 0 lost"


Tick = Callable[[Stage], Awaitable[str]]

ON_STAGE: dict[str, Tick] = {
    "stored": stored,
    "repeat": repeat,
    "correction": correction,
    "phones": phones,
    "claim": claim,
    "withhold": withhold,
    "consent": consent,
    "crisis": crisis,
    "chain": chain,
}
"""Told with the cast alone: they count entries, move the clock and take a consent back, so visitors come after them."""

BESIDE: dict[str, Tick] = {"durability": durability}
"""Told on a server of its own, while visitors may be here."""


async def tell(promises: Mapping[str, Tick], stage: Stage, each: Callable[[Told], None]) -> list[Told]:
    """Try every promise in order; one that breaks does not stop the others."""
    told: list[Told] = []
    for name, tick in promises.items():
        began = time.monotonic()
        try:
            held, seen = True, await tick(stage)
        except (Broken, CompanionError, KeyError, scratch.NotStarted) as error:
            held, seen = False, f"{type(error).__name__}: {error}"
        told.append(Told(name, held, seen, round(time.monotonic() - began, 2)))
        each(told[-1])
    return told
