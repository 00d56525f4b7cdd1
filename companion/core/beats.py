"""A row per recurring thing with the time it last happened: proof for other processes, and a small write that must work."""

from .actors import Actor
from .clock import instant, micros
from .db import Tx
from .errors import Problem
from .sql import sql

_BEAT = sql("INSERT INTO beats (name, at) VALUES (:name, :now) ON CONFLICT (name) DO UPDATE SET at = excluded.at")
_BEATS = sql("SELECT name, at FROM beats ORDER BY name {collate}")


def beat(tx: Tx, actor: Actor, name: str) -> None:
    """It happened now."""
    if actor.role not in ("system", "operator"):
        raise Problem("not-found")
    tx.run(_BEAT, name=name, now=micros(tx.now))


def probe(tx: Tx, actor: Actor) -> None:
    """A write that shows that writes work."""
    beat(tx, actor, "probe")


def ages(tx: Tx, actor: Actor) -> dict[str, float]:
    """Seconds since each thing last happened."""
    if actor.role not in ("system", "operator"):
        raise Problem("not-found")
    return {row[0]: (tx.now - instant(row[1])).total_seconds() for row in tx.all(_BEATS)}
