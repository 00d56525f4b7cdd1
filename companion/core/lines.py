"""One line a thing that happened, on stderr, as text or JSON: a stable ``action`` and ids, never what a person wrote.

Lines are gathered for ``HOLD_SECONDS`` and written together (a write a request would cost a tenth of a request); a warning,
an error and the end of the process write at once. A log that cannot be written (its disk is full, its reader is gone) loses
lines and harms nothing else.
"""

import _thread
import atexit
import contextlib
import logging
import sys
import threading
import time
import traceback
from typing import TextIO

import msgspec

from .clock import Clock

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
HOLD_SECONDS = 0.05
_HOLD = 100


class Lines:
    """Where log lines go."""

    def __init__(self, clock: Clock, level: str = "info", style: str = "text", out: TextIO | None = None) -> None:
        self._clock = clock
        self._level = LEVELS[level]
        self._json = style == "json"
        self._out = out or sys.stderr
        self._held: list[str] = []
        self._due = False
        self._lock = threading.Lock()
        atexit.register(self.flush)

    def write(self, level: str, action: str, **fields: object) -> None:
        """One line; ``fields`` are ids, words and numbers."""
        weight = LEVELS[level]
        if weight < self._level:
            return
        at = self._clock.now().isoformat(timespec="milliseconds")
        if self._json:
            line = msgspec.json.encode({"at": at, "level": level, "action": action, **fields}).decode()
        else:
            words = " ".join(f"{name}={value}" for name, value in fields.items())
            line = f"{at} {level} {action} {words}"
        with self._lock:
            self._held.append(line)
            now = len(self._held) >= _HOLD or weight >= LEVELS["warning"]
            later = not now and not self._due
            self._due = self._due or later
        if now:
            self.flush()
        elif later:
            _thread.start_new_thread(self._flush_later, ())  # Thread.start would make the event loop wait for it

    def _flush_later(self) -> None:
        time.sleep(HOLD_SECONDS)
        self._due = False
        self.flush()

    def failure(self, action: str, error: BaseException, **fields: object) -> None:
        """An error line with the exception's class and frames, and no values: a message may quote what a person wrote."""
        self.write("error", action, **fields, error=type(error).__name__, frames=frames(error))

    def flush(self) -> None:
        """Write what is held."""
        with self._lock, contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
            held, self._held = self._held, []
            if held:
                self._out.write("\n".join(held) + "\n")
                self._out.flush()


def frames(error: BaseException) -> str:
    """Where an exception came from and what caused it: file names, lines and functions only."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        found = traceback.extract_tb(seen.__traceback__)
        places = ";".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}:{frame.name}" for frame in found[-12:])
        parts.append(f"{type(seen).__name__}@{places}")
        seen = seen.__cause__ or seen.__context__
    return "<-".join(parts)


class Bridge(logging.Handler):
    """Lets libraries' warnings out through the same lines: logger and level, and for an exception its frames."""

    def __init__(self, lines: Lines) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        if record.exc_info and record.exc_info[1] is not None:
            self._lines.failure("library", record.exc_info[1], logger=record.name)
        else:
            self._lines.write(level, "library", logger=record.name, place=f"{record.module}:{record.lineno}")
