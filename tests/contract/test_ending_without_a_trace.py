"""Jobs whose own rule keeps nothing are removed by the end of their run."""

from typing import Any

import pytest

from enfila.core.application.queue.claims.outcome_writer import ended
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import Retention, RetentionPolicy
from enfila.core.domain.job.running.outcome import (
    Cancelled,
    Failed,
    Outcome,
    Released,
    Snoozed,
)
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import JsonDocument
from tests.contract.building import ALL_STATES, BOOM, FAILED, LOCK, Line, completed

NOTHING: dict[str, Any] = {"remove_on_complete": True, "remove_on_fail": 0}
FOREVER = RetentionPolicy(Retention(), Retention(), Retention())
FINAL: list[Outcome] = [completed("result"), Failed(BOOM), Cancelled("enough")]


async def end(line: Line, *jobs: Job, outcome: Outcome | None = None) -> list[bool]:
    """Whether each transition of an end was applied."""
    moves = [ended(job, outcome or completed()) for job in jobs]
    return [at is not None for at in await line.repository.apply(moves)]


@pytest.mark.parametrize("outcome", FINAL)
async def test_the_job_is_gone_with_all_that_belongs_to_it(line: Line, outcome: Outcome) -> None:
    job = await line.add_active(**NOTHING)
    update = ProgressUpdate(job.id, job.token, 1, JsonDocument.of(1), ("a line",), None)
    assert await line.repository.update_progress([update]) == [True]
    assert await end(line, job, outcome=outcome) == [True]
    assert not await line.exists(job)
    assert await line.repository.logs(job.id) == []
    assert await line.repository.attempts(job.id) == []
    assert (await line.repository.storage.queues.counts(line.queue)).total == 0


@pytest.mark.parametrize("outcome", [Released(), Snoozed(LOCK)])
async def test_a_run_that_is_not_the_last_removes_nothing(line: Line, outcome: Outcome) -> None:
    job = await line.add_active(**NOTHING)
    assert await end(line, job, outcome=outcome) == [True]
    assert await line.exists(job)


async def test_a_failure_with_attempts_left_removes_nothing(line: Line) -> None:
    job = await line.add_active(attempts=2, **NOTHING)
    assert await end(line, job, outcome=FAILED) == [True]
    assert await line.state(job) is JobState.WAITING


async def test_each_final_state_has_its_rule(line: Line) -> None:
    failed = await line.add_active(remove_on_complete=True)
    assert await end(line, failed, outcome=FAILED) == [True]
    done = await line.add_active(remove_on_fail=True)
    assert await end(line, done) == [True]
    assert (await line.state(failed), await line.state(done)) == (
        JobState.FAILED,
        JobState.COMPLETED,
    )


async def test_an_old_token_removes_nothing(line: Line) -> None:
    old = await line.add_active(**NOTHING)
    await line.move(old, old.stall(max_stalled_count=5))
    new = await line.claim_one()
    assert await end(line, old) == [False]
    assert await line.read(new) == new
    assert await end(line, old, new) == [False, True]
    assert await end(line, new) == [False]


async def test_some_of_a_group_are_removed_and_the_others_stay(line: Line) -> None:
    options: list[dict[str, Any]] = [NOTHING, {}, NOTHING, {"remove_on_complete": 5}]
    jobs = [await line.add_active(**each) for each in options]
    assert await end(line, *jobs) == [True] * 4
    assert [await line.exists(job) for job in jobs] == [False, True, False, True]
    counts = await line.repository.storage.queues.counts(line.queue)
    assert (counts.active, counts.completed) == (0, 2)


async def test_a_job_for_whose_end_somebody_waits_is_left_to_retention(line: Line) -> None:
    job, other = await line.add_active(**NOTHING), await line.add_active(**NOTHING)
    assert await line.repository.expect_end(job.id)
    assert await end(line, job, other, outcome=completed("result")) == [True, True]
    assert (await line.read(job)).result == "result"
    assert not await line.exists(other)
    assert await line.repository.apply_retention(line.queue, FOREVER, 100) == 1
    assert not await line.exists(job)


async def test_the_end_of_a_job_that_ended_is_not_expected(line: Line) -> None:
    job = await line.settle(await line.add_active(), completed())
    assert not await line.repository.expect_end(job.id)
    assert not await line.repository.expect_end(line.make().id)


async def test_a_job_that_others_depend_on_stays_until_they_are_released(line: Line) -> None:
    job = await line.add_active(**NOTHING)
    dependent = (await line.put(line.make().behind(job.id))).job
    assert await end(line, job) == [True]
    assert await line.state(dependent) is JobState.WAITING


@pytest.mark.parametrize("is_for_a_time", [False, True])
async def test_a_key_that_is_held_for_a_time_keeps_its_job(line: Line, is_for_a_time: bool) -> None:
    rule = (
        Deduplication.for_time("key", 60)
        if is_for_a_time
        else Deduplication.while_unfinished("key")
    )
    job = await line.add_active(deduplication=rule, **NOTHING)
    assert await end(line, job) == [True]
    assert await line.exists(job) is is_for_a_time
    assert (await line.put(line.make(deduplication=rule))).is_duplicate is is_for_a_time


async def test_nothing_is_left_of_many(line: Line) -> None:
    await line.add_many(500, **NOTHING)
    for _ in range(5):
        jobs = await line.claim(100)
        assert await end(line, *jobs) == [True] * 100
    assert await line.repository.find(line.queue, ALL_STATES) == []
