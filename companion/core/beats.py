"""A row per recurring thing with the time it last happened: proof for other processes, and a small write that must work."""

from .actors import Actor
from .clock import instant, micros
from .db import Tx
from .errors import Problem
from .sql import sql

_BEAT = sql("INSERT INTO beats (name, at) VALUES (:name, :now) ON CONFLICT (name) DO UPDATE SET at = excluded.at")
_BEATS = sql("SELECT name, at FROM beats ORDER BY name {collate}")
_LAST = sql("SELECT at FROM beats WHERE name = :name")
_FORGET = sql("DELETE FROM beats WHERE name = :name AND at = :at")

RESTORED = "restored"
"""Written into a backup as it is put back; gone once what follows from that is done."""


def beat(tx: Tx, actor: Actor, name: str) -> None:
    """It happened now."""
    if actor.role not in ("system", "operator"):
        raise Problem("not-found")
    tx.run(_BEAT, name=name, now=micros(tx.now))


def probe(tx: Tx, actor: Actor) -> None:
    """A write that shows that writes work."""
    beat(tx, actor, "probe")


def last(tx: Tx, actor: Actor, name: str) -> int | None:
    """When something last happened, in microseconds; None if never."""
    if actor.role not in ("system", "operator"):
        raise Problem("not-found")
    row = tx.one(_LAST, name=name)
    return None if row is None else int(row[0])


def forget(tx: Tx, actor: Actor, name: str, at: int) -> None:
    """Whatever followed from its happening at that time is done; a later time stays."""
    if actor.role not in ("system", "operator"):
        raise Problem("not-found")
    tx.run(_FORGET, name=name, at=at)


def ages(tx: Tx, actor: Actor) -> dict[str, float]:
    """Seconds since each thing last happened."""
    if actor.role not in ("system", "operator"):
        raise Problem("not-found")
    return {row[0]: (tx.now - instant(row[1])).total_seconds() for row in tx.all(_BEATS)}
