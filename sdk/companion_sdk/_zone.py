"""Which IANA time zone this device says it is in. Knows nothing of entries or people."""

import os
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_NOWHERE = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Universal", "Zulu", "GMT", "Etc/GMT", "localtime"})
_LINK = Path("/etc/localtime")


def local_zone(link: Path = _LINK) -> str | None:
    """The device's IANA zone, or None where it cannot be told.

    A machine set to UTC is a server or a container more often than a person in UTC: it counts as not told, so that no
    diary day is computed in UTC by accident.
    """
    name = os.environ.get("TZ", "").removeprefix(":") or _linked(link)
    if name in _NOWHERE or not _known(name):
        return None
    return name


def _linked(link: Path) -> str:
    """``America/New_York`` of a link to ``/usr/share/zoneinfo/America/New_York``."""
    try:
        target = link.readlink().as_posix()
    except OSError:
        return ""
    return target.partition("zoneinfo/")[2]


def _known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
