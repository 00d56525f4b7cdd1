"""Which calendar day an instant falls on, at the edges where counting hours goes wrong."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from companion_sdk.clinical.days import days_between, local_day, zone_of

NEW_YORK = "America/New_York"

INSTANTS = [
    ("2026-10-03T15:29:00+00:00", "Australia/Lord_Howe", "2026-10-04", "+10:30, one minute before 02:00"),
    ("2026-10-03T13:29:59+00:00", "Australia/Lord_Howe", "2026-10-03", "+10:30, one second before midnight"),
    ("2026-10-03T13:30:00+00:00", "Australia/Lord_Howe", "2026-10-04", "+10:30, midnight"),
    ("2026-10-04T12:59:59+00:00", "Australia/Lord_Howe", "2026-10-04", "+11:00 after a change of 30 minutes"),
    ("2026-10-04T13:00:00+00:00", "Australia/Lord_Howe", "2026-10-05", "+11:00, midnight"),
    ("2026-11-24T18:14:59+00:00", "Asia/Kathmandu", "2026-11-24", "+5:45, one second before midnight"),
    ("2026-11-24T18:15:00+00:00", "Asia/Kathmandu", "2026-11-25", "+5:45, midnight"),
    ("2011-12-30T09:59:59+00:00", "Pacific/Apia", "2011-12-29", "the last second before the date line moved"),
    ("2011-12-30T10:00:00+00:00", "Pacific/Apia", "2011-12-31", "2011-12-30 never existed"),
    ("2026-11-24T03:29:59+00:00", "America/St_Johns", "2026-11-23", "-3:30, one second before midnight"),
    ("2026-11-24T03:30:00+00:00", "America/St_Johns", "2026-11-24", "-3:30, midnight"),
    ("2026-03-08T04:59:59+00:00", NEW_YORK, "2026-03-07", "the night before the spring change, EST"),
    ("2026-03-08T05:00:00+00:00", NEW_YORK, "2026-03-08", "the 23-hour day begins, EST"),
    ("2026-03-09T03:59:59+00:00", NEW_YORK, "2026-03-08", "the 23-hour day ends, EDT"),
    ("2026-03-09T04:00:00+00:00", NEW_YORK, "2026-03-09", "one hour earlier in UTC than the day before"),
    ("2026-11-01T03:59:59+00:00", NEW_YORK, "2026-10-31", "the night before the autumn change, EDT"),
    ("2026-11-01T04:00:00+00:00", NEW_YORK, "2026-11-01", "the 25-hour day begins, EDT"),
    ("2026-11-02T04:59:59+00:00", NEW_YORK, "2026-11-01", "the 25-hour day ends, EST"),
    ("2026-11-02T05:00:00+00:00", NEW_YORK, "2026-11-02", "one hour later in UTC than the day before"),
    ("2026-11-24T09:59:59+00:00", "Pacific/Kiritimati", "2026-11-24", "+14"),
    ("2026-11-24T10:00:00+00:00", "Pacific/Kiritimati", "2026-11-25", "+14"),
    ("2026-11-24T10:59:59+00:00", "Pacific/Pago_Pago", "2026-11-23", "-11"),
    ("2024-02-29T23:30:00-05:00", NEW_YORK, "2024-02-29", "leap day, sent with its offset"),
]


@pytest.mark.parametrize(("at", "zone", "day", "why"), INSTANTS)
def test_the_day_on_the_wall(at: str, zone: str, day: str, why: str):
    assert local_day(datetime.fromisoformat(at), zone) == date.fromisoformat(day), why


@pytest.mark.parametrize(("at", "zone", "day", "why"), INSTANTS)
def test_the_offset_it_is_sent_with_changes_nothing(at: str, zone: str, day: str, why: str):
    sent = datetime.fromisoformat(at)
    for hours in (-11, -3.5, 0, 5.75, 14):
        assert local_day(sent.astimezone(timezone(timedelta(hours=hours))), zone) == date.fromisoformat(day), why


def test_no_instant_falls_on_the_day_apia_skipped():
    start = datetime(2011, 12, 28, 12, tzinfo=UTC)
    days = {local_day(start + timedelta(minutes=15 * quarter), "Pacific/Apia") for quarter in range(4 * 96)}
    assert days == {date(2011, 12, day) for day in (28, 29, 31)} | {date(2012, 1, 1), date(2012, 1, 2)}


def test_an_instant_without_an_offset_is_refused_rather_than_read_as_this_machine_s_time():
    with pytest.raises(ValueError, match="offset"):
        local_day(datetime.fromisoformat("2026-01-01T00:00:00"), NEW_YORK)


@pytest.mark.parametrize(
    "name",
    [
        *("", "Mars/Olympus", "America", "../etc/passwd", "/etc/localtime", "localtime", "right/UTC", "posix/UTC"),
        *("posixrules", "Factory", "zone.tab", "tzdata.zi", "America/New_York\0", "\ud800", "x" * 5000),
    ],
)
def test_what_names_no_place_is_one_plain_error(name: str):
    with pytest.raises(ValueError, match="no such time zone"):
        zone_of(name)


def test_days_between_are_dates_not_hours():
    assert days_between(date(2024, 2, 28), date(2024, 3, 1)) == 2
    assert days_between(date(2026, 3, 1), date(2026, 3, 1)) == 0
    assert days_between(date(2026, 3, 2), date(2026, 3, 1)) == -1
