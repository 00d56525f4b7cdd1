"""Who is told, in this process, that a nudge may be due before the next beat. Knows no nudge; a missed ring costs a beat."""

from collections.abc import Callable

_LISTENERS: set[Callable[[], None]] = set()


def listen(listener: Callable[[], None]) -> None:
    """Call ``listener`` on the event loop at each ring, until ``leave``."""
    _LISTENERS.add(listener)


def leave(listener: Callable[[], None]) -> None:
    """Stop calling it."""
    _LISTENERS.discard(listener)


def ring() -> None:
    """Tell everyone who listens; for ``tx.after_commit``."""
    for listener in tuple(_LISTENERS):
        listener()
