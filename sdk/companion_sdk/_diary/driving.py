"""Runs the engine's steps over a link: failures go back into the steps, which decide what they mean.

The file is never touched on an event loop: there each piece of work between two calls is done in a thread.
"""

import asyncio
from typing import Any, Generic, TypeVar, cast

import msgspec

from companion_sdk._call import Call, Steps
from companion_sdk._transport import AsyncLink, SyncLink
from companion_sdk.client import AsyncCompanion, Companion
from companion_sdk.errors import CompanionError

T = TypeVar("T")


class Done(msgspec.Struct, Generic[T], frozen=True):
    """The steps have ended with this."""

    value: T


def link_of(client: Companion) -> SyncLink:
    """What carries a client's calls."""
    return client._link  # pyright: ignore[reportPrivateUsage]


def async_link_of(client: AsyncCompanion) -> AsyncLink:
    """What carries a client's calls."""
    return client._link  # pyright: ignore[reportPrivateUsage]


def advance(steps: Steps[T], answer: object, failure: CompanionError | None) -> "Call[Any] | Done[T]":
    """Give the steps what their last call came to; their next call, or their result."""
    try:
        return steps.send(answer) if failure is None else steps.throw(failure)
    except StopIteration as ended:
        return Done(cast("T", ended.value))


def run(link: SyncLink, steps: Steps[T]) -> T:
    """The result of the steps."""
    answer: object = None
    failure: CompanionError | None = None
    while not isinstance(call := advance(steps, answer, failure), Done):
        try:
            answer, failure = link.send(call), None
        except CompanionError as error:
            answer, failure = None, error
    return call.value


async def run_on_loop(link: AsyncLink, steps: Steps[T]) -> T:
    """The result of the steps."""
    answer: object = None
    failure: CompanionError | None = None
    while not isinstance(call := await asyncio.to_thread(advance, steps, answer, failure), Done):
        try:
            answer, failure = await link.send(call), None
        except CompanionError as error:
            answer, failure = None, error
    return call.value
