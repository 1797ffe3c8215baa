"""Counting runs until they are written."""

from dataclasses import replace
from datetime import timedelta

import pytest

from enfila.core.application.job_types.serving.run_counter import RunCounter
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.attempt import AttemptOutcome
from enfila.core.domain.job.running.outcome import Cancelled, Failed, Outcome, Released, Snoozed
from enfila.core.domain.job_type import RunStatistics
from enfila.testing import FrozenClock
from tests.contract.building import BOOM, completed, make_job

CLOCK = FrozenClock()
NOW = CLOCK.now()


def started(name: str = "a", after: int = 0) -> Job:
    return replace(make_job("q", name, clock=CLOCK), started_at=NOW + timedelta(seconds=after))


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        (completed(), RunStatistics(1, 1, 0, NOW, AttemptOutcome.COMPLETED)),
        (Failed(BOOM), RunStatistics(1, 0, 1, NOW, AttemptOutcome.FAILED)),
        (Cancelled("no"), RunStatistics(1, 0, 0, NOW, AttemptOutcome.CANCELLED)),
    ],
)
def test_a_run_that_ended_counts(outcome: Outcome, counted: RunStatistics) -> None:
    tally = RunCounter()
    tally.note(started(), outcome)
    assert tally.take() == {"a": counted}
    assert tally.take() == {}


@pytest.mark.parametrize("outcome", [Released(), Released(has_run=False), Snoozed(timedelta(1))])
def test_what_was_no_attempt_does_not_count(outcome: Outcome) -> None:
    tally = RunCounter()
    tally.note(started(), outcome)
    assert tally.take() == {}


def test_the_last_run_is_the_one_that_started_last() -> None:
    tally = RunCounter()
    tally.note(started(after=5), Failed(BOOM))
    tally.note(started(after=3), completed())
    tally.note(started("b"), completed())
    taken = tally.take()
    assert (taken["a"].last_status, taken["a"].runs) == (AttemptOutcome.FAILED, 2)
    assert taken["b"].runs == 1


def test_what_could_not_be_written_is_taken_again() -> None:
    tally = RunCounter()
    tally.note(started(), completed())
    taken = tally.take()
    tally.note(started(after=1), Failed(BOOM))
    tally.give_back(taken)
    again = tally.take()
    assert again == {"a": RunStatistics(2, 1, 1, NOW + timedelta(seconds=1), AttemptOutcome.FAILED)}
