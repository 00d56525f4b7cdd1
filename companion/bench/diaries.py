"""What a device feels: how long ``Diary.record`` takes while a sync of the same file runs, against a service beside it."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from companion_sdk import Companion, Diary, Mood

BETWEEN = 0.003
"""Seconds between two entries: a sync must find the file free now and then, as it does on a phone."""


class Felt(msgspec.Struct, frozen=True):
    """Milliseconds of one ``record``, how many there were, and what the sync brought there and here meanwhile."""

    p50: float
    p99: float
    records: int
    pushed: int
    pulled: int


def feel(url: str, token: str, folder: Path, seconds: float) -> Felt:
    """Record for some seconds while another thread syncs without a pause.

    Raises:
        CompanionError: where the sync failed.
    """
    over = threading.Event()
    with Companion(url, token=token) as client, Diary(folder / "bench.diary", client, zone="America/New_York") as diary:
        with ThreadPoolExecutor(1) as pool:
            syncing = pool.submit(_sync, diary, over)
            try:
                took = _record(diary, seconds)
            finally:
                over.set()
        pushed, pulled = syncing.result()
    if not pushed or not pulled:
        raise RuntimeError(f"{pushed} entries went there and {pulled} came here: no sync ran")
    worst = sorted(took)[int(len(took) * 0.99)]
    return Felt(round(statistics.median(took), 2), round(worst, 2), len(took), pushed, pulled)


def _sync(diary: Diary, over: threading.Event) -> tuple[int, int]:
    pushed = pulled = 0
    while not over.is_set():
        report = diary.sync()
        if report.error is not None:
            raise report.error
        pushed += report.pushed
        pulled += report.pulled
    return pushed, pulled


def _record(diary: Diary, seconds: float) -> list[float]:
    took: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        diary.record(Mood(mood=4, energy=3, note="made-up note: slept better than the night before"))
        took.append(1000 * (time.perf_counter() - began))
        time.sleep(BETWEEN)
    return took
