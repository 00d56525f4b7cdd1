"""A pull: everything that changed, in the patient's own order, once; and the cursor that says where one stands."""

import pytest
from conformance.backends import Backend, Person
from conformance.words import LOGS, SYNC, Phone, at, faults, mood, new, note, plan, plan_id, pull, same_id, walk, where, word


@pytest.fixture
def phone(ana: Person) -> Phone:
    return Phone(ana)


async def test_without_a_cursor_everything_comes_as_it_is_now(phone: Phone, ana: Person) -> None:
    first, second, third = [await phone.record(mood(value)) for value in (1, 2, 3)]
    await phone.record(mood(5), first["id"], 1)
    await ana.delete(where(second["id"]))
    page = await pull(ana)
    assert set(page) == {"changes", "cursor", "more", "epoch"}
    assert (page["more"], page["epoch"]) == (False, 1)
    assert [change["id"] for change in page["changes"]] == [third["id"], first["id"], second["id"]]
    assert [change["revision"] for change in page["changes"]] == [1, 2, 2]
    assert page["changes"][1] == (await ana.get(where(first["id"]))).json()


async def test_a_tombstone_travels_with_its_id_revision_and_place(phone: Phone, ana: Person) -> None:
    first = await phone.record(mood())
    result = await phone.one(phone.op(None, first["id"], 1))
    (change,) = await walk(ana)
    assert (change["id"], change["revision"], change["seq"]) == (first["id"], 2, result["seq"])
    assert (change["deleted"], change["body"], change["kind"]) == (True, None, "mood")


async def test_an_empty_diary_is_an_empty_page_and_its_cursor_goes_on(ana: Person) -> None:
    page = await pull(ana)
    assert (page["changes"], page["more"]) == ([], False)
    phone = Phone(ana)
    stored = await phone.record(mood())
    assert [change["id"] for change in await walk(ana, page["cursor"])] == [stored["id"]]


async def test_after_a_cursor_comes_what_changed_since_and_nothing_twice(phone: Phone, ana: Person) -> None:
    kept, edited = await phone.record(mood(1)), await phone.record(mood(2))
    cursor = (await pull(ana))["cursor"]
    assert await walk(ana, cursor) == []
    await phone.record(mood(5), edited["id"], 1)
    fresh = await phone.record(note())
    assert [change["id"] for change in await walk(ana, cursor)] == [edited["id"], fresh["id"]]
    assert kept["id"] not in {change["id"] for change in await walk(ana, cursor)}


async def test_pages_hold_what_was_asked_and_more_says_whether_there_is_another(phone: Phone, ana: Person) -> None:
    stored = [(await phone.record(mood(3, at(-1, seconds=n))))["id"] for n in range(7)]
    for limit in (1, 2, 3, 7, 8, 1000):
        cursor, sizes, seen = None, [], []
        while True:
            page = await pull(ana, cursor, limit)
            sizes.append(len(page["changes"]))
            seen += [change["id"] for change in page["changes"]]
            cursor = page["cursor"]
            if not page["more"]:
                break
        assert seen == stored, limit
        assert sizes == [limit] * (7 // limit) + ([7 % limit] if 7 % limit else []), limit


async def test_a_full_page_is_five_hundred(phone: Phone, ana: Person) -> None:
    for start in range(0, 501, 167):
        await phone.push(*(phone.op(mood(3, at(-1, seconds=start + n))) for n in range(167)))
    answer = await ana.get(f"{SYNC}/pull")
    assert (len(answer.json()["changes"]), answer.json()["more"]) == (500, True)
    assert len((await ana.get(f"{SYNC}/pull?limit=1000")).json()["changes"]) == 501


async def test_the_same_place_gives_the_same_page(phone: Phone, ana: Person) -> None:
    for value in (1, 2, 3):
        await phone.record(mood(value))
    cursor = (await pull(ana, limit=1))["cursor"]
    assert await pull(ana, cursor, 1) == await pull(ana, cursor, 1)


async def test_what_changes_during_a_walk_comes_at_its_end_and_nothing_is_missed(phone: Phone, ana: Person) -> None:
    first, second, third = [await phone.record(mood(value)) for value in (1, 2, 3)]
    page = await pull(ana, limit=1)
    await phone.record(mood(5), first["id"], 1)
    await phone.record(mood(4), third["id"], 1)
    rest = await walk(ana, page["cursor"], 1)
    assert [change["id"] for change in page["changes"] + rest] == [first["id"], second["id"], first["id"], third["id"]]


async def test_a_push_does_not_move_the_cursor(phone: Phone, ana: Person) -> None:
    """The tablet writes between the phone's pull and its push: the phone still gets it, and its own entry too."""
    cursor = (await pull(ana))["cursor"]
    theirs = await Phone(ana).record(mood(1))
    mine = await phone.record(mood(2))
    assert [change["id"] for change in await walk(ana, cursor)] == [theirs["id"], mine["id"]]


async def test_entries_that_were_put_come_in_the_same_order_as_those_that_were_pushed(phone: Phone, ana: Person) -> None:
    put = new()
    first = await phone.record(mood(1))
    await ana.put(where(put), mood(2))
    last = await phone.record(mood(3))
    changes = await walk(ana)
    assert [change["id"] for change in changes] == [first["id"], put, last["id"]]
    assert [change["seq"] for change in changes] == sorted(change["seq"] for change in changes)


async def test_a_cursor_of_another_person_place_or_hand_is_400(backend: Backend, phone: Phone, ana: Person) -> None:
    await phone.record(mood())
    await phone.record(mood())
    cursor = (await pull(ana, limit=1))["cursor"]
    base = f"/v1/patients/{ana.id}/sync"
    assert (await ana.get(f"{base}/pull?cursor={cursor}")).status_code == 200
    listed = (await ana.get(f"{LOGS}?limit=1")).json()["next"]
    for person, path in (
        (backend.ben, f"{SYNC}/pull?cursor={cursor}"),
        (backend.cleo, f"{base}/pull?cursor={cursor}"),
        (ana, f"{SYNC}/pull?cursor={listed}"),
        (ana, f"{SYNC}/pull?cursor={cursor}A"),
        (ana, f"{SYNC}/pull?cursor={cursor[:-4]}"),
        (ana, f"{SYNC}/pull?cursor={'A' if cursor[0] != 'A' else 'B'}{cursor[1:]}"),
        (ana, f"{SYNC}/pull?cursor=7"),
        (ana, f"{SYNC}/pull?cursor={'A' * 501}"),
        (ana, f"{SYNC}/pull?cursor="),
    ):
        answer = await person.get(path)
        assert (answer.status_code, word(answer)) == (400, "invalid-request"), path
        assert faults(answer)[0][0] == "/cursor"


async def test_a_bad_query_is_400(ana: Person) -> None:
    for query in ("limit=0", "limit=1001", "limit=x", "limit=5.0", "limit=", "since=1", "limit=5&limit=5", "cursor"):
        assert (await ana.get(f"{SYNC}/pull?{query}")).status_code == 400, query
    for query in ("through=-1", "through=x", "through=1.0", "through=", "to=1", f"through={2**53}"):
        assert (await ana.get(f"{SYNC}/digest?{query}")).status_code == 400, query


# cursors that end


async def test_after_the_epoch_was_raised_every_cursor_is_410_and_a_new_walk_begins(
    backend: Backend, phone: Phone, ana: Person
) -> None:
    stored = await phone.record(mood())
    cursor = (await pull(ana))["cursor"]
    await backend.raise_epoch(ana)
    answer = await ana.get(f"{SYNC}/pull?cursor={cursor}")
    assert (answer.status_code, word(answer)) == (410, "cursor-expired")
    page = await pull(ana)
    assert [change["id"] for change in page["changes"]] == [stored["id"]]
    assert page["epoch"] == (await phone.push())["epoch"] > 1
    assert await walk(ana, page["cursor"]) == []


async def test_whoever_pulled_before_a_purge_and_not_since_begins_anew(backend: Backend, phone: Phone, ana: Person) -> None:
    kept, dead = await phone.record(mood(1)), await phone.record(mood(2))
    before = (await pull(ana))["cursor"]
    halfway = (await pull(ana, limit=1))["cursor"]
    await phone.one(phone.op(None, dead["id"], 1))
    after = (await pull(ana))["cursor"]
    backend.advance(days=401)
    ana = await backend.sign_in(ana)
    await backend.purge(ana)
    for cursor in (before, halfway):
        assert word(await ana.get(f"{SYNC}/pull?cursor={cursor}")) == "cursor-expired"
    assert await walk(ana, after) == [], "whoever saw the tombstone goes on"
    assert [change["id"] for change in await walk(ana)] == [kept["id"]], "a purged tombstone is in no walk"


async def test_a_walk_after_a_purge_does_not_end_in_410_again(backend: Backend, phone: Phone, ana: Person) -> None:
    """The pages of a walk from the start lie below the floor; only those that began before it was raised are old."""
    stored = [(await phone.record(mood(3, at(-1, seconds=n))))["id"] for n in range(4)]
    dead = await phone.record(mood(5))
    await phone.one(phone.op(None, dead["id"], 1))
    backend.advance(days=401)
    ana = await backend.sign_in(ana)
    await backend.purge(ana)
    assert [change["id"] for change in await walk(ana, limit=1)] == stored


async def test_a_walk_that_a_purge_overtook_is_410(backend: Backend, phone: Phone, ana: Person) -> None:
    for n in range(3):
        await phone.record(mood(3, at(-1, seconds=n)))
    dead = await phone.record(mood(5))
    await phone.one(phone.op(None, dead["id"], 1))
    backend.advance(days=401)
    ana = await backend.sign_in(ana)
    page = await pull(ana, limit=1)
    await backend.purge(ana)
    assert word(await ana.get(f"{SYNC}/pull?cursor={page['cursor']}&limit=1")) == "cursor-expired"


async def test_a_tombstone_stays_in_the_feed_for_400_days_and_its_id_is_gone_for_ever(
    backend: Backend, phone: Phone, ana: Person
) -> None:
    dead = await phone.record(mood())
    buried = await phone.one(phone.op(None, dead["id"], 1))
    backend.advance(days=400, seconds=-1)
    await backend.purge(ana)
    ana = await backend.sign_in(ana)
    assert [change["id"] for change in await walk(ana)] == [dead["id"]]
    backend.advance(days=1)
    await backend.purge(ana)
    assert await walk(ana) == []
    for answer, status in (
        (await ana.get(where(dead["id"])), 410),
        (await ana.put(where(dead["id"]), mood()), 410),
        (await ana.delete(where(dead["id"])), 204),
        (await ana.get(f"{where(dead['id'])}/history"), 200),
    ):
        assert answer.status_code == status
    again = Phone(ana)
    for op in (again.op(mood(), dead["id"]), again.op(mood(), dead["id"], 2), again.op(None, dead["id"], 2)):
        result = await again.one(op)
        assert (result["outcome"], result["revision"], result["seq"]) == ("gone", 2, buried["seq"])


# others


async def test_a_clinician_pulls_the_kinds_that_were_consented(ana: Person, dan: Person) -> None:
    await ana.consent(dan.id, ["mood"])
    phone, seen = Phone(ana), list[str]()
    for _ in range(3):
        await phone.record(note())
        seen.append((await phone.record(mood()))["id"])
    base = f"/v1/patients/{ana.id}/sync"
    for limit in (1, 2, 500):
        assert [change["id"] for change in await walk(dan, None, limit, base)] == seen, limit
    await ana.delete(where(seen[0]))
    changes = await walk(dan, None, 500, base)
    assert [(change["id"], change["deleted"]) for change in changes] == [(seen[1], False), (seen[2], False), (seen[0], True)]


async def test_a_cursor_ends_when_other_kinds_may_be_seen(ana: Person, dan: Person) -> None:
    given = await ana.consent(dan.id, ["mood"])
    base = f"/v1/patients/{ana.id}/sync"
    cursor = (await pull(dan, base=base))["cursor"]
    assert await walk(dan, cursor, base=base) == []
    await ana.consent(dan.id, ["note"])
    assert word(await dan.get(f"{base}/pull?cursor={cursor}")) == "cursor-expired"
    cursor = (await pull(dan, base=base))["cursor"]
    await ana.post(f"/v1/patients/me/consents/{given['id']}/revoke")
    assert word(await dan.get(f"{base}/pull?cursor={cursor}")) == "cursor-expired"


async def test_who_may_not_look_gets_the_hidden_404(backend: Backend, ana: Person, dan: Person) -> None:
    rid = same_id()
    answers = [
        await person.get(f"/v1/patients/{patient}/sync/pull", headers=rid)
        for person, patient in ((dan, ana.id), (backend.ben, ana.id), (ana, new()), (dan, "me"), (ana, "ME"))
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}


async def test_the_crisis_plan_comes_with_the_rest(phone: Phone, ana: Person) -> None:
    await phone.record(mood())
    await phone.record(plan("Cleo"), plan_id(ana))
    changes = await walk(ana)
    assert [change["kind"] for change in changes] == ["mood", "safety_plan"]
    assert changes[1] == (await ana.get("/v1/patients/me/safety-plan")).json()
