"""What is sent to sync and is not right: cursors that are none, one broken operation among 200, bytes that were changed."""

import asyncio
import base64
import json
from collections import Counter
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cast import OPERATOR, Cast, Person
from support.phone import Phone, mood, note

from companion.custody import service as custody


async def sound(cast: Cast) -> None:
    report = await cast.running.db.read(OPERATOR, custody.verify)
    assert [str(fault) for fault in report.faults] == []


async def test_a_cursor_that_is_none_is_400(cast: Cast) -> None:
    """Forged, cut, another's, another list's: told from one that has expired."""
    ana, ben = cast.ana, cast.ben
    phone = Phone(ana)
    for _ in range(3):
        await phone.write(note())
    good = (await phone.pull(limit=1))["cursor"]
    raw = bytearray(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)))
    flipped: list[str] = []
    for place in range(len(raw)):
        raw[place] ^= 1
        flipped.append(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
        raw[place] ^= 1
    theirs = (await Phone(ben).pull())["cursor"]
    page = (await ana.get("/v1/patients/me/logs?limit=1")).json()["next"]
    strange = [
        "x",
        "0",
        good[:-1],
        good[1:],
        good + "A",
        good * 2,
        "=",
        "%",
        "\u0661",
        "A" * 500,
        theirs,
        page,
        '{"seq": 0}',
    ]
    for cursor in (*flipped, *strange):
        answer = await phone.asks(cursor)
        assert (answer.status_code, answer.json()["errors"]) == (400, [{"pointer": "/cursor", "code": "cursor"}]), cursor
    for cursor in ("", "A" * 501):
        assert (await phone.asks(cursor)).status_code == 400
    for limit in (0, -1, 1001, 10**30):
        assert (await phone.asks(limit=limit)).status_code == 400
    for through in (-1, 2**53, 10**30, "x", "1.0", ""):
        assert (await ana.get("/v1/patients/me/sync/digest", params={"through": through})).status_code == 400
    assert (await phone.asks(good)).status_code == 200


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.just("2026-03-02T12:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    ("id",),
    ("base",),
    ("log",),
    ("x",),
    ("log", "at"),
    ("log", "zone"),
    ("log", "body"),
    ("log", "source"),
    ("log", "x"),
]
PLACES += [("log", "body", name) for name in ("kind", "mood", "note", "text", "x", "uses", "sections")]


def _send(client: httpx2.Client, ana: Person, content: bytes) -> httpx2.Response:
    headers = ana.headers | {"Content-Type": "application/json"}
    return client.post("/v1/patients/me/sync/push", headers=headers, content=content)


@given(data=st.data())
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def _one_bad_of_200(data: st.DataObject, client: httpx2.Client, ana: Person, seen: Counter[str]) -> None:
    phone = Phone(ana)
    ops = [phone.op(mood(note=str(number))) for number in range(200)]
    bad = data.draw(st.integers(0, 199))
    for path in data.draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        where: Any = ops[bad]
        for step in path[:-1]:
            where = where.get(step) if isinstance(where, dict) else None
        if isinstance(where, dict):
            where[path[-1]] = data.draw(JUNK)
    answer = _send(client, ana, json.dumps(phone.frame(*ops)).encode())
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    mine = results.pop(bad)
    assert Counter(result["outcome"] for result in results) == {"applied": 199}
    assert mine["outcome"] in ("applied", "rejected", "gone"), mine
    if mine["outcome"] == "rejected":
        assert mine["problem"]["errors"], mine
        assert all(fault["pointer"].startswith(f"/ops/{bad}") for fault in mine["problem"]["errors"]), mine
    seen[mine["outcome"]] += 1


@given(data=st.data())
@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def _bytes_changed(data: st.DataObject, client: httpx2.Client, ana: Person, seen: Counter[str]) -> None:
    phone = Phone(ana)
    raw = bytearray(json.dumps(phone.frame(phone.op(mood(note="a")), phone.op(note("b")))).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 6))] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"]", b"0", b"-1", b"null", b",", b"\\u0000", b"1e999"])
        )
    answer = _send(client, ana, bytes(raw))
    assert answer.status_code in (200, 400), (answer.status_code, bytes(raw))
    seen[str(answer.status_code)] += 1


async def test_one_broken_operation_of_200_breaks_no_other(cast: Cast) -> None:
    seen: Counter[str] = Counter()
    with httpx2.Client(base_url=cast.running.url, timeout=30) as client:
        await asyncio.to_thread(_one_bad_of_200, client=client, ana=cast.ana, seen=seen)
    assert seen["rejected"] > 10
    assert (await Phone(cast.ana).digest())["count"] >= 199 * 40
    await sound(cast)


async def test_a_push_of_changed_bytes_is_never_a_failure(cast: Cast) -> None:
    seen: Counter[str] = Counter()
    with httpx2.Client(base_url=cast.running.url, timeout=30) as client:
        await asyncio.to_thread(_bytes_changed, client=client, ana=cast.ana, seen=seen)
    assert seen["200"] > 5
    assert seen["400"] > 20
    await sound(cast)
