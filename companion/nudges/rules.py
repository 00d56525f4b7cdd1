"""When a plan is due, and what to do about one due nudge. Pure: no clock, no database, no channel.

Local time keeps two conventions. C1 (RFC 5545 §3.3.5, PEP 495 fold=0): a wall-clock time that a clock change skips is
read with the offset before the change, so it moves forward by the gap; one that comes twice means the first. C2: one
occurrence a slot and local date, none on a date that a zone skipped (Apia, 2011-12-30), and none that would fall on the
same instant as another slot of its plan.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from companion_sdk import wire
from companion_sdk.clinical.days import zone_of

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LAST = date(9999, 12, 28).toordinal()
"""The last local date that is reckoned with, so that every window ends within the calendar."""


class Occurrence(msgspec.Struct, frozen=True, order=True):
    """One ``slot`` ("HH:MM") of a plan on one local ``date``: goes out from ``due`` until before ``window_end`` (UTC).

    ``key`` names it for ever, also on a phone that shows it by itself. It holds the zone: the same slot and date in
    another zone is another occurrence.
    """

    due: datetime
    slot: str
    date: date
    window_end: datetime
    key: str


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision about one due nudge may depend on, as it stands at the moment of sending.

    ``consent``: that of a plan's author who is not the patient; a patient's own plan needs none, so True. ``logged``:
    an entry of the plan's kind exists for the day. ``last_sent_at`` and ``gap_minutes``: the nudge a gap is kept from,
    and the gap; null when there is none. ``endpoints``: how many addresses of the plan's channels are switched on.
    """

    due_at: datetime
    window_end: datetime
    plan_exists: bool
    consent: bool
    quiet: wire.QuietHours | None
    skip_if_logged: bool
    logged: bool
    zone: str | ZoneInfo
    last_sent_at: datetime | None
    gap_minutes: int | None
    endpoints: int


class Decision(msgspec.Struct, frozen=True):
    """Final for this attempt: send it, or the state it rests in, with the reason that is kept."""

    state: Literal["send", "withheld", "expired", "suppressed", "failed"]
    reason: str


class Wait(msgspec.Struct, frozen=True):
    """Not now: the nudge stays pending and is decided again at ``until`` (UTC)."""

    until: datetime


def next_due(plan: wire.PlanIn, zone: str | ZoneInfo, after: datetime) -> datetime | None:
    """The first instant (UTC) strictly after ``after`` at which the plan is due, or None when it never is again.

    Raises:
        ValueError: when the zone is unknown or ``after`` has no offset.
    """
    first = next(occurrences(plan, zone, after), None)
    return None if first is None else first.due


def occurrences(
    plan: wire.PlanIn, zone: str | ZoneInfo, after: datetime, until: datetime | None = None, key: str = ""
) -> Iterator[Occurrence]:
    """The plan's occurrences with ``after`` < due ≤ ``until``, in the order they are due; without ``until``, for ever.

    ``key`` is the plan's own name (its id). A plan with ``jitter_minutes`` is due a whole number of minutes after its
    slot: the SHA-256 of ``key|slot|date``, so the same for whoever asks; never past the last minute of the window, and
    never moved into quiet hours. The window is not moved by it.

    Raises:
        ValueError: at the first step, when the zone is unknown or ``after`` has no offset.
    """
    if after.tzinfo is None:
        raise ValueError("an instant needs an offset")
    where = _zone(zone)
    after = after.astimezone(UTC)
    earliest = after - timedelta(minutes=plan.jitter_minutes or 0)
    for one in _in_order(plan, where, earliest, key):
        if until is not None and one.due > until:
            return
        if one.due > after:
            yield one


def quiet_until(quiet: wire.QuietHours, zone: str | ZoneInfo, at: datetime) -> datetime | None:
    """The instant (UTC) at which the quiet hours around ``at`` end, or None when ``at`` is not within any.

    Quiet is what the wall clock says: from ``quiet.from_`` (included) to ``quiet.to`` (not included), over midnight
    when ``to`` is the earlier; equal times mean no quiet hours. Exact over clock changes: one that jumps past ``to``
    ends them, one that goes back before ``to`` prolongs them.
    """
    where = _zone(zone)
    end = now = at.astimezone(UTC)
    while left := _quiet_left(quiet, end.astimezone(where)):
        later = end + left
        end = _next_change(where, end, later) or later
    return None if end == now else end


def decide(due: Due, now: datetime) -> Decision | Wait:
    """What to do with one claimed nudge at ``now``; the first reason that holds decides, in this order.

    suppressed ``plan-gone`` · suppressed ``consent-gone`` · withheld ``already-logged`` · expired ``window-closed`` ·
    wait until it is due (a clock was set back) · in quiet hours: wait until they end, or suppressed ``quiet-hours``
    when the window closes by then · suppressed ``min-gap`` · failed ``no-endpoint`` · send ``due``.
    """
    if not due.plan_exists:
        return Decision("suppressed", "plan-gone")
    if not due.consent:
        return Decision("suppressed", "consent-gone")
    if due.skip_if_logged and due.logged:
        return Decision("withheld", "already-logged")
    if now >= due.window_end:
        return Decision("expired", "window-closed")
    if now < due.due_at:
        return Wait(due.due_at)
    if due.quiet is not None and (ends := quiet_until(due.quiet, due.zone, now)) is not None:
        return Wait(ends) if ends < due.window_end else Decision("suppressed", "quiet-hours")
    if _too_soon(due, now):
        return Decision("suppressed", "min-gap")
    if due.endpoints == 0:
        return Decision("failed", "no-endpoint")
    return Decision("send", "due")


def retry_at(now: datetime, attempt: int, draw: float, retry_after: float | None, window_end: datetime) -> datetime:
    """When to try again after failed attempt number ``attempt`` (from 1): full jitter, 5 s doubling up to 10 minutes.

    ``draw`` lies in [0, 1). A provider's ``retry_after`` (seconds) is kept if it is later. Never after the window's end,
    where the nudge is looked at once more and expires. (Exponential Backoff and Jitter, AWS Architecture Blog, 2015.)
    """
    longest = 5.0 * 2.0 ** min(max(attempt - 1, 0), 7)
    wait = max(draw * min(longest, 600.0), retry_after or 0.0)
    return min(now + timedelta(seconds=min(wait, 86_400.0)), window_end)


def _too_soon(due: Due, now: datetime) -> bool:
    if due.last_sent_at is None or due.gap_minutes is None:
        return False
    return now < due.last_sent_at + timedelta(minutes=due.gap_minutes)


def _zone(zone: str | ZoneInfo) -> ZoneInfo:
    return zone_of(zone) if isinstance(zone, str) else zone


def _in_order(plan: wire.PlanIn, zone: ZoneInfo, earliest: datetime, key: str) -> Iterator[Occurrence]:
    """Every occurrence whose slot lies after ``earliest``, in the order they are due.

    A gap or jitter can push an occurrence past those of the next day, so each is held until a day begins before which
    nothing more can be due.
    """
    held: list[Occurrence] = []
    day_before: dict[datetime, str] = {}
    for day in _dates(plan, earliest.astimezone(zone).date()):
        held.sort()
        begins = _begins(day, zone)
        while held and held[0].due < begins:
            yield held.pop(0)
        slots = _slots(plan, zone, day)
        held += [
            _occurrence(plan, zone, day, slot, at, key)
            for at, slot in slots.items()
            if at > earliest and at not in day_before
        ]
        day_before = slots
    yield from sorted(held)


def _dates(plan: wire.PlanIn, local: date) -> Iterator[date]:
    """The plan's local dates from the day before ``local`` on: a slot late on that day may have moved past midnight."""
    first = max(local.toordinal() - 1, 1 if plan.start is None else plan.start.toordinal())
    last = min(_LAST, _LAST if plan.until is None else plan.until.toordinal())
    for ordinal in range(first, last + 1):
        if plan.days is None or _WEEKDAYS[(ordinal - 1) % 7] in plan.days:
            yield date.fromordinal(ordinal)


def _begins(day: date, zone: ZoneInfo) -> datetime:
    """An instant before which no wall clock shows ``day`` or later: midnight, or before the gap that hides it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return min(midnight.astimezone(UTC), midnight.replace(fold=1).astimezone(UTC))


def _slots(plan: wire.PlanIn, zone: ZoneInfo, day: date) -> dict[datetime, str]:
    """The instants (UTC) of the plan's times on ``day`` by C1 and C2; empty when the zone skipped that date."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
    if noon.astimezone(UTC).astimezone(zone).day != day.day:
        return {}
    slots: dict[datetime, str] = {}
    for slot in sorted(plan.times):
        at = noon.replace(hour=int(slot[:2]), minute=int(slot[3:])).astimezone(UTC)
        slots.setdefault(at, slot)
    return slots


def _occurrence(plan: wire.PlanIn, zone: ZoneInfo, day: date, slot: str, at: datetime, key: str) -> Occurrence:
    due = at
    if width := min(plan.jitter_minutes or 0, plan.window_minutes - 1):
        digest = hashlib.sha256(f"{key}|{slot}|{day}".encode()).digest()
        due += timedelta(minutes=int.from_bytes(digest[:8]) % (width + 1))
        if plan.quiet is not None and quiet_until(plan.quiet, zone, due) is not None:
            due = at
    window_end = at + timedelta(minutes=plan.window_minutes)
    return Occurrence(due, slot, day, window_end, f"{key}|{slot}|{day}|{zone.key}")


def _quiet_left(quiet: wire.QuietHours, local: datetime) -> timedelta | None:
    """How far the wall clock is from the end of the quiet hours it is in; None when it is in none."""
    start, end = (timedelta(hours=int(text[:2]), minutes=int(text[3:])) for text in (quiet.from_, quiet.to))
    wall = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    if start <= end:
        return end - wall if start <= wall < end else None
    if wall < end:
        return end - wall
    return end - wall + timedelta(days=1) if wall >= start else None


def _next_change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """The first whole second after ``start``, up to ``end`` (UTC), with another offset than ``start``; by halving."""
    offset = start.astimezone(zone).utcoffset()
    if end.astimezone(zone).utcoffset() == offset:
        return None
    start, seconds = start.replace(microsecond=0), int((end - start).total_seconds()) + 1
    return start + timedelta(
        seconds=bisect_left(
            range(seconds),
            True,
            key=lambda second: (start + timedelta(seconds=second)).astimezone(zone).utcoffset() != offset,
        )
    )
