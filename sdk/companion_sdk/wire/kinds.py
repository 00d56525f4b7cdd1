"""The kinds of diary entry: one struct each, one tagged union of all (``Body``).

To add a kind: its struct here and its name in ``Body``, a ``case`` in ``flags`` of ``companion_sdk.clinical.redflags``
(the type checker points there), and one golden file in ``tests/contract/golden``.
"""

from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from .base import Hours, Instant, LongText, Minutes, Name, Scale0to4, Scale0to10, Scale1to5, Sent, Word, Words80, Zone

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

FELLOWSHIPS = (
    "AA",
    "NA",
    "CA",
    "CMA",
    "HA",
    "MA",
    "GA",
    "OA",
    "ACA",
    "SMART",
    "Refuge",
    "Recovery Dharma",
    "LifeRing",
    "WFS",
    "Celebrate Recovery",
    "Al-Anon",
    "Nar-Anon",
    "other",
)
"""Mutual-help fellowships by the names they use themselves."""

if TYPE_CHECKING:
    Fellowship = str
else:
    Fellowship = Literal[FELLOWSHIPS]

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


class Medication(Sent, frozen=True, tag_field="kind", tag="medication"):
    """One dose, or the end of one medication, in the person's own words; ``due_at`` is when the dose was due."""

    medication: Words80
    status: Literal["taken", "missed", "late", "stopped"]
    dose: Words80 | None = None
    due_at: Instant | None = None


class Meeting(Sent, frozen=True, tag_field="kind", tag="meeting"):
    """A mutual-help meeting. ``step`` is the step of twelve that was worked on."""

    fellowship: Fellowship
    format: Literal["in_person", "online", "phone"] | None = None
    minutes: Minutes | None = None
    step: Annotated[int, Meta(ge=1, le=12)] | None = None
    sponsor_contact: bool | None = None
    note: LongText | None = None


class Eating(Sent, frozen=True, tag_field="kind", tag="eating"):
    """How eating went, free of numbers: no weight, no calories. Urges are 0–10; ``acted``: on one of them."""

    meals_kept: Literal["none", "some", "most", "all"] | None = None
    urge_restrict: Scale0to10 | None = None
    urge_binge: Scale0to10 | None = None
    urge_purge: Scale0to10 | None = None
    acted: bool | None = None
    note: LongText | None = None


class Functioning(Sent, frozen=True, tag_field="kind", tag="functioning"):
    """How life goes, each part 0 (not at all) to 4 (as well as ever)."""

    work: Scale0to4 | None = None
    school: Scale0to4 | None = None
    family: Scale0to4 | None = None
    social: Scale0to4 | None = None
    self_care: Scale0to4 | None = None
    home_supportive: Literal["yes", "partly", "no"] | None = None
    note: LongText | None = None


class Withdrawal(Sent, frozen=True, tag_field="kind", tag="withdrawal"):
    """Withdrawal now: how bad (0–10), with which symptoms, and whether the person fears for their health."""

    severity: Scale0to10
    symptoms: Annotated[Sequence[Word], Meta(max_length=12)] = ()
    medical_concern: bool | None = None
    note: LongText | None = None


class Activity(Sent, frozen=True, tag_field="kind", tag="activity"):
    """Something done; ``enjoyed`` 0 (not at all) to 4 (very much)."""

    what: Name
    minutes: Minutes | None = None
    with_others: bool | None = None
    enjoyed: Scale0to4 | None = None


class Goal(Sent, frozen=True, tag_field="kind", tag="goal"):
    """How far a goal of the person's own came."""

    goal: Annotated[str, Meta(min_length=1, max_length=200)]
    progress: Literal["none", "some", "done"]
    note: LongText | None = None


class PlanSection(Sent, frozen=True):
    """One part of a crisis plan, such as "People I can call"."""

    title: Name
    text: LongText


class SafetyPlan(Sent, frozen=True, tag_field="kind", tag="safety_plan"):
    """The person's own crisis plan: sections in the order to read them. One a patient, at ``safety_plan_id``."""

    sections: Annotated[Sequence[PlanSection], Meta(max_length=20)]


Body = (
    Mood | Sobriety | Coping | Note | Medication | Meeting | Eating | Functioning | Withdrawal | Activity | Goal | SafetyPlan
)
"""Every kind this version knows; decoded by its ``kind``."""

KINDS: dict[str, type[msgspec.Struct]] = {str(struct.__struct_config__.tag): struct for struct in get_args(Body)}
"""Name of a kind to its struct."""

GUARDED = frozenset({"safety_plan"})
"""Kinds of which a stale copy may never overwrite a newer one: a push with another base is a conflict."""

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


def as_stored(body: Body) -> Body:
    """The same content as it is stored and answered: its instants in UTC, and a list that was sent empty left out."""
    empty = {name: () for name in _LISTS[type(body)] if getattr(body, name) == []}
    if empty:
        body = msgspec.structs.replace(body, **empty)
    if isinstance(body, Sobriety) and any(use.at is not None for use in body.uses):
        return msgspec.structs.replace(body, uses=[_use_in_utc(use) for use in body.uses])
    if isinstance(body, Medication) and body.due_at is not None:
        return msgspec.structs.replace(body, due_at=body.due_at.astimezone(UTC))
    return body


def _lists(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields that may be left out and are lists."""
    defaults = struct.__struct_defaults__
    optional = struct.__struct_fields__[-len(defaults) :] if defaults else ()
    return tuple(name for name, default in zip(optional, defaults, strict=True) if default == ())


_LISTS = {struct: _lists(struct) for struct in KINDS.values()}


def _use_in_utc(use: Use) -> Use:
    return use if use.at is None else msgspec.structs.replace(use, at=use.at.astimezone(UTC))


def kind_of(body: Body) -> str:
    """The kind's name, as stored and as sent."""
    return str(body.__struct_config__.tag)


__all__ = [
    "FELLOWSHIPS",
    "GUARDED",
    "KINDS",
    "SUBSTANCES",
    "Activity",
    "Body",
    "Coping",
    "Eating",
    "Fellowship",
    "Functioning",
    "Goal",
    "KindName",
    "LogIn",
    "Medication",
    "Meeting",
    "Mood",
    "Note",
    "PlanSection",
    "SafetyPlan",
    "Sobriety",
    "Source",
    "Substance",
    "Use",
    "Withdrawal",
    "as_stored",
    "kind_of",
]
