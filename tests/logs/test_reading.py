"""One entry: read, tag, delete, and the history that stays."""

from uuid import uuid4

from support.cast import Cast, Person, monday


async def test_get_honours_the_entity_tag(ana: Person) -> None:
    log = await ana.mood(monday(), 4)
    where = f"/v1/patients/me/logs/{log['id']}"
    for tag in ('"1"', 'W/"1"', '"7", "1"', "*"):
        answer = await ana.get(where, headers={"If-None-Match": tag})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"'), tag
        assert "content-length" not in answer.headers
        assert "content-type" not in answer.headers
    for tag in ('"2"', "1", "nonsense"):
        assert (await ana.get(where, headers={"If-None-Match": tag})).status_code == 200, tag


async def test_head_is_a_get_without_its_body(ana: Person) -> None:
    log = await ana.mood(monday(), 4)
    where = f"/v1/patients/me/logs/{log['id']}"
    get, head = await ana.get(where), await ana.call("HEAD", where)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", '"1"')
    assert head.headers["content-length"] == str(len(get.content))
    assert (await ana.call("HEAD", f"/v1/patients/me/logs/{uuid4()}")).status_code == 404


async def test_me_and_the_own_id_are_the_same_place(ana: Person) -> None:
    log = await ana.mood(monday(), 4)
    mine = await ana.get(f"/v1/patients/me/logs/{log['id']}")
    for named in (str(ana.id), str(ana.id).upper()):
        assert (await ana.get(f"/v1/patients/{named}/logs/{log['id']}")).content == mine.content


async def test_other_spellings_of_a_uuid_are_no_patient(ana: Person) -> None:
    plain = ana.id.hex
    for named in (plain, f"{{{plain}}}", plain + "----", f"urn:uuid:{ana.id}", f"{ana.id} ", f"{str(ana.id)[:-1]}%D9%A1"):
        answer = await ana.get(f"/v1/patients/{named}/logs")
        assert answer.status_code == 404, named


async def test_delete_twice_is_204_and_the_entry_is_gone(ana: Person) -> None:
    log = await ana.mood(monday(), 4)
    where = f"/v1/patients/me/logs/{log['id']}"
    for headers in ({}, {}, {"If-Match": '"1"'}, {"If-Match": '"9"'}):
        answer = await ana.delete(where, headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-length" not in answer.headers
    assert (await ana.get(where)).status_code == 410
    assert (await ana.get(where)).json()["type"] == "/problems/gone"
    assert (await ana.get("/v1/patients/me/logs")).json()["items"] == []
    assert len((await ana.get(f"{where}/history")).json()["items"]) == 2


async def test_delete_with_a_stale_tag_is_412_and_deletes_nothing(ana: Person) -> None:
    log = await ana.mood(monday(), 4)
    where = f"/v1/patients/me/logs/{log['id']}"
    answer = await ana.delete(where, headers={"If-Match": '"2"'})
    assert (answer.status_code, answer.headers["etag"]) == (412, '"1"')
    assert answer.json()["current"] == log
    assert (await ana.get(where)).status_code == 200
    assert (await ana.delete(where, headers={"If-Match": '"1"'})).status_code == 204


async def test_deleting_what_never_was_is_404(ana: Person) -> None:
    where = f"/v1/patients/me/logs/{uuid4()}"
    assert (await ana.delete(where)).status_code == 404
    assert (await ana.get(where)).status_code == 404
    assert (await ana.get(f"{where}/history")).status_code == 404


async def test_the_history_holds_every_revision_oldest_first_also_of_a_deleted_entry(ana: Person) -> None:
    log = await ana.mood(monday(), 4, note="as written")
    where = f"/v1/patients/me/logs/{log['id']}"
    later = ana.entry(monday(hour=15), kind="mood", mood=2)
    assert (await ana.put(where, later, headers={"If-Match": '"1"'})).status_code == 200
    await ana.delete(where)
    items = (await ana.get(f"{where}/history")).json()["items"]
    assert [item["revision"] for item in items] == [1, 2, 3]
    assert items[0] == log
    assert [item["deleted"] for item in items] == [False, False, True]
    assert [item["body"] and item["body"]["mood"] for item in items] == [4, 2, None]
    assert [item["seq"] for item in items] == sorted(item["seq"] for item in items)
    assert items[2]["at"] == items[1]["at"]


async def test_a_bad_id_is_no_path(ana: Person) -> None:
    for bad in ("1", "abc", "00000000-0000-0000-0000-00000000000", "\u0661" * 36, "%00", "%2e%2e%2f", "1_000"):
        assert (await ana.get(f"/v1/patients/me/logs/{bad}")).status_code == 404, bad
        answer = await ana.put(f"/v1/patients/me/logs/{bad}", ana.entry(monday(), kind="note", text="x"))
        assert answer.status_code in (404, 405), bad


async def test_a_hidden_kind_is_a_missing_entry(cast: Cast) -> None:
    """Cleo may see moods only: a note is 404 for her as an id that never was, deleted or not."""
    ana, dan = cast.ana, cast.dan
    await ana.consent(dan.id, ["mood"])
    mood, note = await ana.mood(monday(), 4), await ana.log(monday(), kind="note", text="mine")
    base = f"/v1/patients/{ana.id}/logs"
    rid = {"X-Request-Id": str(uuid4())}

    async def seen(log: str) -> list[tuple[int, bytes]]:
        answers = [await dan.get(f"{base}/{log}{tail}", headers=rid) for tail in ("", "/history")]
        return [(answer.status_code, answer.content) for answer in answers]

    missing = await seen(str(uuid4()))
    assert [status for status, _ in missing] == [404, 404]
    assert await seen(note["id"]) == missing
    assert [status for status, _ in await seen(mood["id"])] == [200, 200]
    await ana.delete(f"{base}/{note['id']}")
    await ana.delete(f"{base}/{mood['id']}")
    assert await seen(note["id"]) == missing
    assert [status for status, _ in await seen(mood["id"])] == [410, 200]
