"""What a job decides, beyond what the machine of its life (tests/machines) finds by chance."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from enfila.core.application.job_ids import JobIds
from enfila.core.domain.errors import MoveNotAllowed
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.policies.retention import Retention
from enfila.core.domain.job.running.attempt import AttemptOutcome
from enfila.core.domain.job.running.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Snoozed,
)
from enfila.core.domain.job.state import JobState, Reason
from enfila.core.domain.json_document import JsonDocument
from enfila.testing.frozen_clock import BEGINNING as NOW

ids = JobIds()
BOOM = JobError("ValueError", "boom")
SECOND = timedelta(seconds=1)


def new_job(**options: Any) -> Job:
    """A job as it is before it is added."""
    document = JsonDocument.of({"to": "ada"})
    return Job.new(ids.next(NOW), "mail", "welcome", document, JobOptions(**options), NOW)


def active_job(**options: Any) -> Job:
    """A job in its first attempt."""
    return new_job(**options).claimed(new_worker_id(), NOW, NOW + SECOND)


def job_in(state: JobState) -> Job:
    """A job that came to this state."""
    match state:
        case JobState.WAITING:
            return new_job()
        case JobState.DELAYED:
            return new_job(delay=60)
        case JobState.BLOCKED:
            return new_job().behind(ids.next(NOW))
        case JobState.ACTIVE:
            return active_job()
        case JobState.COMPLETED:
            job = active_job()
            return job.after(job.settle(Completed()), NOW)
        case JobState.FAILED:
            job = active_job()
            return job.after(job.settle(Failed(BOOM)), NOW)
        case JobState.CANCELLED:
            job = new_job()
            return job.after(job.cancel("enough"), NOW)


@pytest.mark.parametrize("state", JobState)
def test_jobs_come_to_every_state(state: JobState) -> None:
    assert job_in(state).state is state


# ── its beginning ────────────────────────────────────────────────────────────────────────────


def test_a_stored_job_has_the_repositorys_clock_and_order() -> None:
    later = NOW + 5 * SECOND
    stored = new_job(delay=10, expires_in=20).added(later, 7)
    assert (stored.created_at, stored.position) == (later, 7)
    assert stored.run_at == later + 10 * SECOND
    assert stored.expires_at == later + 20 * SECOND


def test_a_job_for_an_instant_keeps_it() -> None:
    run_at = NOW + timedelta(hours=1)
    assert new_job(run_at=run_at).added(NOW + SECOND, 1).run_at == run_at


# ── its runs ─────────────────────────────────────────────────────────────────────────────────


def test_a_request_for_cancellation_wins_over_another_run() -> None:
    """Whoever asked was told that the job would stop."""
    asked = replace(active_job(attempts=5), cancel_requested=True, cancel_reason="stop")
    outcomes: list[Outcome] = [Failed(BOOM), Snoozed(SECOND), Released(), Cancelled("stop")]
    for outcome in outcomes:
        transition = asked.settle(outcome)
        assert (transition.target, transition.reason) == (JobState.CANCELLED, Reason.CANCELLED)
        assert transition.cancel_reason == "stop"
    stalled = asked.stall(max_stalled_count=5)
    assert (stalled.target, stalled.cancel_reason) == (JobState.CANCELLED, "stop")


def test_a_result_wins_over_a_request_for_cancellation() -> None:
    asked = replace(active_job(), cancel_requested=True, cancel_reason="stop")
    assert asked.settle(Completed()).target is JobState.COMPLETED


def test_a_wait_that_the_worker_computed_comes_before_the_backoff() -> None:
    job = active_job(attempts=2, backoff=Backoff.fixed(60))
    assert job.settle(Failed(BOOM, custom_delay=SECOND)).run_after == SECOND
    at_once = job.settle(Failed(BOOM, custom_delay=timedelta(0)))
    assert (at_once.target, at_once.run_after) == (JobState.WAITING, timedelta(0))


def test_chance_shortens_a_wait_with_jitter() -> None:
    job = active_job(attempts=2, backoff=Backoff.fixed(10, jitter=1))
    assert job.settle(Failed(BOOM), random=0.25).run_after == timedelta(seconds=7.5)


def test_only_a_run_without_success_is_recorded_apart() -> None:
    job = active_job(attempts=2)
    recorded: list[tuple[Outcome, AttemptOutcome | None]] = [
        (Completed(), None),
        (Snoozed(SECOND), None),
        (Failed(BOOM), AttemptOutcome.FAILED),
        (Cancelled("enough"), AttemptOutcome.CANCELLED),
        (Released(), AttemptOutcome.RELEASED),
    ]
    for outcome, expected in recorded:
        record = job.settle(outcome).record
        assert (record.outcome if record else None) == expected
    stalled = job.stall(max_stalled_count=1).record
    assert stalled is not None
    assert (stalled.outcome, stalled.number, stalled.token) == (AttemptOutcome.STALLED, 1, 1)


def test_an_active_and_a_completed_job_tell_of_a_run_themselves() -> None:
    told = {}
    for state in JobState:
        run = job_in(state).unrecorded_run
        told[state] = run.outcome if run else None
    assert {state: outcome for state, outcome in told.items() if outcome} == {
        JobState.ACTIVE: AttemptOutcome.RUNNING,
        JobState.COMPLETED: AttemptOutcome.COMPLETED,
    }


def test_the_reason_of_a_failure_by_stalls_says_so() -> None:
    transition = active_job().stall(max_stalled_count=0)
    assert transition.error is not None
    assert str(transition.error) == (
        "Stalled: the job stalled 1 times (its worker vanished while it ran), allowed are 0"
    )


def test_retention_goes_with_the_end_it_is_for() -> None:
    job = active_job(remove_on_complete=True, remove_on_fail=7)
    assert job.settle(Completed()).retention == Retention.nothing()
    assert job.settle(Failed(BOOM)).retention == Retention.keep_newest(7)
    assert job.settle(Cancelled("enough")).retention == Retention.keep_newest(7)
    assert active_job(attempts=2, remove_on_fail=7).settle(Failed(BOOM)).retention is None


# ── what is refused ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", JobState)
def test_a_move_that_the_table_does_not_have_is_refused_in_words(state: JobState) -> None:
    job = job_in(state)
    if state is not JobState.DELAYED:
        with pytest.raises(MoveNotAllowed) as refusal:
            job.promote()
        assert str(refusal.value) == (
            f"job {job.id} is {state.value} and cannot be promoted; allowed from: delayed"
        )
    if not state.is_final:
        with pytest.raises(MoveNotAllowed, match="cannot be retried; allowed from: completed, "):
            job.retry(fresh_attempts=True)
    if state.is_final:
        with pytest.raises(MoveNotAllowed, match="cannot be cancelled"):
            job.cancel("enough")
    if state is not JobState.BLOCKED:
        with pytest.raises(MoveNotAllowed, match="cannot be unblocked; allowed from: blocked"):
            job.unblock(NOW)
    if state is not JobState.ACTIVE:
        with pytest.raises(MoveNotAllowed, match="cannot become completed; allowed from: active"):
            job.settle(Completed())
        with pytest.raises(MoveNotAllowed):
            job.stall(max_stalled_count=1)
    if state.is_final or state is JobState.ACTIVE:
        with pytest.raises(MoveNotAllowed, match="cannot be changed"):
            job.amend(priority=1)
        with pytest.raises(MoveNotAllowed, match="cannot expire"):
            job.expire()


def test_an_active_job_is_neither_cancelled_nor_removed_without_its_worker() -> None:
    job = active_job()
    with pytest.raises(MoveNotAllowed, match="cannot be cancelled without its worker"):
        job.cancel("enough")
    with pytest.raises(MoveNotAllowed, match="cannot be removed; allowed from: waiting, "):
        job.check_removable()
    for state in JobState:
        if state is not JobState.ACTIVE:
            job_in(state).check_removable()


def test_a_decision_leaves_the_job_as_it_is() -> None:
    job = active_job(attempts=2)
    before = replace(job)
    job.settle(Failed(BOOM))
    job.stall(max_stalled_count=0)
    assert job == before


# ── retrying and changing ────────────────────────────────────────────────────────────────────


def test_a_retry_gives_at_least_one_attempt() -> None:
    failed = job_in(JobState.FAILED)
    kept = failed.after(failed.retry(fresh_attempts=False), NOW)
    assert (kept.attempt, kept.max_attempts, kept.has_attempts_left) == (1, 2, True)
    fresh = failed.after(failed.retry(fresh_attempts=True), NOW)
    assert (fresh.attempt, fresh.max_attempts) == (0, 1)


def test_a_retry_keeps_the_attempts_that_were_left() -> None:
    job = active_job(attempts=5)
    failed = job.after(job.settle(Failed(BOOM, is_recoverable=False)), NOW)
    retried = failed.after(failed.retry(fresh_attempts=False), NOW)
    assert (retried.attempt, retried.max_attempts) == (1, 5)


def test_an_expired_job_that_is_retried_does_not_expire_again() -> None:
    job = new_job(expires_in=1)
    expired = job.after(job.expire(), NOW + SECOND)
    assert expired.after(expired.retry(fresh_attempts=False), NOW + SECOND).expires_at is None


def test_new_options_bring_their_priority_unless_one_is_given() -> None:
    job = new_job(priority=5)
    options = JobOptions(priority=2)
    assert job.amend().priority == 5
    assert job.amend(options=options).priority == 2
    assert job.amend(options=options, priority=9).priority == 9
