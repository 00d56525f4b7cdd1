"""A push: which is read at all, and what becomes of each operation."""

import json
from typing import Any

import pytest
from conformance.backends import Backend, Person
from conformance.words import (
    NOON,
    SYNC,
    Phone,
    at,
    entry,
    faults,
    mood,
    new,
    note,
    outcomes,
    same_id,
    told,
    walk,
    where,
    word,
)

from companion_sdk.wire.sync import MAX_OPS, MAX_PUSH_BYTES

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def phone(ana: Person) -> Phone:
    return Phone(ana)


async def revisions(person: Person, log: str) -> list[int]:
    return [item["revision"] for item in (await person.get(f"{where(log)}/history")).json()["items"]]


# what is stored


async def test_an_entry_that_is_pushed_is_the_entry_that_would_have_been_put(backend: Backend, phone: Phone) -> None:
    op = phone.op(mood(4, at(-1), note="on the bus"))
    answer = await phone.try_(op)
    stored = (await phone.person.get(where(op["id"]))).json()
    assert answer.json() == {
        "results": [{"n": 1, "outcome": "applied", "revision": 1, "seq": stored["seq"]}],
        "last_n": 1,
        "epoch": 1,
        "server_time": "2026-03-02T12:00:00Z",
    }
    assert set(told(answer)) == {
        *("content-type", "content-length", "x-request-id"),
        *("cache-control", "x-content-type-options", "referrer-policy"),
    }
    by_put = (await phone.person.put(where(new()), mood(4, at(-1), note="on the bus"))).json()
    assert stored | {"id": by_put["id"], "seq": by_put["seq"]} == by_put
    assert (stored["author_id"], stored["recorded_at"]) == (str(phone.person.id), "2026-03-02T12:00:00Z")


async def test_operations_are_applied_in_their_order_and_each_takes_the_next_place(phone: Phone) -> None:
    ops = [phone.op(mood(value)) for value in (1, 2, 3, 4, 5)]
    pushed = await phone.push(*ops)
    places = [result["seq"] for result in pushed["results"]]
    assert outcomes(pushed) == ["applied"] * 5
    assert places == list(range(places[0], places[0] + 5))
    assert [change["id"] for change in await walk(phone.person)] == [op["id"] for op in ops]
    assert (pushed["last_n"], [result["n"] for result in pushed["results"]]) == (5, [1, 2, 3, 4, 5])


async def test_a_push_of_two_hundred_is_one_and_one_of_nothing_too(phone: Phone) -> None:
    pushed = await phone.push(*(phone.op(mood(3, at(-1, seconds=n))) for n in range(MAX_OPS)))
    assert outcomes(pushed) == ["applied"] * MAX_OPS
    nothing = await phone.push()
    assert (nothing["results"], nothing["last_n"]) == ([], MAX_OPS)
    assert len(await walk(phone.person)) == MAX_OPS


async def test_a_correction_makes_a_revision_and_the_old_one_stays(phone: Phone) -> None:
    first = await phone.record(mood(1))
    second = await phone.record(mood(5), first["id"], base=1)
    assert (second["revision"], second["seq"] > first["seq"]) == (2, True)
    assert (await phone.person.get(where(first["id"]))).json()["body"]["mood"] == 5
    assert await revisions(phone.person, first["id"]) == [1, 2]


async def test_a_deletion_is_a_tombstone(phone: Phone) -> None:
    first = await phone.record(mood(1))
    result = await phone.one(phone.op(None, first["id"], base=1))
    assert (result["outcome"], result["revision"], result["seq"] > first["seq"]) == ("applied", 2, True)
    assert word(await phone.person.get(where(first["id"]))) == "gone"


async def test_an_entry_made_corrected_and_deleted_in_one_push(phone: Phone) -> None:
    log = new()
    pushed = await phone.push(
        phone.op(mood(1), log), phone.op(mood(2), log, 1), phone.op(None, log, 2), phone.op(mood(3), log)
    )
    assert outcomes(pushed) == ["applied", "applied", "applied", "gone"]
    assert [result["revision"] for result in pushed["results"]] == [1, 2, 3, 3]
    assert await revisions(phone.person, log) == [1, 2, 3]


async def test_the_last_accepted_write_wins_whatever_base_it_names(phone: Phone, ana: Person) -> None:
    first = await phone.record(mood(1))
    tablet = Phone(ana)
    await tablet.record(mood(2), first["id"], base=1)
    late = await phone.record(mood(3), first["id"], base=1)
    assert late["revision"] == 3
    wild = await phone.record(mood(4), first["id"], base=77)
    assert wild["revision"] == 4
    unaware = await phone.record(mood(5), first["id"], base=0)
    assert unaware["revision"] == 5
    assert await revisions(ana, first["id"]) == [1, 2, 3, 4, 5]


async def test_the_same_content_is_applied_and_nothing_is_written(phone: Phone, ana: Person) -> None:
    first = await phone.record(mood(3))
    for log in (mood(3), {**mood(3), "source": "app"}, entry("2026-03-02T06:00:00-05:00", kind="mood", mood=3, emotions=[])):
        again = await phone.record(log, first["id"], base=first["revision"])
        assert (again["revision"], again["seq"]) == (1, first["seq"])
    assert await revisions(ana, first["id"]) == [1]


async def test_another_kind_is_rejected_and_the_entry_stands(phone: Phone, ana: Person) -> None:
    first = await phone.record(mood(3))
    result = await phone.one(phone.op(note(), first["id"], base=1))
    assert (result["outcome"], result["revision"], result["seq"]) == ("rejected", 1, first["seq"])
    assert (result["problem"]["type"], result["problem"]["status"]) == ("/problems/conflict", 409)
    assert (await ana.get(where(first["id"]))).json()["kind"] == "mood"


async def test_gone_is_what_was_deleted_and_what_never_was(phone: Phone, ana: Person) -> None:
    first = await phone.record(mood(3))
    buried = await phone.one(phone.op(None, first["id"], base=1))
    for op in (phone.op(mood(4), first["id"], 1), phone.op(None, first["id"], 2), phone.op(mood(4), first["id"])):
        result = await phone.one(op)
        assert (result["outcome"], result["revision"], result["seq"]) == ("gone", 2, buried["seq"])
    for op in (phone.op(mood(4), new(), base=1), phone.op(None, new()), phone.op(None, new(), base=3)):
        assert await phone.one(op) == {"n": op["n"], "outcome": "gone", "revision": 0, "seq": 0}
        assert (await ana.get(where(op["id"]))).status_code == 404


async def test_a_result_that_is_no_refusal_holds_no_problem_and_no_current(phone: Phone) -> None:
    pushed = await phone.push(phone.op(mood()), phone.op(None, new()), {**phone.op(mood()), "n": 9})
    assert [set(result) for result in pushed["results"]] == [{"n", "outcome", "revision", "seq"}] * 3


# exactly once


async def test_a_repeat_gets_the_same_answer_and_applies_nothing(backend: Backend, phone: Phone, ana: Person) -> None:
    first = await phone.record(mood(1))
    ops = [
        phone.op(mood(2), first["id"], 1),
        phone.op(None, new(), 4),
        phone.op({**mood(), "zone": "Nowhere/Land"}),
        phone.op(note(), first["id"], 2),
        phone.op(mood(9)),
    ]
    rid = same_id()
    answers = [await phone.push(*ops, headers=rid)]
    await Phone(ana).record(mood(5), first["id"], 2)
    backend.advance(days=30)
    answers += [await phone.push(*ops[start:], headers=rid) for start in (0, 0, 3)]
    assert outcomes(answers[0]) == ["applied", "gone", "rejected", "rejected", "rejected"]
    for answer, start in zip(answers[1:], (0, 0, 3), strict=True):
        assert answer["results"] == answers[0]["results"][start:]
        assert answer["last_n"] == 6
    assert await revisions(ana, first["id"]) == [1, 2, 3]


async def test_a_repeat_is_known_by_its_op_whatever_it_says_now(phone: Phone, ana: Person) -> None:
    op = phone.op(mood(1))
    first = await phone.one(op)
    for changed in (mood(5), None, {"broken": True}, 7):
        again = await phone.one({**op, "log": changed, "base": 3})
        assert again == first
    assert (await ana.get(where(op["id"]))).json()["body"]["mood"] == 1


async def test_half_of_a_push_again_with_what_is_new_behind_it(phone: Phone) -> None:
    ops = [phone.op(mood(value)) for value in (1, 2, 3, 4)]
    first = await phone.push(*ops[:3])
    second = await phone.push(*ops[1:])
    assert second["results"][:2] == first["results"][1:]
    assert (outcomes(second), second["last_n"]) == (["applied"] * 3, 4)


async def test_a_gap_stops_and_nothing_behind_it_is_looked_at(phone: Phone, ana: Person) -> None:
    ops = [phone.op(mood(value)) for value in (1, 2, 3, 4)]
    pushed = await phone.push(ops[0], ops[2], ops[3], ops[1])
    assert outcomes(pushed) == ["applied", "gap"]
    assert pushed["results"][1] == {"n": 3, "outcome": "gap", "revision": 0, "seq": 0}
    assert pushed["last_n"] == 1
    assert outcomes(await phone.push(*ops[1:])) == ["applied"] * 3
    assert len(await walk(ana)) == 4


async def test_a_number_with_another_operation_is_rewound_and_stops(phone: Phone, ana: Person) -> None:
    ops = [phone.op(mood(value)) for value in (1, 2)]
    await phone.push(*ops)
    other = {**phone.op(mood(5)), "n": 2}
    pushed = await phone.push(ops[0], other, phone.op(mood(4)))
    assert outcomes(pushed) == ["applied", "rewound"]
    assert (pushed["results"][1], pushed["last_n"]) == ({"n": 2, "outcome": "rewound", "revision": 0, "seq": 0}, 2)
    assert len(await walk(ana)) == 2


async def test_a_number_twice_in_one_push_is_a_repeat_or_rewound(phone: Phone) -> None:
    first, second = phone.op(mood(1)), phone.op(mood(2))
    pushed = await phone.push(first, first, {**second, "n": 1})
    assert outcomes(pushed) == ["applied", "applied", "rewound"]
    assert pushed["results"][0] == pushed["results"][1]


async def test_devices_count_for_themselves_and_persons_too(backend: Backend, phone: Phone, ana: Person) -> None:
    await phone.push(phone.op(mood(1)), phone.op(mood(2)))
    tablet = Phone(ana)
    assert (await tablet.push(tablet.op(mood(3))))["last_n"] == 1
    theirs = Phone(backend.ben, device=phone.device)
    assert (await theirs.push(theirs.op(mood(4))))["last_n"] == 1
    assert (await phone.push())["last_n"] == 2


async def test_the_same_op_on_another_device_is_another_operation(phone: Phone, ana: Person) -> None:
    op = phone.op(mood(1))
    first = await phone.one(op)
    again = await Phone(ana).one(op)
    assert again == first  # applied again: the content is the same
    assert await revisions(ana, op["id"]) == [1]


# refused operations


async def test_one_bad_operation_is_rejected_with_its_pointer_and_the_rest_is_applied(phone: Phone, ana: Person) -> None:
    ops = [phone.op(mood(3, at(-1, seconds=n))) for n in range(MAX_OPS)]
    ops[17]["log"]["body"]["mood"] = 9
    pushed = await phone.push(*ops)
    assert outcomes(pushed).count("applied") == MAX_OPS - 1
    bad = pushed["results"][17]
    assert (bad["n"], bad["outcome"], bad["revision"], bad["seq"]) == (18, "rejected", 0, 0)
    assert faults(bad["problem"]) == [("/ops/17/log/body/mood", "out-of-range")]
    assert pushed["last_n"] == MAX_OPS
    assert len(await walk(ana)) == MAX_OPS - 1


async def test_a_rejection_is_a_problem_as_any_other(phone: Phone) -> None:
    rid = {"X-Request-Id": "0192e4a0-0000-7000-8000-000000000001"}
    result = await phone.one(phone.op({**mood(), "zone": "Nowhere/Land"}), headers=rid)
    assert result["problem"] == {
        "type": "/problems/invalid-request",
        "title": "The request is not valid",
        "status": 400,
        "detail": "The request is not valid",
        "instance": f"urn:uuid:{rid['X-Request-Id']}",
        "request_id": rid["X-Request-Id"],
        "errors": [{"pointer": "/ops/0/log/zone", "code": "unknown-zone"}],
    }


ODD: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"id": "7"}, ("/ops/0/id", "format")),
    ({"id": None}, ("/ops/0/id", "type")),
    ({"base": -1}, ("/ops/0/base", "out-of-range")),
    ({"base": "0"}, ("/ops/0/base", "type")),
    ({"base": 1.5}, ("/ops/0/base", "type")),
    ({"log": 7}, ("/ops/0/log", "type")),
    ({"log": {}}, ("/ops/0/log/at", "required")),
    ({"colour": 1}, ("/ops/0", "unknown-field")),
]


async def test_an_operation_of_another_shape_is_rejected_by_itself(phone: Phone) -> None:
    for change, fault in ODD:
        result = await phone.one({**phone.op(mood()), **change})
        assert (result["outcome"], faults(result["problem"])) == ("rejected", [fault]), change
    op = phone.op(mood())
    del op["base"]
    assert faults((await phone.one(op))["problem"]) == [("/ops/0/base", "required")]


async def test_rejected_on_a_live_entry_names_its_revision(phone: Phone) -> None:
    first = await phone.record(mood(3))
    result = await phone.one(phone.op({**mood(4), "zone": "Nowhere/Land"}, first["id"], 1))
    assert (result["outcome"], result["revision"], result["seq"]) == ("rejected", 1, first["seq"])


async def test_everything_that_is_wrong_with_an_entry_is_told(phone: Phone) -> None:
    use = {"substance": "alcohol", "at": "1999-01-01T00:00:00Z"}
    wrong = entry("2027-01-01T00:00:00Z", "Nowhere/Land", kind="sobriety", sober=False, uses=[use])
    result = await phone.one(phone.op(wrong))
    assert faults(result["problem"]) == [
        ("/ops/0/log/zone", "unknown-zone"),
        ("/ops/0/log/at", "out-of-range"),
        ("/ops/0/log/body/uses/0/at", "out-of-range"),
    ]


# pushes that are not read


BAD_FRAMES: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"device": "7"}, ("/device", "format")),
    ({"device": None}, ("/device", "type")),
    ({"sent_at": "2026-03-02T12:00:00"}, ("/sent_at", "time-offset")),
    ({"sent_at": "2026-03-02 12:00:00Z"}, ("/sent_at", "time-format")),
    ({"sent_at": 7}, ("/sent_at", "type")),
    ({"ops": {}}, ("/ops", "type")),
    ({"ops": None}, ("/ops", "type")),
    ({"ops": [7]}, ("/ops/0", "type")),
    ({"ops": [None]}, ("/ops/0", "type")),
    ({"ops": [{}]}, ("/ops/0/n", "required")),
    ({"more": 1}, ("", "unknown-field")),
]


async def test_a_push_that_is_none_is_400_as_a_whole(phone: Phone, ana: Person) -> None:
    frame = {"device": phone.device, "sent_at": NOON.isoformat(), "ops": []}
    for change, fault in BAD_FRAMES:
        answer = await ana.post(f"{SYNC}/push", {**frame, **change})
        assert (answer.status_code, word(answer)) == (400, "invalid-request"), change
        assert faults(answer) == [fault], change
    for name in frame:
        answer = await ana.post(f"{SYNC}/push", {key: value for key, value in frame.items() if key != name})
        assert (answer.status_code, faults(answer)) == (400, [(f"/{name}", "required")])


async def test_an_operation_without_a_readable_number_or_id_is_400_and_nothing_is_applied(phone: Phone, ana: Person) -> None:
    good = phone.op(mood())
    for change, fault in (
        ({"n": 0}, ("/ops/1/n", "out-of-range")),
        ({"n": "2"}, ("/ops/1/n", "type")),
        ({"n": 2.5}, ("/ops/1/n", "type")),
        ({"n": 2**53}, ("/ops/1/n", "out-of-range")),
        ({"op": "7"}, ("/ops/1/op", "format")),
        ({"op": None}, ("/ops/1/op", "type")),
    ):
        answer = await phone.try_(good, {"n": 2, "op": new(), "id": new(), "base": 0, "log": mood(), **change})
        assert (answer.status_code, faults(answer)) == (400, [fault]), change
    assert await walk(ana) == []
    assert (await phone.one(good))["outcome"] == "applied"


async def test_more_than_two_hundred_operations_are_400_and_more_than_a_mebibyte_413(phone: Phone, ana: Person) -> None:
    answer = await phone.try_(*(phone.op(mood()) for _ in range(MAX_OPS + 1)))
    assert (answer.status_code, faults(answer)) == (400, [("/ops", "length")])
    raw = json.dumps({"device": phone.device, "sent_at": NOON.isoformat(), "ops": []}).encode()
    for size, status in ((MAX_PUSH_BYTES, 200), (MAX_PUSH_BYTES + 1, 413)):
        padded = raw + b" " * (size - len(raw))
        answer = await ana.call("POST", f"{SYNC}/push", content=padded, headers=JSON)
        assert answer.status_code == status
    assert (await ana.call("POST", f"{SYNC}/push", content=raw)).status_code == 415


async def test_bytes_that_are_no_push_are_400(ana: Person) -> None:
    device = new().encode()
    head = b'"device":"%s","sent_at":"2026-03-02T12:00:00Z"' % device
    for raw, code in (
        (b"", "json"),
        (b"{", "json"),
        (b"[]", "type"),
        (b"null", "type"),
        (b'{%s,"ops":[]' % head, "json"),
        (b'{%s,%s,"ops":[]}' % (head, head), "duplicate-key"),
        (b'{%s,"ops":[],"ops":[]}' % head, "duplicate-key"),
        (b'{%s,"ops":[{"n":1,"op":"%s","x":"\xff"}]}' % (head, device), "utf-8"),
    ):
        answer = await ana.call("POST", f"{SYNC}/push", content=raw, headers=JSON)
        assert (answer.status_code, faults(answer)[0][1]) == (400, code), raw


async def test_who_may_not_write_the_diary_may_not_push(backend: Backend, ana: Person, cleo: Person) -> None:
    rid = same_id()
    frame = {"device": new(), "sent_at": NOON.isoformat(), "ops": []}
    answers = [
        await person.post(f"/v1/patients/{patient}/sync/push", frame, headers=rid)
        for person, patient in ((cleo, ana.id), (backend.dan, ana.id), (backend.ben, ana.id), (ana, new()), (cleo, "me"))
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    assert word(await (await backend.app(ana, "logs:read")).post(f"{SYNC}/push", frame)) == "insufficient-scope"
    app = Phone(await backend.app(ana, "logs:write"))
    stored = await app.record(mood())
    assert (await ana.get(where(stored["id"]))).json()["author_id"] != str(ana.id)


async def test_half_an_emoji_in_one_operation_is_that_operations(phone: Phone) -> None:
    """A lone surrogate, as ``JSON.stringify`` writes it."""
    ops = [phone.op(mood(1)), phone.op(note("HALF")), phone.op(mood(3))]
    whole = json.dumps({"device": phone.device, "sent_at": NOON.isoformat(), "ops": ops})
    answer = await phone.person.call("POST", f"{SYNC}/push", content=whole.replace("HALF", "\\ud83d").encode(), headers=JSON)
    assert (answer.status_code, outcomes(answer.json())) == (200, ["applied", "rejected", "applied"])
    assert answer.json()["results"][1]["problem"]["errors"] == [{"pointer": "/ops/1", "code": "json"}]
