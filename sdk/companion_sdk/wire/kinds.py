"""The kinds of diary entry: one struct each, one tagged union of all (``Body``).

To add a kind: its struct here and its name in ``Body``, a ``case`` in ``flags`` of ``companion_sdk.clinical.redflags``
(the type checker points there), and one golden file in ``tests/contract/golden``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from .base import Hours, Instant, LongText, Minutes, Scale0to4, Scale0to10, Scale1to5, Sent, Word, Zone

SUBSTANCES = (
    "alcohol",
    "cannabis",
    "cocaine",
    "methamphetamine",
    "opioids",
    "heroin",
    "fentanyl",
    "benzodiazepines",
    "nicotine",
    "gambling",
    "gaming",
)
"""Substances and behaviours with a fixed name; anything else is ``other:<words>``."""

Substance = Annotated[str, Meta(max_length=46, pattern=rf"^(?:{'|'.join(SUBSTANCES)}|other:[^\x00-\x1f]{{1,40}})$")]
Amount = Annotated[float, Meta(ge=0, le=100_000)]


class Mood(Sent, frozen=True, tag_field="kind", tag="mood"):
    """How the day feels. ``mood`` 1 (very low) to 5 (very good) is the only answer asked for."""

    mood: Scale1to5
    energy: Scale1to5 | None = None
    anxiety: Scale0to10 | None = None
    irritability: Scale0to10 | None = None
    sleep_hours: Hours | None = None
    emotions: Annotated[Sequence[Word], Meta(max_length=12)] = ()
    safe: Literal["yes", "unsure", "no"] | None = None
    note: LongText | None = None


class Use(Sent, frozen=True):
    """One use of one substance or behaviour; ``at`` where the person knows it."""

    substance: Substance
    amount: Amount | None = None
    unit: Word | None = None
    at: Instant | None = None


class Sobriety(Sent, frozen=True, tag_field="kind", tag="sobriety"):
    """A sobriety check-in for the entry's own day. ``uses`` must name what was used when ``sober`` is false."""

    sober: bool
    uses: Annotated[Sequence[Use], Meta(max_length=20)] = ()
    craving: Scale0to10 | None = None
    craving_peak: Scale0to10 | None = None
    triggers: Annotated[Sequence[Word], Meta(max_length=12)] = ()
    recall: Literal["live", "recalled"] | None = None
    note: LongText | None = None

    def __post_init__(self) -> None:
        if not self.sober and not self.uses:
            raise ValueError("`uses` names at least one use when not sober")


class Coping(Sent, frozen=True, tag_field="kind", tag="coping"):
    """A coping skill that was tried, with the urge before and after on 0–10."""

    skill: Annotated[str, Meta(min_length=1, max_length=60)]
    urge_before: Scale0to10 | None = None
    urge_after: Scale0to10 | None = None
    minutes: Minutes | None = None
    helpful: Scale0to4 | None = None
    situation: LongText | None = None
    note: LongText | None = None


class Note(Sent, frozen=True, tag_field="kind", tag="note"):
    """Free words, up to 4,000 characters."""

    text: Annotated[str, Meta(min_length=1, max_length=4000)]


Body = Mood | Sobriety | Coping | Note
"""Every kind this version knows; decoded by its ``kind``."""

KINDS: dict[str, type[msgspec.Struct]] = {str(struct.__struct_config__.tag): struct for struct in get_args(Body)}
"""Name of a kind to its struct."""

if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[tuple(KINDS)]  # one list: adding a kind to Body adds its name wherever names are checked

Source = Literal["app", "sdk", "import", "device"]


class LogIn(Sent, frozen=True):
    """A diary entry as a client sends it: when (``at``), where on the clock (``zone``) and what (``body``)."""

    at: Instant
    zone: Zone
    body: Body
    source: Source = "app"


def kind_of(body: Body) -> str:
    """The kind's name, as stored and as sent."""
    return str(body.__struct_config__.tag)


__all__ = [
    "KINDS",
    "SUBSTANCES",
    "Body",
    "Coping",
    "KindName",
    "LogIn",
    "Mood",
    "Note",
    "Sobriety",
    "Source",
    "Substance",
    "Use",
    "kind_of",
]
