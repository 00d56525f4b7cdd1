"""Every look of somebody else at a record is on disk before the answer, and the patient can read who it was."""

import asyncio
import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from support.cast import Cast, Person, monday

from companion.logs import store as logs
from companion_sdk.wire import SCOPES


async def looks(patient: Person, query: str = "") -> list[dict[str, Any]]:
    answer = await patient.get(f"/v1/patients/me/disclosures{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_each_read_of_a_clinician_is_one_row(cast: Cast) -> None:
    ana, dan = cast.ana, cast.dan
    mood, note = await ana.mood(monday()), await ana.log(monday(), kind="note", text="x")
    consent = await ana.consent(dan.id, ["mood", "note"], purpose="operations")
    base = f"/v1/patients/{ana.id}"
    expected: list[tuple[str, list[str]]] = []
    for path, action, kinds in (
        ("", "profile", []),
        ("/logs", "entries", ["mood", "note"]),
        ("/logs?kind=note", "entries", ["note"]),
        (f"/logs/{mood['id']}", "entry", ["mood"]),
        (f"/logs/{note['id']}", "entry", ["note"]),
        (f"/logs/{note['id']}/history", "history", ["note"]),
    ):
        assert (await dan.get(base + path)).status_code == 200
        expected.insert(0, (action, kinds))
        items = await looks(ana)
        assert [(one["action"], one["categories"]) for one in items] == expected, path
        assert items[0]["recipient"] == str(dan.id)
        assert items[0]["recipient_name"] == "Dan"
        assert (items[0]["consent_id"], items[0]["purpose"]) == (consent["id"], "operations")
    head = await dan.call("HEAD", f"{base}/logs")
    assert head.status_code == 200
    assert (await dan.get(f"{base}/logs/{mood['id']}", headers={"If-None-Match": '"1"'})).status_code == 304
    assert len(await looks(ana)) == len(expected) + 2


async def test_what_shows_nothing_writes_nothing(cast: Cast) -> None:
    """A refusal, a missing entry, a kind that is not consented, and everything the patient does."""
    ana, dan = cast.ana, cast.dan
    note = await ana.log(monday(), kind="note", text="x")
    base = f"/v1/patients/{ana.id}"
    for person, path in (
        (dan, "/logs"),
        (dan, f"/logs/{note['id']}"),
        (cast.ben, "/logs"),
        (ana, ""),
        (ana, "/logs"),
        (ana, f"/logs/{note['id']}"),
        (ana, f"/logs/{note['id']}/history"),
        (ana, "/consents"),
        (ana, "/disclosures"),
    ):
        await person.get(base + path)
        assert await looks(ana) == [], path
    await ana.consent(dan.id, ["mood"])
    for path in (
        f"/logs/{uuid4()}",
        f"/logs/{note['id']}",
        f"/logs/{note['id']}/history",
        "/logs?kind=note",
        "/logs?limit=0",
    ):
        await dan.get(base + path)
        assert await looks(ana) == [], path


async def test_a_read_under_two_consents_names_both(cast: Cast) -> None:
    """Each consent with its own share of the kinds and its own purpose."""
    ana, dan = cast.ana, cast.dan
    one = await ana.consent(dan.id, ["mood"], purpose="treatment")
    two = await ana.consent(cast.north, ["mood", "note"], purpose="research")
    await dan.get(f"/v1/patients/{ana.id}/logs")
    found = {look["consent_id"]: (look["categories"], look["purpose"]) for look in await looks(ana)}
    assert found == {one["id"]: (["mood"], "treatment"), two["id"]: (["note"], "research")}
    await dan.get(f"/v1/patients/{ana.id}/logs?kind=note")
    newest = (await looks(ana))[0]
    assert (newest["consent_id"], newest["categories"]) == (two["id"], ["note"])


async def test_an_app_is_disclosed_by_its_name(cast: Cast) -> None:
    ana = cast.ana
    mood = await ana.mood(monday())
    made = (await ana.post("/v1/me/tokens", {"name": "Sleep Watch", "scopes": list(SCOPES)})).json()
    watch = Person("W", made["token"], cast.http)
    actions: list[str] = []
    for path, action in (
        ("", "profile"),
        ("/logs", "entries"),
        (f"/logs/{mood['id']}", "entry"),
        (f"/logs/{mood['id']}/history", "history"),
        ("/consents", "consents"),
        ("/disclosures", "consents"),
    ):
        assert (await watch.get(f"/v1/patients/me{path}")).status_code == 200, path
        actions.insert(0, action)
        items = await looks(ana)
        assert [one["action"] for one in items] == actions
        assert (items[0]["recipient"], items[0]["recipient_name"]) == (made["id"], "Sleep Watch")
        assert (items[0]["consent_id"], items[0]["purpose"]) == (None, "own")
    await ana.delete(f"/v1/me/tokens/{made['id']}")
    assert (await looks(ana))[0]["recipient_name"] == "Sleep Watch"


async def test_the_list_is_paged_newest_first(cast: Cast) -> None:
    ana, cleo = cast.ana, cast.cleo
    for _ in range(5):
        await cleo.get(f"/v1/patients/{ana.id}/logs")
    every = await looks(ana)
    assert len(every) == 5
    assert [one["at"] for one in every] == sorted((one["at"] for one in every), reverse=True)
    where, seen = "/v1/patients/me/disclosures?limit=2", []
    for size in (2, 2, 1):
        answer = await ana.get(where)
        page = answer.json()
        assert len(page["items"]) == size
        seen += page["items"]
        await cleo.get(f"/v1/patients/{ana.id}/logs")
        if page["next"]:
            where = answer.headers["link"].partition("<")[2].partition(">")[0]
            assert page["next"] in where
    assert seen == every
    for query in ("?limit=0", "?limit=501", "?cursor=x", "?kind=mood"):
        assert (await ana.get(f"/v1/patients/me/disclosures{query}")).status_code == 400
    other = (await ana.get("/v1/patients/me/disclosures?limit=1")).json()["next"]
    assert (await cast.ben.get(f"/v1/patients/me/disclosures?cursor={other}")).status_code == 400


@pytest.mark.parametrize("left", ["nothing", "another kind"])
async def test_a_consent_that_ends_in_the_middle_of_a_read_hides_what_was_read(
    cast: Cast, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dan's read has found the entries when Ana revokes; the answer that would have shown them is a 404."""
    ana, dan = cast.ana, cast.dan
    await ana.mood(monday(), note="read in the meantime")
    given = await ana.consent(dan.id, ["mood"])
    if left == "another kind":
        await ana.consent(dan.id, ["note"])
    reading, go_on = threading.Event(), threading.Event()
    page = logs.page

    def slow(*given: Any) -> Any:
        found = page(*given)
        reading.set()
        assert go_on.wait(10)
        return found

    monkeypatch.setattr(logs, "page", slow)
    read = asyncio.create_task(dan.get(f"/v1/patients/{ana.id}/logs"))
    assert await asyncio.to_thread(reading.wait, 10)
    assert (await ana.post(f"/v1/patients/me/consents/{given['id']}/revoke")).status_code == 200
    go_on.set()
    answer = await read
    assert answer.status_code == 404
    assert "meantime" not in answer.text
    monkeypatch.undo()
    assert await looks(ana) == []


async def test_the_row_is_on_disk_before_the_answer(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disclosure cannot be written, nothing is shown."""
    from companion.consent import store
    from companion.core.errors import StorageUnavailable

    ana, cleo = cast.ana, cast.cleo
    mood = await ana.mood(monday(), note="not shown")

    def full(*given: Any) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(store, "add_disclosure", full)
    for path in ("", "/logs", f"/logs/{mood['id']}", f"/logs/{mood['id']}/history"):
        answer = await cleo.get(f"/v1/patients/{ana.id}{path}")
        assert answer.status_code == 503, path
        assert answer.headers["retry-after"] == "5"
        assert "not shown" not in answer.text
        assert "Ana" not in answer.text
    monkeypatch.undo()
    assert (await cleo.get(f"/v1/patients/{ana.id}/logs")).status_code == 200
    assert len(await looks(ana)) == 1


async def test_many_clinicians_at_once_lose_no_row(cast: Cast) -> None:
    ana = cast.ana
    await ana.mood(monday())
    await ana.consent(cast.north)
    reads = [person.get(f"/v1/patients/{ana.id}/logs") for person in (cast.cleo, cast.dan) for _ in range(20)]
    answers = await asyncio.gather(*reads)
    assert {answer.status_code for answer in answers} == {200}
    found = await looks(ana, "?limit=500")
    whose = [UUID(look["recipient"]) for look in found]
    assert whose.count(cast.dan.id) == 20
    assert whose.count(cast.cleo.id) == 20 * len(
        {look["consent_id"] for look in found if look["recipient"] == str(cast.cleo.id)}
    )
