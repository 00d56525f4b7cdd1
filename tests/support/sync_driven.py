"""The sync machine with phones that keep real diaries."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .sync_machine import SyncMachine
from .sync_real import DiaryPhone, HttpService


@contextmanager
def driven(machine: type[SyncMachine], make: Callable[[], HttpService]) -> Iterator[type[SyncMachine]]:
    """The machine, each history with a service of its own; files lie in memory where there is such a place, to save time."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="companion-sync-", dir=memory if memory.is_dir() else None))

    class Driven(machine):  # type: ignore[valid-type, misc]
        def service(self) -> HttpService:
            self.reached = make()
            return self.reached

        def phone(self, number: int) -> DiaryPhone:
            return DiaryPhone(self.reached.names, self.reached, folder)

        def teardown(self) -> None:
            try:
                super().teardown()
            finally:
                for phone in getattr(self, "phones", ()):
                    phone.kill()
                for file in folder.iterdir():
                    file.unlink()

    try:
        yield Driven
    finally:
        shutil.rmtree(folder)
