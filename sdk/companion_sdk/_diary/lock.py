"""One writer at a time over all processes that have a diary open. Knows a path beside the file and nothing of what is in it.

SQLite before 3.51.3 can damage a file in WAL mode when two connections write or checkpoint in the same instant, so whoever
does either holds this first. Where SQLite would sleep for longer and longer, this asks again within milliseconds.
"""

import os
import sys
from pathlib import Path

from companion_sdk._clock import Clock
from companion_sdk.errors import DiaryUnavailable

WAIT = 30.0
"""Seconds after which a lock that another process holds is told."""

_SHORTEST, _LONGEST = 0.0002, 0.005

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

    def _give(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _give(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)


class FileLock:
    """A lock on an empty file. Gone with its holder, however that ended; not for two threads on one object."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clock = Clock()
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def acquire(self) -> None:
        """Wait for the lock.

        Raises:
            DiaryUnavailable: another process has held it for too long.
        """
        until = self._clock.monotonic() + WAIT
        pause = _SHORTEST
        while True:
            try:
                return _take(self._handle)
            except OSError:
                if self._clock.monotonic() > until:
                    raise DiaryUnavailable("another process holds this diary") from None
                self._clock.sleep(pause)
                pause = min(pause * 2, _LONGEST)

    def acquire_fresh(self) -> None:
        """As ``acquire``, on the file that stands at the path now: a sign-out takes the old one away."""
        while True:
            self.acquire()
            if self._stands():
                return
            self.close()
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)

    def release(self) -> None:
        """Let the next one have it."""
        _give(self._handle)

    def close(self) -> None:
        """Let go of the file, and so of the lock."""
        os.close(self._handle)

    def _stands(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        mine = os.fstat(self._handle)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)
