"""`apply`: every reason of the table of moves, and what makes a transition stale."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from enfila.core.domain.job.failure import LONGEST_MESSAGE, LONGEST_TRACE, JobError
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
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
from enfila.core.domain.job.transition import Transition
from enfila.core.domain.json_document import JsonDocument
from tests.contract.building import BOOM, FAILED, Line, completed, ids, make_job
from tests.core.application.worker.unruly_exceptions import LOOP_CONTROL, UNTELLABLE, Make, name_of

ALL_UNRULY = [*UNTELLABLE, *LOOP_CONTROL]

# ── one test per reason ──────────────────────────────────────────────────────────────────────
# `Line.move` asserts that the repository shows exactly what `Job.after` says.


async def test_due(line: Line) -> None:
    job = await line.add(delay=5)
    line.clock.advance(5)
    assert (await line.move(job, job.mature())).state is JobState.WAITING


async def test_promoted(line: Line) -> None:
    job = await line.add(delay=5)
    assert (await line.move(job, job.promote())).run_at == line.clock.now()


@pytest.mark.parametrize(
    "result", [0, False, "", None, [], {}, 0.0, "done", {"a": [1]}, 2**70, "\x00", "🎉\ud800"]
)
async def test_completed(line: Line, result: Any) -> None:
    job = await line.settle(await line.add_active(), completed(result))
    assert job.state is JobState.COMPLETED
    assert job.finished_at == line.clock.now()
    assert job.result_document == JsonDocument.of(result)
    assert job.result == result
    assert type(job.result) is type(result)


async def test_retrying_after_a_backoff(line: Line) -> None:
    job = await line.add_active(attempts=2, backoff=Backoff.fixed(7))
    line.clock.advance(1)
    after = await line.settle(job, FAILED)
    assert (after.state, after.attempt, after.error) == (JobState.DELAYED, 1, BOOM)
    assert after.run_at == line.clock.now() + timedelta(seconds=7)
    assert after.finished_at is None


async def test_retrying_at_once(line: Line) -> None:
    after = await line.settle(await line.add_active(attempts=2), FAILED)
    assert (after.state, after.run_at) == (JobState.WAITING, line.clock.now())


async def test_exponential_waits_are_exact(line: Line) -> None:
    await line.add(attempts=5, backoff=Backoff.exponential(1.5, factor=3, maximum=20))
    waits = []
    for _ in range(4):
        after = await line.settle(await line.claim_one(), FAILED)
        waits.append((after.run_at - line.clock.now()).total_seconds())
        line.clock.advance(after.run_at - line.clock.now())
    assert waits == [1.5, 4.5, 13.5, 20]


async def test_one_attempt_runs_once(line: Line) -> None:
    after = await line.settle(await line.add_active(), FAILED)
    assert after.state is JobState.FAILED
    assert await line.claim() == []


async def test_two_failures_of_three_attempts_complete_on_the_third(line: Line) -> None:
    job = await line.add(attempts=3)
    for outcome in (FAILED, FAILED, completed("at last")):
        claimed = await line.claim_one()
        await line.settle(claimed, outcome)
    after = await line.read(job)
    assert (after.state, after.attempt, after.result) == (JobState.COMPLETED, 3, "at last")
    assert after.error is None


async def test_snoozed(line: Line) -> None:
    job = await line.add_active()
    after = await line.settle(job, Snoozed(timedelta(seconds=9)))
    assert (after.state, after.attempt) == (JobState.DELAYED, 0)
    assert after.run_at == line.clock.now() + timedelta(seconds=9)


async def test_snoozed_for_no_time(line: Line) -> None:
    after = await line.settle(await line.add_active(), Snoozed(timedelta(0)))
    assert (after.state, after.run_at) == (JobState.WAITING, line.clock.now())


async def test_released(line: Line) -> None:
    job = await line.add_active(delay=0)
    line.clock.advance(5)
    after = await line.settle(job, Released())
    assert (after.state, after.attempt, after.run_at) == (JobState.WAITING, 0, job.run_at)
    assert after.locked_until is None


async def test_recovered(line: Line) -> None:
    job = await line.add_active()
    after = await line.move(job, job.stall(max_stalled_count=1))
    assert (after.state, after.attempt, after.stalled_count) == (JobState.WAITING, 0, 1)


async def test_out_of_attempts(line: Line) -> None:
    after = await line.settle(await line.add_active(attempts=1), FAILED)
    assert (after.state, after.error, after.finished_at) == (
        JobState.FAILED,
        BOOM,
        line.clock.now(),
    )


async def test_unrecoverable(line: Line) -> None:
    job = await line.add_active(attempts=5)
    after = await line.settle(job, Failed(BOOM, is_recoverable=False))
    assert (after.state, after.attempt) == (JobState.FAILED, 1)


async def test_stalled_too_often(line: Line) -> None:
    job = await line.add_active(attempts=5)
    after = await line.move(job, job.stall(max_stalled_count=0))
    assert (after.state, after.stalled_count) == (JobState.FAILED, 1)
    assert after.error is not None
    assert "stalled 1 times" in after.error.message


async def test_unblocked(line: Line) -> None:
    job = await line.add_in(JobState.BLOCKED)
    after = await line.move(job, job.unblock(line.clock.now()))
    assert (after.state, after.depends_on) == (JobState.WAITING, ())


async def test_unblocked_before_its_time(line: Line) -> None:
    holder = await line.add()
    [added] = await line.repository.add([line.make(delay=60).behind(holder.id)])
    after = await line.move(added.job, added.job.unblock(line.clock.now()))
    assert (after.state, after.run_at) == (
        JobState.DELAYED,
        line.clock.now() + timedelta(seconds=60),
    )


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.DELAYED, JobState.BLOCKED])
async def test_cancelled_before_it_runs(line: Line, state: JobState) -> None:
    job = await line.add_in(state)
    after = await line.move(job, job.cancel("no longer needed"))
    assert (after.state, after.cancel_reason) == (JobState.CANCELLED, "no longer needed")
    assert after.finished_at == line.clock.now()


async def test_cancelled_by_its_processor(line: Line) -> None:
    after = await line.settle(await line.add_active(attempts=3), Cancelled("nothing to do"))
    assert (after.state, after.cancel_reason) == (JobState.CANCELLED, "nothing to do")


@pytest.mark.parametrize("options", [{}, {"delay": 60}])
async def test_expired(line: Line, options: dict[str, Any]) -> None:
    job = await line.add(expires_in=5, **options)
    line.clock.advance(5)
    after = await line.move(job, job.expire())
    assert (after.state, after.cancel_reason) == (
        JobState.CANCELLED,
        "expired: not started within 5 s",
    )


async def test_expired_while_blocked(line: Line) -> None:
    holder = await line.add()
    [added] = await line.repository.add([line.make(expires_in=5).behind(holder.id)])
    line.clock.advance(5)
    assert (await line.move(added.job, added.job.expire())).state is JobState.CANCELLED


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
@pytest.mark.parametrize("fresh_attempts", [True, False])
async def test_retried(line: Line, state: JobState, fresh_attempts: bool) -> None:
    job = await line.add_in(state)
    line.clock.advance(60)
    after = await line.move(job, job.retry(fresh_attempts=fresh_attempts))
    assert after.state is JobState.WAITING
    assert after.run_at == line.clock.now()
    assert (after.result_document, after.error, after.cancel_reason) == (None, None, None)
    assert (after.started_at, after.finished_at, after.worker_id) == (None, None, None)
    assert after.attempt == (0 if fresh_attempts else job.attempt)
    assert after.max_attempts == (1 if fresh_attempts else max(1, job.attempt + 1))
    claimed = await line.claim_one()
    assert (claimed.id, claimed.token) == (job.id, job.token + 1)


async def test_a_retried_job_keeps_no_progress_stalls_or_wish_to_cancel(line: Line) -> None:
    job = await line.add_active(attempts=2)
    await line.move(job, job.stall(max_stalled_count=1))
    job = await line.claim_one()
    await line.repository.request_cancellation(job.id, "stop")
    job = await line.read(job)
    job = await line.settle(job, Cancelled("stop"))
    after = await line.move(job, job.retry(fresh_attempts=True))
    assert (after.progress, after.stalled_count) == (None, 0)
    assert (after.cancel_requested, after.cancel_reason) == (False, None)


async def test_a_retried_job_does_not_expire_again(line: Line) -> None:
    job = await line.add(expires_in=5)
    line.clock.advance(5)
    job = await line.move(job, job.expire())
    await line.move(job, job.retry(fresh_attempts=False))
    assert ids(await line.claim()) == [job.id]


async def test_retrying_twice_at_once_queues_the_job_once(line: Line) -> None:
    job = await line.add_in(JobState.FAILED)
    transition = job.retry(fresh_attempts=True)
    written = await asyncio.gather(*(line.repository.apply([transition]) for _ in range(5)))
    assert sum(answer != [None] for answer in written) == 1
    assert len(await line.claim()) == 1


# ── stale ────────────────────────────────────────────────────────────────────────────────────


TRANSITIONS: dict[Reason, Callable[[Job], Transition]] = {
    Reason.COMPLETED: lambda job: job.settle(completed("late")),
    Reason.RETRYING: lambda job: job.settle(FAILED),
    Reason.SNOOZED: lambda job: job.settle(Snoozed(timedelta(seconds=1))),
    Reason.RELEASED: lambda job: job.settle(Released()),
    Reason.CANCELLED: lambda job: job.settle(Cancelled("late")),
    Reason.UNRECOVERABLE: lambda job: job.settle(Failed(BOOM, is_recoverable=False)),
    Reason.RECOVERED: lambda job: job.stall(max_stalled_count=9),
    Reason.STALLED_TOO_OFTEN: lambda job: job.stall(max_stalled_count=0),
}


@pytest.mark.parametrize("reason", TRANSITIONS)
async def test_a_holder_whose_token_is_old_settles_nothing(line: Line, reason: Reason) -> None:
    old = await line.add_active(attempts=9)
    await line.move(old, old.stall(max_stalled_count=1))
    current = await line.claim_one()
    assert await line.is_stale(TRANSITIONS[reason](old))
    assert await line.read(old) == current
    assert len(await line.repository.attempts(old.id)) == 2


@pytest.mark.parametrize("reason", TRANSITIONS)
async def test_a_run_is_settled_once(line: Line, reason: Reason) -> None:
    job = await line.add_active(attempts=9)
    after = await line.settle(job, completed("first"))
    assert await line.is_stale(TRANSITIONS[reason](job))
    assert await line.read(job) == after


@pytest.mark.parametrize(
    ("state", "decide"),
    [
        (JobState.DELAYED, Job.promote),
        (JobState.DELAYED, Job.mature),
        (JobState.WAITING, lambda job: job.cancel("late")),
        (JobState.DELAYED, lambda job: job.cancel("late")),
        (JobState.BLOCKED, lambda job: job.cancel("late")),
        (JobState.WAITING, Job.expire),
        (JobState.FAILED, lambda job: job.retry(fresh_attempts=True)),
        (JobState.COMPLETED, lambda job: job.retry(fresh_attempts=True)),
    ],
)
async def test_a_decision_is_stale_once_the_job_left_its_state(
    line: Line, state: JobState, decide: Callable[[Job], Transition]
) -> None:
    job = await line.add_in(state)
    transition = decide(job)
    after = await line.move(job, transition)
    assert await line.is_stale(transition)
    assert await line.read(job) == after


async def test_a_decision_is_stale_under_another_token_of_the_same_state(line: Line) -> None:
    waiting = await line.add(attempts=2)
    await line.settle(await line.claim_one(), Released())
    assert (await line.read(waiting)).state is JobState.WAITING
    assert await line.is_stale(waiting.cancel("decided before it ran"))


async def test_a_decision_about_a_job_that_is_gone_is_stale(line: Line) -> None:
    job = await line.add_in(JobState.FAILED)
    transition = job.retry(fresh_attempts=False)
    assert await line.repository.remove([job]) == [True]
    assert await line.is_stale(transition)
    assert not await line.exists(job)


async def test_stale_transitions_do_not_hinder_the_others(line: Line) -> None:
    await line.add_many(3)
    first, second, third = await line.claim(3)
    await line.settle(second, completed("already"))
    line.clock.advance(1)
    unknown = third.settle(completed())._replace(job_id=_unknown_id(line))
    answers = await line.repository.apply(
        [
            third.settle(completed(3)),
            second.settle(completed(2)),
            unknown,
            first.settle(FAILED),
        ]
    )
    now = line.clock.now()
    assert answers == [now, None, None, now]
    states = [await line.state(job) for job in (first, second, third)]
    assert states == [JobState.FAILED, JobState.COMPLETED, JobState.COMPLETED]
    assert (await line.read(second)).result == "already"
    assert (await line.read(third)).result == 3


async def test_applying_nothing_is_allowed(line: Line) -> None:
    assert await line.repository.apply([]) == []


async def test_all_kinds_of_transitions_go_together(line: Line) -> None:
    """Group commit puts whatever ended at one time into one call."""
    outcomes: list[Outcome] = [
        completed({"a": 1}),
        FAILED,
        Failed(BOOM, is_recoverable=False),
        Failed(BOOM, custom_delay=timedelta(seconds=3)),
        Snoozed(timedelta(seconds=2)),
        Cancelled("enough"),
        Released(),
        Completed(),
    ]
    await line.add_many(len(outcomes), attempts=3)
    delayed = await line.add(delay=60)
    jobs = await line.claim()
    transitions = [
        *(job.settle(outcome) for job, outcome in zip(jobs, outcomes, strict=True)),
        delayed.promote(),
    ]
    line.clock.advance(1)
    answers = await line.repository.apply(transitions)
    now = line.clock.now()
    assert answers == [now] * len(transitions)
    for job, transition in zip([*jobs, delayed], transitions, strict=True):
        assert await line.read(job) == job.after(transition, now)


async def test_a_thousand_jobs_are_settled_in_one_call(line: Line) -> None:
    await line.add_many(1000)
    jobs = await line.claim(1000)
    answers = await line.repository.apply(
        [job.settle(completed(place)) for place, job in enumerate(jobs)]
    )
    assert answers == [line.clock.now()] * 1000
    assert await line.count(JobState.COMPLETED) == 1000
    found = await line.repository.get([jobs[0].id, jobs[999].id])
    assert (found[jobs[0].id].result, found[jobs[999].id].result) == (0, 999)


async def test_holders_that_settle_at_once_do_not_disturb_each_other(line: Line) -> None:
    await line.add_many(40)
    jobs = await line.claim(40)
    forwards = line.repository.apply([job.settle(completed(1)) for job in jobs])
    backwards = line.repository.apply([job.settle(completed(2)) for job in reversed(jobs)])
    first, second = await asyncio.gather(forwards, backwards)
    accepted = [answer is not None for answer in first]
    assert [answer is not None for answer in reversed(second)] == [not yes for yes in accepted]
    assert await line.count(JobState.COMPLETED) == 40


# ── what is remembered of the runs ───────────────────────────────────────────────────────────


async def test_a_job_that_never_ran_has_no_attempts(line: Line) -> None:
    assert await line.repository.attempts((await line.add()).id) == []
    assert await line.repository.attempts(_unknown_id(line)) == []


async def test_every_attempt_is_listed_with_its_error(line: Line) -> None:
    added = await line.add(attempts=3)
    errors = [JobError("ValueError", "first", "trace 1"), JobError("KeyError", "second", "trace 2")]
    runs = []
    for error in errors:
        job = await line.claim_one()
        line.clock.advance(2)
        await line.settle(job, Failed(error))
        runs.append((job, line.clock.now()))
    job = await line.claim_one()
    first, second, third = await line.repository.attempts(added.id)
    for number, attempt in enumerate((first, second), 1):
        run, ended_at = runs[number - 1]
        assert (attempt.number, attempt.token) == (number, number)
        assert (attempt.worker_id, attempt.started_at) == (run.worker_id, run.started_at)
        assert (attempt.finished_at, attempt.outcome) == (ended_at, AttemptOutcome.FAILED)
        assert attempt.error == errors[number - 1]
    assert (third.number, third.outcome, third.finished_at) == (3, AttemptOutcome.RUNNING, None)
    assert third == job.unrecorded_run
    line.clock.advance(5)
    await line.settle(job, completed())
    [*_, last] = await line.repository.attempts(added.id)
    assert (last.outcome, last.finished_at) == (AttemptOutcome.COMPLETED, line.clock.now())
    assert len(await line.repository.attempts(added.id)) == 3


async def test_runs_that_were_given_back_are_listed_too(line: Line) -> None:
    await line.add(attempts=1)
    job = await line.claim_one()
    await line.move(job, job.stall(max_stalled_count=3))
    job = await line.claim_one()
    await line.settle(job, Released())
    job = await line.claim_one()
    await line.settle(job, Cancelled("enough"))
    attempts = await line.repository.attempts(job.id)
    assert [attempt.outcome for attempt in attempts] == [
        AttemptOutcome.STALLED,
        AttemptOutcome.RELEASED,
        AttemptOutcome.CANCELLED,
    ]
    assert [(attempt.number, attempt.token) for attempt in attempts] == [(1, 1), (1, 2), (1, 3)]
    assert attempts[0].error is not None
    assert attempts[1].error is None


async def test_a_completed_run_is_listed_after_the_job_was_retried(line: Line) -> None:
    job = await line.settle(await line.add_active(), completed(1))
    finished_at = line.clock.now()
    line.clock.advance(60)
    await line.move(job, job.retry(fresh_attempts=True))
    [attempt] = await line.repository.attempts(job.id)
    assert (attempt.outcome, attempt.finished_at) == (AttemptOutcome.COMPLETED, finished_at)
    await line.settle(await line.claim_one(), completed(2))
    attempts = await line.repository.attempts(job.id)
    assert [(attempt.number, attempt.token) for attempt in attempts] == [(1, 1), (1, 2)]


async def test_a_long_error_is_kept_to_its_limits(line: Line) -> None:
    error = JobError("E", "ü" * LONGEST_MESSAGE, "🎉" * LONGEST_TRACE)
    job = await line.settle(await line.add_active(), Failed(error))
    assert job.error == error
    [attempt] = await line.repository.attempts(job.id)
    assert attempt.error == error


@pytest.mark.parametrize("make", ALL_UNRULY, ids=name_of)
async def test_an_error_made_of_any_exception_comes_back_as_it_was(line: Line, make: Make) -> None:
    error = JobError.of(make())
    job = await line.settle(await line.add_active(), Failed(error))
    assert (await line.read(job)).error == error


async def test_an_exception_of_any_text_can_be_stored(line: Line) -> None:
    error = JobError.of(ValueError("nul \x00, surrogate \ud800, ünï, %s 'quoted'"))
    job = await line.settle(await line.add_active(), Failed(error))
    assert job.error == error


async def test_a_final_jobs_own_retention_comes_from_its_options(line: Line) -> None:
    """What it does is tested with the removals."""
    job = await line.add_active(remove_on_complete=Retention.keep_newest(1))
    transition = job.settle(completed())
    assert transition.retention == Retention.keep_newest(1)
    await line.move(job, transition)


def _unknown_id(line: Line) -> JobId:
    return make_job(line.queue, clock=line.clock).id
