"""``companion/docs/client.md``, for whoever writes a client: what it names is in the contract, its example is computed."""

import json
import re
from typing import get_args
from uuid import UUID

from support.docs import prose
from support.sources import ROOT

from companion import app
from companion.web import openapi
from companion_sdk import wire
from companion_sdk.wire.canonical import body_hash, canonical, digest
from companion_sdk.wire.sync import MAX_OPS, Outcome

PAGE = ROOT / "companion/docs/client.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([0-9a-f-]{36})` \| (\d+) \| `(\{.*\})` \| `([0-9a-f]{64})` \|$", TEXT, re.MULTILINE)


def test_the_worked_digest_is_right() -> None:
    assert len(ROWS) == 2
    entries: list[tuple[UUID, int, bytes]] = []
    for entry, revision, body, sha256 in ROWS:
        decoded = wire.decode(wire.Body, body.encode())
        assert canonical(decoded).decode() == body
        assert body_hash(decoded).hex() == sha256
        entries.append((UUID(entry), int(revision), bytes.fromhex(sha256)))
    assert [entry for entry, _, _ in entries] == sorted((entry for entry, _, _ in entries), key=lambda one: one.bytes)
    assert f"Digest: `{digest(entries)}`" in TEXT
    assert f"`{digest([])}`" in TEXT


def test_every_rule_and_every_outcome_is_told() -> None:
    rules = TEXT[TEXT.index("### The thirteen rules") : TEXT.index("**Guarded records**")]
    assert re.findall(r"^(\d+)\. \*\*", rules, re.MULTILINE) == [str(number) for number in range(1, 14)]
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == list(get_args(Outcome))
    assert f"At most {MAX_OPS} operations and 1 MiB" in TEXT


def test_every_path_it_names_is_in_the_document() -> None:
    document = json.loads(openapi.encoded(app.build()))
    named = re.findall(r"\b(GET|PUT|POST|DELETE) (/v1/[\w/-]+)", TEXT)
    assert len(named) > 5
    for method, path in named:
        assert method.lower() in document["paths"][path.replace("/patients/me/", "/patients/{patient}/")], path


def test_what_it_shows_as_a_push_is_one() -> None:
    """The example's ids are cut short; everything else is read as the service reads it."""
    shown = re.findall(r"^    (\{.*?\n(?:    .*\n)*?)\n", TEXT, re.MULTILINE)
    whole = re.sub(r'"([0-9a-f]{8})-…"', r'"\1-0000-7000-8000-000000000001"', shown[0])
    push = wire.decode(wire.Push, whole.encode())
    assert [op.n for op in push.ops] == [1, 2]
    answer = shown[1].replace("\n    ", "\n")
    assert json.loads(answer)["results"][0]["outcome"] == "applied"


def test_its_words_are_the_contracts() -> None:
    words = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", prose(PAGE)))
    assert "cursor-expired" in words
    assert words - wire.WORDS.keys() - {"unknown-word", "unknown-field", "openapi-typescript"} == set()
