from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from enfila.core.application.job_ids import JobIds
from enfila.core.application.queue.publishing.job_events import events_of_addition, events_of_move
from enfila.core.domain.events import (
    JobAdded,
    JobCancelled,
    JobCompleted,
    JobDelayed,
    JobEvent,
    JobFailed,
    JobRetrying,
    JobStalled,
)
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.running.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Snoozed,
)
from enfila.core.domain.job.state import JobState, Reason
from enfila.core.domain.job.transition import Transition
from enfila.core.domain.json_document import NULL, JsonDocument

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
BOOM = JobError("ValueError", "boom")
ids = JobIds()


def new_job(*, attempts: int = 1, backoff: Backoff | None = None, delay: int = 0) -> Job:
    options = JobOptions(attempts=attempts, backoff=backoff, delay=delay)
    return Job.new(ids.next(NOW), "q", "noop", NULL, options, NOW)


def active_job(*, attempts: int = 1, backoff: Backoff | None = None) -> Job:
    job = new_job(attempts=attempts, backoff=backoff)
    return job.claimed(new_worker_id(), NOW, NOW + timedelta(seconds=30))


def told(job: Job, transition: Transition) -> list[JobEvent]:
    return list(events_of_move(job, transition, LATER, lambda _: True))


def kinds(job: Job, transition: Transition) -> list[type[JobEvent]]:
    return [type(event) for event in told(job, transition)]


def test_a_new_job_is_added_and_a_delayed_one_delayed_too() -> None:
    waiting, delayed = new_job(), new_job(delay=60)
    [added] = events_of_addition(waiting, lambda _: True)
    assert added == JobAdded(
        queue="q",
        at=NOW,
        job_id=waiting.id,
        job_name="noop",
        state=JobState.WAITING,
        run_at=NOW,
    )
    events = list(events_of_addition(delayed, lambda _: True))
    assert [type(event) for event in events] == [JobAdded, JobDelayed]


def test_a_completed_job_tells_its_result_and_duration() -> None:
    job = active_job()
    [event] = told(job, job.settle(Completed(JsonDocument.of({"sent": True}))))
    assert event == JobCompleted(
        queue="q",
        at=LATER,
        job_id=job.id,
        job_name="noop",
        result={"sent": True},
        attempt=1,
        duration=timedelta(seconds=5),
    )


def test_a_retry_with_a_wait_is_told_as_retrying_and_delayed() -> None:
    job = active_job(attempts=3, backoff=Backoff.fixed(10))
    retrying, delayed = told(job, job.settle(Failed(BOOM)))
    assert retrying == JobRetrying(
        queue="q",
        at=LATER,
        job_id=job.id,
        job_name="noop",
        error=BOOM,
        attempt=1,
        max_attempts=3,
        run_at=LATER + timedelta(seconds=10),
    )
    assert isinstance(delayed, JobDelayed)
    assert delayed.run_at == retrying.run_at


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Failed(BOOM), [JobFailed]),
        (Failed(BOOM, is_recoverable=False), [JobFailed]),
        (Cancelled("enough"), [JobCancelled]),
        (Snoozed(timedelta(seconds=1)), [JobDelayed]),
        (Snoozed(timedelta(0)), []),
        (Released(), []),
    ],
)
def test_outcomes_are_told_by_what_becomes_of_the_job(
    outcome: Outcome, expected: list[type[JobEvent]]
) -> None:
    job = active_job()
    assert kinds(job, job.settle(outcome)) == expected


def test_a_retry_without_a_wait_is_told_as_retrying_only() -> None:
    job = active_job(attempts=2)
    assert kinds(job, job.settle(Failed(BOOM))) == [JobRetrying]


def test_a_stall_is_told_with_what_became_of_the_job() -> None:
    job = active_job()
    [event] = told(job, job.stall(1))
    assert isinstance(event, JobStalled)
    assert (event.stalled_count, event.state) == (1, JobState.WAITING)
    assert kinds(job, job.stall(0)) == [JobStalled, JobFailed]
    asked = replace(job, cancel_requested=True)
    assert kinds(asked, asked.stall(1)) == [JobStalled, JobCancelled]


def test_an_expired_job_is_told_as_cancelled() -> None:
    job = new_job()
    [event] = told(job, job.expire())
    assert isinstance(event, JobCancelled)
    assert "expired" in event.reason


def test_an_unblocked_job_that_has_to_wait_is_told_as_delayed() -> None:
    job = replace(new_job(delay=60), state=JobState.BLOCKED)
    [event] = told(job, job.unblock(NOW))
    assert isinstance(event, JobDelayed)
    assert event.run_at == NOW + timedelta(seconds=60)


@pytest.mark.parametrize("move", [Job.promote, Job.mature])
def test_joining_the_line_is_not_told(move: Callable[[Job], Transition]) -> None:
    job = new_job(delay=60)
    assert kinds(job, move(job)) == []


def test_what_nobody_hears_is_not_made() -> None:
    job = active_job(attempts=3, backoff=Backoff.fixed(10))
    asked: list[str] = []

    def hears(name: str) -> bool:
        asked.append(name)
        return False

    moves = [job.settle(Failed(BOOM)), job.settle(Completed()), job.stall(0), job.stall(1)]
    moves.append(job.settle(Cancelled("enough")))
    assert [list(events_of_move(job, move, LATER, hears)) for move in moves] == [[]] * 5
    assert list(events_of_addition(new_job(delay=60), hears)) == []
    assert set(asked) == {
        "job.added",
        "job.cancelled",
        "job.completed",
        "job.delayed",
        "job.failed",
        "job.retrying",
        "job.stalled",
    }


def test_every_reason_has_an_answer() -> None:
    job = active_job()
    template = job.settle(Completed())
    for reason in Reason:
        list(events_of_move(job, template._replace(reason=reason), LATER, lambda _: True))
