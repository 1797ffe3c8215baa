import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.operations.job_handle import JobHandle
from enfila.core.application.queue.operations.job_operations import MOST_DECISIONS
from enfila.core.domain.errors import (
    InvalidRequest,
    JobNotCompleted,
    JobNotFound,
    KeyTaken,
    MoveNotAllowed,
    QueueNotEmpty,
    StaleTransition,
)
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.running.outcome import Cancelled, Failed
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Amendment, Transition
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock
from tests.infrastructure.queue.bench import Bench, Queue

FAILED = Failed(JobError("ValueError", "boom"))


# ── looking ──────────────────────────────────────────────────────────────────────────────────


async def test_a_job_is_found_by_its_id_in_any_form(queue: Queue) -> None:
    job = await queue.add("a")
    for spelled in (job.id, job.id.upper(), str(UUID(job.id))):
        found = await queue.get_job(spelled)
        assert found is not None
        assert found.id == job.id
    assert await queue.get_job(str(uuid4())) is None
    for no_id in ("nonsense", "", "five", f"{uuid4()}0", "\ud800"):
        assert await queue.get_job(no_id) is None
    with pytest.raises(InvalidRequest, match="job_id: 5 is not allowed; give the id of a job"):
        await queue.get_job(5)  # type: ignore[arg-type]


async def test_a_job_of_another_queue_is_not_found(
    queue: Queue, repository: IJobRepository
) -> None:
    async with QueueService[Any, Any]("other", repository) as other:
        job = await other.add("a")
    assert await queue.get_job(job.id) is None
    for change in (queue.retry, queue.promote, queue.cancel, queue.remove):
        with pytest.raises(JobNotFound):
            await change(job.id)
    with pytest.raises(JobNotFound):
        await queue.set_priority(job.id, 1)


async def test_jobs_are_listed_by_state(queue: Queue, bench: Bench) -> None:
    jobs = await queue.add_bulk([("a",), ("b",), ("c", None, JobOptions(delay=60))])
    await bench.run()
    assert [job.id for job in await queue.get_jobs()] == [job.id for job in jobs]
    for one in (["completed"], "completed", JobState.COMPLETED, {JobState.COMPLETED}):
        assert [job.name for job in await queue.get_jobs(one)] == ["a"]
    with pytest.raises(InvalidRequest, match=r"^state: 'fialed' is not allowed"):
        await queue.get_jobs("fialed")
    with pytest.raises(InvalidRequest, match=r"^states: 5 is not allowed; give a state or several"):
        await queue.get_jobs(5)  # type: ignore[arg-type]
    waiting = await queue.get_jobs([JobState.WAITING, "delayed"], newest_first=True)
    assert [job.name for job in waiting] == ["c", "b"]
    assert [job.name for job in await queue.get_jobs(limit=1, offset=1)] == ["b"]
    with pytest.raises(InvalidRequest, match="state: 'done' is not allowed; give one of waiting"):
        await queue.get_jobs(["done"])
    with pytest.raises(InvalidRequest, match="limit"):
        await queue.get_jobs(limit=-1)


async def test_a_handle_shows_a_new_snapshot_when_asked(queue: Queue, bench: Bench) -> None:
    job = await queue.add("a")
    await bench.run()
    assert job.state is JobState.WAITING
    assert (await job.refresh()).state is JobState.COMPLETED
    assert [attempt.number for attempt in await job.attempt_history()] == [1]


# ── retry ────────────────────────────────────────────────────────────────────────────────────


async def test_retrying_a_failed_job_clears_its_error_and_times(
    queue: Queue, bench: Bench, clock: FrozenClock
) -> None:
    job = await queue.add("a", options=JobOptions(attempts=2))
    await bench.run(FAILED)
    await bench.run(FAILED)
    clock.advance(60)
    again = await queue.retry(job.id)
    assert (again.state, again.attempt, again.max_attempts) == (JobState.WAITING, 2, 3)
    assert (again.error, again.started_at, again.finished_at) == (None, None, None)
    assert again.run_at == clock.now()
    stored = await job.refresh()
    assert stored.snapshot == again.snapshot


async def test_retrying_with_fresh_attempts_counts_from_zero(queue: Queue, bench: Bench) -> None:
    job = await queue.add("a", options=JobOptions(attempts=2))
    await bench.run(FAILED)
    await bench.run(FAILED)
    await job.retry(fresh_attempts=True)
    assert (job.attempt, job.max_attempts) == (0, 2)


async def test_retrying_a_completed_job_clears_its_result(queue: Queue, bench: Bench) -> None:
    job = await queue.add("a")
    await queue.mark_job_as_completed(await bench.fetch_one(), {"n": 1})
    assert await job.result(10) == {"n": 1}
    await job.retry()
    assert job.snapshot.result is None


async def test_retrying_wakes_workers_and_is_refused_for_an_active_job(
    queue: Queue, bench: Bench
) -> None:
    job = await queue.add("a")
    await bench.run()
    event = queue.listen(Hint.JOBS)
    await job.retry()
    assert event.is_set()
    await bench.fetch_one()
    with pytest.raises(MoveNotAllowed, match="is active and cannot be retried"):
        await job.retry()
    queue.ignore(Hint.JOBS, event)


async def test_retrying_twice_at_once_queues_the_job_once(queue: Queue, bench: Bench) -> None:
    job = await queue.add("a")
    await bench.run()
    answers = await asyncio.gather(queue.retry(job.id), queue.retry(job.id), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["JobHandle", "MoveNotAllowed"]
    assert len(await bench.fetch()) == 1


async def test_retrying_a_job_whose_key_another_one_holds_is_refused(
    queue: Queue, bench: Bench
) -> None:
    once = JobOptions(deduplication=Deduplication.while_unfinished("invoice 7"))
    first = await queue.add("a", options=once)
    await bench.run(FAILED)
    second = await queue.add("a", options=once)
    before = (await first.refresh()).snapshot
    with pytest.raises(KeyTaken, match=r"'invoice 7' and has not ended; wait for its end"):
        await first.retry()
    assert (await first.refresh()).snapshot == before
    await second.cancel()
    assert (await first.retry()).state is JobState.WAITING
    assert (await queue.add("a", options=once)).id == first.id


async def test_a_retry_and_an_addition_under_one_key_leave_one_job_to_run(
    queue: Queue, bench: Bench
) -> None:
    once = JobOptions(deduplication=Deduplication.while_unfinished("key"))
    first = await queue.add("a", options=once)
    await bench.run(FAILED)
    for _ in range(10):
        _, added = await asyncio.gather(
            first.retry(), queue.add("a", options=once), return_exceptions=True
        )
        assert isinstance(added, JobHandle)
        assert len(await bench.fetch()) == 1
        await queue.obliterate(force=True)
        first = await queue.add("a", options=once)
        await bench.run(FAILED)


# ── promote and priority ─────────────────────────────────────────────────────────────────────


async def test_promoting_runs_a_delayed_job_now_and_keeps_its_priority(
    queue: Queue, bench: Bench
) -> None:
    await queue.add("plain")
    job = await queue.add("urgent", options=JobOptions(delay=60, priority=-1))
    promoted = await queue.promote(job.id)
    assert (promoted.state, promoted.priority) == (JobState.WAITING, -1)
    assert (await bench.fetch_one()).id == job.id
    with pytest.raises(MoveNotAllowed):
        await job.promote()


async def test_changing_the_priority_moves_a_waiting_job(queue: Queue, bench: Bench) -> None:
    first, second = await queue.add("first"), await queue.add("second")
    await second.set_priority(-1)
    assert second.priority == -1
    assert (await bench.fetch_one()).id == second.id
    with pytest.raises(MoveNotAllowed, match="is active and cannot be changed"):
        await queue.set_priority(second.id, 5)
    with pytest.raises(InvalidRequest, match=r"priority: 1\.5 is not allowed"):
        await queue.set_priority(first.id, 1.5)  # type: ignore[arg-type]


# ── cancel and remove ────────────────────────────────────────────────────────────────────────


async def test_cancelling_a_job_that_is_not_active_is_immediate(queue: Queue, bench: Bench) -> None:
    bench.listen("job.cancelled")
    waiting, delayed = await queue.add("a"), await queue.add("b", options=JobOptions(delay=60))
    result = asyncio.create_task(waiting.result(10))
    await asyncio.sleep(0)
    for job in (waiting, delayed):
        assert (await job.cancel("enough")).state is JobState.CANCELLED
    assert [(event.job_id, event.reason) for event in bench.events] == [
        (waiting.id, "enough"),
        (delayed.id, "enough"),
    ]
    with pytest.raises(JobNotCompleted, match="ended as cancelled: enough"):
        await result
    assert await bench.fetch() == []
    with pytest.raises(MoveNotAllowed):
        await waiting.cancel()


async def test_cancelling_an_active_job_asks_its_worker(queue: Queue, bench: Bench) -> None:
    bench.listen("job.cancelled")
    handle = await queue.add("a")
    job = await bench.fetch_one()
    control = queue.listen(Hint.CONTROL)
    asked = await queue.cancel(handle.id, "enough\x00")
    assert asked.state is JobState.ACTIVE
    assert asked.snapshot.cancel_requested
    assert control.is_set()
    assert job.lock is not None
    [extension] = await queue.extend_job_locks([job.lock], 30)
    assert (extension.cancel_requested, extension.cancel_reason) == (True, "enough\\x00")
    assert bench.events == []
    await bench.settle([job], Cancelled("enough"))
    assert bench.names() == ["job.cancelled"]
    queue.ignore(Hint.CONTROL, control)


async def test_a_removed_job_is_gone_and_told(queue: Queue, bench: Bench) -> None:
    bench.listen("job.removed")
    job = await queue.add("a")
    result = asyncio.create_task(job.result(10))
    await asyncio.sleep(0)
    await job.remove()
    assert [(event.job_id, event.job_name) for event in bench.events] == [(job.id, "a")]
    with pytest.raises(JobNotFound):
        await result
    with pytest.raises(JobNotFound):
        await job.refresh()
    with pytest.raises(JobNotFound):
        await job.remove()


async def test_removing_an_active_job_is_refused(queue: Queue, bench: Bench) -> None:
    job = await queue.add("a")
    await bench.fetch_one()
    with pytest.raises(MoveNotAllowed, match="is active and cannot be removed"):
        await job.remove()
    assert await queue.get_job(job.id) is not None


class RacingRepository(InMemoryJobRepository):
    """Somebody else is faster: the first few writes find the job moved."""

    races = 0
    lost = 0

    def _is_lost(self) -> bool:
        if self.lost < self.races:
            self.lost += 1
            return True
        return False

    async def apply(self, transitions: Sequence[Transition]) -> list[datetime | None]:
        return [None] * len(transitions) if self._is_lost() else await super().apply(transitions)

    async def amend(self, amendment: Amendment) -> datetime | None:
        return None if self._is_lost() else await super().amend(amendment)

    async def remove(self, jobs: Sequence[Job]) -> list[bool]:
        return [False] * len(jobs) if self._is_lost() else await super().remove(jobs)


@pytest.mark.parametrize("change", ["cancel", "promote", "remove", "set_priority"])
@pytest.mark.parametrize("races", [MOST_DECISIONS - 1, MOST_DECISIONS])
async def test_a_stale_change_is_decided_again_a_few_times(
    clock: FrozenClock, change: str, races: int
) -> None:
    repository = RacingRepository(clock)
    async with QueueService[Any, Any]("q", repository) as queue:
        bench = Bench(queue)
        bench.listen("job.cancelled", "job.removed")
        job = await queue.add("a", options=JobOptions(delay=60))
        repository.races = races
        given = [job.id, 5] if change == "set_priority" else [job.id]
        changing = getattr(queue, change)(*given)
        if races < MOST_DECISIONS:
            await changing
            assert len(bench.events) == (change in {"cancel", "remove"})
        else:
            with pytest.raises(StaleTransition, match="moved meanwhile"):
                await changing
            assert bench.events == []


# ── whole queues ─────────────────────────────────────────────────────────────────────────────


async def test_pausing_stops_claims_and_is_told_once(queue: Queue, bench: Bench) -> None:
    bench.listen("queue.paused", "queue.resumed")
    jobs, control = queue.listen(Hint.JOBS), queue.listen(Hint.CONTROL)
    await queue.pause()
    await queue.pause()
    assert await queue.is_paused()
    assert control.is_set()
    await queue.add("a")
    assert await bench.fetch() == []
    jobs.clear()
    await queue.resume()
    await queue.resume()
    assert jobs.is_set()
    assert not await queue.is_paused()
    assert len(await bench.fetch()) == 1
    assert bench.names() == ["queue.paused", "queue.resumed"]


async def test_draining_removes_what_has_not_started(queue: Queue, bench: Bench) -> None:
    await queue.add("active")
    await bench.fetch()
    await queue.add_bulk([("a",), ("b",), ("c", None, JobOptions(delay=60))])
    assert await queue.drain() == 2
    assert (await queue.counts()).delayed == 1
    assert await queue.drain(delayed=True) == 1
    assert (await queue.counts()).active == 1


async def test_cleaning_honours_age_limit_and_state(
    queue: Queue, bench: Bench, clock: FrozenClock
) -> None:
    await queue.add_bulk([("a",)] * 5)
    await bench.settle(await bench.fetch(3))
    clock.advance(60)
    await bench.settle(await bench.fetch(2), FAILED)
    assert await queue.clean(timedelta(seconds=61)) == 0
    assert await queue.clean(60, limit=2) == 2
    assert await queue.clean(60) == 1
    assert await queue.clean() == 0
    assert await queue.clean(state="failed", limit=0) == 0
    assert await queue.clean(state="failed") == 2
    assert (await queue.counts()).total == 0


async def test_cleaning_of_unfinished_jobs_is_refused(queue: Queue) -> None:
    with pytest.raises(InvalidRequest, match="state: 'waiting' is not allowed; give completed"):
        await queue.clean(state="waiting")
    with pytest.raises(InvalidRequest, match="older_than"):
        await queue.clean(-1)


async def test_removals_go_in_batches(clock: FrozenClock) -> None:
    batches: list[int] = []

    class Watching(InMemoryJobRepository):
        async def remove_all(self, *args: Any, limit: int, **options: Any) -> int:
            batches.append(limit)
            return await super().remove_all(*args, limit=limit, **options)

    async with QueueService[Any, Any]("q", Watching(clock)) as queue:
        await queue.add_bulk([("a",)] * 20_001)
        assert await queue.drain() == 20_001
        assert batches == [10_000] * 3
        batches.clear()
        await queue.add_bulk([("a",)] * 12_000)
        bench = Bench(queue)
        await bench.settle(await bench.fetch(12_000))
        assert await queue.clean(limit=11_000) == 11_000
        assert batches == [10_000, 1_000]


async def test_obliterating_refuses_while_jobs_are_active_unless_forced(
    queue: Queue, bench: Bench
) -> None:
    await queue.add_bulk([("a",), ("b",)])
    job = await bench.fetch_one()
    with pytest.raises(QueueNotEmpty, match=r"has 1 active job"):
        await queue.obliterate()
    await queue.pause()
    assert await queue.obliterate(force=True) == 2
    assert (await queue.counts()).total == 0
    assert not await queue.is_paused()
    assert await bench.settle([job]) == [None]
