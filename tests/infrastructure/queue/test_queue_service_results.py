import asyncio
from collections.abc import Collection
from typing import Any

import pytest
from pydantic import BaseModel

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.errors import (
    AlreadyClosed,
    InvalidRequest,
    JobNotCompleted,
    ResultRefused,
)
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.running.outcome import Cancelled, Failed
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock
from tests.infrastructure.queue.bench import Bench, Queue
from tests.waiting import eventually


class Receipt(BaseModel):
    number: int


async def test_the_result_comes_from_a_worker_on_this_queue(queue: Queue, bench: Bench) -> None:
    handle = await queue.add("a")
    waiting = [asyncio.create_task(handle.result(10)) for _ in range(3)]
    await asyncio.sleep(0)
    await queue.mark_job_as_completed(await bench.fetch_one(), {"n": 1})
    assert await asyncio.gather(*waiting) == [{"n": 1}] * 3


async def test_the_result_comes_from_a_worker_elsewhere(
    queue: Queue, repository: IJobRepository, queue_name: str
) -> None:
    handle = await queue.add("a")
    waiting = asyncio.create_task(handle.result(10))
    async with QueueService[Any, Any](queue_name, repository) as elsewhere:
        job = await Bench(elsewhere).fetch_one()
        await elsewhere.mark_job_as_completed(job, [1, 2])
    assert await waiting == [1, 2]


@pytest.mark.parametrize("is_elsewhere", [False, True])
async def test_the_result_of_a_job_that_its_end_removes_reaches_those_who_wait(
    queue: Queue,
    repository: IJobRepository,
    queue_name: str,
    is_elsewhere: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected, expect_end = asyncio.Event(), repository.expect_end

    async def note(job_id: JobId) -> bool:
        answer = await expect_end(job_id)
        expected.set()
        return answer

    monkeypatch.setattr(repository, "expect_end", note)
    handle = await queue.add("a", options=JobOptions(remove_on_complete=True))
    waiting = asyncio.create_task(handle.result(10))
    await asyncio.wait_for(expected.wait(), 10)
    async with QueueService[Any, Any](queue_name, repository) as elsewhere:
        used = elsewhere if is_elsewhere else queue
        await used.mark_job_as_completed(await Bench(used).fetch_one(), "done")
        assert await waiting == "done"


async def test_a_worker_here_hands_the_result_on_though_nothing_was_noted_yet(
    queue: Queue, bench: Bench, repository: IJobRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is slower than the worker."""
    gate = asyncio.Event()

    async def never_in_time(_: JobId) -> bool:
        await gate.wait()
        return False

    monkeypatch.setattr(repository, "expect_end", never_in_time)
    handle = await queue.add("a", options=JobOptions(remove_on_complete=True))
    waiting = asyncio.create_task(handle.result(10))
    await asyncio.sleep(0)
    await queue.mark_job_as_completed(await bench.fetch_one(), "done")
    assert await queue.get_job(handle.id) is None
    gate.set()
    assert await waiting == "done"


async def test_a_job_that_ended_another_way_says_why(queue: Queue, bench: Bench) -> None:
    failed = await queue.add("a")
    await bench.run(Failed(JobError("ValueError", "boom")))
    with pytest.raises(JobNotCompleted, match="ended as failed: ValueError: boom"):
        await failed.result(10)
    cancelled = await queue.add("a")
    await bench.run(Cancelled("enough"))
    with pytest.raises(JobNotCompleted, match="ended as cancelled: enough"):
        await cancelled.result(10)


async def test_an_attempt_that_is_followed_by_another_does_not_end_the_wait(
    queue: Queue, bench: Bench
) -> None:
    handle = await queue.add("a", options=JobOptions(attempts=2))
    waiting = asyncio.create_task(handle.result(10))
    await bench.run(Failed(JobError("ValueError", "boom")))
    await queue.mark_job_as_completed(await bench.fetch_one(), "second")
    assert await waiting == "second"


async def test_time_that_runs_out_leaves_the_job_alone(queue: Queue) -> None:
    handle = await queue.add("a")
    with pytest.raises(TimeoutError, match=r"was not finished within 0\.01 s; it goes on"):
        await handle.result(0.01)
    with pytest.raises(InvalidRequest, match="timeout: -1 is not allowed"):
        await handle.result(-1)
    assert (await queue.counts()).waiting == 1


async def test_a_result_type_is_checked_and_rebuilt(
    repository: IJobRepository, queue_name: str
) -> None:
    queue: QueueService[Any, Receipt] = QueueService(queue_name, repository, result_type=Receipt)
    async with queue:
        handle = await queue.add("a")
        job = await Bench(queue).fetch_one()
        with pytest.raises(ResultRefused, match=r"it is not a Receipt: \$\.number Field required"):
            await queue.mark_job_as_completed(job, {"n": 1})  # type: ignore[arg-type]
        await queue.mark_job_as_completed(job, Receipt(number=7))
        receipt = await handle.result(10)
        assert receipt == Receipt(number=7)


async def test_closing_ends_the_wait(queue: Queue, queue_name: str) -> None:
    handle = await queue.add("a")
    waiting = asyncio.create_task(handle.result())
    await asyncio.sleep(0)
    await queue.close()
    with pytest.raises(AlreadyClosed, match=f"queue '{queue_name}' is closed"):
        await waiting
    with pytest.raises(AlreadyClosed):
        await handle.result()


async def test_a_thousand_callers_share_the_reads(clock: FrozenClock) -> None:
    reads: list[int] = []

    class Counting(InMemoryJobRepository):
        async def get(self, job_ids: Collection[JobId]) -> dict[JobId, Job]:
            reads.append(len(job_ids))
            return await super().get(job_ids)

    async with QueueService[Any, Any]("q", Counting(clock)) as queue:
        handles = await queue.add_bulk([("a", number) for number in range(1_000)])
        waiting = [asyncio.create_task(handle.result(30)) for handle in handles]
        await eventually(lambda: reads)
        assert reads[0] == 1_000
        bench = Bench(queue)
        for job in await bench.fetch(1_000):
            await queue.mark_job_as_completed(job, job.payload)
        assert await asyncio.gather(*waiting) == list(range(1_000))
        assert len(reads) < 200
