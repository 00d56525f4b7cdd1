"""A supervisor of forked processes: starts them one after the other, starts a dead one again, stops all in order.

Knows nothing of what they do. A process whose supervisor is gone (killed) sees its lifeline close and stops too.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

from ..core.clock import Clock
from ..core.lines import Lines
from . import output

One = Callable[[int, Callable[[], None], int], int]
"""What a process runs: its place, what to call once it is ready, its lifeline; the exit code."""

WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
PAUSE = 0.5
"""Seconds before a process that ended is started again."""


class Supervisor:
    """``count`` processes of ``one``, forked before any thread or event loop exists."""

    def __init__(self, count: int, one: One, clock: Clock, lines: Lines) -> None:
        self._count = count
        self._one = one
        self._clock = clock
        self._lines = lines
        self._places: dict[int, int] = {}
        self._lifeline, self._hold = os.pipe()

    def run(self, ready: Callable[[], None]) -> int:
        """Until a signal; the exit code. A first process that cannot start ends everything with its own code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        for place in range(self._count):
            if (code := self._begin(place)) is not None:
                self._stop()
                return code or 1
        ready()
        while signal.sigwait(WATCHED) == signal.SIGCHLD:
            self._start_again()
        self._stop()
        return 0

    def _begin(self, place: int) -> int | None:
        """Fork a process and wait until it is ready: None, or the exit code of one that ended before."""
        told, tell = os.pipe()
        self._lines.flush()
        pid = os.fork()
        if pid == 0:
            os.close(told)
            os.close(self._hold)
            self._child(place, tell)
        os.close(tell)
        self._places[pid] = place
        is_ready = os.read(told, 1) == b"1"
        os.close(told)
        if is_ready:
            return None
        _, status = os.waitpid(pid, 0)
        del self._places[pid]
        return os.waitstatus_to_exitcode(status)

    def _child(self, place: int, tell: int) -> None:
        """The rest of the forked process's life."""
        code = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
            code = self._one(place, lambda: _tell(tell), self._lifeline)
        except output.expected() as error:
            sys.stderr.write(f"companion: {output.words(error)}\n")
        except BaseException as error:  # noqa: BLE001 - a forked process must never return into its parent's stack
            self._lines.failure("worker-failed", error, place=place)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _start_again(self) -> None:
        """Start what ended again, in its place."""
        for pid, place in list(self._places.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._places[pid]
            self._lines.write("warning", "worker-ended", pid=pid, place=place, status=os.waitstatus_to_exitcode(status))
            code: int | None = 0
            while code is not None:
                time.sleep(PAUSE)
                if signal.sigpending() & {signal.SIGTERM, signal.SIGINT}:
                    return
                code = self._begin(place)

    def _stop(self) -> None:
        """Tell every process, and wait for them."""
        for pid in self._places:
            os.kill(pid, signal.SIGTERM)
        for pid in self._places:
            os.waitpid(pid, 0)
        self._places.clear()
        os.close(self._hold)
        os.close(self._lifeline)
        self._lines.flush()


def _tell(pipe: int) -> None:
    os.write(pipe, b"1")
    os.close(pipe)
