"""What a purge leaves is sound, and what somebody without a key makes look like one is found."""

from typing import Any

import pytest
from support.life import Hand, Life
from support.phone import Phone, note

from companion.logs import jobs, sync


@pytest.fixture
async def purged(life: Life, monkeypatch: pytest.MonkeyPatch) -> Life:
    """Ana's first tombstone is purged; a second one stands in the feed."""
    phone = Phone(life.cast.ana)
    monkeypatch.setattr(sync, "KEPT_FOR", -sync.KEPT_FOR)
    assert await jobs.step(life.cast.running.db)
    monkeypatch.undo()
    log_id, _ = await phone.write(note("deleted later"))
    await phone.delete(log_id)
    return life


def tombstones(hand: Hand, patient: bytes) -> list[dict[str, Any]]:
    seqs = hand.run("SELECT seq FROM logs WHERE patient_id = ? AND deleted = 1 ORDER BY seq", patient)
    return [hand.one("logs", "patient_id = ? AND seq = ?", patient, seq) for (seq,) in seqs]


async def test_a_purged_diary_is_as_it_was_written(purged: Life, hand: Hand) -> None:
    report = await purged.verify()
    assert report.faults == []
    assert [row["current"] for row in tombstones(hand, purged.cast.ana.id.bytes)] == [0, 1]
    assert hand.one("feeds", "patient_id = ?", purged.cast.ana.id.bytes)["floor"] > 0


async def test_a_tombstone_put_back_into_the_feed_or_taken_out_by_hand_is_found(purged: Life, hand: Hand) -> None:
    ana = purged.cast.ana.id
    for row in tombstones(hand, ana.bytes):
        after = hand.change("logs", row, current=1 - row["current"])
        assert [(fault.patient_id, fault.seq) for fault in await purged.faults()] == [(ana, row["seq"])]
        hand.change("logs", after, current=row["current"])
    assert await purged.faults() == []


async def test_a_live_entry_below_the_floor_is_not_taken_for_purged(purged: Life, hand: Hand) -> None:
    ana = purged.cast.ana.id
    floor = hand.one("feeds", "patient_id = ?", ana.bytes)["floor"]
    row = hand.one("logs", "patient_id = ? AND seq < ? AND current = 1 AND deleted = 0", ana.bytes, floor)
    hand.change("logs", row, current=0)
    assert [(fault.patient_id, fault.seq) for fault in await purged.faults()] == [(ana, row["seq"])]


async def test_a_floor_that_another_hand_raised_is_found_and_served_to_nobody(purged: Life, hand: Hand) -> None:
    ana = purged.cast.ana
    row = hand.one("feeds", "patient_id = ?", ana.id.bytes)
    after = hand.change("feeds", row, floor=row["seq"])
    assert ana.id in {fault.patient_id for fault in await purged.faults()}
    assert (await Phone(ana).asks()).status_code == 500
    hand.change("feeds", after, floor=row["floor"])
    assert await purged.faults() == []
