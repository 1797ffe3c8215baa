"""The definition of a job type, and what is remembered of its runs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.running.attempt import AttemptOutcome
from enfila.core.domain.job_type import JobType, RunStatistics

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_name_is_all_that_a_definition_needs() -> None:
    plain = JobType(name="biz:pipeline")
    assert (plain.queue, plain.display_name, plain.description) == ("default", "biz:pipeline", "")
    assert (plain.options, plain.max_concurrency, plain.enabled) == (JobOptions(), None, True)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("name", "", "give 1 to 255 characters"),
        ("name", "x" * 256, "give 1 to 255 characters"),
        ("name", 7, "give 1 to 255 characters"),
        ("queue", "a\x00b", "none of them NUL"),
        ("options", {"attempts": 3}, "give JobOptions"),
        ("max_concurrency", 0, "give a whole number from 1 to 100,000"),
        ("max_concurrency", True, "give a whole number from 1 to 100,000"),
        ("max_concurrency", 1.5, "give a whole number from 1 to 100,000"),
        ("display_name", "x" * 256, "give 1 to 255 characters"),
        ("display_name", None, "give 1 to 255 characters"),
        ("description", "x" * 10_001, "give at most 10,000 characters"),
        ("description", "\ud800", "or a lone surrogate"),
        ("description", None, "give at most 10,000 characters"),
        ("enabled", 1, "give True or False"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(
    field: str, value: Any, allowed: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}: .*{allowed}") as refused:
        JobType(**{"name": "a", field: value})
    assert (refused.value.field, refused.value.value) == (field, value)


def test_the_later_run_gives_the_last_status() -> None:
    failed = RunStatistics(2, 1, 1, NOON, AttemptOutcome.FAILED)
    completed = RunStatistics(3, 3, 0, NOON + timedelta(hours=1), AttemptOutcome.COMPLETED)
    both = RunStatistics(5, 4, 1, NOON + timedelta(hours=1), AttemptOutcome.COMPLETED)
    assert failed.plus(completed) == completed.plus(failed) == both


def test_of_two_runs_that_started_together_the_one_noted_last_is_the_last() -> None:
    failed = RunStatistics(1, 0, 1, NOON, AttemptOutcome.FAILED)
    completed = RunStatistics(1, 1, 0, NOON, AttemptOutcome.COMPLETED)
    assert failed.plus(completed).last_status is AttemptOutcome.COMPLETED


counts = st.integers(0, 1000)
instants = st.none() | st.integers(0, 3).map(lambda hours: NOON + timedelta(hours=hours))


@given(st.lists(st.builds(RunStatistics, counts, counts, counts, instants)))
def test_no_run_is_lost_in_a_sum(parts: list[RunStatistics]) -> None:
    total = RunStatistics()
    for part in parts:
        total = total.plus(part)
    assert total.runs == sum(part.runs for part in parts)
    assert total.successes == sum(part.successes for part in parts)
    assert total.failures == sum(part.failures for part in parts)
    known = [part.last_run_at for part in parts if part.last_run_at is not None]
    assert total.last_run_at == max(known, default=None)
