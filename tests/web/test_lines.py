"""What the log says: one line a request, the way to a failure, and never what a person wrote."""

import asyncio
import json
import re
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from support.cast import Cast, monday
from support.stage import stage
from web.table import ROUTES, furnish

from companion.logs import service as logs
from companion.people import service as people
from companion.web import problems

LINE = re.compile(
    r"\S+T\S+ info request method=(\w+) route=(\S+) status=(\d{3}) ms=\d+\.\d request_id=([0-9a-f-]{36}) caller=(\w+)"
)


def read(cast: Cast, log: StringIO) -> list[str]:
    cast.running.lines.flush()
    found = log.getvalue().splitlines()
    log.truncate(0)
    log.seek(0)
    return found


async def test_each_request_is_one_line(start: Any) -> None:
    log = StringIO()
    async with asyncio.timeout(60), stage(start, log=log) as cast:
        place = await furnish(cast)
        for route in ROUTES:
            read(cast, log)
            answer = await cast.ana.call(route.method, place.at(route), json=place.bodies.get(route.name))
            while not (lines := read(cast, log)):  # that of a stream comes when the service sees that nobody listens
                await asyncio.sleep(0.01)
            (line,) = lines
            match = LINE.fullmatch(line)
            assert match, line
            expected = (route.method, route.path, str(answer.status_code), answer.headers["x-request-id"], "bearer")
            assert match.groups() == expected
            if route.name == "signOut":
                break
        read(cast, log)
        for method, path, expected in (
            ("GET", "/v1/me", ("GET", "/v1/me", "401", "anonymous")),
            ("GET", f"/v1/{uuid4()}", ("GET", "-", "401", "anonymous")),
            ("HEAD", "/v1/service", ("HEAD", "/v1/service", "200", "anonymous")),
            ("GET", "/%D9%A1", ("GET", "-", "401", "anonymous")),
        ):
            await cast.http.request(method, path)
            (line,) = read(cast, log)
            match = LINE.fullmatch(line)
            assert match, line
            assert (match[1], match[2], match[3], match[5]) == expected


async def test_no_id_token_or_query_is_in_a_line(start: Any) -> None:
    log = StringIO()
    async with stage(start, log=log) as cast:
        place = await furnish(cast)
        read(cast, log)
        await cast.ana.get(f"/v1/patients/{cast.ana.id}/logs?from=2026-01-01&kind=mood")
        await cast.ana.get(f"/v1/patients/{cast.ana.id}/logs/{place.ids['log']}?access_token=zzsecret")
        await cast.ana.get("/v1/zzpath/zzpath")
        text = "\n".join(read(cast, log))
        for word in (str(cast.ana.id), place.ids["log"], cast.ana.token, "2026-01-01", "zzsecret", "zzpath", "kind"):
            assert word not in text, word


class Broken(Exception):
    pass


def broken(*_: Any, **__: Any) -> Any:
    raise Broken("zzcanaryzz said the patient")


@pytest.mark.parametrize("style", ["text", "json"])
async def test_a_failure_is_found_by_its_request_id(start: Any, style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 says nothing but the id; the line under that id has the exception's class and frames and no value of anybody."""
    log = StringIO()
    async with stage(start, log=log, log_format=style) as cast:
        monkeypatch.setattr(logs.store, "current", broken)
        monkeypatch.setattr(people.store, "patient", broken)
        for method, path in (
            ("PUT", f"/v1/patients/me/logs/{uuid4()}"),
            ("GET", f"/v1/patients/me/logs/{uuid4()}"),
            ("GET", "/v1/patients/me"),
        ):
            read(cast, log)
            entry = cast.ana.entry(monday(), kind="note", text="zzcanaryzz")
            answer = await cast.ana.call(method, path, json=entry)
            assert answer.status_code == 500
            body = answer.json()
            assert (body["type"], body["errors"]) == ("/problems/internal", [])
            for word in ("zzcanaryzz", "Broken", "Traceback", ".py"):
                assert word not in answer.text
            lines = [line for line in read(cast, log) if body["request_id"] in line]
            assert len(lines) == 2
            failure = next(line for line in lines if "Broken" in line)
            assert "test_lines.py" in failure
            assert "broken" in failure
            assert "service.py" in failure
            assert "zzcanaryzz" not in "".join(lines)
            if style == "json":
                told = [json.loads(line) for line in lines]
                assert {one["action"] for one in told} == {"failure", "request"}
                failed = next(one for one in told if one["action"] == "failure")
                assert (failed["level"], failed["error"]) == ("error", "Broken")
                assert failed["route"].startswith("/v1/patients/{patient}")
        monkeypatch.undo()
        assert (await cast.ana.get("/v1/me")).status_code == 200


async def test_a_failure_outside_a_handler_is_in_the_log_too(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = StringIO()
    async with stage(start, log=log) as cast:
        monkeypatch.setattr(problems, "answer", broken)
        read(cast, log)
        answer = await cast.ana.get("/v1/nothing")
        assert answer.status_code == 500
        monkeypatch.undo()
        text = "\n".join(read(cast, log))
        assert "Broken" in text
        assert "zzcanaryzz" not in text + answer.text
        assert "request method=GET" in text


async def test_a_caller_who_hangs_up_is_no_failure(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the answer is made, while it waits for the disk: the unit ends, and no error line is written."""
    import threading

    log = StringIO()
    async with stage(start, log=log) as cast:
        go_on = threading.Event()
        current = logs.store.current

        def slow(*given: Any) -> Any:
            assert go_on.wait(10)
            return current(*given)

        monkeypatch.setattr(logs.store, "current", slow)
        read(cast, log)
        tasks = [
            asyncio.create_task(
                cast.ana.put(f"/v1/patients/me/logs/{uuid4()}", cast.ana.entry(monday(), kind="mood", mood=1))
            )
            for _ in range(3)
        ]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        go_on.set()
        await asyncio.sleep(0.2)
        monkeypatch.undo()
        assert (await cast.ana.get("/v1/patients/me/logs")).status_code == 200
        lines = read(cast, log)
        assert not [line for line in lines if " error " in line or "status=5" in line], lines
        assert len([line for line in lines if "method=PUT" in line]) == 3
