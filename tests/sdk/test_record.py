"""Recording an entry: when, where on the clock, under which id."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion_sdk import Companion, Mood, Note
from companion_sdk._clock import Clock, uuid7
from companion_sdk._zone import local_zone

LOG = UUID("0192e4a0-0000-7000-8000-000000000001")


def sent(service) -> dict[str, object]:
    return json.loads(service.seen[-1].content)


@pytest.fixture(autouse=True)
def no_zone(monkeypatch):
    """A device that does not say where it is."""
    monkeypatch.setattr("companion_sdk._endpoints.diary.local_zone", lambda: None)


def test_an_entry_is_of_now_in_the_persons_own_zone(client, service):
    client.logs.record(Mood(mood=4))
    assert sent(service) == {
        "at": "2026-11-02T20:30:00Z",
        "zone": "America/New_York",
        "body": {"kind": "mood", "mood": 4},
        "source": "sdk",
    }
    client.logs.record(Mood(mood=5))
    assert [request.url.path for request in service.seen].count("/v1/me") == 1


def test_signing_in_and_moving_keep_the_zone_up_to_date(client, service):
    client.sign_in("K7QF", device="Phone", zone="UTC")
    client.logs.record(Mood(mood=4))
    client.me.update(zone="America/Los_Angeles")
    client.logs.record(Mood(mood=4))
    assert sent(service)["zone"] == "America/Los_Angeles"
    assert "GET /v1/me" not in [f"{request.method} {request.url.path}" for request in service.seen]


def test_after_signing_out_the_next_persons_zone_is_asked_for(client, service):
    client.logs.record(Mood(mood=4))
    client.sign_out()
    client.logs.record(Mood(mood=4))
    assert [request.url.path for request in service.seen].count("/v1/me") == 2


def test_the_nearest_zone_wins(service, clock, monkeypatch):
    transport = httpx2.MockTransport(service)
    with Companion("https://companion.example", transport=transport, zone="Europe/Vienna") as client:
        monkeypatch.setattr("companion_sdk._endpoints.diary.local_zone", lambda: "Asia/Tokyo")
        client.logs.record(Mood(mood=4), zone="Asia/Kolkata")
        assert sent(service)["zone"] == "Asia/Kolkata"
        client.logs.record(Mood(mood=4))
        assert sent(service)["zone"] == "Europe/Vienna"
    with Companion("https://companion.example", transport=transport) as client:
        client.logs.record(Mood(mood=4))
        assert sent(service)["zone"] == "Asia/Tokyo"


def test_an_entry_can_be_of_another_moment_under_an_id_of_ones_own(client, service):
    evening = datetime(2026, 11, 1, 22, 0, tzinfo=timezone(timedelta(hours=-5)))
    entry = client.logs.record(Note(text="a"), at=evening, id=LOG, source="app", patient=LOG)
    assert (entry.id, entry.at) == (LOG, evening)
    assert sent(service)["at"] == "2026-11-01T22:00:00-05:00"
    assert service.seen[-1].url.path == f"/v1/patients/{LOG}/logs/{LOG}"


def test_a_moment_without_an_offset_is_refused_before_it_is_sent(client, service):
    with pytest.raises(ValueError, match="offset"):
        client.logs.record(Mood(mood=4), at=datetime(2026, 11, 2, 20, 30))  # noqa: DTZ001
    assert service.seen == []


async def test_the_async_client_records_the_same(async_client, service):
    entry = await async_client.logs.record(Mood(mood=4), id=LOG)
    assert (entry.id, sent(service)["zone"]) == (LOG, "America/New_York")


def test_a_correction_keeps_what_is_left_out(client, service):
    entry = client.logs.record(Mood(mood=2), zone="Asia/Kolkata", source="app")
    moved = client.logs.correct(entry, Mood(mood=3))
    assert (moved.at, moved.zone, moved.source, moved.body) == (entry.at, "Asia/Kolkata", "app", Mood(mood=3))


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1))
def test_an_id_is_a_uuid7_of_its_millisecond(milliseconds, randomness):
    made = uuid7(milliseconds, randomness)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == milliseconds
    assert made.int & (2**62 - 1) == randomness & (2**62 - 1)


def test_ids_differ_and_sort_by_time():
    clock = Clock()
    made = [clock.uuid7() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert (made[-1].int >> 80) >= (made[0].int >> 80)


def test_the_clock_reads_this_moment():
    clock = Clock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert 0 <= clock.random() < 1


@pytest.mark.parametrize(
    ("told", "zone"),
    [
        ("America/New_York", "America/New_York"),
        (":Europe/Vienna", "Europe/Vienna"),
        ("UTC", None),
        ("Etc/UTC", None),
        ("EST5EDT4,M3.2.0,M11.1.0", None),
        ("../../etc/passwd", None),
        ("Nowhere/Atall", None),
    ],
)
def test_the_environment_says_where_the_device_is(told, zone, monkeypatch, tmp_path):
    monkeypatch.setenv("TZ", told)
    assert local_zone(tmp_path / "absent") == zone


def test_the_systems_own_link_says_where_the_device_is(monkeypatch, tmp_path):
    monkeypatch.delenv("TZ", raising=False)
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/America/Indiana/Indianapolis")
    assert local_zone(link) == "America/Indiana/Indianapolis"
    assert local_zone(tmp_path) is None
