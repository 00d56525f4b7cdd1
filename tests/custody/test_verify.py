"""Verify finds what somebody with the database and no key did to it, and names the patient and the place."""

from typing import Any
from uuid import UUID

from support.life import Hand, Life

from companion.custody.owned import BY_NAME, OWNED, UNPROVED


async def test_a_database_that_nobody_touched_is_as_it_was_written(life: Life) -> None:
    report = await life.verify()
    assert report.faults == []
    assert report.ok
    assert all(report.rows.values()), "a table without rows is not tested here"
    assert report.patients == 2
    assert report.spare_keys == 0


async def test_the_list_is_the_schema(life: Life, hand: Hand) -> None:
    """Every column of every table is bound, stands outside with a check or a reason, or is the proof itself."""
    for name, columns in hand.tables().items():
        unproved = [column for column in columns if (name, column) in UNPROVED]
        if name not in BY_NAME:
            assert unproved == columns, f"{name} is not on custody's list"
            continue
        table = BY_NAME[name]
        assert [column for column in columns if column in table.columns] == list(table.columns)
        link = ["link"] if table.chained else []
        assert sorted(columns) == sorted([*table.columns, *table.unbound, table.proof, *link])
    owned = {name for name, columns in hand.tables().items() if "patient_id" in columns}
    assert owned == {table.name for table in OWNED}
    assert {table for table, _ in UNPROVED} <= hand.tables().keys()


def changed(value: Any) -> Any:
    """The value with one byte flipped, or something where there was nothing."""
    if isinstance(value, int):
        return value ^ 1
    if isinstance(value, str):
        return chr(ord(value[0]) ^ 1) + value[1:] if value else "a"
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    return None


NOTHING = {"id": b"x" * 16, "hash": b"x" * 32, "at": 1, "status": 1, "owner": "x"}
"""What is put where nothing stands, by the end of the column's name."""


async def test_one_changed_byte_in_any_column_is_found(life: Life, hand: Hand) -> None:
    silent: set[tuple[str, str]] = set()
    for name, columns in hand.tables().items():
        for column in columns:
            before = hand.one(name)
            value = before[column]
            other = changed(value) if value is not None else NOTHING[column.rpartition("_")[2]]
            after = hand.change(name, before, **{column: other})
            faults = await life.faults()
            if not faults:
                silent.add((name, column))
            elif "patient_id" in columns and column != "patient_id" and before["patient_id"] is not None:
                patient = UUID(bytes=bytes(before["patient_id"]))
                named = [fault for fault in faults if fault.patient_id == patient]
                assert named, (name, column, faults)
                if "seq" in before and name != "feeds":
                    places = {before["seq"], after["seq"]}
                    assert places & {fault.seq for fault in named}, (name, column, faults)
            hand.change(name, after, **{column: value})
    assert silent == set(UNPROVED)
    assert await life.faults() == []


async def test_a_first_byte_that_says_another_version_is_found(life: Life, hand: Hand) -> None:
    for name, table in BY_NAME.items():
        for column in (table.proof, *(["link"] if table.chained else [])):
            before = hand.one(name)
            after = hand.change(name, before, **{column: b"\x02" + before[column][1:]})
            assert await life.faults(), (name, column)
            hand.change(name, after, **{column: before[column]})
    assert await life.faults() == []


def logs_of(hand: Hand, patient: UUID) -> list[dict[str, Any]]:
    seqs = hand.run("SELECT seq FROM logs WHERE patient_id = ? ORDER BY seq", patient.bytes)
    return [hand.one("logs", "patient_id = ? AND seq = ?", patient.bytes, seq) for (seq,) in seqs]


def places(faults: list[Any]) -> set[tuple[UUID | None, int | None]]:
    return {(fault.patient_id, fault.seq) for fault in faults}


async def test_a_removed_row_is_found_at_its_place(life: Life, hand: Hand) -> None:
    ana = life.cast.ana.id
    for table in ("logs", "consents", "disclosures", "plans"):
        row = hand.one(table, "patient_id = ? ORDER BY seq", ana.bytes)
        hand.remove(table, row)
        faults = [fault for fault in await life.faults() if "missing" in fault.what]
        assert places(faults) == {(ana, row["seq"])}, table
        hand.put(table, row)
    assert await life.faults() == []


async def test_two_swapped_rows_are_found_at_both_places(life: Life, hand: Hand) -> None:
    ana = life.cast.ana.id
    first, second = logs_of(hand, ana)[:2]
    for columns in (["sealed"], ["sealed", "link"], ["seq"]):
        one = hand.change("logs", first, **{name: second[name] for name in columns})
        two = hand.change("logs", second, **{name: first[name] for name in columns})
        assert {(ana, first["seq"]), (ana, second["seq"])} <= places(await life.faults()), columns
        hand.change("logs", one, **{name: first[name] for name in columns})
        hand.change("logs", two, **{name: second[name] for name in columns})
    assert await life.faults() == []


async def test_a_cut_tail_is_found_where_it_was(life: Life, hand: Hand) -> None:
    ben = life.cast.ben.id
    rows = logs_of(hand, ben)
    hand.remove("logs", rows[-1])
    assert places(await life.faults()) == {(ben, rows[-1]["seq"])}


async def test_a_tail_cut_together_with_its_head_is_found(life: Life, hand: Hand) -> None:
    """The links need no key, so the head could be put back to the row before; the stamp of the head needs one."""
    ben = life.cast.ben.id
    before, last = logs_of(hand, ben)[-2:]
    hand.remove("logs", last)
    feed = hand.one("feeds", "patient_id = ?", ben.bytes)
    hand.change("feeds", feed, seq=before["seq"], head=before["link"])
    faults = await life.faults()
    assert places(faults) == {(ben, before["seq"])}
    assert faults[0].table == "feeds"


async def test_nothing_is_chained_to_a_head_that_was_changed(life: Life, hand: Hand) -> None:
    """Else the next entry would give the cut its proof back."""
    ben = life.cast.ben
    feed = hand.one("feeds", "patient_id = ?", ben.id.bytes)
    hand.change("feeds", feed, epoch=feed["epoch"] + 1)
    answer = await ben.put(f"/v1/patients/me/logs/{UUID(int=2)}", ben.entry("2026-03-02T12:00:00Z", kind="mood", mood=3))
    assert answer.status_code == 500
    assert (await ben.get(f"/v1/patients/me/logs/{UUID(int=2)}")).status_code == 404


async def test_a_row_moved_to_another_patient_is_found_at_both(life: Life, hand: Hand) -> None:
    ana, ben = life.cast.ana.id, life.cast.ben.id
    row = logs_of(hand, ana)[0]
    hand.change("logs", row, patient_id=ben.bytes)
    found = places(await life.faults())
    assert (ana, row["seq"]) in found
    assert (ben, row["seq"]) in found


async def test_a_row_stored_twice_is_found(life: Life, hand: Hand) -> None:
    ana = life.cast.ana.id
    row = logs_of(hand, ana)[0]
    hand.put("logs", {**row, "id": b"\x00" * 16})
    assert (ana, row["seq"]) in places(await life.faults())


async def test_a_removed_patient_or_feed_is_found(life: Life, hand: Hand) -> None:
    ana = life.cast.ana.id
    for table in ("patients", "feeds"):
        row = hand.one(table, "patient_id = ?", ana.bytes)
        hand.remove(table, row)
        assert ana in {fault.patient_id for fault in await life.faults()}, table
        hand.put(table, row)
    assert await life.faults() == []


async def test_entries_whose_patient_is_gone_from_everywhere_else_are_found(life: Life, hand: Hand) -> None:
    ben = life.cast.ben.id
    for table in ("tokens", "invites", "feeds", "patients"):
        hand.run(f"DELETE FROM {table} WHERE patient_id = ?", ben.bytes)
    assert [(fault.table, fault.patient_id) for fault in await life.faults()] == [("patients", ben)]


async def test_a_removed_reminder_that_was_tried_is_found(life: Life, hand: Hand) -> None:
    hand.remove("nudges", hand.one("nudges"))
    assert [(fault.table, fault.patient_id) for fault in await life.faults()] == [("deliveries", life.cast.ana.id)]


async def test_a_removed_clinic_or_clinician_is_found(life: Life, hand: Hand) -> None:
    for table, row in (("clinics", hand.one("clinics")), ("clinicians", hand.one("clinicians"))):
        hand.remove(table, row)
        assert await life.faults(), table
        hand.put(table, row)


async def test_an_older_revision_made_current_again_is_found(life: Life, hand: Hand) -> None:
    ana = life.cast.ana.id
    for table in ("logs", "consents", "plans"):
        old = hand.one(table, "patient_id = ? AND current = 0", ana.bytes)
        new = hand.one(table, "patient_id = ? AND id = ? AND current = 1", ana.bytes, old["id"])
        old_now, new_now = hand.change(table, old, current=1), hand.change(table, new, current=0)
        assert {(ana, old["seq"]), (ana, new["seq"])} == places(await life.faults()), table
        hand.change(table, old_now, current=0)
        hand.change(table, new_now, current=1)


async def test_a_nudge_that_would_never_be_sent_is_found(life: Life, hand: Hand) -> None:
    row = hand.one("nudges")
    hand.change("nudges", row, next_try_at=None)
    plan = hand.one("plans", "current = 1")
    hand.change("plans", plan, extend_at=None)
    faults = await life.faults()
    assert {(fault.table, fault.patient_id) for fault in faults} == {
        (name, life.cast.ana.id) for name in ("nudges", "plans")
    }


async def test_a_text_that_is_no_text_is_found_and_the_other_rows_are_still_walked(life: Life, hand: Hand) -> None:
    if not hand.sqlite:
        return  # PostgreSQL takes no text that is not UTF-8
    ana = life.cast.ana.id
    row = logs_of(hand, ana)[0]
    hand.run("UPDATE logs SET zone = CAST(x'ff' AS TEXT) WHERE patient_id = ? AND seq = ?", ana.bytes, row["seq"])
    assert places(await life.faults()) == {(ana, row["seq"])}
