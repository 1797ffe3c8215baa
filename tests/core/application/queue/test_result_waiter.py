import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

import pytest

from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.job_ids import JobIds
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.publishing.result_waiter import ResultWaiter
from enfila.core.domain.errors import AlreadyClosed, JobNotFound, RepositoryUnavailable
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import DEFAULT_OPTIONS
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import NULL
from tests.waiting import eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEADLINE = 10
ids = JobIds()


class Jobs:
    """Jobs that are read; counts how, and fails when it is told to."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Job] = {}
        self.reads: list[frozenset[JobId]] = []
        self.error: Exception | None = None
        self.wake_up = InProcessWakeUp()
        self.waiter = ResultWaiter(
            self.read,
            listen=lambda: self.wake_up.listen("q", Hint.SETTLED),
            ignore=lambda event: self.wake_up.ignore("q", Hint.SETTLED, event),
            name="test",
        )

    def add(self, state: JobState = JobState.WAITING) -> JobId:
        job = Job.new(ids.next(NOW), "q", "noop", NULL, DEFAULT_OPTIONS, NOW)
        job.state = state
        self.jobs[job.id] = job
        return job.id

    def finish(self, job_id: JobId) -> Job:
        self.jobs[job_id].state = JobState.COMPLETED
        return self.jobs[job_id]

    async def read(self, job_ids: Collection[JobId]) -> dict[JobId, Job]:
        self.reads.append(frozenset(job_ids))
        if self.error is not None:
            raise self.error
        return {job_id: self.jobs[job_id] for job_id in job_ids if job_id in self.jobs}

    async def has_read(self, job_id: JobId) -> None:
        await eventually(lambda: any(job_id in read for read in self.reads))

    async def is_idle(self) -> None:
        await eventually(lambda: not self.wake_up.listened_to)


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


def waiting(
    jobs: Jobs, job_id: JobId, timeout: timedelta | None = timedelta(seconds=DEADLINE)
) -> asyncio.Task[Job]:
    return asyncio.create_task(jobs.waiter.wait(job_id, timeout))


async def test_a_job_that_is_final_already_is_returned_after_one_look(jobs: Jobs) -> None:
    job_id = jobs.add(JobState.COMPLETED)
    assert await waiting(jobs, job_id) is jobs.jobs[job_id]
    assert jobs.reads == [{job_id}]
    await jobs.is_idle()


async def test_what_this_process_settles_is_handed_on_directly(jobs: Jobs) -> None:
    job_id = jobs.add()
    waiters = [waiting(jobs, job_id) for _ in range(3)]
    await jobs.has_read(job_id)
    reads = len(jobs.reads)
    settled = jobs.finish(job_id)
    jobs.waiter.settled(settled)
    assert await asyncio.gather(*waiters) == [settled] * 3
    assert len(jobs.reads) == reads
    await jobs.is_idle()


@pytest.mark.parametrize("told", [True, False], ids=["hinted", "polled"])
async def test_what_another_process_settles_is_seen(jobs: Jobs, *, told: bool) -> None:
    job_id = jobs.add()
    waiter = waiting(jobs, job_id)
    await jobs.has_read(job_id)
    jobs.finish(job_id)
    if told:
        jobs.wake_up.hint("q", Hint.SETTLED)
    assert (await waiter).state is JobState.COMPLETED


async def test_all_who_wait_share_one_read(jobs: Jobs) -> None:
    job_ids = [jobs.add() for _ in range(50)]
    waiters = [waiting(jobs, job_id) for job_id in job_ids]
    await eventually(lambda: jobs.reads)
    assert jobs.reads[0] == set(job_ids)
    for job_id in job_ids:
        jobs.waiter.settled(jobs.finish(job_id))
    await asyncio.gather(*waiters)


async def test_a_newcomer_is_looked_for_at_once_and_alone(jobs: Jobs) -> None:
    old, new = jobs.add(), jobs.add(JobState.COMPLETED)
    first = waiting(jobs, old)
    await eventually(lambda: len(jobs.reads) > 4)  # it polls slowly by now
    assert await waiting(jobs, new) is jobs.jobs[new]
    assert {new} in jobs.reads
    first.cancel()


async def test_time_that_runs_out_raises_a_sentence(jobs: Jobs) -> None:
    job_id = jobs.add()
    with pytest.raises(TimeoutError, match=rf"job {job_id} was not finished within 0\.01 s"):
        await jobs.waiter.wait(job_id, timedelta(seconds=0.01))
    await jobs.is_idle()
    assert len(jobs.waiter) == 0


async def test_a_timeout_of_the_caller_stays_the_callers(jobs: Jobs) -> None:
    job_id = jobs.add()
    with pytest.raises(TimeoutError) as raised:
        async with asyncio.timeout(0.01):
            await jobs.waiter.wait(job_id, None)
    assert not str(raised.value)


async def test_a_job_that_does_not_exist_is_not_found(jobs: Jobs) -> None:
    with pytest.raises(JobNotFound):
        await waiting(jobs, ids.next(NOW))


async def test_a_job_that_is_removed_meanwhile_is_not_found(jobs: Jobs) -> None:
    here, elsewhere = jobs.add(), jobs.add()
    waiters = [waiting(jobs, here), waiting(jobs, elsewhere)]
    await jobs.has_read(elsewhere)
    jobs.waiter.removed(here)
    del jobs.jobs[elsewhere]
    for waiter in waiters:
        with pytest.raises(JobNotFound):
            await waiter


async def test_an_absent_database_is_waited_for(jobs: Jobs) -> None:
    jobs.error = RepositoryUnavailable("db", "away")
    job_id = jobs.add(JobState.COMPLETED)
    waiter = waiting(jobs, job_id)
    await eventually(lambda: len(jobs.reads) > 2)
    jobs.error = None
    assert await waiter is jobs.jobs[job_id]


async def test_any_other_error_reaches_those_who_wait(jobs: Jobs) -> None:
    jobs.error = ValueError("boom")
    with pytest.raises(ValueError, match="boom"):
        await waiting(jobs, jobs.add())
    jobs.error = None
    failed = jobs.add(JobState.FAILED)
    assert await waiting(jobs, failed) is jobs.jobs[failed]


async def test_closing_ends_the_waiting(jobs: Jobs) -> None:
    waiter = waiting(jobs, jobs.add())
    await eventually(lambda: jobs.reads)
    await jobs.waiter.close(AlreadyClosed("queue 'q'"))
    with pytest.raises(AlreadyClosed):
        await waiter
    await jobs.waiter.close(AlreadyClosed("queue 'q'"))


async def test_it_leaves_nothing_behind_however_callers_come_and_go(jobs: Jobs) -> None:
    before = asyncio.all_tasks()
    job_ids = [jobs.add(JobState.COMPLETED if turn % 3 else JobState.WAITING) for turn in range(60)]

    async def come_and_go(turn: int, job_id: JobId) -> None:
        waiter = waiting(jobs, job_id)
        for _ in range(turn % 5):
            await asyncio.sleep(0)
        if turn % 3 == 0:
            waiter.cancel()
        _ = await asyncio.gather(waiter, return_exceptions=True)

    for turn, job_id in enumerate(job_ids):
        await come_and_go(turn, job_id)
    await jobs.is_idle()
    await eventually(_same_tasks_as(before))


def _same_tasks_as(before: set[asyncio.Task[object]]) -> Callable[[], bool]:
    return lambda: asyncio.all_tasks() <= before
