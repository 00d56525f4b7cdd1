"""Many calls at the same moment: exactly one wins, and everybody is told the truth."""

import asyncio
from collections import Counter
from uuid import uuid4

from support.cast import Cast, Person, monday

MANY = 12


async def test_the_same_new_entry_from_many_is_made_once(cast: Cast) -> None:
    ana, where = cast.ana, f"/v1/patients/me/logs/{uuid4()}"
    entry = ana.entry(monday(), kind="mood", mood=4)
    answers = await asyncio.gather(*(ana.put(where, entry) for _ in range(MANY)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: MANY - 1}
    assert len({answer.content for answer in answers}) == 1


async def test_of_many_corrections_of_one_revision_one_wins(cast: Cast) -> None:
    ana, where = cast.ana, f"/v1/patients/me/logs/{uuid4()}"
    assert (await ana.put(where, ana.entry(monday(), kind="note", text="first"))).status_code == 201
    entries = [ana.entry(monday(), kind="note", text=f"take {number}") for number in range(MANY)]
    answers = await asyncio.gather(*(ana.put(where, entry, headers={"If-Match": '"1"'}) for entry in entries))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: MANY - 1}
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    assert all(answer.json()["current"] == winner for answer in answers if answer.status_code == 412)
    assert len((await ana.get(f"{where}/history")).json()["items"]) == 2


async def test_entries_of_one_person_have_an_order_without_holes(cast: Cast) -> None:
    ana = cast.ana
    before = (await ana.mood(monday()))["seq"]
    logs = await asyncio.gather(*(ana.mood(monday()) for _ in range(40)))
    assert sorted(log["seq"] for log in logs) == list(range(before + 1, before + 41))


async def test_of_many_phones_with_one_code_one_signs_in(cast: Cast) -> None:
    code = (await cast.cleo.post("/v1/invites", {"name": "Noor"})).json()["code"]
    requests = [
        {"method": "invite", "code": code, "device": {"id": str(uuid4()), "name": "p", "zone": "UTC"}} for _ in range(MANY)
    ]
    answers = await asyncio.gather(*(cast.http.post("/v1/sign-in", json=request) for request in requests))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: MANY - 1}


async def test_one_phone_that_asks_many_times_has_one_live_token(cast: Cast) -> None:
    code = (await cast.cleo.post("/v1/invites", {"name": "Noor"})).json()["code"]
    request = {"method": "invite", "code": code, "device": {"id": str(uuid4()), "name": "p", "zone": "UTC"}}
    answers = await asyncio.gather(*(cast.http.post("/v1/sign-in", json=request) for _ in range(MANY)))
    assert {answer.status_code for answer in answers} == {200}
    phones = [Person("Noor", answer.json()["access_token"], cast.http) for answer in answers]
    live = Counter([(await phone.get("/v1/me")).status_code for phone in phones])
    assert live == {200: 1, 401: MANY - 1}


async def test_one_phone_with_two_codes_at_once_has_one_live_token(cast: Cast) -> None:
    phone = {"id": str(uuid4()), "name": "p", "zone": "UTC"}
    for _ in range(MANY):
        codes = [(await cast.ana.post("/v1/me/invites")).json()["code"] for _ in range(2)]
        requests = [{"method": "invite", "code": code, "device": phone} for code in codes]
        answers = await asyncio.gather(*(cast.http.post("/v1/sign-in", json=request) for request in requests))
        signed_in = [Person("Ana", answer.json()["access_token"], cast.http) for answer in answers]
        live = Counter([(await one.get("/v1/me")).status_code for one in signed_in])
        assert live == {200: 1, 401: 1}


async def test_a_second_phone_that_signs_in_takes_back_no_change_of_name(cast: Cast) -> None:
    for number in range(MANY):
        code = (await cast.ana.post("/v1/me/invites")).json()["code"]
        phone = {"id": str(uuid4()), "name": "p", "zone": ("UTC", "Europe/Paris")[number % 2]}
        await asyncio.gather(
            cast.http.post("/v1/sign-in", json={"method": "invite", "code": code, "device": phone}),
            cast.ana.patch("/v1/me", {"name": f"Ana {number}"}),
        )
        me = (await cast.ana.get("/v1/me")).json()
        assert (me["name"], me["zone"]) == (f"Ana {number}", phone["zone"])


async def test_of_a_clinicians_changes_at_once_none_is_lost(cast: Cast) -> None:
    for number in range(MANY):
        wanted = {
            "name": f"Cleo {number}",
            "zone": ("UTC", "Europe/Paris")[number % 2],
            "language": ("en", "es")[number % 2],
        }
        await asyncio.gather(*(cast.cleo.patch("/v1/me", {field: value}) for field, value in wanted.items()))
        me = (await cast.cleo.get("/v1/me")).json()
        assert {field: me[field] for field in wanted} == wanted


async def test_one_key_from_many_makes_one_token(cast: Cast) -> None:
    terms, key = {"name": "Watch", "scopes": ["logs:read"]}, {"Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(*(cast.ana.post("/v1/me/tokens", terms, headers=key) for _ in range(MANY)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    watches = [Person("W", answer.json()["token"], cast.http) for answer in answers]
    assert Counter([(await watch.get("/v1/me")).status_code for watch in watches]) == {200: 1, 401: MANY - 1}


async def test_of_reads_around_a_revocation_none_shows_anything_after_it(cast: Cast) -> None:
    """Whatever was answered 200 has its disclosure; after the revocation's answer there is only 404."""
    ana, dan = cast.ana, cast.dan
    await ana.mood(monday())
    given = await ana.consent(dan.id, ["mood"])
    where = f"/v1/patients/{ana.id}/logs"
    reads = [asyncio.create_task(dan.get(where)) for _ in range(MANY)]
    await ana.post(f"/v1/patients/me/consents/{given['id']}/revoke")
    after = await asyncio.gather(*(dan.get(where) for _ in range(MANY)))
    assert {answer.status_code for answer in after} == {404}
    answers = await asyncio.gather(*reads)
    assert {answer.status_code for answer in answers} <= {200, 404}
    shown = sum(answer.status_code == 200 for answer in answers)
    assert len((await ana.get("/v1/patients/me/disclosures")).json()["items"]) == shown
