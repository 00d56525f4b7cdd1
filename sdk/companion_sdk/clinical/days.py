"""Which calendar day an instant falls on for a person; knows time zones and no diary.

Days are local calendar dates, never hours divided by 24: a day may last 23, 23.5, 24.5 or 25 hours, and one that a
country skipped (Apia, 2011-12-30) belongs to nobody.
"""

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

_NOT_PLACES = ("posix/", "right/", "localtime", "posixrules", "Factory")
"""Files of a zone database that name no place: leap-second copies, and the zone of the machine itself."""


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The time zone with this IANA name.

    Raises:
        ValueError: when there is no such zone (also for a name that names a folder or leaves the zone database).
    """
    if not name.startswith(_NOT_PLACES):
        try:
            return ZoneInfo(name)
        except (KeyError, OSError, ValueError):
            pass  # zoneinfo tells a missing zone, a folder and a bad path by three different exceptions
    raise ValueError("no such time zone")


def local_day(at: datetime, zone: str) -> date:
    """The calendar date on the wall of someone in ``zone`` at the instant ``at``.

    Raises:
        ValueError: when ``at`` has no offset, or the zone is unknown.
    """
    if at.tzinfo is None:
        raise ValueError("an instant needs an offset")
    return at.astimezone(zone_of(zone)).date()


def days_between(earlier: date, later: date) -> int:
    """Calendar days from ``earlier`` to ``later``: 0 on the same date, negative when ``later`` comes first."""
    return later.toordinal() - earlier.toordinal()
