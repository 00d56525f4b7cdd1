"""The thirteen rules as two phones live them: what goes wrong, and that both end up with the same diary, once."""

import asyncio
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from conformance.backends import Backend, Person
from conformance.words import SYNC, Phone, at, mood, new, note, outcomes, plan, plan_id, pull, where, word

from companion_sdk.wire import daily_id
from companion_sdk.wire.canonical import body_hash, digest


@dataclass
class Copy(Phone):
    """A phone with a copy of the diary and an outbox, by the rules and as short as can be."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    outbox: list[dict[str, Any]] = field(default_factory=list)
    cursor: str | None = None

    def write(self, log: dict[str, Any] | None, id: str | None = None) -> str:
        """What a person does without a network."""
        chosen = id or new()
        held = self.rows.get(chosen)
        self.outbox.append(self.op(log, chosen, 0 if held is None else held["revision"]))
        return chosen

    async def send(self, *, lose_reply: bool = False) -> list[str]:
        """Everything that waits; with the reply lost, it goes on waiting."""
        pushed = await self.push(*self.outbox)
        if lose_reply:
            return []
        came = outcomes(pushed)
        if "rewound" in came:
            self.begin_anew()
            return await self.send()
        self.outbox = self.outbox[len(came) :]
        return came

    def begin_anew(self) -> None:
        """Another device id, and everything numbered from 1."""
        self.device, self.n = new(), len(self.outbox)
        self.outbox = [{**op, "n": place} for place, op in enumerate(self.outbox, start=1)]

    async def catch_up(self, limit: int = 500) -> int:
        """Pull what changed; begin anew where the cursor is too old. How many changes came."""
        came, anew = 0, False
        while True:
            query = f"?limit={limit}" + (f"&cursor={self.cursor}" if self.cursor else "")
            answer = await self.person.get(f"{SYNC}/pull{query}")
            if answer.status_code == 410:
                assert word(answer) == "cursor-expired"
                self.cursor, self.rows, anew = None, {}, True
                continue
            page = answer.json()
            for change in page["changes"]:
                held = self.rows.get(change["id"])
                if held is None or held["revision"] <= change["revision"]:
                    self.rows[change["id"]] = change
            came += len(page["changes"])
            self.cursor = page["cursor"]
            if not page["more"]:
                assert anew or page["epoch"] >= 1
                return came

    def diary(self) -> dict[str, Any]:
        """What the person sees."""
        return {log: row["body"] for log, row in self.rows.items() if not row["deleted"]}

    async def proves(self) -> bool:
        """Whether the service's digest is that of this copy."""
        live = [row for row in self.rows.values() if not row["deleted"]]
        mine = digest((UUID(row["id"]), row["revision"], body_hash(row["body"])) for row in live)
        return (await self.person.get(f"{SYNC}/digest")).json()["sha256"] == mine


async def agree(*phones: Copy) -> None:
    """All of them send and pull; then all see the same, and the service proves it."""
    for phone in phones:
        await phone.send()
    for phone in phones:
        await phone.catch_up()
        assert phone.outbox == []
    assert all(phone.diary() == phones[0].diary() for phone in phones)
    assert await phones[0].proves()


async def test_a_reply_gets_lost_and_everything_is_there_once(ana: Person) -> None:
    phone = Copy(ana)
    for value in (1, 2, 3):
        phone.write(mood(value))
    for _ in range(3):
        await phone.send(lose_reply=True)
    phone.write(mood(4))
    assert await phone.send() == ["applied"] * 4
    assert await phone.catch_up() == 4
    assert await phone.proves()


async def test_an_edit_made_while_the_first_is_on_its_way_is_another_operation(ana: Person) -> None:
    phone = Copy(ana)
    log = phone.write(mood(1))
    await phone.send(lose_reply=True)
    phone.write(mood(5), log)
    assert await phone.send() == ["applied", "applied"]
    await phone.catch_up()
    assert phone.rows[log]["revision"] == 2
    assert phone.diary()[log]["mood"] == 5


async def test_two_phones_correct_one_entry_and_the_loser_is_in_the_history(ana: Person) -> None:
    phone, tablet = Copy(ana), Copy(ana)
    log = phone.write(mood(1))
    await agree(phone, tablet)
    phone.write(mood(2), log)
    tablet.write(mood(3), log)
    await tablet.send()
    await agree(phone, tablet)
    assert phone.diary()[log]["mood"] == 2
    items = (await ana.get(f"{where(log)}/history")).json()["items"]
    assert [item["body"]["mood"] for item in items] == [1, 3, 2]


async def test_a_deletion_beats_a_correction_whichever_comes_first(ana: Person) -> None:
    phone, tablet = Copy(ana), Copy(ana)
    logs = [phone.write(mood(value)) for value in (1, 2)]
    await agree(phone, tablet)
    for log in logs:
        phone.write(None, log)
        tablet.write(mood(5), log)
    assert await phone.send() == ["applied", "applied"]
    assert await tablet.send() == ["gone", "gone"]
    again = Copy(ana)
    await agree(phone, tablet, again)
    third = phone.write(mood(3))
    await agree(phone, tablet)
    tablet.write(mood(4), third)
    phone.write(None, third)
    await tablet.send()
    await agree(phone, tablet)
    assert phone.diary() == {}


async def test_both_delete(ana: Person) -> None:
    phone, tablet = Copy(ana), Copy(ana)
    log = phone.write(mood(1))
    await agree(phone, tablet)
    phone.write(None, log)
    tablet.write(None, log)
    await agree(phone, tablet)
    assert phone.rows[log]["revision"] == 2


async def test_what_both_write_once_a_day_meets_on_one_id(ana: Person) -> None:
    log = str(daily_id(UUID(str(ana.id)), "sobriety", date(2026, 3, 2)))
    phone, tablet = Copy(ana), Copy(ana)
    for device in (phone, tablet):
        device.write(mood(3, at(-1)) | {"body": {"kind": "sobriety", "sober": True}}, log)
    await agree(phone, tablet)
    assert list(phone.diary()) == [log]
    assert phone.rows[log]["revision"] == 1
    tablet.write(mood(3, at(-1)) | {"body": {"kind": "sobriety", "sober": True, "craving": 2}}, log)
    await agree(phone, tablet)
    assert phone.rows[log]["revision"] == 2


async def test_a_phone_that_was_restored_from_a_backup_sends_everything_again(ana: Person) -> None:
    phone, tablet = Copy(ana), Copy(ana)
    phone.write(mood(1))
    await phone.send()
    backup = Copy(ana, phone.device, phone.n, dict(phone.rows), list(phone.outbox), phone.cursor)
    lost = phone.write(mood(2))
    await phone.send()
    mended = backup
    kept = mended.write(mood(3))
    assert (await mended.push(*mended.outbox))["results"][-1]["outcome"] == "rewound"
    assert await mended.send() == ["applied"]
    await agree(mended, tablet)
    assert {lost, kept} < set(mended.diary())
    assert len(mended.diary()) == 3


async def test_a_backup_that_holds_sent_operations_doubles_nothing(ana: Person) -> None:
    phone = Copy(ana)
    log = phone.write(mood(1))
    phone.write(mood(2), log)
    backup = Copy(ana, phone.device, phone.n, {}, list(phone.outbox))
    await phone.send()
    phone.write(note())
    await phone.send()
    backup.write(mood(4))
    assert (await backup.send())[:2] == ["applied", "applied"]
    await agree(backup, phone)
    assert len(backup.diary()) == 3


async def test_a_phone_that_was_off_for_two_years_drops_what_was_deleted_meanwhile(backend: Backend, ana: Person) -> None:
    old, phone = Copy(ana), Copy(ana)
    kept, dead = old.write(mood(1)), old.write(mood(2))
    await agree(old, phone)
    old.write(mood(5), dead)
    phone.write(None, dead)
    await phone.send()
    backend.advance(days=730)
    await backend.purge(ana)
    again = await backend.sign_in(ana)
    old.person = phone.person = again
    assert dead in old.diary()
    assert await old.send() == ["gone"]
    await old.catch_up(limit=1)
    assert list(old.rows) == [kept]
    await agree(old, phone)
    assert (await again.get(where(dead))).status_code == 410


async def test_after_a_raised_epoch_everyone_walks_anew(backend: Backend, ana: Person) -> None:
    phone, tablet = Copy(ana), Copy(ana)
    phone.write(mood(1))
    await agree(phone, tablet)
    await backend.raise_epoch(ana)
    tablet.write(mood(2))
    await agree(phone, tablet)
    assert len(phone.diary()) == 2


async def test_seventy_two_hours_in_a_basement(ana: Person) -> None:
    phone = Copy(ana)
    for n in range(300):
        phone.write(mood(1 + n % 5, at(-72 + n * 0.24)))
    ops, phone.outbox = phone.outbox, []
    for start in (0, 200, 0, 200):
        phone.outbox = ops[start : start + 200]
        assert set(await phone.send()) == {"applied"}
    assert await phone.catch_up(limit=100) == 300
    assert len(phone.diary()) == 300
    assert await phone.proves()


async def test_a_crisis_plan_is_never_lost_to_a_stale_copy(ana: Person) -> None:
    phone, tablet = Copy(ana), Copy(ana)
    phone.write(plan("Cleo"), plan_id(ana))
    await agree(phone, tablet)
    phone.write(plan("Cleo", "Sam"), plan_id(ana))
    await phone.send()
    tablet.write(plan("Nobody"), plan_id(ana))
    assert await tablet.send() == ["conflict"]
    await agree(phone, tablet)
    assert [one["text"] for one in phone.diary()[plan_id(ana)]["sections"]] == ["Cleo", "Sam"]
    tablet.write(plan("Cleo", "Sam", "Ann"), plan_id(ana))
    await agree(tablet, phone)
    assert len(phone.diary()[plan_id(ana)]["sections"]) == 3


async def test_who_pulls_while_others_write_misses_nothing(ana: Person) -> None:
    """A cursor by a shared serial lost 416 of 1,200 rows; by the patient's own order it loses none."""
    writers, reader = [Phone(ana) for _ in range(6)], Copy(ana)
    written: set[str] = set()

    async def write(phone: Phone) -> None:
        for n in range(8):
            ops = [phone.op(mood(3, at(-1, seconds=n))) for _ in range(3)]
            assert outcomes(await phone.push(*ops)) == ["applied"] * 3
            written.update(op["id"] for op in ops)

    async def read() -> None:
        while len(reader.rows) < 6 * 8 * 3:
            await reader.catch_up(limit=5)

    async with asyncio.timeout(60):
        await asyncio.gather(read(), *(write(phone) for phone in writers))
    assert set(reader.rows) == written
    seqs = [change["seq"] for change in (await pull(ana))["changes"]]
    assert seqs == sorted(set(seqs))
    assert await reader.proves()


async def test_one_push_at_a_time_is_applied_however_many_come_at_once(ana: Person) -> None:
    """The same push in five copies at the same moment: a network that doubles."""
    phone = Phone(ana)
    ops = [phone.op(mood(value)) for value in (1, 2, 3)]
    answers = await asyncio.gather(*(phone.push(*ops) for _ in range(5)))
    assert all(answer["results"] == answers[0]["results"] for answer in answers)
    assert len((await pull(ana))["changes"]) == 3
