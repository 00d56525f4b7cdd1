"""Small disks of a test's own, to be filled or broken. Mounting needs root; where it cannot be the test is skipped, but a
run under CI that could have mounted fails."""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SYS_ADMIN = 21


def _may_mount() -> bool:
    """Whether this process has CAP_SYS_ADMIN."""
    status = Path("/proc/self/status")
    if not status.exists():
        return False
    held = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    return bool(int(held.split()[1], 16) >> _SYS_ADMIN & 1)


def _run(*command: str | Path) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    except (subprocess.SubprocessError, OSError) as error:
        why = f"{command[0]} failed: {getattr(error, 'stderr', '') or error}"
        if os.environ.get("CI") and _may_mount():
            pytest.fail(why)
        pytest.skip(why)


@contextmanager
def memory_disk(place: Path, megabytes: int) -> Generator[Path, None, None]:
    """A tmpfs of so many megabytes."""
    place.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}M,mode=0700", "tmpfs", place)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True, timeout=30)


class Ext4:
    """An ext4 file system in a file, which can be broken as a failing disk breaks it and mended again."""

    def __init__(self, image: Path, place: Path) -> None:
        self.image, self.place = image, place

    def make(self) -> None:
        with self.image.open("wb") as file:
            file.truncate(32 * 1024 * 1024)
        _run("mke2fs", "-q", "-t", "ext4", "-m", "0", self.image)
        self.place.mkdir()
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", self.image, self.place)

    def unmount(self) -> None:
        subprocess.run(["umount", self.place], check=True, timeout=30)

    def fail(self) -> None:
        """What the kernel does when a disk errs: nothing is written any more, handles stay open."""
        _run("mount", "-o", "remount,abort", self.place)

    def mend(self) -> None:
        """Check the file system and mount it again."""
        self.unmount()
        subprocess.run(["e2fsck", "-fy", self.image], capture_output=True, check=False, timeout=30)
        self.mount()


@contextmanager
def breakable_disk(folder: Path) -> Generator[Ext4, None, None]:
    """A small ext4."""
    disk = Ext4(folder / "disk.img", folder / "disk")
    disk.make()
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk.place], check=True, timeout=30)
