"""One JSON file for every type of the contract, read as diffs: what a type looks like on the wire does not change unseen."""

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from companion_sdk import wire

GOLDEN = Path(__file__).with_name("golden")
BASES = {wire.Sent, wire.Reply}
STRUCTS: dict[str, type[msgspec.Struct]] = {
    name: kind
    for name in wire.__all__
    if isinstance(kind := getattr(wire, name), type) and issubclass(kind, msgspec.Struct) and kind not in BASES
}
NESTED = {"Alarm", "Baseline", "Drift"}
"""Types that stand inside others only."""


def _raw(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def _struct(name: str) -> type[msgspec.Struct]:
    return STRUCTS.get(name) or getattr(wire.trends, name)


def _tag(struct: type[msgspec.Struct]) -> dict[str, Any]:
    config = struct.__struct_config__
    return {config.tag_field: config.tag} if config.tag_field else {}


def _strict(struct: type[msgspec.Struct]) -> bool:
    return issubclass(struct, wire.Sent)


def _decoded(struct: type[msgspec.Struct], raw: bytes) -> msgspec.Struct:
    """What a request is read with, or what an answer is read with."""
    return wire.decode(struct, raw) if _strict(struct) else msgspec.json.decode(raw, type=struct)


def test_every_type_has_a_golden_file() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == STRUCTS.keys() | NESTED


@pytest.mark.parametrize("name", sorted(STRUCTS.keys() | NESTED))
def test_a_type_reads_and_writes_its_golden_file(name: str) -> None:
    raw = _raw(name)
    again = msgspec.json.encode(_decoded(_struct(name), raw))
    assert msgspec.json.format(again, indent=2) + b"\n" == raw


@pytest.mark.parametrize("name", sorted(STRUCTS.keys() | NESTED))
def test_a_golden_file_fills_every_field(name: str) -> None:
    """So that no field can go, or change its name or form, without its file changing."""
    struct = _struct(name)
    found = msgspec.json.decode(_raw(name))
    assert list(found) == [*_tag(struct), *(field.encode_name for field in msgspec.structs.fields(struct))]
    assert [key for key, value in found.items() if value is None or value == []] == []


@pytest.mark.parametrize("name", sorted(name for name, struct in STRUCTS.items() if _strict(struct)))
def test_a_request_refuses_a_field_it_does_not_know(name: str) -> None:
    more = {**msgspec.json.decode(_raw(name)), "unheard_of": 1}
    with pytest.raises(wire.Invalid) as caught:
        wire.decode(STRUCTS[name], msgspec.json.encode(more))
    assert caught.value.errors[0][1] == "unknown-field"


@pytest.mark.parametrize("name", sorted(name for name, struct in STRUCTS.items() if not _strict(struct)))
def test_an_answer_may_gain_a_field(name: str) -> None:
    more = {**msgspec.json.decode(_raw(name)), "unheard_of": 1}
    struct = STRUCTS[name]
    assert msgspec.json.decode(msgspec.json.encode(more), type=struct) == msgspec.json.decode(_raw(name), type=struct)


@pytest.mark.parametrize("kind", wire.KINDS)
def test_a_kind_is_told_by_its_tag_and_stands_in_a_request(kind: str) -> None:
    struct = wire.KINDS[kind]
    raw = _raw(struct.__name__)
    body = wire.decode(wire.Body, raw)
    assert type(body) is struct
    assert wire.kind_of(body) == kind
    entry = b'{"at":"2026-03-02T08:00:00-05:00","zone":"America/New_York","body":' + raw + b"}"
    assert wire.decode(wire.LogIn, entry).body == body


@pytest.mark.parametrize("union", ["SignIn", "EndpointIn", "Body"])
def test_a_union_tells_its_members_apart(union: str) -> None:
    for member in get_args(getattr(wire, union)):
        assert type(wire.decode(getattr(wire, union), _raw(member.__name__))) is member
