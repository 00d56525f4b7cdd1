"""What the service says of itself: version, kinds, limits, health; and the crisis resources of a site."""

from collections.abc import Mapping, Sequence

from .base import Reply


class CrisisResource(Reply, frozen=True):
    """One place to reach a person now."""

    name: str
    languages: Sequence[str]
    hours: str
    call: str | None = None
    text: str | None = None
    chat: str | None = None


class Crisis(Reply, frozen=True):
    """Ordered help for a moment of danger. ``monitored`` is always false: nobody watches the diary live."""

    text: str
    resources: Sequence[CrisisResource]
    monitored: bool
    hours: str
    plan_url: str | None = None


class Service(Reply, frozen=True):
    """What this server understands: ``kinds`` maps each kind to its fields."""

    version: str
    kinds: Mapping[str, Sequence[str]]
    limits: Mapping[str, int]
    features: Sequence[str]


class Health(Reply, frozen=True):
    """``checks`` names each condition with ``ok`` or the reason it is not."""

    status: str
    checks: Mapping[str, str]
