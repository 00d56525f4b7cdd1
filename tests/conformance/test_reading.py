"""Reading entries: one, its history, lists of them, and what a clinician may see under which consent."""

from datetime import timedelta
from uuid import UUID, uuid4

from conformance.backends import Backend, Person
from conformance.words import LOGS, PLAN, SYNC, at, mood, new, note, same_id, where, word


async def test_get_honours_the_entity_tag(ana: Person) -> None:
    log = where(new())
    await ana.put(log, mood())
    for tag in ('"1"', 'W/"1"', '"7", "1"', "*"):
        answer = await ana.get(log, headers={"If-None-Match": tag})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"'), tag
        assert "content-length" not in answer.headers
        assert "content-type" not in answer.headers
    for tag in ('"2"', "1", "nonsense"):
        assert (await ana.get(log, headers={"If-None-Match": tag})).status_code == 200, tag


async def test_the_history_holds_every_revision_oldest_first_also_of_a_deleted_entry(backend: Backend, ana: Person) -> None:
    log = where(new())
    first = (await ana.put(log, mood(4, note="as written"))).json()
    await ana.put(log, mood(2, at(-3)), headers={"If-Match": '"1"'})
    backend.advance(hours=1)
    await ana.delete(log)
    items = (await ana.get(f"{log}/history")).json()["items"]
    assert items[0] == first
    assert [item["revision"] for item in items] == [1, 2, 3]
    assert [item["deleted"] for item in items] == [False, False, True]
    assert [item["body"] and item["body"]["mood"] for item in items] == [4, 2, None]
    assert [item["seq"] for item in items] == sorted(item["seq"] for item in items)
    assert items[2] == items[1] | {
        "revision": 3,
        "seq": items[2]["seq"],
        "deleted": True,
        "recorded_at": "2026-03-02T13:00:00Z",
        "body": None,
    }
    assert (await ana.get(f"{where(new())}/history")).status_code == 404


async def pages(person: Person, query: str = "", base: str = LOGS) -> list[list[str]]:
    """The ids of every page, each followed by its ``next``."""
    found: list[list[str]] = []
    cursor = ""
    while True:
        answer = await person.get(f"{base}?{f'{query}{cursor}'.strip('&')}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found.append([item["id"] for item in page["items"]])
        if page["next"] is None:
            assert "link" not in answer.headers
            return found
        cursor = f"&cursor={page['next']}"


async def test_a_list_goes_by_at_then_id_descending(ana: Person) -> None:
    ids = [str(UUID(int=number << 120 | 7)) for number in (1, 127, 128, 200, 255)]
    for log in (ids[2], ids[0], ids[4], ids[1], ids[3]):
        await ana.put(where(log), mood(3, at(-2)))
    early, late = new(), new()
    await ana.put(where(early), mood(3, at(-2, microseconds=-1)))
    await ana.put(where(late), mood(3, at(-2, microseconds=1)))
    expected = [late, *reversed(ids), early]
    for limit in (1, 2, 3, 7, 500):
        found = await pages(ana, f"limit={limit}")
        assert [log for page in found for log in page] == expected, limit
        assert all(len(page) == limit for page in found[:-1])


async def test_a_correction_may_move_an_entry_and_a_deleted_one_is_in_no_list(ana: Person) -> None:
    first, second = new(), new()
    await ana.put(where(first), mood(3, at(-3)))
    await ana.put(where(second), mood(3, at(-2)))
    assert await pages(ana) == [[second, first]]
    await ana.put(where(first), mood(3, at(-1)), headers={"If-Match": '"1"'})
    assert await pages(ana) == [[first, second]]
    await ana.delete(where(first))
    assert await pages(ana) == [[second]]


async def test_a_cursor_is_a_position_and_not_an_offset(ana: Person) -> None:
    old = [new() for _ in range(4)]
    for place, log in enumerate(old):
        await ana.put(where(log), mood(3, at(-4 + place / 2)))
    first = (await ana.get(f"{LOGS}?limit=2")).json()
    await ana.put(where(new()), mood(5, at(-0.1)))
    await ana.delete(where(old[3]))
    second = (await ana.get(f"{LOGS}?limit=2&cursor={first['next']}")).json()
    assert [item["id"] for item in second["items"]] == [old[1], old[0]]


async def test_next_comes_as_a_link_too(ana: Person) -> None:
    for hour in range(3):
        await ana.put(where(new()), mood(3, at(-hour)))
    answer = await ana.get(f"{LOGS}?kind=mood&limit=1&from=2026-01-01")
    assert answer.headers["link"] == (
        f'<{LOGS}?kind=mood&limit=1&from=2026-01-01&cursor={answer.json()["next"]}>; rel="next"'
    )


async def test_a_cursor_is_bound_to_caller_and_filters(backend: Backend, ana: Person, cleo: Person) -> None:
    for hour in range(3):
        await ana.put(where(new()), mood(3, at(-hour)))
    base = f"/v1/patients/{ana.id}/logs"
    cursor = (await ana.get(f"{base}?limit=1&kind=mood")).json()["next"]
    assert (await ana.get(f"{base}?kind=mood&limit=2&cursor={cursor}")).status_code == 200
    tries: list[tuple[Person, str]] = [
        (cleo, f"{base}?kind=mood&cursor={cursor}"),
        (backend.ben, f"{LOGS}?kind=mood&cursor={cursor}"),
        (ana, f"{base}?cursor={cursor}"),
        (ana, f"{base}?kind=note&cursor={cursor}"),
        (ana, f"{base}?kind=mood&from=2026-01-01&cursor={cursor}"),
        (ana, f"{base}?kind=mood&to=2026-12-01&cursor={cursor}"),
        (ana, f"{SYNC}/pull?cursor={cursor}"),
        (ana, f"{base}?kind=mood&cursor={cursor}A"),
        (ana, f"{base}?kind=mood&cursor={cursor[:-4]}"),
        (ana, f"{base}?kind=mood&cursor={'A' if cursor[0] != 'A' else 'B'}{cursor[1:]}"),
        (ana, f"{base}?kind=mood&cursor=!!!"),
        (ana, f"{base}?kind=mood&cursor="),
        (ana, f"{base}?kind=mood&cursor={'A' * 501}"),
    ]
    for person, path in tries:
        answer = await person.get(path)
        assert (answer.status_code, word(answer)) == (400, "invalid-request"), path


async def test_a_bad_query_is_400(ana: Person) -> None:
    for query in (
        *("limit=0", "limit=-1", "limit=501", "limit=abc", "limit=", "limit=5.0", "limit=%2B5", "limit=%205", "limit=1_0"),
        *(
            "limit=5&limit=5",
            "kind=unheard",
            "kind=",
            "kind=MOOD",
            "kind=mood,note",
            "kind=mood&kind=note",
            "kind=%ff",
            "kind",
        ),
        *("from=yesterday", "from=2026-02-30", "from=20260202", "from=2026-02-02T00:00:00Z", "to=0000-00-00", "other=1"),
        *("&", "kind=mood&&limit=5", "%ff=1"),
    ):
        answer = await ana.get(f"{LOGS}?{query}")
        assert (answer.status_code, word(answer)) == (400, "invalid-request"), query


async def test_days_are_local_and_inclusive_and_kinds_are_filtered(ana: Person) -> None:
    """01:00 UTC on 2 March is still 1 March in New York."""
    yesterday, today, words = new(), new(), new()
    await ana.put(where(yesterday), mood(3, "2026-03-02T01:00:00Z"))
    await ana.put(where(today), mood(3, "2026-03-02T06:00:00Z"))
    await ana.put(where(words), note(when=at(-1)))
    for query, expected in (
        ("to=2026-03-01", [yesterday]),
        ("from=2026-03-02", [words, today]),
        ("from=2026-03-01&to=2026-03-01", [yesterday]),
        ("from=2026-03-03&to=2026-03-01", []),
        ("kind=mood", [today, yesterday]),
        ("kind=note&from=0001-01-01&to=9999-12-31", [words]),
        ("kind=goal", []),
    ):
        assert await pages(ana, query) == [expected], query


async def test_a_hundred_is_a_page_unless_told_otherwise(ana: Person) -> None:
    for minute in range(101):
        await ana.put(where(new()), mood(3, at(-3, minutes=minute)))
    assert [len(page) for page in await pages(ana)] == [100, 1]


# who may see


async def test_a_clinician_sees_the_kinds_that_were_consented_and_no_other(
    backend: Backend, ana: Person, dan: Person
) -> None:
    await ana.consent(dan.id, ["mood", "coping"])
    seen: list[str] = []
    for hour in range(4):
        await ana.put(where(new()), note(when=at(-hour)))
        seen.append(new())
        await ana.put(where(seen[-1]), mood(3, at(-hour, seconds=1)))
    base = f"/v1/patients/{ana.id}/logs"
    for limit in (1, 2, 3, 500):
        found = await pages(dan, f"limit={limit}", base)
        assert [log for page in found for log in page] == seen, limit
        assert all(len(page) == limit for page in found[:-1])
    hidden, none = await dan.get(f"{base}?kind=note"), await dan.get(f"{base}?kind=mood&to=2000-01-01")
    assert (hidden.status_code, hidden.content) == (none.status_code, none.content) == (200, b'{"items":[],"next":null}')


async def test_what_may_not_be_seen_is_the_same_404_as_what_never_was(ana: Person, cleo: Person, dan: Person) -> None:
    log, rid = new(), same_id()
    await ana.put(where(log), mood())

    async def seen(person: Person, patient: str, entry: str) -> list[tuple[int, bytes]]:
        base = f"/v1/patients/{patient}"
        paths = (f"{base}/logs/{entry}", f"{base}/logs/{entry}/history", f"{base}/logs", f"{base}/safety-plan")
        more = (f"{base}/sync/pull", f"{base}/sync/digest", f"{base}/sync/stream", base)
        answers = [await person.get(path, headers=rid) for path in (*paths, *more)]
        return [(answer.status_code, answer.content) for answer in answers]

    missing = await seen(dan, str(uuid4()), log)
    assert {status for status, _ in missing} == {404}
    assert await seen(dan, str(ana.id), log) == missing
    assert (await cleo.get(f"/v1/patients/{ana.id}/logs/{log}", headers=rid)).status_code == 200


async def test_a_hidden_kind_is_a_missing_entry_deleted_or_not(ana: Person, dan: Person) -> None:
    await ana.consent(dan.id, ["mood"])
    feeling, words, rid = new(), new(), same_id()
    await ana.put(where(feeling), mood())
    await ana.put(where(words), note())
    base = f"/v1/patients/{ana.id}/logs"

    async def seen(log: str) -> list[tuple[int, bytes]]:
        answers = [await dan.get(f"{base}/{log}{tail}", headers=rid) for tail in ("", "/history")]
        return [(answer.status_code, answer.content) for answer in answers]

    missing = await seen(new())
    assert await seen(words) == missing
    assert [status for status, _ in await seen(feeling)] == [200, 200]
    for log in (feeling, words):
        await ana.delete(where(log))
    assert await seen(words) == missing
    assert [status for status, _ in await seen(feeling)] == [410, 200]


async def test_a_consent_counts_from_its_start_to_its_end_and_until_it_is_revoked(
    backend: Backend, ana: Person, dan: Person
) -> None:
    log = new()
    await ana.put(where(log), mood())
    theirs = f"/v1/patients/{ana.id}/logs/{log}"
    begins, ends = backend.now + timedelta(hours=1), backend.now + timedelta(hours=2)
    given = await ana.consent(dan.id, ["mood"], **{"from": begins.isoformat(), "until": ends.isoformat()})
    assert (given["active"], given["from"], given["until"]) == (False, "2026-03-02T13:00:00Z", "2026-03-02T14:00:00Z")
    seen = [(await dan.get(theirs)).status_code]
    for _ in range(2):
        backend.advance(hours=1)
        seen.append((await dan.get(theirs)).status_code)
    assert seen == [404, 200, 404]
    again = await ana.consent(dan.id, ["mood"])
    assert (await dan.get(theirs)).status_code == 200
    revoke = f"/v1/patients/me/consents/{again['id']}/revoke"
    ended = [await ana.post(revoke) for _ in range(2)]
    assert [answer.status_code for answer in ended] == [200, 200]
    assert ended[0].content == ended[1].content
    assert (ended[0].json()["active"], ended[0].json()["revision"]) == (False, 2)
    assert (await dan.get(theirs)).status_code == 404
    terms = {"recipient": str(dan.id), "categories": ["mood"]}
    assert word(await ana.put(f"/v1/patients/me/consents/{again['id']}", terms)) == "gone"


async def test_a_consent_is_the_patients_to_give_and_safe_to_repeat(backend: Backend, ana: Person, dan: Person) -> None:
    consent = f"/v1/patients/me/consents/{new()}"
    terms = {"recipient": str(dan.id), "categories": ["note", "mood", "mood"], "signature": "Ana"}
    first, again = [await ana.put(consent, terms) for _ in range(2)]
    assert first.content == again.content
    assert first.json()["categories"] == ["mood", "note"]
    more = await ana.put(consent, {**terms, "categories": ["mood"]})
    assert (more.json()["revision"], more.json()["categories"]) == (2, ["mood"])
    listed = (await ana.get("/v1/patients/me/consents")).json()["items"]
    assert more.json() in listed
    assert len(listed) == 2
    for person, status in ((dan, 404), (backend.ben, 404), (await backend.app(ana, "consents:read"), 403)):
        assert (await person.put(f"/v1/patients/{ana.id}/consents/{new()}", terms)).status_code == status
    strange = await ana.put(consent, {**terms, "recipient": new()})
    assert (strange.status_code, strange.json()["errors"][0]["code"]) == (400, "unknown-recipient")
    assert (await ana.post(f"/v1/patients/me/consents/{new()}/revoke")).status_code == 404


async def test_a_consent_to_the_clinic_is_one_to_its_clinicians(backend: Backend, ana: Person, dan: Person) -> None:
    clinic = (await ana.get("/v1/me")).json()["clinic"]["id"]
    await ana.put(where(new()), mood())
    assert (await dan.get(f"/v1/patients/{ana.id}/logs")).status_code == 404
    await ana.consent(UUID(clinic), ["mood"])
    assert len((await dan.get(f"/v1/patients/{ana.id}/logs")).json()["items"]) == 1


async def test_an_app_reads_with_the_scope_and_a_revoked_token_reads_nothing(backend: Backend, ana: Person) -> None:
    log = where(new())
    await ana.put(log, mood())
    reads, other = await backend.app(ana, "logs:read"), await backend.app(ana, "trends:read")
    for path in (log, LOGS, f"{log}/history", f"{SYNC}/pull", f"{SYNC}/digest"):
        assert (await reads.get(path)).status_code == 200, path
        assert word(await other.get(path)) == "insufficient-scope", path
    assert word(await other.get(PLAN)) == "insufficient-scope"
    for token in (await ana.get("/v1/me/tokens")).json()["items"]:
        await ana.delete(f"/v1/me/tokens/{token['id']}")
    assert (await reads.get(log)).status_code == 401
