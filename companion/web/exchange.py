"""What belongs to one HTTP exchange: its id, its caller, and the service it talks to."""

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..core import beats, ids
from ..core.actors import ANONYMOUS, Bearer, Caller, System
from ..core.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.clock import Clock
    from ..core.db import Database
    from ..core.lines import Lines
    from ..settings import Settings
    from .live import Live

Scope = MutableMapping[str, Any]
"""A connection as ASGI describes it."""

PROOF = 1.0
"""Seconds for which a write that worked proves that writes work."""

STALE = 30.0
"""Seconds without a heartbeat after which the service is not ready."""


class Site:
    """The running service as HTTP sees it. ``pulse`` tells how long ago the heartbeat beat; None where none runs."""

    __slots__ = ("_proved", "clock", "db", "lines", "live", "pulse", "settings")

    def __init__(
        self,
        settings: "Settings",
        db: "Database",
        clock: "Clock",
        lines: "Lines",
        live: "Live",
        pulse: "Callable[[], float] | None" = None,
    ) -> None:
        self.settings = settings
        self.db = db
        self.clock = clock
        self.lines = lines
        self.live = live
        self.pulse = pulse
        self._proved = float("-inf")

    async def checks(self) -> dict[str, str]:
        """Each condition of readiness with ``ok`` or what is wrong. Anyone may ask, so one write a second proves it."""
        found = {"storage": "ok", "heartbeat": "ok"}
        now = self.clock.monotonic()
        if self.db.trouble() is not None or now - self._proved >= PROOF:
            try:
                await self.db.write(System("ready"), beats.probe)
                found["storage"] = self.db.trouble() or "ok"
                self._proved = now
            except Problem as problem:
                found["storage"] = self.db.trouble() or problem.word
        if self.pulse is not None and (age := self.pulse()) > STALE:
            found["heartbeat"] = f"last beat {age:.0f} s ago"
        return found


class Exchange:
    """One request and its answer. ``resolved`` turns true once a unit of work has accepted the caller."""

    __slots__ = ("caller", "method", "request_id", "resolved", "site", "started", "status")

    def __init__(self, site: Site, scope: Scope) -> None:
        self.site = site
        self.started = site.clock.monotonic()
        self.status = 0
        self.resolved = False
        self.method = str(scope.get("method", ""))
        self.caller: Caller = ANONYMOUS
        given = ""
        for name, value in scope["headers"]:
            if name == b"authorization":
                # given twice it is nobody's: one reader would take the first, another the last
                self.caller = _caller(value) if self.caller is ANONYMOUS else Bearer("")
            elif name == b"x-request-id":
                given = value.decode("latin-1")
        self.request_id = _checked(given) or ids.request_id()


def _caller(header: bytes) -> Caller:
    scheme, _, token = header.decode("latin-1").partition(" ")
    return Bearer(token.strip() if scheme.lower() == "bearer" else "")


def _checked(given: str) -> str:
    """The id a client sent, if it is a UUID in its usual form."""
    if len(given) != 36:
        return ""
    try:
        return given if str(UUID(given)) == given.lower() else ""
    except ValueError:
        return ""
