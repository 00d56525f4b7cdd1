"""Ids, tokens and codes: their form, their order, their entropy, and what a person may type."""

import math
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.core import ids

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 253_370_764_800_000_000).map(lambda micros: EPOCH + timedelta(microseconds=micros))


@given(INSTANTS)
def test_a_uuid7_carries_its_millisecond_exactly(at: datetime) -> None:
    made = ids.uuid7(at)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == (at - EPOCH) // timedelta(milliseconds=1)


def test_uuid7s_sort_by_time() -> None:
    made = [ids.uuid7(NOON + timedelta(milliseconds=step)) for step in range(3000)]
    assert made == sorted(made)
    assert [one.bytes for one in made] == sorted(one.bytes for one in made)


def test_the_other_bits_of_a_uuid7_are_random() -> None:
    made = [ids.uuid7(NOON).int for _ in range(4000)]
    assert len(set(made)) == 4000
    fixed = set(range(80, 128)) | {79, 78, 77, 76} | {63, 62}
    for bit in range(128):
        ones = sum(number >> bit & 1 for number in made)
        if bit in fixed:
            assert ones in (0, 4000), bit
        else:
            assert abs(ones - 2000) < 32 * 6.5, bit  # six and a half standard deviations


def test_a_request_id_is_a_random_uuid4() -> None:
    made = [ids.request_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    for text in made:
        assert str(UUID(text)) == text
        assert (UUID(text).version, UUID(text).variant) == (4, "specified in RFC 4122")


def test_a_token_has_the_form_that_secret_scanners_look_for() -> None:
    made = [ids.new_token() for _ in range(1000)]
    assert len(set(made)) == 1000
    for token in made:
        assert re.fullmatch(r"cmp_[0-9A-Za-z]{49}", token)
        assert ids.is_token(token)


def test_every_mistyped_letter_of_a_token_is_found_without_a_look_up() -> None:
    token = ids.new_token()
    for place in range(4, len(token)):
        for letter in "0Aaz":
            if letter != token[place]:
                assert not ids.is_token(token[:place] + letter + token[place + 1 :])
    for place in range(4, len(token) - 1):
        if token[place] != token[place + 1]:
            assert not ids.is_token(token[:place] + token[place + 1] + token[place] + token[place + 2 :])


@pytest.mark.parametrize("change", ["{}\n", " {}", "{} ", "{}0", "x{}"])
def test_a_token_stands_alone(change: str) -> None:
    assert not ids.is_token(change.format(ids.new_token()))


@given(st.text(max_size=60))
def test_no_text_is_a_token_by_chance_and_none_breaks_the_check(text: str) -> None:
    assert not ids.is_token(text)
    assert not ids.is_token("cmp_" + text)


def test_a_code_has_a_hundred_random_bits() -> None:
    made = [ids.new_code() for _ in range(2000)]
    assert len(set(made)) == 2000
    letters = Counter("".join(made).replace("-", ""))
    assert set(letters) == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    for code in made:
        assert re.fullmatch(r"(?:[0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}", code)
    assert 20 * math.log2(len(letters)) == 100
    for place in range(20):
        seen = Counter(code.replace("-", "")[place] for code in made)
        assert len(seen) == 32, place
        assert max(seen.values()) < 62.5 + 7 * math.sqrt(62.5), place


def test_a_code_may_be_typed_as_people_type() -> None:
    code = ids.new_code()
    plain = code.replace("-", "")
    for typed in (code, plain, code.lower(), f"  {plain} ", " ".join(plain), plain.replace("0", "O").replace("1", "l")):
        assert ids.normal_code(typed) == plain
    assert ids.normal_code(plain.replace("1", "i").replace("0", "o")) == plain
    assert ids.normal_code(plain[:-1] + ("A" if plain[-1] != "A" else "B")) != plain


@given(st.text(max_size=40))
def test_whatever_is_typed_has_a_normal_form_that_is_its_own(typed: str) -> None:
    normal = ids.normal_code(typed)
    assert ids.normal_code(normal) == normal
    assert not set(normal) & set("OIL -")


def test_only_a_hash_of_a_secret_is_kept() -> None:
    token = ids.new_token()
    assert len(ids.digest(token)) == 32
    assert ids.digest(token) == ids.digest(token) != ids.digest(ids.new_token())
    assert ids.digest("") == bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    assert ids.digest(str(uuid4()) + "ü")
