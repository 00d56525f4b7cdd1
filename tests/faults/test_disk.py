"""A disk that is full, that lets files grow no further, that goes read-only, and handles that run out: 503 and red, reads
go on, nothing acknowledged is lost, and writes come back without a restart."""

import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from support import disks, load, process
from support.load import Line, Put
from support.process import Patient, Server

BIG = "x" * 4000


def big(number: int) -> Put:
    (put,) = load.entries(1, number)
    put.body["body"]["note"] = BIG
    return put


class Writer:
    """Ana, who writes on whatever the answer."""

    def __init__(self, server: Server, ana: Patient) -> None:
        self.server = server
        self.ana = ana
        self.line = Line(server.port, ana.token)
        self.kept: list[Put] = []
        self.number = 0

    async def write(self) -> tuple[int, dict[str, Any]]:
        """One entry: the status and the answer; kept when it was acknowledged."""
        put = big(self.number)
        self.number += 1
        async with asyncio.timeout(20):
            status, answer = await self.line.ask("PUT", f"/v1/patients/me/logs/{put.id}", json.dumps(put.body).encode())
        if status == 201:
            self.kept.append(put)
        return status, json.loads(answer)

    async def until_refused(self, most: int = 3000) -> dict[str, Any]:
        """Write until the answer is no 201; that answer."""
        for _ in range(most):
            status, answer = await self.write()
            if status != 201:
                assert status == 503, answer
                return answer
        raise AssertionError(f"still written after {most} entries")

    async def wrong(self) -> list[str]:
        """What of the acknowledged is not there as it was written."""
        return load.differences(self.kept, await load.stored(self.server.port, self.ana.token))


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """A server with its files in a folder, and a writer; what still runs is killed."""
    running: list[Writer] = []

    async def start(folder: Path, ana: Patient | None = None, before: Callable[[], None] | None = None) -> Writer:
        options = {"database": f"sqlite:///{folder / 'companion.db'}"}
        patient = ana or (await process.enrol(options))[0]
        server = await process.serve(options, tmp_path / f"serve-{len(running)}.log", before=before)
        running.append(Writer(server, patient))
        return running[-1]

    yield start
    for writer in running:
        writer.line.close()
        writer.server.kill()


def checks(server: Server) -> tuple[int, str]:
    """Readiness: the status, and what it says of storage."""
    answer = server.ready()
    return answer.status_code, answer.json()["checks"]["storage"]


def storage_lines(server: Server) -> list[str]:
    """What the log says of storage: each ``trouble=`` in turn."""
    return [line.rpartition("trouble=")[2] for line in server.lines() if " storage " in line]


def fill(place: Path) -> None:
    """Take the rest of the disk."""
    with (place / "filler").open("ab") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(1024))


async def test_a_full_disk(tmp_path: Path, started: Callable[..., Any], tell: Callable[..., None]) -> None:
    with disks.memory_disk(tmp_path / "disk", 8) as place:
        ballast = place / "ballast"
        ballast.write_bytes(bytes(2 * 1024 * 1024))
        writer: Writer = await started(place)
        problem = await writer.until_refused()
        before = len(writer.kept)
        assert (problem["type"], problem["status"]) == ("/problems/storage-unavailable", 503)
        assert before > 50
        fill(place)
        statuses = [(await writer.write())[0] for _ in range(20)]
        assert set(statuses) == {503}
        assert checks(writer.server) == (503, "SQLITE_FULL")
        assert await writer.wrong() == []

        ballast.unlink()
        assert (await writer.write())[0] == 201
        assert checks(writer.server) == (200, "ok")
        await writer.until_refused()
        assert len(writer.kept) > before + 20
        assert await writer.wrong() == []
        (place / "filler").unlink()

        writer.server.kill()
        again: Writer = await started(place, writer.ana)
        again.kept = writer.kept
        assert await again.wrong() == []
        assert again.server.stop() == 0
        assert storage_lines(writer.server)[:2] == ["SQLITE_FULL", "none"]
        tell(full_disk={"kept": len(writer.kept), "refused": writer.number - len(writer.kept)})


async def test_files_that_may_grow_no_further(tmp_path: Path, started: Callable[..., Any]) -> None:
    """The same without root: a limit on the size of files is an I/O error to SQLite, after which it is opened anew."""
    limit = 3 * 1024 * 1024

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    writer: Writer = await started(tmp_path, before=lower)
    assert (await writer.until_refused())["type"] == "/problems/storage-unavailable"
    assert {(await writer.write())[0] for _ in range(20)} <= {201, 503}
    refused = await writer.until_refused()
    assert refused["status"] == 503
    assert await writer.wrong() == []
    resource.prlimit(writer.server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for _ in range(50):
        assert (await writer.write())[0] == 201
    assert checks(writer.server) == (200, "ok")
    assert await writer.wrong() == []
    assert storage_lines(writer.server)[0].startswith("SQLITE_IOERR")
    assert storage_lines(writer.server)[-1] == "none"
    assert writer.server.stop() == 0


async def test_a_disk_that_goes_read_only(tmp_path: Path, started: Callable[..., Any]) -> None:
    with disks.breakable_disk(tmp_path) as disk:
        writer: Writer = await started(disk.place)
        for _ in range(20):
            assert (await writer.write())[0] == 201
        disk.fail()
        for _ in range(5):
            status, problem = await writer.write()
            assert (status, problem["type"]) == (503, "/problems/storage-unavailable")
        status, why = checks(writer.server)
        assert status == 503
        assert why.startswith("SQLITE_")
        assert await writer.wrong() == []
        assert writer.server.stop() == 0
        assert storage_lines(writer.server)[0].startswith("SQLITE_IOERR")
        disk.mend()
        again: Writer = await started(disk.place, writer.ana)
        again.kept = writer.kept
        assert (await again.write())[0] == 201
        assert await again.wrong() == []
        assert again.server.stop() == 0


async def test_a_start_on_a_read_only_disk_is_refused_in_words(tmp_path: Path) -> None:
    with disks.breakable_disk(tmp_path) as disk:
        options = {"database": f"sqlite:///{disk.place / 'companion.db'}"}
        await process.enrol(options)
        disk.fail()
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "companion", "serve", "--port", "0"],
            env=process.environment(options),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert ended.returncode == 1
        assert "companion:" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1


async def test_handles_that_run_out(tmp_path: Path, started: Callable[..., Any]) -> None:
    """New callers wait or fail while others hold every handle; who is connected writes on; then all is as before."""

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    writer: Writer = await started(tmp_path, before=few)
    assert (await writer.write())[0] == 201
    held = [await asyncio.open_connection("127.0.0.1", writer.server.port) for _ in range(100)]
    late = Line(writer.server.port, writer.ana.token)
    try:
        async with asyncio.timeout(1):
            outcome = (await late.ask("GET", "/health/live"))[0]
    except (TimeoutError, OSError):
        outcome = 0
    assert outcome == 0
    for _ in range(10):
        assert (await writer.write())[0] == 201
    for _, stream in held:
        stream.close()
    late.close()
    for _ in range(100):
        try:
            async with asyncio.timeout(1):
                if (await late.ask("GET", "/health/live"))[0] == 200:
                    break
        except (TimeoutError, OSError):
            late.close()
        await asyncio.sleep(0.05)
    else:
        raise AssertionError("no new caller is served after the handles came back")
    late.close()
    assert checks(writer.server) == (200, "ok")
    assert (await writer.write())[0] == 201
    assert await writer.wrong() == []
    assert writer.server.stop() == 0
