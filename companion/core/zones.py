"""Time zone names that exist, by the pinned tzdata package and never the machine's own copy."""

import zoneinfo
from functools import cache

zoneinfo.reset_tzpath(())


@cache
def names() -> frozenset[str]:
    """Every IANA zone name of the pinned tzdata."""
    return frozenset(zoneinfo.available_timezones()) - {"Factory", "localtime"}


def exists(name: str) -> bool:
    """Whether ``name`` is an IANA zone, spelled as IANA spells it."""
    return name in names()
