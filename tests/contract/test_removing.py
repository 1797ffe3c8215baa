"""Removing jobs: by hand, by the list, by rule, with their queue."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import Retention, RetentionPolicy
from enfila.core.domain.job.running.outcome import Cancelled, Outcome
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import FINAL, UNFINISHED, JobState
from tests.contract.building import ALL_STATES, FAILED, Line, completed, ids, make_job

FOREVER = RetentionPolicy(Retention.forever(), Retention.forever(), Retention.forever())
HOUR = timedelta(hours=1)


def keeping(rule: Retention) -> RetentionPolicy:
    """The same rule for every final state."""
    return RetentionPolicy(rule, rule, rule)


async def left(line: Line) -> list[str]:
    """The ids of the jobs of the queue, in the order of their addition."""
    return list(ids(await line.repository.find(line.queue, ALL_STATES, limit=1000)))


async def finish(
    line: Line, count: int, outcome: Outcome | None = None, **options: Any
) -> list[Job]:
    """Jobs that finished one second after the other, the oldest first."""
    jobs = []
    for _ in range(count):
        job = await line.add_active(**options)
        jobs.append(await line.settle(job, outcome or completed()))
        line.clock.advance(1)
    return jobs


# ── one by one ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.ACTIVE])
async def test_a_job_that_stands_as_read_is_removed(line: Line, state: JobState) -> None:
    job = await line.add_in(state)
    assert await line.repository.remove([job]) == [True]
    assert not await line.exists(job)
    assert await line.count(state) == 0
    assert await line.repository.remove([job]) == [False]


async def test_with_a_job_goes_all_that_belongs_to_it(line: Line) -> None:
    job = await line.add_active(attempts=2)
    await line.repository.update_progress([ProgressUpdate(job.id, job.token, 1, lines=("hello",))])
    job = await line.settle(job, FAILED)
    assert await line.repository.attempts(job.id)
    assert await line.repository.logs(job.id)
    await line.repository.remove([job])
    assert await line.repository.attempts(job.id) == []
    assert await line.repository.logs(job.id) == []


async def test_a_job_that_moved_since_it_was_read_is_left_alone(line: Line) -> None:
    """A job that became active meanwhile is not removed."""
    job = await line.add()
    claimed = await line.claim_one()
    assert await line.repository.remove([job]) == [False]
    assert await line.read(job) == claimed


async def test_a_job_that_ran_since_it_was_read_is_left_alone(line: Line) -> None:
    job = await line.add(attempts=3)
    await line.settle(await line.claim_one(), FAILED)
    assert await line.state(job) is job.state
    assert await line.repository.remove([job]) == [False]
    assert await line.exists(job)


async def test_the_answers_of_a_removal_stand_in_the_order_of_the_jobs(line: Line) -> None:
    jobs = await line.add_many(4)
    await line.claim(1)
    unknown = make_job(line.queue, clock=line.clock)
    answers = await line.repository.remove([jobs[3], jobs[0], unknown, jobs[1]])
    assert answers == [True, False, False, True]
    assert await left(line) == ids([jobs[0], jobs[2]])
    assert await line.count(JobState.WAITING) == 1


async def test_a_job_and_its_follower_can_be_removed_together(line: Line) -> None:
    holder = await line.add()
    [added] = await line.repository.add([line.make().behind(holder.id)])
    assert await line.repository.remove([added.job, holder]) == [True, True]
    assert await left(line) == []


async def test_removing_nothing_is_allowed(line: Line) -> None:
    assert await line.repository.remove([]) == []


async def test_of_two_removals_at_once_one_is_told_it_was_it(line: Line) -> None:
    job = await line.add()
    answers = await asyncio.gather(*(line.repository.remove([job]) for _ in range(4)))
    assert sorted(answers) == [[False], [False], [False], [True]]
    assert await line.count(JobState.WAITING) == 0


# ── drain and clean ──────────────────────────────────────────────────────────────────────────


async def test_draining_removes_waiting_jobs_and_nothing_else(line: Line) -> None:
    kept = [await line.add_in(state) for state in (*FINAL, JobState.BLOCKED, JobState.ACTIVE)]
    delayed = await line.add_in(JobState.DELAYED)
    waiting = await line.add_many(3)
    assert await line.repository.remove_all(line.queue, [JobState.WAITING], limit=100) == 3
    remaining = await left(line)
    assert not set(remaining) & set(ids(waiting))
    assert set(remaining) >= set(ids([*kept, delayed]))


async def test_draining_removes_delayed_jobs_when_asked(line: Line) -> None:
    active = await line.add_in(JobState.ACTIVE)
    await line.add_many(2)
    await line.add_many(2, delay=60)
    states = [JobState.WAITING, JobState.DELAYED]
    assert await line.repository.remove_all(line.queue, states, limit=100) == 4
    assert await left(line) == [active.id]


async def test_removing_all_keeps_to_its_queue(line: Line) -> None:
    other = Line(line.repository, line.clock, f"other-{uuid4().hex}")
    job = await other.add()
    assert await line.repository.remove_all(line.queue, list(JobState), limit=100) == 0
    assert await left(other) == [job.id]


async def test_removing_all_stops_at_its_limit(line: Line) -> None:
    await line.add_many(5)
    removed = [
        await line.repository.remove_all(line.queue, [JobState.WAITING], limit=2) for _ in range(4)
    ]
    assert removed == [2, 2, 1, 0]
    assert await line.count(JobState.WAITING) == 0


async def test_cleaning_honours_age_and_state(line: Line) -> None:
    old = await finish(line, 2)
    old_failed = await finish(line, 1, FAILED)
    line.clock.advance(HOUR)
    young = await finish(line, 1)
    waiting = await line.add()
    removed = await line.repository.remove_all(
        line.queue, [JobState.COMPLETED], finished_before=HOUR, limit=100
    )
    assert removed == len(old)
    assert await left(line) == ids([*old_failed, *young, waiting])


async def test_cleaning_takes_jobs_that_finished_exactly_so_long_ago(line: Line) -> None:
    await line.settle(await line.add_active(), completed())
    line.clock.advance(HOUR)
    removed = await line.repository.remove_all(
        line.queue, [JobState.COMPLETED], finished_before=HOUR, limit=100
    )
    assert removed == 1


async def test_cleaning_takes_no_unfinished_job(line: Line) -> None:
    await line.add()
    line.clock.advance(HOUR * 2)
    removed = await line.repository.remove_all(
        line.queue, list(JobState), finished_before=HOUR, limit=100
    )
    assert removed == 0


# ── retention ────────────────────────────────────────────────────────────────────────────────


async def test_retention_removes_by_age(line: Line) -> None:
    jobs = await finish(line, 3)  # finished 3, 2 and 1 seconds ago
    policy = keeping(Retention.for_time(2))
    assert await line.repository.apply_retention(line.queue, policy, 100) == 2
    assert await left(line) == [jobs[2].id]
    assert await line.count(JobState.COMPLETED) == 1


async def test_retention_keeps_the_newest(line: Line) -> None:
    jobs = await finish(line, 5)
    policy = keeping(Retention.keep_newest(2))
    assert await line.repository.apply_retention(line.queue, policy, 100) == 3
    assert await left(line) == ids(jobs[3:])
    assert await line.repository.apply_retention(line.queue, policy, 100) == 0


async def test_the_newest_are_those_that_finished_last_not_those_added_last(line: Line) -> None:
    jobs = await line.add_many(3)
    claimed = await line.claim()
    for job in reversed(claimed):
        line.clock.advance(1)
        await line.settle(job, completed())
    policy = keeping(Retention.keep_newest(1))
    assert await line.repository.apply_retention(line.queue, policy, 100) == 2
    assert await left(line) == [jobs[0].id]


async def test_of_jobs_that_finished_in_one_moment_the_newest_number_is_kept(line: Line) -> None:
    await line.add_many(5)
    await line.repository.apply([job.settle(completed()) for job in await line.claim()])
    policy = keeping(Retention.keep_newest(2))
    assert await line.repository.apply_retention(line.queue, policy, 100) == 3
    assert await line.count(JobState.COMPLETED) == 2


async def test_retention_by_age_and_number_removes_what_either_removes(line: Line) -> None:
    jobs = await finish(line, 4)
    policy = keeping(Retention.keep_newest(3, age=2))
    assert await line.repository.apply_retention(line.queue, policy, 100) == 3
    assert await left(line) == [jobs[3].id]


async def test_each_final_state_has_its_own_rule(line: Line) -> None:
    done = await finish(line, 2)
    failed = await finish(line, 2, FAILED)
    cancelled = await finish(line, 2, Cancelled("enough"))
    policy = RetentionPolicy(Retention.nothing(), Retention.keep_newest(1), Retention.forever())
    assert await line.repository.apply_retention(line.queue, policy, 100) == 3
    assert await left(line) == ids([failed[1], *cancelled])
    assert done[0].id not in await left(line)


async def test_the_newest_of_each_state_are_counted_apart(line: Line) -> None:
    done = await finish(line, 2)
    failed = await finish(line, 2, FAILED)
    policy = keeping(Retention.keep_newest(1))
    assert await line.repository.apply_retention(line.queue, policy, 100) == 2
    assert await left(line) == ids([done[1], failed[1]])


async def test_a_jobs_own_rule_comes_before_the_queues(line: Line) -> None:
    [kept] = await finish(line, 1, remove_on_complete=False)
    [gone] = await finish(line, 1, remove_on_complete=True)
    [plain] = await finish(line, 1)
    hour_long = await finish(line, 1, remove_on_complete=HOUR)
    line.clock.advance(60)
    assert await line.repository.apply_retention(line.queue, FOREVER, 100) == 1
    assert await left(line) == ids([kept, plain, *hour_long])
    policy = keeping(Retention.nothing())
    assert await line.repository.apply_retention(line.queue, policy, 100) == 1
    assert await left(line) == ids([kept, *hour_long])
    line.clock.advance(HOUR)
    assert await line.repository.apply_retention(line.queue, FOREVER, 100) == 1
    assert await left(line) == [kept.id]
    assert gone.id not in await left(line)


async def test_a_jobs_own_number_counts_all_that_finished_since(line: Line) -> None:
    own = await finish(line, 3, remove_on_complete=2)
    assert await line.repository.apply_retention(line.queue, FOREVER, 100) == 1
    assert await left(line) == ids(own[1:])
    others = await finish(line, 1)
    assert await line.repository.apply_retention(line.queue, FOREVER, 100) == 1
    assert await left(line) == ids([own[2], *others])


@pytest.mark.parametrize("outcome", [FAILED, Cancelled("enough")])
async def test_the_rule_for_failed_jobs_is_also_that_for_cancelled_ones(
    line: Line, outcome: Outcome
) -> None:
    await finish(line, 1, outcome, remove_on_fail=True, remove_on_complete=False)
    [kept] = await finish(line, 1, outcome, remove_on_complete=True)
    assert await line.repository.apply_retention(line.queue, FOREVER, 100) == 1
    assert await left(line) == [kept.id]


async def test_a_job_that_was_cancelled_before_it_ran_has_its_rule_too(line: Line) -> None:
    job = await line.add(remove_on_fail=True)
    await line.move(job, job.cancel("enough"))
    assert await line.repository.apply_retention(line.queue, FOREVER, 100) == 1


async def test_a_rule_given_by_a_replacement_counts(line: Line) -> None:
    await line.add(deduplication=Deduplication.replace("key"), remove_on_complete=False)
    await line.put(line.make(deduplication=Deduplication.replace("key"), remove_on_complete=True))
    await line.settle(await line.claim_one(), completed())
    assert await line.repository.apply_retention(line.queue, FOREVER, 100) == 1


async def test_the_rule_that_counts_is_the_one_of_the_decision(line: Line) -> None:
    """A job can be changed between the decision to end it and its end."""
    job = await line.add(remove_on_fail=True)
    transition = job.cancel("enough")
    changed = await line.amend(job, job.amend(options=JobOptions(remove_on_fail=False)))
    await line.move(changed, transition)
    assert await line.repository.apply_retention(line.queue, FOREVER, 100) == 1


async def test_a_job_that_was_retried_is_not_removed_by_its_former_end(line: Line) -> None:
    [job] = await finish(line, 1, FAILED, remove_on_fail=HOUR)
    await line.move(job, job.retry(fresh_attempts=True))
    line.clock.advance(HOUR * 2)
    policy = keeping(Retention.nothing())
    assert await line.repository.apply_retention(line.queue, policy, 100) == 0
    assert await line.exists(job)


async def test_retention_leaves_unfinished_jobs_alone(line: Line) -> None:
    jobs = [await line.add_in(state) for state in UNFINISHED - {JobState.WAITING}]
    jobs.append(await line.add_in(JobState.WAITING))
    line.clock.advance(timedelta(days=1000))
    policy = keeping(Retention.nothing())
    assert await line.repository.apply_retention(line.queue, policy, 100) == 0
    assert all([await line.exists(job) for job in jobs])


async def test_retention_keeps_to_its_queue(line: Line) -> None:
    other = Line(line.repository, line.clock, f"other-{uuid4().hex}")
    await finish(other, 3)
    [job] = await finish(line, 1)
    policy = keeping(Retention.keep_newest(1))
    assert await line.repository.apply_retention(line.queue, policy, 100) == 0
    assert await left(line) == [job.id]
    assert len(await left(other)) == 3


@pytest.mark.parametrize("rule", [Retention.nothing(), Retention.keep_newest(0)])
async def test_retention_stops_at_its_limit(line: Line, rule: Retention) -> None:
    await finish(line, 5)
    removed = [
        await line.repository.apply_retention(line.queue, keeping(rule), 2) for _ in range(4)
    ]
    assert removed == [2, 2, 1, 0]


async def test_with_a_job_past_its_time_goes_all_that_belongs_to_it(line: Line) -> None:
    job = await line.add_active()
    await line.repository.update_progress([ProgressUpdate(job.id, job.token, 1, lines=("hello",))])
    await line.settle(job, FAILED)
    policy = keeping(Retention.nothing())
    assert await line.repository.apply_retention(line.queue, policy, 100) == 1
    assert await line.repository.attempts(job.id) == []
    assert await line.repository.logs(job.id) == []


# ── obliterating ─────────────────────────────────────────────────────────────────────────────


async def test_obliterating_removes_the_queue_with_all_its_jobs(line: Line) -> None:
    for state in sorted(ALL_STATES - {JobState.ACTIVE}):
        await line.add_in(state)
    total = (await line.repository.storage.queues.counts(line.queue)).total
    assert total >= 6
    assert await line.repository.obliterate(line.queue, force=False) == total
    assert await left(line) == []
    assert (await line.repository.storage.queues.counts(line.queue)).total == 0
    assert line.queue not in await line.repository.storage.queues.names()


async def test_obliterating_is_refused_while_jobs_are_active(line: Line) -> None:
    await line.add_active()
    await line.add()
    await line.repository.storage.queues.set_paused(line.queue, paused=True)
    assert await line.repository.obliterate(line.queue, force=False) is None
    assert len(await left(line)) == 2
    assert await line.repository.storage.queues.is_paused(line.queue)


async def test_obliterating_by_force_takes_active_jobs_too(line: Line) -> None:
    job = await line.add_active()
    await line.add()
    assert await line.repository.obliterate(line.queue, force=True) == 2
    assert await line.is_stale(job.settle(completed()))
    assert await left(line) == []
    assert (await line.repository.storage.queues.counts(line.queue)).total == 0


async def test_obliterating_frees_the_queues_keys_and_its_pause(line: Line) -> None:
    key = Deduplication.for_time("key", HOUR)
    await line.add(deduplication=key)
    await line.repository.storage.queues.set_paused(line.queue, paused=True)
    assert await line.repository.obliterate(line.queue, force=False) == 1
    assert not await line.repository.storage.queues.is_paused(line.queue)
    job = await line.add(deduplication=key)
    assert ids(await line.claim()) == [job.id]
    assert await line.count(JobState.ACTIVE) == 1


async def test_obliterating_one_queue_leaves_the_others_alone(line: Line) -> None:
    other = Line(line.repository, line.clock, f"other-{uuid4().hex}")
    job = await other.add(deduplication=Deduplication.while_unfinished("key"))
    await line.add(deduplication=Deduplication.while_unfinished("key"))
    assert await line.repository.obliterate(line.queue, force=True) == 1
    assert await left(other) == [job.id]
    again = await other.put(other.make(deduplication=Deduplication.while_unfinished("key")))
    assert again.is_duplicate


async def test_obliterating_an_unknown_queue_removes_nothing(line: Line) -> None:
    assert await line.repository.obliterate(line.queue, force=False) == 0
