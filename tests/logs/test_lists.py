"""Lists of entries: order, filters, pages and the cursor that is a position."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from support.cast import Cast, Person, monday

LOGS = "/v1/patients/me/logs"


async def walk(person: Person, query: str = "", base: str = LOGS, start: str = "") -> list[list[str]]:
    """The ids of every page, each followed by its ``next``."""
    pages: list[list[str]] = []
    cursor = f"&cursor={start}" if start else ""
    while True:
        answer = await person.get(f"{base}?{f'{query}{cursor}'.strip('&')}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        pages.append([item["id"] for item in page["items"]])
        if page["next"] is None:
            assert "link" not in answer.headers
            return pages
        cursor = f"&cursor={page['next']}"


async def test_order_is_by_at_then_id_descending(ana: Person) -> None:
    ids = sorted(UUID(int=number << 120 | 7) for number in (1, 127, 128, 200, 255))
    for log in (ids[2], ids[0], ids[4], ids[1], ids[3]):
        await ana.log(monday(), log_id=log, kind="mood", mood=3)
    early = await ana.mood(monday() - timedelta(microseconds=1))
    late = await ana.mood(monday() + timedelta(microseconds=1))
    expected = [late["id"], *(str(log) for log in reversed(ids)), early["id"]]
    for limit in (1, 2, 3, 7, 500):
        assert [log for page in await walk(ana, f"limit={limit}") for log in page] == expected, limit


async def test_a_correction_moves_an_entry(ana: Person) -> None:
    first, second = await ana.mood(monday(8)), await ana.mood(monday(9))
    assert await walk(ana) == [[second["id"], first["id"]]]
    moved = ana.entry(monday(10), kind="mood", mood=3)
    assert (await ana.put(f"{LOGS}/{first['id']}", moved, headers={"If-Match": '"1"'})).status_code == 200
    assert await walk(ana) == [[first["id"], second["id"]]]
    await ana.delete(f"{LOGS}/{first['id']}")
    assert await walk(ana) == [[second["id"]]]


async def test_the_cursor_is_a_position_and_not_an_offset(ana: Person) -> None:
    """What comes in above while a person turns pages repeats nothing and hides nothing."""
    logs = [await ana.mood(monday() + timedelta(hours=hour)) for hour in range(6)]
    first = (await ana.get(f"{LOGS}?limit=2")).json()
    above = await ana.mood(monday() + timedelta(hours=10))
    below = await ana.mood(monday() + timedelta(minutes=30))
    await ana.delete(f"{LOGS}/{logs[4]['id']}")  # the very entry the cursor stands on
    await ana.delete(f"{LOGS}/{logs[2]['id']}")
    rest = await walk(ana, "limit=2", start=first["next"])
    seen = [log for page in rest for log in page]
    assert seen == [logs[3]["id"], logs[1]["id"], below["id"], logs[0]["id"]]
    assert above["id"] not in seen


async def test_next_comes_in_the_link_header_too(ana: Person) -> None:
    for hour in range(3):
        await ana.mood(monday() + timedelta(hours=hour))
    answer = await ana.get(f"{LOGS}?kind=mood&limit=1&from=2026-01-01")
    link = answer.headers["link"]
    assert link.endswith('; rel="next"')
    address = link.partition("<")[2].partition(">")[0]
    assert answer.json()["next"] in address
    for part in ("kind=mood", "limit=1", "from=2026-01-01"):
        assert part in address
    second = await ana.get(address)
    assert second.status_code == 200
    assert second.json()["items"][0]["id"] != answer.json()["items"][0]["id"]
    third = await ana.get(second.headers["link"].partition("<")[2].partition(">")[0])
    assert third.json()["next"] is None


async def test_a_cursor_is_bound_to_caller_and_filters(cast: Cast) -> None:
    ana, cleo, ben = cast.ana, cast.cleo, cast.ben
    for hour in range(3):
        await ana.mood(monday() + timedelta(hours=hour))
        await ben.mood(monday() + timedelta(hours=hour))
    base = f"/v1/patients/{ana.id}/logs"
    cursor = (await ana.get(f"{base}?limit=1&kind=mood")).json()["next"]
    assert (await ana.get(f"{base}?kind=mood&limit=2&cursor={cursor}")).status_code == 200
    tries: list[tuple[Person, str]] = [
        (cleo, f"{base}?kind=mood&cursor={cursor}"),
        (ben, f"{LOGS}?kind=mood&cursor={cursor}"),
        (ana, f"{base}?cursor={cursor}"),
        (ana, f"{base}?kind=note&cursor={cursor}"),
        (ana, f"{base}?kind=mood&from=2026-01-01&cursor={cursor}"),
        (ana, f"{base}?kind=mood&to=2026-12-01&cursor={cursor}"),
        (ana, f"/v1/patients/{ana.id}/disclosures?cursor={cursor}"),
        (ana, f"{base}?kind=mood&cursor={cursor}A"),
        (ana, f"{base}?kind=mood&cursor={cursor[:-4]}"),
        (ana, f"{base}?kind=mood&cursor={'A' if cursor[0] != 'A' else 'B'}{cursor[1:]}"),
        (ana, f"{base}?kind=mood&cursor=!!!"),
        (ana, f"{base}?kind=mood&cursor="),
        (ana, f"{base}?kind=mood&cursor={'A' * 501}"),
        (ana, f"{base}?kind=mood&cursor=%EF%BF%BD"),
    ]
    for person, where in tries:
        answer = await person.get(where)
        assert answer.status_code == 400, where
        assert answer.json()["type"] == "/problems/invalid-request"


BAD_QUERIES = (
    "limit=0",
    "limit=-1",
    "limit=501",
    "limit=abc",
    "limit=",
    "limit=5.0",
    "limit=1e2",
    "limit=%2B5",
    "limit=%205",
    "limit=1_0",
    "limit=%D9%A5",
    "limit=true",
    "limit=99999999999999999999999",
    "limit=5&limit=5",
    "kind=unheard",
    "kind=",
    "kind=MOOD",
    "kind=mood,note",
    "kind=mood&kind=note",
    "kind=%ff",
    "kind=mood%00",
    "kind",
    "from=yesterday",
    "from=2026-02-30",
    "from=20260202",
    "from=2026-2-2",
    "from=2026-02-02T00:00:00Z",
    "to=0000-00-00",
    "to=10000-01-01",
    "from=1764000000",
    "other=1",
    "access_token=cmp_x",
    "&",
    "kind=mood&&limit=5",
    "%ff=1",
    "%EF%BF%BD=1",
)


async def test_a_bad_query_is_400_and_is_not_echoed(ana: Person) -> None:
    for query in BAD_QUERIES:
        answer = await ana.get(f"{LOGS}?{query}")
        assert answer.status_code == 400, query
        assert set(answer.json()) <= {"type", "title", "status", "detail", "instance", "request_id", "errors"}
        for word in ("unheard", "yesterday", "cmp_x", "2026-02-30", "MOOD"):
            assert word not in answer.text


async def test_limits_of_one_and_five_hundred_are_taken(ana: Person) -> None:
    await ana.mood(monday())
    for query in ("limit=1", "limit=500", "", "from=0001-01-01&to=9999-12-31", "from=2026-03-02", "to=2026-03-02"):
        answer = await ana.get(f"{LOGS}?{query}")
        assert answer.status_code == 200, query
        assert len(answer.json()["items"]) == 1, query
    assert (await ana.get(f"{LOGS}?from=2026-03-03&to=2026-03-01")).json() == {"items": [], "next": None}


async def test_a_full_page_of_one_hundred_is_the_default(ana: Person) -> None:
    for minute in range(101):
        await ana.mood(monday() + timedelta(minutes=minute))
    pages = await walk(ana)
    assert [len(page) for page in pages] == [100, 1]


async def test_kinds_are_filtered(ana: Person) -> None:
    made: dict[str, Any] = {
        "mood": await ana.mood(monday()),
        "note": await ana.log(monday(), kind="note", text="words"),
        "coping": await ana.log(monday(), kind="coping", skill="walk"),
        "sobriety": await ana.log(monday(), kind="sobriety", sober=True),
    }
    for kind, log in made.items():
        assert await walk(ana, f"kind={kind}") == [[log["id"]]], kind


async def test_a_clinician_pages_over_consented_kinds_only(cast: Cast) -> None:
    """Hidden entries are neither listed nor counted, whatever the page size."""
    ana, dan = cast.ana, cast.dan
    await ana.consent(dan.id, ["mood", "coping"])
    seen: list[str] = []
    for hour in range(4):
        await ana.log(monday() + timedelta(hours=hour), kind="note", text="mine", log_id=uuid4())
        seen.append((await ana.mood(monday() + timedelta(hours=hour, minutes=1)))["id"])
        seen.append((await ana.log(monday() + timedelta(hours=hour, minutes=2), kind="coping", skill="walk"))["id"])
    base = f"/v1/patients/{ana.id}/logs"
    for limit in (1, 2, 3, 8, 500):
        pages = await walk(dan, f"limit={limit}", base)
        assert [log for page in pages for log in page] == seen[::-1], limit
        assert all(len(page) == limit for page in pages[:-1])
    hidden = await dan.get(f"{base}?kind=note")
    none = await dan.get(f"{base}?kind=mood&to=2000-01-01")
    assert (hidden.status_code, hidden.content) == (none.status_code, none.content) == (200, b'{"items":[],"next":null}')
