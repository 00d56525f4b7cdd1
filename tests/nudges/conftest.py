"""A service whose scheduler stands still: each test takes the steps itself, on a clock it moves."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from support import receivers
from support.cast import Cast, gather
from support.clocks import ManualClock
from support.nudging import Desk
from support.receivers import Hook, Mailbox

from companion.post.office import Post
from companion.running import Running


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with receivers.hook() as found:
        yield found


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with receivers.mailbox() as found:
        yield found


@pytest.fixture
async def service(start: Any, clock: ManualClock, mailbox: Mailbox) -> Running:
    return await start(clock=clock, scheduler=False, egress_allow="127.0.0.1", smtp_url=mailbox.url)


@pytest.fixture
async def desk(service: Running, clock: ManualClock) -> AsyncIterator[Desk]:
    post = Post(service.settings)
    yield Desk(service, clock, post)
    await post.close()


@pytest.fixture
async def cast(service: Running, http: httpx2.AsyncClient) -> Cast:
    return await gather(service, http)
