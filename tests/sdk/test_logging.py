"""What the SDK writes to the log: who reads it learns that a call was made, and nothing about anyone."""

import logging
import re
import socket
import threading
from datetime import UTC, datetime
from uuid import UUID

import httpx2
import pytest

from companion_sdk import Companion, CompanionError, LogIn, Mood, Note
from companion_sdk.wire import PlanSection, Push, PushOp

CANARIES = {
    "token": "cmp_CANARYTOKEN",
    "patient": "0192e4a0-dead-7000-8000-00000000beef",
    "log": "0192e4a0-feed-7000-8000-00000000cafe",
    "words": "CANARYWORDS",
    "substance": "CANARYSUBSTANCE",
    "cursor": "CANARYCURSOR",
    "code": "CANARYCODE",
    "seq": "86753098675309",
}
CANARY_SEQ = int(CANARIES["seq"])
CALLS = 11
LINE = r"(GET|PUT|POST) /v1/[a-z{}/-]+ 404 \d+ ms request=[0-9a-f-]{36} attempt=1"


def everything(client: Companion) -> None:
    """Calls with something of a person in every place a call has."""
    one = CANARIES["patient"]
    calls = (
        lambda: client.logs.record(Note(text=CANARIES["words"]), id=CANARIES["log"], patient=one, zone="UTC"),
        lambda: client.logs.get(CANARIES["log"], patient=one),
        lambda: client.sobriety.get(substance=f"other:{CANARIES['substance']}"),
        lambda: list(client.logs.list(cursor=CANARIES["cursor"], patient=one)),
        lambda: client.sign_in_with_code(CANARIES["code"]),
        lambda: client.sync.push(pushed(), patient=one),
        lambda: client.sync.pull(CANARIES["cursor"], patient=one),
        lambda: client.sync.digest(CANARY_SEQ, one),
        lambda: list(client.sync.stream(CANARY_SEQ, one)),
        lambda: client.safety_plan.get(one),
        lambda: client.safety_plan.put([PlanSection(title="A", text=CANARIES["words"])], if_match=CANARY_SEQ, patient=one),
    )
    for call in calls:
        with pytest.raises(CompanionError):
            call()


def pushed() -> Push:
    """One operation with something of a person in every place."""
    log = LogIn(at=datetime(2026, 11, 2, tzinfo=UTC), zone="UTC", body=Note(text=CANARIES["words"]))
    op = PushOp(n=CANARY_SEQ, op=UUID(CANARIES["log"]), id=UUID(CANARIES["log"]), base=0, log=log)
    return Push(device=UUID(CANARIES["patient"]), sent_at=log.at, ops=[op])


def assert_nothing_personal(caplog: pytest.LogCaptureFixture) -> None:
    for record in caplog.records:
        told = f"{record.getMessage()} {record.__dict__}".lower()
        for what, canary in CANARIES.items():
            assert canary.lower() not in told, f"{what} in the log of {record.name}"


def test_a_call_is_one_line_with_its_route_and_nothing_personal(clock, caplog):
    caplog.set_level(logging.DEBUG)
    transport = httpx2.MockTransport(lambda _: httpx2.Response(404, text=CANARIES["words"]))
    with Companion("https://companion.example", CANARIES["token"], transport=transport) as client:
        everything(client)
    mine = [record for record in caplog.records if record.name == "companion_sdk"]
    assert len(mine) == CALLS
    assert all(re.fullmatch(LINE, record.getMessage()) for record in mine)
    assert mine[1].getMessage().startswith("GET /v1/patients/{patient}/logs/{log} 404 ")
    assert {record.action for record in mine} == {"sdk.call"}
    assert_nothing_personal(caplog)


def test_the_client_below_is_silent_too(caplog):
    """By a real socket, where httpx2 and httpcore2 log whole URLs and the answer's headers."""
    caplog.set_level(logging.DEBUG)
    link = f"</v1/patients/{CANARIES['patient']}/logs?cursor={CANARIES['cursor']}>; rel=next".encode()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(CALLS):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(
                        b"HTTP/1.1 404 No\r\nlink: " + link + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                    )

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with Companion(f"http://127.0.0.1:{server.getsockname()[1]}", CANARIES["token"]) as client:
            everything(client)
        thread.join(5)
    assert len([record for record in caplog.records if record.name == "companion_sdk"]) == CALLS
    assert_nothing_personal(caplog)


def test_other_calls_of_the_client_below_are_still_logged(client, caplog):
    caplog.set_level(logging.INFO)
    client.me.get()
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200))) as mine:
        mine.get("https://mine.example")
    assert "mine.example" in caplog.text


def test_a_retry_is_a_line_of_its_own(against, caplog):
    caplog.set_level(logging.DEBUG, logger="companion_sdk")
    against(httpx2.ReadTimeout("late"), httpx2.Response(200, json={"status": "ok", "checks": {}})).health.live()
    first, second = (record.getMessage() for record in caplog.records)
    assert " TimedOut " in first
    assert first.endswith("attempt=1")
    assert " 200 " in second
    assert second.endswith("attempt=2")


def test_nothing_is_printed_by_default(client, capfd):
    client.logs.record(Mood(mood=3))
    assert capfd.readouterr() == ("", "")
