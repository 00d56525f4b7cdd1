"""When the SDK tries again: the policy alone, driven over its whole world."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion_sdk._retry import RETRIED, RetryPolicy, retry_after

NOW = datetime(2026, 11, 2, 20, 30, tzinfo=UTC)
FRACTIONS = st.floats(0, 1, exclude_max=True)
STATUSES = st.none() | st.integers(200, 599)
ELAPSED = st.floats(0, 1000)


def policy(fraction: float = 0.5, retries: int = 2, deadline: float = 60.0) -> RetryPolicy:
    return RetryPolicy(random=lambda: fraction, retries=retries, deadline=deadline)


def dated(seconds: float) -> Mapping[str, str]:
    """Headers that ask to wait until ``seconds`` after their own date."""
    return {
        "date": format_datetime(NOW, usegmt=True),
        "retry-after": format_datetime(NOW + timedelta(seconds=seconds), usegmt=True),
    }


@given(st.integers(1, 20), st.integers(0, 10), STATUSES, ELAPSED, FRACTIONS, st.floats(0.1, 500))
def test_a_wait_is_never_negative_never_long_and_never_past_the_deadline(a, retries, status, elapsed, f, deadline):
    wait = policy(f, retries, deadline).next(a, status, {}, elapsed)
    if wait is not None:
        assert 0 <= wait <= 8.0
        assert elapsed + wait < deadline
        assert a <= retries
        assert status is None or status in RETRIED


@given(st.sampled_from(sorted(RETRIED)), FRACTIONS)
def test_the_default_is_two_retries(status, fraction):
    waits = [policy(fraction).next(attempt, status, {}, 0.0) for attempt in (1, 2, 3)]
    assert [wait is not None for wait in waits] == [True, True, False]


@given(st.integers(400, 499).filter(lambda status: status != 429), FRACTIONS)
def test_a_refusal_is_never_sent_again(status, fraction):
    assert policy(fraction).next(1, status, {"retry-after": "1"}, 0.0) is None


@pytest.mark.parametrize("status", [None, 429, 502, 503, 504])
def test_not_now_and_no_answer_are_sent_again(status):
    assert policy().next(1, status, {}, 0.0) is not None


@pytest.mark.parametrize("status", [200, 304, 500, 501, 505])
def test_other_answers_stand(status):
    assert policy().next(1, status, {}, 0.0) is None


@given(st.integers(1, 12), FRACTIONS)
def test_the_jitter_is_full_under_a_doubling_ceiling(attempt, fraction):
    wait = policy(fraction, retries=20).next(attempt, 503, {}, 0.0)
    assert wait == pytest.approx(fraction * min(8.0, 0.5 * 2 ** (attempt - 1)))


@given(st.integers(0, 59))
def test_the_service_says_how_many_seconds(seconds):
    assert policy().next(1, 503, {"retry-after": str(seconds)}, 0.0) == seconds


@given(st.integers(0, 59))
def test_the_service_says_until_when_by_its_own_clock(seconds):
    assert policy().next(1, 503, dated(seconds), 0.0) == seconds


@given(st.integers(60, 10**9))
def test_nobody_waits_longer_than_a_minute(seconds):
    assert policy(deadline=1000).next(1, 429, {"retry-after": str(seconds)}, 0.0) == 60.0
    assert policy(deadline=60).next(1, 429, {"retry-after": str(seconds)}, 0.0) is None


def test_a_date_that_has_passed_means_now():
    assert policy().next(1, 503, dated(-30), 0.0) == 0.0


@given(st.text(max_size=40), st.text(max_size=40))
def test_nonsense_in_the_headers_is_no_instruction_and_no_crash(asked, date):
    said = retry_after({"retry-after": asked, "date": date})
    assert said is None or said >= 0


def test_a_date_without_the_answers_own_date_says_nothing():
    assert retry_after({"retry-after": dated(5)["retry-after"]}) is None


@given(ELAPSED, st.integers(0, 60))
def test_a_wait_that_would_end_past_the_deadline_is_not_begun(elapsed, seconds):
    wait = policy(deadline=60).next(1, 503, {"retry-after": str(seconds)}, elapsed)
    assert (wait is None) == (elapsed + seconds >= 60)
