"""A phone's processes are killed at random moments between record and acknowledgement: nothing is lost, nothing doubled."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from support import sync_killed
from support.engines import sqlite
from support.sync_services import Real, shared

from companion_sdk import Companion, Diary, Note


def test_everything_recorded_is_on_the_service_once(
    tmp_path: Path, request, full: bool, chosen: int, say: Callable[[object], None]
) -> None:
    """Two processes of the phone at a time, on one file: 12 kills in CI, 200 by ``--full``."""
    kills, chance, began = 200 if full else 12, random.Random(chosen), time.perf_counter()
    path, side = tmp_path / "ana.diary", tmp_path / "side"
    side.touch()
    cut_off = 0
    with shared(sqlite(tmp_path, request)) as service:
        ana = Real(service)
        token = ana.sign_in()
        for life in range(kills // 2):
            started = [_start(path, ana.url, token, side, f"{life}-{twin}") for twin in "ab"]
            before = side.stat().st_size
            while side.stat().st_size == before:
                time.sleep(0.002)
                assert all(process.poll() is None for process in started)
            for process in started:
                time.sleep(chance.random() * 0.1)
                process.kill()
                process.wait()
            with Diary(path) as diary:
                cut_off += diary.unsent > 0
        with Companion(ana.url, token) as client, Diary(path, client, zone="America/New_York") as diary:
            while not diary.sync().done:
                pass
            assert diary.unsent == 0
            assert diary.verify().agrees
            stored = {entry.id: entry for entry in diary.entries()}
            histories = {entry: client.logs.history(entry) for entry in stored}
    recorded = dict(line.split() for line in side.read_text().splitlines())
    assert set(recorded) <= {str(entry) for entry in stored}
    words = [entry.body.text for entry in stored.values() if isinstance(entry.body, Note)]
    assert len(words) == len(set(words)) == len(stored) <= len(recorded) + kills
    assert {entry for entry, lines in histories.items() if len(lines) != 1} == set()
    took = f"{cut_off} times with some unsent, {time.perf_counter() - began:.1f} s"
    say(f"sync, client killed: {kills} kills from seed {chosen}, {len(recorded)} entries once, {took}")
    assert cut_off > 0, "the kills missed the moments they are for"


def _start(path: Path, url: str, token: str, side: Path, name: str) -> "subprocess.Popen[bytes]":
    program = [sys.executable, sync_killed.__file__, str(path), url, token, str(side), name]
    return subprocess.Popen(program, stdout=subprocess.DEVNULL)
