"""Hints that come as they happen: how to walk them and how to stop. Knows no route and no HTTP client."""

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from ._call import Stream
    from ._transport import AsyncLink, SyncLink

T = TypeVar("T")


class Hints(Generic[T]):
    """Hints to walk as they come: ``for hint in hints`` waits for the next; ``hints.close()`` ends the loop.

    Nothing is sent before the first step. A connection that breaks or falls silent is made again, from where it was,
    after a while that grows from a second to a minute; a refusal (such as 401, 403 or 404) is raised. Of the hints that
    come while you are busy only the newest is kept. Close from any thread, or by ``with``, or by closing the client.

    Example::

        with client.sync.stream() as hints:
            for hint in hints:
                print(hint.seq)
                break
    """

    def __init__(self, link: "SyncLink", stream: "Stream[T]") -> None:
        self._ear = link.listen(stream)

    def __repr__(self) -> str:
        return "<Hints: `for hint in …` waits for each, close() ends it>"

    def __iter__(self) -> Iterator[T]:
        try:
            while (hint := self._ear.next()) is not None:
                yield hint
        finally:
            self._ear.rest()

    def close(self) -> None:
        """End the loop, wherever it waits, and close the connection."""
        self._ear.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncHints(Generic[T]):
    """Hints to walk as they come: ``async for hint in hints`` waits for the next; ``await hints.close()`` ends the loop.

    Nothing is sent before the first step. A connection that breaks or falls silent is made again, from where it was,
    after a while that grows from a second to a minute; a refusal (such as 401, 403 or 404) is raised. Of the hints that
    come while you are busy only the newest is kept. Close from any task, or by ``async with``, or by closing the
    client, or cancel the task that waits.

    Example::

        async with client.sync.stream() as hints:
            async for hint in hints:
                print(hint.seq)
                break
    """

    def __init__(self, link: "AsyncLink", stream: "Stream[T]") -> None:
        self._ear = link.listen(stream)

    def __repr__(self) -> str:
        return "<AsyncHints: `async for hint in …` waits for each, close() ends it>"

    async def __aiter__(self) -> AsyncIterator[T]:
        try:
            while (hint := await self._ear.next()) is not None:
                yield hint
        finally:
            await self._ear.rest()

    async def close(self) -> None:
        """End the loop, wherever it waits, and close the connection."""
        await self._ear.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
