"""Server-sent events however they are cut, and when to connect again: all that needs no network."""

import json
from collections.abc import Callable
from itertools import pairwise
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import companion_sdk
from companion_sdk import wire
from companion_sdk._call import State, Stream
from companion_sdk._decode import Unreadable
from companion_sdk._endpoints.sync import DiarySync
from companion_sdk._events import LONGEST, Event, EventParser
from companion_sdk._trip import Answer, Limits
from companion_sdk._watch import SILENCE, Watch

TOKEN = "cmp_fake_token_of_ana"
KIND = {"content-type": "text/event-stream"}


def changed(seq: int) -> bytes:
    return b'id: %d\nevent: changed\ndata: {"seq":%d}\n\n' % (seq, seq)


# -- bytes to events ---------------------------------------------------------------------------------------------------


def parse(*chunks: bytes) -> list[Event]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("sent", "events"),
    [
        ("data: a\n\n", [("message", "a", "")]),
        ("data:a\n\n", [("message", "a", "")]),
        ("data:  a\n\n", [("message", " a", "")]),
        ("data: a\ndata: b\n\n", [("message", "a\nb", "")]),
        ("data\n\n", [("message", "", "")]),
        ("data\ndata\n\n", [("message", "\n", "")]),
        ("data: a", []),
        ("data: a\n", []),
        ("event: changed\nid: 7\ndata: a\n\n", [("changed", "a", "7")]),
        ("id: 7\ndata: a\n\ndata: b\n\n", [("message", "a", "7"), ("message", "b", "7")]),
        ("id: 7\n\ndata: b\n\n", [("message", "b", "7")]),
        ("id: 7\ndata: a\n\nid\ndata: b\n\n", [("message", "a", "7"), ("message", "b", "")]),
        ("id: 7\0\ndata: a\n\n", [("message", "a", "")]),
        ("event: changed\n\ndata: a\n\n", [("message", "a", "")]),
        (": a comment\n\ndata: a\n: another\n\n", [("message", "a", "")]),
        ("colour: red\nDATA: x\ndata: a\n\n", [("message", "a", "")]),
        ("data: a:b: c\n\n", [("message", "a:b: c", "")]),
        ("\ufeffdata: a\n\n", [("message", "a", "")]),
        ("\ufeff\ufeffdata: a\n\n", []),
        ("data: ü€😀\n\n", [("message", "ü€😀", "")]),
        ("data: a\u2028b\x0bc\x85\n\n", [("message", "a\u2028b\x0bc\x85", "")]),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_event_is_read_as_the_standard_says_wherever_it_is_cut(sent, events, end):
    raw = sent.replace("\n", end).encode()
    whole = [Event(*event) for event in events]
    assert parse(raw) == whole
    assert parse(*(bytes([byte]) for byte in raw)) == whole
    for cut in range(len(raw)):
        assert parse(raw[:cut], b"", raw[cut:]) == whole


def test_line_ends_may_be_mixed():
    assert parse(b"data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\r") == [
        Event("message", "a\nb\nc", ""),
        Event("message", "d", ""),
    ]


def test_what_is_not_utf_8_is_replaced_as_in_a_browser():
    assert parse(b"data: a\xff\xe2\x82b\n\n") == [Event("message", "a\ufffd\ufffdb", "")]


@pytest.mark.parametrize(
    ("said", "seconds"), [("2000", 2.0), ("0", 0.0), ("-1", None), ("soon", None), ("1e3", None), ("", None)]
)
def test_the_service_may_say_when_to_come_back(said, seconds):
    parser = EventParser()
    assert parser.feed(f"retry: {said}\n\n".encode()) == []
    assert parser.retry == seconds


def test_an_event_without_end_is_refused():
    parser = EventParser()
    for _ in range(LONGEST // 1024):
        parser.feed(b"x" * 1024)
    with pytest.raises(Unreadable):
        parser.feed(b"x" * 1024)
    parser = EventParser()
    many = b"data: aaaa\n" * 1024
    with pytest.raises(Unreadable):
        parse(*[many] * 64)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_whatever_comes_it_reads_the_same_however_it_is_cut(raw, cuts):
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    assert parse(*(raw[start:end] for start, end in pairwise(places))) == parse(raw)


PIECES = st.lists(
    st.sampled_from([b"data", b"event", b"id", b":", b" ", b"\n", b"\r", b"\xef\xbb\xbf", b"1", b"\xc3", b"\xbc"])
)


@given(PIECES)
def test_whatever_is_made_of_what_matters_reads_the_same_byte_by_byte(pieces):
    raw = b"".join(pieces)
    assert parse(*(bytes([byte]) for byte in raw)) == parse(raw)


# -- when to connect again ---------------------------------------------------------------------------------------------


@pytest.fixture
def watch(clock) -> Callable[..., Watch[wire.Changed]]:
    def made(last_seq: int | None = None, **limits: float) -> Watch[wire.Changed]:
        given = Limits(**{"timeout": 20.0, "connect_timeout": 5.0, "deadline": 60.0, "retries": 2, **limits})
        return Watch(DiarySync.stream(last_seq), State(TOKEN, None, clock), given, clock)

    return made


def heard(watch: Watch[wire.Changed], *chunks: bytes) -> list[wire.Changed | None]:
    trip = watch.depart()
    assert watch.opened(trip, 200, KIND)
    return [watch.heard(trip, chunk) for chunk in chunks]


def test_a_stream_is_asked_for_as_one(watch):
    trip = watch().depart()
    assert trip.headers["Accept"] == "text/event-stream"
    assert trip.headers["Authorization"] == f"Bearer {TOKEN}"
    assert UUID(trip.headers["X-Request-Id"])
    assert "Last-Event-ID" not in trip.headers
    assert trip.target == "/v1/patients/me/sync/stream"
    assert watch(7).depart().headers["Last-Event-ID"] == "7"


def test_only_the_newest_of_several_hints_is_given(watch):
    mine = watch()
    assert heard(mine, changed(3) + changed(4) + changed(5), b": still open\n\n", changed(6)[:9]) == [
        wire.Changed(seq=5),
        None,
        None,
    ]
    assert mine.depart().headers["Last-Event-ID"] == "5"


def test_what_this_version_does_not_know_is_skipped(watch):
    mine = watch()
    future = b'id: 8\nevent: renamed\ndata: {"seq":8}\n\n'
    odd = b'id: 9\nevent: changed\ndata: {"place":9}\n\nid: 10\nevent: changed\ndata: nine\n\n'
    more = b'id: 11\nevent: changed\ndata: {"seq":11,"why":"push"}\n\n'
    assert heard(mine, future, odd, more) == [None, None, wire.Changed(seq=11)]


@pytest.mark.parametrize("odd", [b"12a", b"\xc2\xb2", b"9" * 30, b"-1", b""])
def test_an_id_that_is_no_place_is_not_sent_back(watch, odd):
    mine = watch(7)
    heard(mine, b"id: " + odd + b"\ndata: x\n\n")
    assert mine.depart().headers["Last-Event-ID"] == "7"


def test_waits_grow_from_a_second_to_a_minute_with_full_jitter(watch, clock, monkeypatch):
    mine, low = watch(), watch()
    trouble = companion_sdk.ConnectionFailed("refused")
    monkeypatch.setattr(clock, "random", lambda: 1.0)
    assert [mine.failed(mine.depart(), trouble) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    monkeypatch.setattr(clock, "random", lambda: 0.0)
    assert {low.failed(low.depart(), trouble) for _ in range(2000)} == {0.0}


def test_a_connection_that_outlived_the_wait_before_it_was_a_good_one(watch, clock):
    mine = watch()
    for _ in range(5):
        mine.failed(mine.depart(), companion_sdk.ConnectionFailed("refused"))
    trip = mine.depart()
    trip.depart()
    mine.opened(trip, 200, KIND)
    assert mine.ended(trip) == 16.0, "opened and ended at once: no better than a miss"
    trip = mine.depart()
    trip.depart()
    mine.opened(trip, 200, KIND)
    clock.seconds += 61
    assert mine.ended(trip) == 0.5


def test_the_services_own_wish_is_kept_and_bounded(watch):
    mine = watch()
    heard(mine, b"retry: 3000\n\n")
    assert mine.ended(mine.depart()) == 3.5
    asked = Answer(503, {"retry-after": "20"}, b"")
    assert mine.refused(mine.depart(), asked) == 21.0
    assert mine.refused(mine.depart(), Answer(429, {"retry-after": "9999"}, b"")) == 62.0


@pytest.mark.parametrize("status", [200, 204, 302, 429, 500, 502, 503, 504])
def test_what_says_not_now_is_waited_out(watch, status):
    mine = watch()
    trip = mine.depart()
    assert mine.opened(trip, status, {"content-type": "text/html"}) is False
    assert mine.refused(trip, Answer(status, {}, b"<html>Welcome to the hotel")) == 0.5


@pytest.mark.parametrize("word", [word for word, (status, _) in wire.WORDS.items() if 400 <= status < 500 and status != 429])
def test_a_refusal_ends_the_stream_as_its_own_error(watch, word):
    status, title = wire.WORDS[word]
    body = wire.Problem(type=f"/problems/{word}", title=title, status=status, detail="", instance="", request_id="r")
    mine = watch()
    with pytest.raises(companion_sdk.errors.BY_WORD[word]):
        mine.refused(mine.depart(), Answer(status, {}, msgspec.json.encode(body)))


@pytest.mark.parametrize(
    ("given", "most"), [({}, 25.0), ({"deadline": 3.0}, 3.0), ({"timeout": 0.5, "connect_timeout": 0.5}, 1.0)]
)
def test_what_comes_before_the_first_byte_is_bounded_like_a_call(watch, clock, given, most):
    trip = watch(**given).depart()
    trip.depart()
    assert trip.left() == most
    clock.seconds += most
    with pytest.raises(companion_sdk.TimedOut):
        trip.left()


def test_silence_is_three_heartbeats():
    assert SILENCE == 45.0


def test_the_row_and_the_event_are_the_contracts():
    stream = DiarySync.stream(3)
    assert isinstance(stream, Stream)
    assert (stream.event, stream.last_id) == ("changed", 3)
    assert stream.open.read(json.dumps({"seq": 5}).encode()) == wire.Changed(seq=5)
