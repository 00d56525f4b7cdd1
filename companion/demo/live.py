"""A little life while somebody looks: now and then Fay writes an entry. Ana and Ben are left to the visitor."""

import asyncio
from collections.abc import Callable
from itertools import cycle

from companion_sdk import CompanionError, Coping, Mood, Sobriety

from .stage import Stage

EVERY = 8.0


async def write_now_and_then(stage: Stage, say: Callable[[str], None]) -> None:
    """Write until cancelled."""
    bodies = cycle(
        [
            Mood(mood=4, note="made-up note: lunch outside"),
            Coping(skill="paced breathing", urge_before=5, urge_after=3),
            Sobriety(sober=True, craving=2),
            Mood(mood=3),
        ]
    )
    for body in bodies:
        await asyncio.sleep(EVERY)
        try:
            log = await stage.fay.client.logs.record(body)
        except CompanionError as error:
            say(f" live: {stage.fay.name} could not write: {error}")
        else:
            say(f" live: {stage.fay.name} logged {log.kind} at {log.at:%H:%M:%S} UTC, revision {log.revision}, stored")
