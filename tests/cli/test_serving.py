"""`companion serve` and `worker` as an operator meets them: start, signals, several processes, what they refuse."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from support.cast import monday
from support.cli import Cli

from companion.core.migrations import read as migrations

QUICK = 1.2
"""Seconds from the start of the program to its first answer, and …"""
IDLE = 90_000_000
"""… bytes it holds when idle: the issue's numbers."""


class Program:
    """One run of ``companion``."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self.folder = folder
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "companion", *arguments],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **variables},
            )

    def line(self) -> str:
        """The next line of its output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def stop(self, name: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(name)
        return self.ended()

    def ended(self) -> int:
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator["Programs"]:
    found = Programs(tmp_path)
    yield found
    found.end()


class Programs:
    """Programs in one folder; ended when the test ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[Program] = []

    def run(self, *arguments: str, **variables: str) -> Program:
        self.all.append(Program(self.folder, *arguments, **variables))
        return self.all[-1]

    def serve(self, *arguments: str, **variables: str) -> tuple[Program, str]:
        """A server on a free port, and its address once it tells it."""
        program = self.run("serve", "--port", "0", *arguments, **variables)
        line = program.line()
        assert line.startswith("Companion listens on http://127.0.0.1:"), (line, program.log)
        return program, line.split()[-1]

    def cli(self) -> Cli:
        return Cli({"database": f"sqlite:///{self.folder}/companion.db"})

    def end(self) -> None:
        for program in self.all:
            if program.process.poll() is None:
                program.process.kill()
                program.ended()


def test_it_answers_soon_and_is_small(programs: Programs) -> None:
    """Counted in its own work, which other programs on the machine do not stretch."""
    spans: list[float] = []
    for _ in range(2):
        program, url = programs.serve()
        assert httpx2.get(f"{url}/v1/service").status_code == 200
        used = psutil.Process(program.process.pid).cpu_times()
        spans.append(used.user + used.system)
        time.sleep(0.5)
        assert psutil.Process(program.process.pid).memory_info().rss <= IDLE
        assert program.stop() == 0
    assert min(spans) < QUICK, spans


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_and_nothing_acknowledged_is_lost(programs: Programs, name: signal.Signals) -> None:
    program, url = programs.serve(COMPANION_CALLER_RATE="1e9", COMPANION_LOG_LEVEL="warning")
    cli = programs.cli()
    clinic = cli("clinic", "add", "North", "--site", "1 North Street")
    ana = cli("patient", "add", "Ana", "--clinic", clinic, "--zone", "UTC")
    headers = {"Authorization": f"Bearer {cli('token', '--patient', ana)}"}
    acknowledged: list[str] = []

    def write() -> None:
        with httpx2.Client(base_url=url, headers=headers) as client:
            for number in range(100_000):
                log = f"00000000-0000-7000-8000-{number:012x}"
                body = {"at": monday().isoformat(), "zone": "UTC", "body": {"kind": "mood", "mood": 3}}
                try:
                    answer = client.put(f"/v1/patients/me/logs/{log}", json=body)
                except httpx2.TransportError:
                    return
                if answer.status_code == 201:
                    acknowledged.append(log)

    thread = threading.Thread(target=write)
    thread.start()
    while len(acknowledged) < 20:
        time.sleep(0.01)
    assert program.stop(name) == 0
    thread.join()
    wal = programs.folder / "companion.db-wal"
    assert not wal.exists(), "the last to close folds the log into the file"
    report = cli.json("verify")
    assert report["ok"]
    assert report["rows"]["logs"] >= len(acknowledged) >= 20
    assert program.log == ""


def test_log_lines_go_to_stderr_as_json(programs: Programs) -> None:
    program, url = programs.serve("--log-format", "json")
    httpx2.get(f"{url}/v1/service")
    assert program.stop() == 0
    lines = [json.loads(line) for line in program.log.splitlines()]
    assert "/v1/service" in [line.get("route") for line in lines]


def test_the_address_can_be_had_as_json(programs: Programs) -> None:
    program = programs.run("serve", "--port", "0", "--json")
    assert program.process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        text += program.process.stdout.readline()
    record = json.loads(text)
    assert record["pid"] == program.process.pid
    assert httpx2.get(f"{record['url']}/health/live").status_code == 200
    assert program.stop() == 0


def test_a_taken_port_is_said_in_one_line_and_nothing_is_made(programs: Programs) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        program = programs.run("serve", "--port", str(port))
        assert program.ended() == 1
    assert program.log.count("\n") == 1
    assert f"127.0.0.1 port {port} is taken" in program.log
    assert [path.name for path in programs.folder.iterdir()] == ["log"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_it_refuses_to_start_with_is_one_line_with_the_fix(programs: Programs, workers: str) -> None:
    programs.cli()("clinic", "add", "North", "--site", "1 North Street")
    key = programs.folder / "companion.db.key"
    key.chmod(0o644)
    program = programs.run("serve", "--port", "0", "--workers", workers)
    assert program.ended() == 1
    assert program.log.count("\n") == 1
    assert "chmod 600" in program.log


def test_a_newer_database_is_refused_by_name_and_left_as_it_is(programs: Programs) -> None:
    cli = programs.cli()
    cli("migrate")
    path = programs.folder / "companion.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={len(migrations()) + 1}")
    connection.close()
    before = path.read_bytes()
    for arguments in (
        ["migrate"],
        ["verify"],
        ["backup", str(programs.folder / "saved")],
        ["clinic", "list"],
        ["clinic", "add", "North", "--site", "x"],
    ):
        result = cli.try_(*arguments)
        assert result.code == 1, arguments
        assert "upgrade Companion" in result.err, (arguments, result)
    for command in ("serve", "worker"):
        program = programs.run(command, *(["--port", "0"] if command == "serve" else []))
        assert program.ended() == 1
        assert "companion.db has schema version" in program.log
    assert path.read_bytes() == before
    assert not (programs.folder / "saved").exists()


def test_workers_share_the_port_and_a_dead_one_is_started_again(programs: Programs) -> None:
    program, url = programs.serve("--workers", "3")
    parent = psutil.Process(program.process.pid)
    workers = {child.pid for child in parent.children()}
    assert len(workers) == 3
    for victim in sorted(workers):
        os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 15
    while len({child.pid for child in parent.children() if child.status() != "zombie"} - workers) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert httpx2.get(f"{url}/v1/service", timeout=10).status_code == 200
    assert program.log.count("worker-ended") == 3
    children = parent.children()
    assert program.stop() == 0
    assert not any(child.is_running() for child in children)


def test_workers_end_when_their_supervisor_was_killed(programs: Programs) -> None:
    program, _ = programs.serve("--workers", "2")
    workers = psutil.Process(program.process.pid).children()
    program.stop(signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


def test_a_worker_beats_beside_a_server_without_scheduler(programs: Programs) -> None:
    served, _ = programs.serve("--no-scheduler")
    cli = programs.cli()

    def heart() -> bool:
        return next(
            one["ok"] for one in json.loads(cli.try_("doctor", "--json").out)["checks"] if one["check"] == "heartbeat"
        )

    assert not heart()
    worker = programs.run("worker")
    assert worker.line() == "Companion sends nudges"
    deadline = time.monotonic() + 10
    while not heart():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert worker.stop() == 0
    assert served.stop() == 0
