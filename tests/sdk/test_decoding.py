"""Answers of a newer service, read by this SDK."""

import contextlib
import json
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion_sdk import Coping, InvalidResponse, Log, Mood, Note, Sobriety, UnknownLog, Use, wire
from companion_sdk._decode import Unreadable, decode

ENVELOPE: dict[str, Any] = {
    "id": "0192e4a0-0000-7000-8000-000000000001",
    "patient_id": "0192e4a0-0000-7000-8000-00000000000a",
    "kind": "mood",
    "at": "2026-11-02T20:30:00Z",
    "zone": "America/New_York",
    "day": "2026-11-02",
    "source": "app",
    "revision": 1,
    "seq": 1,
    "recorded_at": "2026-11-02T20:30:00Z",
    "deleted": False,
    "skewed": False,
    "author_id": "0192e4a0-0000-7000-8000-00000000000a",
}
DREAM = {"kind": "dream", "vivid": 4, "about": ["sea"]}


def entry(body: dict[str, Any] | None, **other: Any) -> dict[str, Any]:
    return {**ENVELOPE, "kind": (body or {}).get("kind", "mood"), "body": body, **other}


def read(*entries: dict[str, Any], **other: Any) -> list[Log]:
    page = {"items": entries, "next": None, **other}
    return list(decode(wire.LogPage, json.dumps(page).encode()).items)


def test_an_entry_of_the_future_does_not_spoil_its_page(against):
    page = {"items": [entry({"kind": "mood", "mood": 4}), entry(DREAM), entry({"kind": "note", "text": "a"})]}
    client = against(httpx2.Response(200, json={**page, "next": None, "total": 3}))
    first, unknown, last = client.logs.list()
    assert first.body == Mood(mood=4)
    assert last.body == Note(text="a")
    assert isinstance(unknown, UnknownLog)
    assert (unknown.kind, unknown.body, unknown.raw) == ("dream", None, DREAM)
    assert unknown.at == first.at
    assert str(unknown.id) == ENVELOPE["id"]


def test_one_entry_of_the_future_can_be_read_alone(against):
    assert isinstance(against(httpx2.Response(200, json=entry(DREAM))).logs.get(ENVELOPE["id"]), UnknownLog)


def test_an_entry_of_the_future_is_never_written_back(client):
    (unknown,) = read(entry(DREAM))
    with pytest.raises(ValueError, match="unknown kind"):
        client.logs.correct(unknown)


def test_a_deleted_entry_of_the_future_is_an_entry():
    (deleted,) = read(entry(None, kind="dream", deleted=True))
    assert (type(deleted), deleted.kind, deleted.body) == (Log, "dream", None)


KNOWN = [
    Mood(mood=4, emotions=["calm"], sleep_hours=7.5),
    Sobriety(sober=False, uses=[Use(substance="alcohol", amount=2)]),
    Coping(skill="walk", urge_before=8),
    Note(text="a"),
]


@pytest.mark.parametrize("body", KNOWN)
def test_an_unknown_field_in_a_kind_is_dropped(body):
    tree = {**msgspec.to_builtins(body), "of_the_future": {"deep": [1]}}
    (log,) = read(entry(tree))
    assert type(log) is Log
    assert msgspec.to_builtins(log.body) == msgspec.to_builtins(body)


def test_an_unknown_field_deep_in_a_kind_is_dropped():
    (log,) = read(entry({"kind": "sobriety", "sober": False, "uses": [{"substance": "alcohol", "place": "bar"}]}))
    assert log.body == Sobriety(sober=False, uses=[Use(substance="alcohol")])


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "mood", "mood": 9},
        {"kind": "mood"},
        {"kind": "mood", "mood": "very good"},
        {"kind": "sobriety", "sober": False},
        {"kind": "note", "text": ["a"]},
        {},
        {"meals_kept": "all"},
    ],
)
def test_content_of_a_later_shape_is_kept_as_it_came(body):
    (log,) = read(entry(body))
    assert isinstance(log, UnknownLog)
    assert log.raw == body


def test_an_unknown_field_beside_the_known_ones_passes(client, against):
    told = {**msgspec.to_builtins(client.me.get()), "pronouns": "she", "clinic": None}
    assert against(httpx2.Response(200, json=told)).me.get().name == "Ana"


def test_an_unknown_word_is_kept(against):
    log = against(httpx2.Response(200, json=entry({"kind": "mood", "mood": 3}, source="watch"))).logs.get(ENVELOPE["id"])
    assert (log.source, log.body) == ("watch", Mood(mood=3))


def test_a_plan_of_the_future_is_read(client, against):
    plan = client.plans.create(wire.PlanIn(about="mood", times=["08:00"], window_minutes=5, channels=["email"]))
    told = msgspec.to_builtins(plan)
    told["plan"] |= {"adaptive": True, "channels": ["email", "pigeon"], "about": "dream"}
    (read_plan,) = against(httpx2.Response(200, json={"items": [told]})).plans.list()
    assert (read_plan.id, read_plan.plan.about) == (plan.id, "dream")
    assert list(read_plan.plan.channels) == ["email", "pigeon"]


@pytest.mark.parametrize("broken", [{"id": "x"}, {"at": "yesterday"}, {"revision": None}, {"day": 3}])
def test_an_envelope_that_is_broken_is_told_without_its_content(broken, against):
    with pytest.raises(InvalidResponse) as caught:
        against(httpx2.Response(200, json=entry({"kind": "note", "text": "CANARY"}, **broken))).logs.get(ENVELOPE["id"])
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4), st.sampled_from(KNOWN))
def test_whatever_is_added_to_a_body_its_page_is_read(added, body):
    tree = {**added, **msgspec.to_builtins(body)}
    assert len(read(entry(tree))) == 1


@given(JSON.filter(lambda tree: isinstance(tree, dict)))
def test_whatever_a_body_is_its_page_is_read(body):
    (log,) = read({**ENVELOPE, "body": body})
    assert isinstance(log, UnknownLog)


@given(JSON, st.sampled_from([wire.LogPage, wire.Me, wire.Trends, wire.PlanList, wire.NudgePage, wire.Problem]))
def test_any_json_is_read_or_refused(tree, kind):
    with contextlib.suppress(Unreadable):
        decode(kind, json.dumps(tree).encode())


@pytest.mark.parametrize("end", ["", "]", '"\\ud800"}', "[" * 5000, "\xff"])
def test_an_answer_that_breaks_off_after_a_wrong_field_is_refused(end):
    with pytest.raises(Unreadable):
        decode(wire.LogPage, f'{{"next": 3, "items": {end}'.encode("latin-1"))
