"""Who is told, in this process and at once, of something that is also found by looking; a missed ring costs a wait."""

from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Bell(Generic[P]):
    """Rings on the event loop, after a commit."""

    def __init__(self) -> None:
        self._listeners: set[Callable[P, None]] = set()

    def listen(self, listener: Callable[P, None]) -> None:
        """Call ``listener`` at each ring, until ``leave``."""
        self._listeners.add(listener)

    def leave(self, listener: Callable[P, None]) -> None:
        """Stop calling it."""
        self._listeners.discard(listener)

    def ring(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Tell everyone who listens; for ``tx.after_commit``."""
        for listener in tuple(self._listeners):
            listener(*args, **kwargs)
