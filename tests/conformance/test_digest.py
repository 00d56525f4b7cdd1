"""The digest: a client computes the same over its own copy."""

from uuid import UUID

from conformance.backends import Backend, Person
from conformance.words import SYNC, Phone, entry, mood, new, note, plan, plan_id, pull, where

from companion_sdk.wire.canonical import body_hash, digest

NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


async def proof(person: Person, query: str = "", base: str = SYNC) -> dict[str, object]:
    answer = await person.get(f"{base}/digest{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def mirror(person: Person, base: str = SYNC) -> tuple[int, str]:
    """What a client computes from what it pulled."""
    live = [change for change in (await pull(person, base=base))["changes"] if not change["deleted"]]
    return len(live), digest((UUID(log["id"]), log["revision"], body_hash(log["body"])) for log in live)


async def test_of_nothing_it_is_the_hash_of_nothing(backend: Backend) -> None:
    found = await proof(backend.ben)
    assert (found["count"], found["sha256"]) == (0, NOTHING)


async def test_a_client_computes_the_same_from_what_it_pulled(ana: Person) -> None:
    phone = Phone(ana)
    first = await phone.record(mood(4, sleep_hours=7, emotions=["calm", "tired"]))
    await phone.record(note("Gr\u00fc\u00dfe\nvon Ana"))
    use = {"substance": "alcohol", "amount": 2.5, "at": "2026-03-02T00:30:00+01:00"}
    await phone.record(entry(kind="sobriety", sober=False, uses=[use]))
    await phone.record(plan("Cleo", "Sam"), plan_id(ana))
    await phone.record(mood(2), first["id"], 1)
    dead = await phone.record(mood(1))
    await ana.delete(where(dead["id"]))
    found = await proof(ana)
    assert (found["count"], found["sha256"]) == await mirror(ana)
    assert found["count"] == 4


async def test_it_is_known_to_the_letter(ana: Person) -> None:
    """The example of ``companion/docs/client.md``."""
    phone = Phone(ana)
    use = {"substance": "alcohol", "amount": 2.5, "at": "2026-03-02T00:30:00+01:00"}
    await phone.record(entry(kind="sobriety", sober=False, uses=[use]), "0194ffff-0000-7000-8000-000000000001")
    log = "01950004-0000-7000-8000-000000000004"
    await phone.record(mood(3), log)
    await phone.record(mood(4, note="Gr\u00fc\u00dfe\nvon Ana", sleep_hours=7.0), log, 1)
    assert (await proof(ana))["sha256"] == "5e588feecfe227c207ed24db302b9cf40e896c433cc5436354a70ee8e9be4e9e"


async def test_fields_that_say_nothing_do_not_count(ana: Person) -> None:
    log = new()
    await Phone(ana).record(mood(4, emotions=[], note=None), log)
    bare = {"kind": "mood", "mood": 4}
    assert (await proof(ana))["sha256"] == digest([(UUID(log), 1, body_hash(bare))])


async def test_through_a_change_it_is_of_the_diary_as_it_was_then(ana: Person) -> None:
    phone = Phone(ana)
    before = await mirror(ana)
    first = await phone.record(mood(1))
    one = await mirror(ana)
    second = await phone.record(mood(2), first["id"], 1)
    two = await mirror(ana)
    buried = await phone.one(phone.op(None, first["id"], 2))
    for seq, expected in ((first["seq"] - 1, before), (first["seq"], one), (second["seq"], two), (buried["seq"], before)):
        found = await proof(ana, f"?through={seq}")
        assert ((found["count"], found["sha256"]), found["through"]) == (expected, seq)
    whole = await proof(ana)
    beyond = await proof(ana, "?through=99999999")
    assert beyond == whole
    assert whole["through"] == buried["seq"]


async def test_an_earlier_change_reads_the_same_after_a_purge(backend: Backend, ana: Person) -> None:
    phone = Phone(ana)
    kept, dead = await phone.record(mood(1)), await phone.record(mood(2))
    await phone.one(phone.op(None, dead["id"], 1))
    found = [await proof(ana, f"?through={dead['seq']}")]
    backend.advance(days=401)
    ana = await backend.sign_in(ana)
    await backend.purge(ana)
    found.append(await proof(ana, f"?through={dead['seq']}"))
    assert found[0] == found[1]
    assert (await proof(ana))["count"] == 1
    assert kept["seq"] < dead["seq"]


async def test_a_clinicians_is_of_what_she_may_see(ana: Person, dan: Person) -> None:
    phone = Phone(ana)
    await phone.record(mood())
    await phone.record(note())
    await ana.consent(dan.id, ["mood"])
    base = f"/v1/patients/{ana.id}/sync"
    found = await proof(dan, base=base)
    assert (found["count"], found["sha256"]) == await mirror(dan, base)
    assert found["count"] == 1
