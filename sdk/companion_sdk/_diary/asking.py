"""What both diaries do with an app's arguments before anything is touched."""

from datetime import date, datetime
from uuid import UUID

from companion_sdk._call import path_id

from .reading import Days
from .shapes import Entry


def which(entry: Entry | UUID | str) -> Entry | UUID:
    """An entry, or the id of one."""
    return entry if isinstance(entry, Entry) else UUID(path_id(entry))


def own_id(id: UUID | str | None) -> UUID | None:
    """The id that the app made, if it made one."""
    return None if id is None else UUID(path_id(id))


def days(first: date | None, last: date | None) -> Days:
    """Local days; a moment is none."""
    if isinstance(first, datetime) or isinstance(last, datetime):
        raise TypeError("from_ and to are local calendar days: pass dates, not datetimes")
    return Days(first, last)


def sign_in_zone(zone: str | None) -> str:
    """The zone to sign in with."""
    if zone is None:
        raise ValueError('this device does not tell its time zone: give one, as in zone="America/New_York"')
    return zone


def no_client() -> ValueError:
    """The error for a diary that nobody told where the service is."""
    return ValueError("this diary has no client: give it one, as in Diary(path, client) or diary.client = client")
