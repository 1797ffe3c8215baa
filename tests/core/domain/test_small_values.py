"""Lengths of time, names, errors as text, retention."""

import math
from datetime import timedelta
from typing import Any

import pytest

from enfila.core.domain.duration import LONGEST, duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.failure import LONGEST_MESSAGE, LONGEST_TRACE, JobError
from enfila.core.domain.job.policies.retention import Retention, RetentionPolicy
from enfila.core.domain.job.state import JobState
from enfila.core.domain.queue import QueueCounts, name
from enfila.core.domain.showing import storable

# ── lengths of time ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "length"),
    [
        (0, timedelta(0)),
        (1.5, timedelta(seconds=1.5)),
        (timedelta(hours=1), timedelta(hours=1)),
        (LONGEST.total_seconds(), LONGEST),
    ],
)
def test_seconds_and_timedeltas_are_lengths(given: Any, length: timedelta) -> None:
    assert duration("wait", given) == length


@pytest.mark.parametrize(
    "given", [-0.001, math.inf, -math.inf, math.nan, True, "1", None, 10**400, -(10**400)]
)
def test_what_is_no_length_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequest, match="wait: "):
        duration("wait", given)


def test_zero_is_refused_where_it_makes_no_sense() -> None:
    with pytest.raises(InvalidRequest, match="more than 0"):
        duration("wait", 0, allow_zero=False)


# ── names ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("given", ["mail", "x" * 255, "ünï 🎉", " ", "a\nb"])
def test_most_texts_are_names(given: str) -> None:
    assert name("queue", given) == given


@pytest.mark.parametrize("given", ["", "x" * 256, "a\x00", "\ud800", None, 7])
def test_what_cannot_be_stored_is_no_name(given: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"queue: .* give 1 to 255 characters"):
        name("queue", given)


# ── errors ───────────────────────────────────────────────────────────────────────────────────


def test_an_error_keeps_type_message_and_trace() -> None:
    with pytest.raises(KeyError) as raised:
        raise KeyError("missing")
    error = JobError.of(raised.value)
    assert (error.type, error.message) == ("KeyError", "'missing'")
    assert error.trace.startswith("Traceback")
    assert "test_small_values" in error.trace
    assert JobError.from_json(error.to_json()) == error
    assert str(error) == "KeyError: 'missing'"


def test_an_error_that_was_never_raised_has_no_trace() -> None:
    error = JobError.of(ValueError())
    assert (error.message, error.trace, str(error)) == ("", "", "ValueError")


def test_a_long_error_is_cut() -> None:
    def fail(depth: int) -> None:
        if depth:
            fail_again(depth - 1)
        raise ValueError("x" * 100_000)

    def fail_again(depth: int) -> None:
        fail(depth)

    with pytest.raises(ValueError, match="xxx") as raised:
        fail(100)
    error = JobError.of(raised.value)
    assert len(error.message) == LONGEST_MESSAGE
    assert len(error.trace) == LONGEST_TRACE


def test_text_that_a_database_refuses_is_made_visible() -> None:
    assert storable("a\x00b\ud800ü🎉") == "a\\x00b\\ud800ü🎉"


# ── retention ────────────────────────────────────────────────────────────────────────────────


def test_the_policy_of_the_design() -> None:
    policy = RetentionPolicy()
    assert policy.of(JobState.COMPLETED) == Retention.for_time(timedelta(days=7))
    assert policy.of(JobState.FAILED) == Retention.for_time(timedelta(days=30))
    assert policy.of(JobState.CANCELLED) == Retention.for_time(timedelta(days=30))


@pytest.mark.parametrize(
    "rule",
    [
        Retention.forever(),
        Retention.nothing(),
        Retention.for_time(1.5),
        Retention.keep_newest(0),
        Retention.keep_newest(3, age=60),
    ],
)
def test_retention_survives_storage(rule: Retention) -> None:
    assert Retention.from_json(rule.to_json()) == rule


@pytest.mark.parametrize("newest", [-1, 1.5, True, "3"])
def test_a_wrong_number_to_keep_is_refused(newest: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"retention\.newest"):
        Retention.keep_newest(newest)


# ── counts ───────────────────────────────────────────────────────────────────────────────────


def test_counts_are_read_by_state_and_summed() -> None:
    counts = QueueCounts.of({JobState.WAITING: 2, JobState.ACTIVE: 1, JobState.FAILED: 4})
    assert (counts[JobState.WAITING], counts["failed"], counts.delayed) == (2, 4, 0)
    assert (counts.unfinished, counts.total) == (3, 7)
