"""Open streams: what keeps them told."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

from companion.core.actors import Bearer
from companion.core.bell import Bell
from companion.web import live


async def test_a_look_that_fails_as_nobody_foresaw_is_told_and_the_next_one_is_made() -> None:
    looks, failed = 0, list[BaseException]()

    async def look(streams: Any) -> list[None]:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("made up")
        return [None] * len(streams)

    bell: Bell[[UUID]] = Bell()
    events = live.Live(look, bell, failed.append).watch(Bearer("made up"), "me", uuid4(), 0, 0)
    async with asyncio.timeout(5):
        assert [event async for event in events] == [b"retry: 2000\n: open\n\n"]
    assert (looks, len(failed)) == (2, 1)
