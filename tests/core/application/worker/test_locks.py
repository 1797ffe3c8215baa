"""Keeping locks, losing them, and being asked to cancel."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.worker.running.active_job import ActiveJob
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain.errors import JobNotCompleted
from enfila.core.domain.job.options import JobOptions
from enfila.infrastructure.queue.queue_service import QueueService
from tests.core.application.worker.conftest import MakeWorker
from tests.core.application.worker.recording import Recording
from tests.core.application.worker.unreliable_repository import UnreliableRepository
from tests.waiting import eventually, wait_for_event


async def _never(job: ActiveJob[Any]) -> None:
    await asyncio.Event().wait()


async def test_a_job_longer_than_its_lock_stays_with_its_worker(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    gate = asyncio.Event()
    runs = 0

    async def work(job: ActiveJob[Any]) -> int:
        nonlocal runs
        runs += 1
        await gate.wait()
        return runs

    job = await queue.add("long")
    async with make_worker(work, lock_duration=0.2, lock_renewal=0.05):
        await eventually(lambda: repository.calls.count("extend") >= 8)
        await job.refresh()
        assert job.snapshot.locked_until is not None
        assert job.started_at is not None
        assert job.snapshot.locked_until - job.started_at > timedelta(seconds=0.4)
        gate.set()
        assert await job.result(timeout=5) == 1


async def test_all_locks_of_a_worker_are_renewed_in_one_statement(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    sizes: list[int] = []
    extend = repository.extend

    async def count(locks: Any, duration: Any) -> Any:
        sizes.append(len(locks))
        return await extend(locks, duration)

    repository.extend = count  # type: ignore[method-assign]
    await queue.add_bulk([("long",)] * 12)
    async with make_worker(_never, concurrency=5, prefetch=4, lock_renewal=0.05, grace=0):
        await eventually(lambda: len(sizes) >= 3)
    assert sizes[-1] == 9


async def test_a_run_whose_job_was_taken_over_is_stopped_and_its_outcome_dropped(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    ended: list[str | None] = []

    async def work(job: ActiveJob[Any]) -> str:
        if job.attempt == 1 and not ended:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append(job.cancel_reason)
                return "of the first holder"
        return "of the second holder"

    job = await queue.add("work")
    worker = make_worker(work, lock_renewal=0.05)
    lost = wait_for_event(worker, "worker.lock.lost")
    async with worker:
        await eventually(lambda: worker.active_count)
        await job.refresh()
        await repository.apply([job.snapshot.stall(max_stalled_count=5)])
        assert (await lost).job_id == job.id
        assert await job.result(timeout=5) == "of the second holder"
    assert ended == ["another worker took the job over"]


async def test_a_stale_outcome_is_told_and_changes_nothing(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    gate = asyncio.Event()

    async def work(job: ActiveJob[Any]) -> str:
        await gate.wait()
        return "stale"

    job = await queue.add("work")
    worker = make_worker(work)
    told = Recording(worker, "worker.lock.lost", "worker.job.processed")
    async with worker:
        await eventually(lambda: worker.active_count)
        worker.pause()
        await job.refresh()
        await repository.apply([job.snapshot.stall(max_stalled_count=5)])
        gate.set()
        await eventually(lambda: told.events)
    assert told.names == ["worker.lock.lost"]
    assert (await job.refresh()).state == "waiting"


async def test_a_request_to_cancel_reaches_the_worker_at_once_in_its_process(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    job = await queue.add("long", None, JobOptions(attempts=3))
    cancelled = wait_for_event(queue, "job.cancelled")
    async with make_worker(_never) as worker:
        await eventually(lambda: worker.active_count)
        await job.cancel("no longer needed")
        assert (await cancelled).reason == "no longer needed"
    with pytest.raises(JobNotCompleted, match="cancelled: no longer needed"):
        await job.result(timeout=5)


async def test_a_request_to_cancel_from_elsewhere_is_seen_at_the_next_renewal(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    await queue.add("long")
    cancelled = wait_for_event(queue, "job.cancelled")
    elsewhere = QueueService[Any, Any]("work", repository)  # with a wake-up of its own
    async with make_worker(_never, heartbeat=0.1) as worker, elsewhere:
        await eventually(lambda: worker.active_count)
        [job] = await elsewhere.get_jobs(["active"])
        await job.cancel("from elsewhere")
        assert (await cancelled).reason == "from elsewhere"


async def test_a_job_that_waits_for_a_slot_is_cancelled_without_being_run(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    began: list[str] = []
    gate = asyncio.Event()

    async def work(job: ActiveJob[Any]) -> None:
        began.append(job.name)
        await gate.wait()

    first, second = await queue.add("first"), await queue.add("second")
    async with make_worker(work, prefetch=5):

        async def both_are_held() -> bool:
            return (await queue.counts()).active == 2

        await eventually(both_are_held)
        cancelled = wait_for_event(queue, "job.cancelled")
        await second.cancel("not this one")
        assert (await cancelled).job_id == second.id
        assert not gate.is_set()
        gate.set()
        await first.result(timeout=5)
    assert began == ["first"]


async def test_locks_that_cannot_be_renewed_until_their_end_are_given_up(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    reasons: list[str | None] = []

    async def work(job: ActiveJob[Any]) -> str:
        if reasons:
            return "run again"
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(job.cancel_reason)
        return ""

    job = await queue.add("long")
    worker = make_worker(work, lock_duration=0.3, lock_renewal=0.1)
    lost = wait_for_event(worker, "worker.lock.lost")
    async with worker:
        await eventually(lambda: worker.active_count)
        repository.is_away = True
        await lost
        await eventually(lambda: reasons)
        repository.is_away = False
        assert await job.result(timeout=10) == "run again"
    assert reasons == ["the lock could not be renewed in time"]
    assert job.attempt == 1
    assert job.stalled_count == 0


async def test_a_handler_can_hold_its_lock_for_longer(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    gate = asyncio.Event()

    async def work(job: ActiveJob[Any]) -> None:
        await job.extend_lock(3600)
        await gate.wait()

    job = await queue.add("long")
    async with make_worker(work, lock_duration=10, lock_renewal=0.05):
        await eventually(lambda: repository.calls.count("extend") >= 4)
        await job.refresh()
        assert job.started_at is not None
        assert job.snapshot.locked_until is not None
        # The renewals since then have not cut it short.
        assert job.snapshot.locked_until - job.started_at > timedelta(seconds=3590)
        gate.set()
        await job.result(timeout=5)


async def test_a_worker_that_slept_cannot_settle_what_another_took_over(
    queue: AnyQueue, repository: UnreliableRepository
) -> None:
    """As after SIGSTOP: the first holder does nothing at all until its lock is another's."""
    options = WorkerOptions(maintenance=None, poll_interval=60, lock_renewal=20, lock_duration=60)
    gate = asyncio.Event()

    async def sleep(job: ActiveJob[Any]) -> str:
        await gate.wait()
        return "old"

    async def take_over(job: ActiveJob[Any]) -> str:
        gate.set()
        await asyncio.sleep(0)
        return "new"

    elsewhere = QueueService[Any, Any]("work", repository)
    sleeper, taker = WorkerService(queue, sleep, options), WorkerService(elsewhere, take_over)
    lost = wait_for_event(sleeper, "worker.lock.lost")
    job = await queue.add("work")
    async with elsewhere, sleeper:
        await eventually(lambda: sleeper.active_count)
        sleeper.pause()
        await job.refresh()
        await repository.apply([job.snapshot.stall(max_stalled_count=5)])
        async with taker:
            await lost
            await eventually(lambda: not taker.active_count)
    assert await job.result(timeout=5) == "new"
