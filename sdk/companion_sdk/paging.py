"""Lists that come in pages: one page, and how to walk them all. Knows no route."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from ._call import Call
    from ._transport import AsyncLink, SyncLink

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Some of a list. ``next`` goes into ``cursor=`` to resume after it, today or tomorrow; None at the end."""

    items: Sequence[T]
    next: str | None


class Listing(Generic[T]):
    """A list you can walk: ``for item in listing`` fetches pages as it goes; ``listing.pages()`` gives the pages.

    Nothing is fetched before the first step, and every new loop begins again.

    Example::

        for entry in client.logs.list():
            print(entry.day, entry.kind)

        for page in client.logs.list(limit=50).pages():
            print(len(page.items), page.next)
    """

    def __init__(self, link: "SyncLink", first: "Call[Page[T]]") -> None:
        self._link = link
        self._first = first

    def __repr__(self) -> str:
        return "<Listing: `for item in …` walks it, list(…) fetches all of it>"

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[T]]:
        """Page by page, each with ``items`` and ``next``."""
        call = self._first
        while True:
            page = self._link.send(call)
            yield page
            if page.next is None:
                return
            call = call.at_cursor(page.next)


class AsyncListing(Generic[T]):
    """A list you can walk: ``async for item in listing`` fetches pages as it goes; ``listing.pages()`` gives the pages.

    Nothing is fetched before the first step, and every new loop begins again.

    Example::

        async for entry in client.logs.list():
            print(entry.day, entry.kind)

        async for page in client.logs.list(limit=50).pages():
            print(len(page.items), page.next)
    """

    def __init__(self, link: "AsyncLink", first: "Call[Page[T]]") -> None:
        self._link = link
        self._first = first

    def __repr__(self) -> str:
        return "<AsyncListing: `async for item in …` walks it>"

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Page by page, each with ``items`` and ``next``."""
        call = self._first
        while True:
            page = await self._link.send(call)
            yield page
            if page.next is None:
                return
            call = call.at_cursor(page.next)
