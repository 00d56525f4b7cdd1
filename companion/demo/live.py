"""A little life while somebody looks: now and then one of the made-up people writes an entry."""

import asyncio
from collections.abc import Callable
from itertools import cycle

from companion_sdk import CompanionError, Coping, Mood

from .stage import Stage

EVERY = 8.0


async def write_now_and_then(stage: Stage, say: Callable[[str], None]) -> None:
    """Write until cancelled."""
    bodies = cycle(
        [
            (stage.ana, Mood(mood=4, note="made-up note: lunch outside")),
            (stage.ben, Coping(skill="paced breathing", urge_before=5, urge_after=3)),
            (stage.ana, Coping(skill="a walk", urge_before=4, urge_after=2)),
            (stage.ben, Mood(mood=3)),
        ]
    )
    for player, body in bodies:
        await asyncio.sleep(EVERY)
        try:
            log = await player.client.logs.record(body)
        except CompanionError as error:
            say(f" live: {player.name} could not write: {error}")
        else:
            say(f" live: {player.name} logged {log.kind} at {log.at:%H:%M:%S} UTC, revision {log.revision}, stored")
