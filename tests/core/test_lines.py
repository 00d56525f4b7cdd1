"""Log lines: one a thing that happened, soon written, never a value that a person wrote, never in the way."""

import io
import json
import logging
import threading
import time
from datetime import UTC, datetime

import pytest
from support.clocks import ManualClock

from companion.core import lines
from companion.core.lines import Bridge, Lines


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def test_a_line_has_time_level_action_and_ids(out: io.StringIO) -> None:
    log = Lines(ManualClock(datetime(2026, 3, 2, 12, 0, 0, 5000, tzinfo=UTC)), out=out)
    log.write("info", "request", status=201, request_id="abc")
    log.flush()
    assert out.getvalue() == "2026-03-02T12:00:00.005+00:00 info request status=201 request_id=abc\n"


def test_a_line_as_json(out: io.StringIO) -> None:
    log = Lines(ManualClock(), style="json", out=out)
    log.write("warning", "storage", trouble="SQLITE_FULL")
    assert json.loads(out.getvalue()) == {
        "at": "2026-03-02T12:00:00.000+00:00",
        "level": "warning",
        "action": "storage",
        "trouble": "SQLITE_FULL",
    }


def test_what_is_below_the_level_is_not_written(out: io.StringIO) -> None:
    log = Lines(ManualClock(), level="warning", out=out)
    for level in lines.LEVELS:
        log.write(level, level)
    log.flush()
    assert [line.split()[2] for line in out.getvalue().splitlines()] == ["warning", "error"]


def test_lines_are_written_together_but_soon(out: io.StringIO) -> None:
    """On a quiet service the last line before nothing happens must not wait for a hundred others."""
    log = Lines(ManualClock(), out=out)
    before = threading.active_count()
    for number in range(50):
        log.write("info", "request", number=number)
    assert out.getvalue() == ""
    assert threading.active_count() <= before + 1
    deadline = time.monotonic() + 5
    while not out.getvalue() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(out.getvalue().splitlines()) == 50
    log.write("info", "request", number=50)
    while len(out.getvalue().splitlines()) < 51 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert out.getvalue().splitlines()[-1].endswith("number=50")


@pytest.mark.parametrize("level", ["warning", "error"])
def test_what_is_wrong_is_written_at_once_with_what_came_before(out: io.StringIO, level: str) -> None:
    log = Lines(ManualClock(), out=out)
    log.write("info", "first")
    log.write(level, "second")
    assert [line.split()[2] for line in out.getvalue().splitlines()] == ["first", "second"]


def test_a_hundred_lines_are_written_at_once(out: io.StringIO) -> None:
    log = Lines(ManualClock(), out=out)
    for number in range(100):
        log.write("info", "request", number=number)
    assert len(out.getvalue().splitlines()) == 100


def test_lines_of_many_threads_are_whole_and_each_there_once(out: io.StringIO) -> None:
    log = Lines(ManualClock(), out=out)

    def write(thread: int) -> None:
        for number in range(500):
            log.write("info", "request", id=f"{thread}-{number}")

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.flush()
    ids = [line.rpartition("id=")[2] for line in out.getvalue().splitlines()]
    assert sorted(ids) == sorted(f"{thread}-{number}" for thread in range(4) for number in range(500))


def test_a_failure_names_class_and_places_and_no_value(out: io.StringIO) -> None:
    log = Lines(ManualClock(), out=out)
    secret = "slept badly, drank again"
    try:
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise ValueError(f"cannot read {secret!r}") from error
    except ValueError as error:
        log.failure("failure", error, request_id="abc")
    text = out.getvalue()
    assert secret not in text
    assert "error=ValueError" in text
    assert "request_id=abc" in text
    assert "ValueError@test_lines.py:" in text
    assert "<-KeyError@test_lines.py:" in text
    assert text.count("\n") == 1


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_harms_nothing(out: io.StringIO) -> None:
    for broken in (Full(), closed := io.StringIO()):
        closed.close()
        log = Lines(ManualClock(), out=broken)
        log.write("error", "storage", trouble="SQLITE_FULL")
        log.flush()


def test_a_librarys_warning_comes_through_without_its_words(out: io.StringIO) -> None:
    logger = logging.getLogger("some.library")
    bridge = Bridge(Lines(ManualClock(), out=out))
    logger.addHandler(bridge)
    logger.propagate = False
    try:
        logger.info("nothing")
        logger.warning("the note said %s", "slept badly")
        try:
            raise ValueError("slept badly")
        except ValueError:
            logger.exception("the note said %s", "slept badly")
    finally:
        logger.removeHandler(bridge)
        logger.propagate = True
    first, second = out.getvalue().splitlines()
    assert "warning library logger=some.library place=test_lines:" in first
    assert "error library logger=some.library error=ValueError frames=ValueError@test_lines.py:" in second
    assert "slept" not in out.getvalue()
