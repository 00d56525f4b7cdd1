"""The cast on a service that a test starts itself: its own clock, log or settings."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from companion.running import Running
from support.cast import Cast, gather
from support.first_event import FirstEvent


@asynccontextmanager
async def stage(start: Callable[..., Awaitable[Running]], **options: Any) -> AsyncIterator[Cast]:
    """``start(**options)`` and everybody in place, with a plain client; no stranger is kept waiting unless asked."""
    running = await start(**{"anonymous_burst": 1_000_000, **options})
    async with httpx2.AsyncClient(base_url=running.url, timeout=30, transport=FirstEvent()) as http:
        yield await gather(running, http)
