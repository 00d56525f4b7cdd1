"""What a diary tells its app: entries, what needs attention, what a sync did. Plain values; know no file and no service."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from companion_sdk.errors import CompanionError
from companion_sdk.wire import Body, Crisis, Fault, Log

State = Literal["kept", "sent", "needs attention"]
Reason = Literal["rejected", "gone", "conflict"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the diary as this device has it.

    ``state`` says where it stands: ``kept`` (its newest words are on this device only), ``sent`` (the service has them) or
    ``needs attention`` (the service refused words on it: see ``Diary.needs_attention``). ``at`` is UTC; ``day`` is the
    local date there; ``revision`` is the newest that the service told of, 0 for none. An entry of a kind that this version
    does not know has no ``body`` but ``raw``, its content as it came. ``crisis`` comes with an entry just written that
    tells of danger: show it at once.

    Example::

        entry = diary.record(Mood(mood=4, note="A walk helped"))
        print(entry.day, entry.kind, entry.state)
    """

    id: UUID
    kind: str
    at: datetime
    zone: str
    day: date
    source: str
    revision: int
    state: State
    body: Body | None
    raw: Mapping[str, object] | None = None
    crisis: Crisis | None = None


class Attention(msgspec.Struct, frozen=True, kw_only=True):
    """Words the service did not take, kept until they are fixed or discarded; they hold up nothing else.

    ``reason`` is ``rejected`` (``faults`` say where and what), ``gone`` (the entry was deleted meanwhile) or ``conflict``
    (the crisis plan was changed elsewhere: ``current`` is what is stored); ``detail`` says it in a sentence for
    developers. ``body`` is None where the refused thing was a deletion, or of a kind this version does not know.

    Example::

        for refused in diary.needs_attention():
            print(refused.reason, [(fault.pointer, fault.code) for fault in refused.faults])
            if refused.body is not None:
                diary.fix(refused, refused.body, at=refused.at)
            else:
                diary.discard(refused)
    """

    entry_id: UUID
    reason: Reason
    detail: str
    faults: Sequence[Fault]
    body: Body | None
    at: datetime | None
    zone: str | None
    current: Log | None = None


class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one ``sync`` did.

    ``pushed`` operations were answered, ``applied`` of them stored; ``pulled`` changes came; ``attention`` entries were
    newly refused. ``unsent`` entries are left, ``held`` of them until the service understands them. ``more``: there is
    more to do now, call again. ``skew`` is how far the service's clock is ahead of this device's (None: not told).
    ``error`` is why it ended early, where that passes by itself: no network, a busy service. ``crisis`` is the service's
    help where it found danger in what was sent.

    Example::

        report = diary.sync()
        print(report.pushed, report.pulled, report.unsent, report.done)
    """

    pushed: int = 0
    applied: int = 0
    pulled: int = 0
    attention: int = 0
    unsent: int = 0
    held: int = 0
    more: bool = False
    skew: timedelta | None = None
    error: CompanionError | None = None
    crisis: Crisis | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do now."""
        return not self.more and self.error is None


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this device and the service hold the same entries, by SHA-256 over all of them.

    ``here`` and ``there`` count live entries up to the change ``through``; ``unsent`` are on this device only and in
    neither count.

    Example::

        proof = diary.verify()
        print(proof.agrees, proof.here, proof.there, proof.unsent)
    """

    agrees: bool
    here: int
    there: int
    through: int
    unsent: int
