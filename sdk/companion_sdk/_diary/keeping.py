"""Keeps a diary synced from two daemon threads: one syncs, one listens for hints. Never raises into the app.

A record or a hint asks for a sync; after a failure only time does, or a hint stream that was lost and is back. A token that
is no longer good stops both until there is another one.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from companion_sdk._call import State
from companion_sdk._clock import Clock
from companion_sdk.streams import Hints
from companion_sdk.wire import Changed

from .pace import DEBOUNCE, IDLE, LOOK, Failed, Pace, needs_network, needs_sign_in, tell
from .shapes import SyncReport

T = TypeVar("T")

_GOODBYE = 0.4


class Work:
    """What is to be kept going: ``sync`` does a piece, ``hints`` opens a stream, ``news`` says whether a hint is one."""

    def __init__(
        self,
        sync: Callable[[], SyncReport],
        hints: Callable[[], Hints[Changed]],
        news: Callable[[Changed], bool],
        state: State,
        clock: Clock,
    ) -> None:
        self.sync = sync
        self.hints = hints
        self.news = news
        self.state = state
        self.clock = clock


class Keeper:
    """The two threads. ``last_error`` is what went wrong last, None after a sync that went well."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._pace = Pace(work.clock.random)
        self._stopped = threading.Event()
        self._wanted = threading.Event()
        self._back = threading.Event()
        self._asked = False
        self._hint: Changed | None = None
        self._lost = False
        self._hints: Hints[Changed] | None = None
        self._threads = [
            threading.Thread(target=self._keep, name="companion-sync", daemon=True),
            threading.Thread(target=self._listen, name="companion-listen", daemon=True),
        ]
        self.last_error: Exception | None = None

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something happened that a sync should carry."""
        self._asked = True
        self._wanted.set()

    def stop(self) -> None:
        """End both, within a second: a call that still waits for the network is left to its own end."""
        for event in (self._stopped, self._wanted, self._back):
            event.set()
        if (hints := self._hints) is not None:
            hints.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_GOODBYE)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            self._asked, self._hint = False, None
            self._wanted.clear()
            self._back.clear()
            token = self._work.state.token
            failure, more = self._try()
            if failure is None:
                self._pace.went_well()
                if not more:
                    self._until_wanted()
            elif needs_sign_in(failure):
                self._until_another(token)
            else:
                self._lose(failure)
                self._work.clock.wait(self._back, self._pace.after(failure))

    def _until_wanted(self) -> None:
        """Wait for something to do. The hint of what this device sent may come before the sync that sent it has ended."""
        while not self._stopped.is_set():
            woken = self._wanted.wait(IDLE)
            self._stopped.wait(DEBOUNCE)
            self._wanted.clear()
            hint = self._hint
            if not woken or self._asked or hint is None or self._work.news(hint):
                return

    def _try(self) -> tuple[Exception | None, bool]:
        """One sync: what went wrong, and whether there is more to do at once."""
        report = _attempt(self._work.sync)
        failure, more = (report.error, False) if isinstance(report, Failed) else (report.error, report.more)
        if not self._stopped.is_set():
            self.last_error = failure
            tell(failure)
        return failure, more

    def _until_another(self, token: str | None) -> None:
        while self._work.state.token == token and not self._stopped.wait(LOOK):
            pass

    def _lose(self, failure: Exception) -> None:
        """Without a network the stream is opened anew, so that its first hint says that the network is back."""
        if needs_network(failure):
            self._lost = True
            if (hints := self._hints) is not None:
                hints.close()

    def _listen(self) -> None:
        pace = Pace(self._work.clock.random)
        while not self._stopped.is_set():
            token = self._work.state.token
            ended = _attempt(self._hear)
            if not isinstance(ended, Failed):
                pace.went_well()
                self._stopped.wait(LOOK)
            elif needs_sign_in(ended.error):
                self.last_error = ended.error
                self._until_another(token)
            else:
                self._work.clock.wait(self._stopped, pace.after(ended.error))

    def _hear(self) -> None:
        """One stream to its end."""
        self._hints = hints = self._work.hints()
        with hints:
            if self._stopped.is_set():
                return
            for hint in hints:
                if self._lost:
                    self._lost = False
                    self._back.set()
                    self.wake()
                elif self._work.news(hint):
                    self._hint = hint
                    self._wanted.set()


def _attempt(work: Callable[[], T]) -> T | Failed:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - a thread's own end of the line: the app reads last_error
        return Failed(error)
