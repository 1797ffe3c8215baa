"""What listeners are told of a job that was added, has moved, or said something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import assert_never

from enfila.core.domain.duration import ZERO
from enfila.core.domain.events import (
    JobAdded,
    JobCancelled,
    JobCompleted,
    JobDelayed,
    JobEvent,
    JobFailed,
    JobLogged,
    JobProgressed,
    JobRetrying,
    JobStalled,
)
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.attempt import AttemptOutcome
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState, Reason
from enfila.core.domain.job.transition import Transition

Hears = Callable[[str], bool]
"""Whether somebody listens to events of this name."""


def events_of_move(
    job: Job, transition: Transition, at: datetime, hears: Hears
) -> Iterator[JobEvent]:
    """The events of an applied transition, in their order, without those that nobody hears.

    Args:
        job: as it was before.
        transition: what it decided.
        at: when that was written.
        hears: whether anybody listens to events of a name.
    """
    match transition.reason:
        case Reason.COMPLETED:
            if hears(JobCompleted.name):
                yield _completed(job, transition, at)
        case Reason.RETRYING:
            if hears(JobRetrying.name):
                yield _retrying(job, transition, at)
            yield from _delayed(job, transition, at, hears)
        case Reason.SNOOZED | Reason.UNBLOCKED:
            yield from _delayed(job, transition, at, hears)
        case Reason.OUT_OF_ATTEMPTS | Reason.UNRECOVERABLE:
            yield from _failed(job, transition, at, hears)
        case Reason.RECOVERED:
            yield from _stalled(job, transition, at, hears)
        case Reason.STALLED_TOO_OFTEN:
            yield from _stalled(job, transition, at, hears)
            yield from _failed(job, transition, at, hears)
        case Reason.CANCELLED | Reason.EXPIRED:
            if transition.record and transition.record.outcome is AttemptOutcome.STALLED:
                yield from _stalled(job, transition, at, hears)
            if hears(JobCancelled.name):
                yield JobCancelled(
                    queue=job.queue,
                    at=at,
                    job_id=job.id,
                    job_name=job.name,
                    reason=transition.cancel_reason or "",
                )
        case Reason.DUE | Reason.PROMOTED | Reason.CLAIMED | Reason.RELEASED | Reason.RETRIED:
            return
        case _:
            assert_never(transition.reason)


def events_of_addition(job: Job, hears: Hears) -> Iterator[JobEvent]:
    """The events of a job that was added, without those that nobody hears."""
    if hears(JobAdded.name):
        yield JobAdded(
            queue=job.queue,
            at=job.created_at,
            job_id=job.id,
            job_name=job.name,
            state=job.state,
            run_at=job.run_at,
        )
    if job.state is JobState.DELAYED and hears(JobDelayed.name):
        yield JobDelayed(
            queue=job.queue,
            at=job.created_at,
            job_id=job.id,
            job_name=job.name,
            run_at=job.run_at,
        )


def events_of_progress(
    job: Job, update: ProgressUpdate, at: datetime, hears: Hears
) -> Iterator[JobEvent]:
    """The events of what a running job said, without those that nobody hears."""
    if hears(JobLogged.name):
        for line in update.lines:
            yield JobLogged(queue=job.queue, at=at, job_id=job.id, job_name=job.name, line=line)
    if update.progress is not None and hears(JobProgressed.name):
        yield JobProgressed(
            queue=job.queue,
            at=at,
            job_id=job.id,
            job_name=job.name,
            progress=update.progress.value,
        )


def _completed(job: Job, transition: Transition, at: datetime) -> JobCompleted:
    return JobCompleted(
        queue=job.queue,
        at=at,
        job_id=job.id,
        job_name=job.name,
        result=None if transition.result is None else transition.result.value,
        attempt=transition.attempt,
        duration=ZERO if job.started_at is None else at - job.started_at,
    )


def _retrying(job: Job, transition: Transition, at: datetime) -> JobRetrying:
    return JobRetrying(
        queue=job.queue,
        at=at,
        job_id=job.id,
        job_name=job.name,
        error=_error(transition),
        attempt=transition.attempt,
        max_attempts=transition.max_attempts,
        run_at=at + (transition.run_after or ZERO),
    )


def _delayed(job: Job, transition: Transition, at: datetime, hears: Hears) -> Iterator[JobEvent]:
    if transition.target is JobState.DELAYED and hears(JobDelayed.name):
        run_at = job.run_at if transition.run_after is None else at + transition.run_after
        yield JobDelayed(queue=job.queue, at=at, job_id=job.id, job_name=job.name, run_at=run_at)


def _failed(job: Job, transition: Transition, at: datetime, hears: Hears) -> Iterator[JobEvent]:
    if hears(JobFailed.name):
        yield JobFailed(
            queue=job.queue,
            at=at,
            job_id=job.id,
            job_name=job.name,
            error=_error(transition),
            attempt=transition.attempt,
        )


def _stalled(job: Job, transition: Transition, at: datetime, hears: Hears) -> Iterator[JobEvent]:
    if hears(JobStalled.name):
        yield JobStalled(
            queue=job.queue,
            at=at,
            job_id=job.id,
            job_name=job.name,
            stalled_count=job.stalled_count + 1,
            state=transition.target,
        )


def _error(transition: Transition) -> JobError:
    return transition.error or JobError("Unknown", "no error was recorded")
