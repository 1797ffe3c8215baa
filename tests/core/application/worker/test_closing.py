"""Stopping: what runs is waited for, then cancelled and given back; and it always ends."""

import asyncio
import contextlib
import random
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain.errors import AlreadyClosed, AlreadyRunning
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.queue.queue_service import QueueService
from tests.core.application.worker.conftest import MakeWorker
from tests.core.application.worker.recording import Recording
from tests.core.application.worker.unreliable_repository import UnreliableRepository
from tests.waiting import eventually


async def _no_op(job: ActiveJob[Any]) -> None: ...


async def _never(job: ActiveJob[Any]) -> None:
    await asyncio.Event().wait()


async def _within(seconds: float, awaitable: Awaitable[Any]) -> None:
    async with asyncio.timeout(seconds):
        await awaitable


async def test_closing_waits_for_what_runs_and_keeps_its_lock(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    gate = asyncio.Event()

    async def work(job: ActiveJob[Any]) -> str:
        await gate.wait()
        return "finished"

    first, second = await queue.add("first"), await queue.add("second")
    worker = make_worker(work, lock_renewal=0.05)
    await worker.start()
    await eventually(lambda: worker.active_count)
    closing = asyncio.ensure_future(worker.close())
    renewed = repository.calls.count("extend")
    await eventually(lambda: repository.calls.count("extend") >= renewed + 2)
    assert worker.is_running
    gate.set()
    await _within(5, closing)
    assert not worker.is_running
    assert (await first.refresh()).state == "completed"
    assert (await second.refresh()).state == "waiting"


async def test_what_was_fetched_and_not_started_goes_back_at_once_and_unspent(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    gate = asyncio.Event()

    async def work(job: ActiveJob[Any]) -> None:
        await gate.wait()

    await queue.add_bulk([("work",)] * 5)
    worker = make_worker(work, prefetch=10)
    await worker.start()

    async def all_are_held() -> bool:
        return (await queue.counts()).active == 5

    await eventually(all_are_held)
    closing = asyncio.ensure_future(worker.close())

    async def are_given_back() -> bool:
        return (await queue.counts()).waiting == 4

    await eventually(are_given_back)
    gate.set()
    await _within(5, closing)
    assert [job.attempt for job in await queue.get_jobs(["waiting"])] == [0, 0, 0, 0]


async def test_after_the_grace_what_runs_is_cancelled_and_costs_no_attempt(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    reasons: list[str | None] = []

    async def work(job: ActiveJob[Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(job.cancel_reason)

    job = await queue.add("work", None, JobOptions(attempts=1))
    worker = make_worker(work, grace=0.05)
    await worker.start()
    await eventually(lambda: worker.active_count)
    await _within(5, worker.close())
    await job.refresh()
    assert (job.state, job.attempt, reasons) == ("waiting", 0, ["the worker is shutting down"])
    assert [run.outcome.value for run in await job.attempt_history()] == ["released"]


async def test_what_fails_because_it_is_cancelled_costs_no_attempt_either(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def translate(job: ActiveJob[Any]) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("interrupted") from None

    job = await queue.add("work")
    worker = make_worker(translate)
    await worker.start()
    await eventually(lambda: worker.active_count)
    await _within(5, worker.close(grace=0))
    assert (await job.refresh()).state == "waiting"


async def test_a_later_close_hurries_an_earlier_one(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    job = await queue.add("work")
    worker = make_worker(_never, grace=60)
    closed = Recording(worker, "worker.closed")
    await worker.start()
    await eventually(lambda: worker.active_count)
    patient = [asyncio.ensure_future(worker.close()) for _ in range(3)]
    await asyncio.sleep(0)
    await _within(5, worker.close(grace=0))
    await _within(5, asyncio.gather(*patient))
    await _within(5, worker.close())
    assert len(closed.events) == 1
    assert (await job.refresh()).state == "waiting"


async def test_a_later_close_with_a_longer_grace_does_not_delay_an_earlier_one(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    await queue.add("work")
    worker = make_worker(_never)
    await worker.start()
    await eventually(lambda: worker.active_count)
    hurried = asyncio.ensure_future(worker.close(grace=0.01))
    await asyncio.sleep(0)
    await _within(5, worker.close(grace=60))
    await _within(1, hurried)


async def test_a_handler_that_swallows_its_cancellation_does_not_keep_the_worker(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    gate, began = asyncio.Event(), asyncio.Event()
    late: list[BaseException] = []

    async def swallow(job: ActiveJob[Any]) -> str:
        began.set()
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()
        try:
            await job.log("from the grave")
        except Exception as error:  # noqa: BLE001 - the test looks at it
            late.append(error)
        return "too late"

    job = await queue.add("work")
    worker = make_worker(swallow, cancellation_grace=0.05)
    errors = Recording(worker, "worker.error")
    await worker.start()
    await began.wait()
    await _within(5, worker.close(grace=0))
    assert not worker.is_running
    assert (await job.refresh()).state == "waiting"
    assert "ignores that it is cancelled" in str(errors.events[0].error)
    gate.set()
    await eventually(lambda: late)
    assert (await job.refresh()).state == "waiting"
    assert await job.logs() == []


async def test_a_handler_that_swallows_its_timeout_loses_its_slot(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    gate = asyncio.Event()

    async def swallow(job: ActiveJob[Any]) -> None:
        while job.name == "swallow" and not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()

    stubborn = await queue.add("swallow", None, JobOptions(timeout=0.02))
    after = await queue.add("after")
    async with make_worker(swallow, cancellation_grace=0.05) as worker:
        await after.result(timeout=5)
        assert (await stubborn.refresh()).state == "failed"
        assert stubborn.error is not None
        assert stubborn.error.type == "AttemptTimedOut"
        await eventually(lambda: worker.active_count == 0)
    gate.set()


async def test_a_handler_that_comes_back_after_it_was_given_up_takes_no_further_job(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    gate, began = asyncio.Event(), []

    async def swallow(job: ActiveJob[Any]) -> None:
        began.append(job.name)
        task = asyncio.current_task()
        assert task is not None
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                task.uncancel()

    await queue.add("given up", None, JobOptions(timeout=0.02))
    await queue.add_bulk([("next",)] * 5)
    async with make_worker(swallow, cancellation_grace=0.02, prefetch=10) as worker:
        await eventually(lambda: len(began) == 2)
        assert worker.active_count == 1
        gate.set()
        await eventually(lambda: len(began) == 6)
        await eventually(lambda: worker.active_count == 0)


def test_a_program_that_forgets_its_worker_ends_all_the_same() -> None:
    program = """
import asyncio
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.infrastructure.persistence.memory.job_repository import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService

async def main():
    began = asyncio.Event()
    async def work(job):
        assert not began.is_set(), "nothing may begin when the loop is torn down"
        began.set()
        await asyncio.sleep(3600)
    queue = QueueService("work", InMemoryJobRepository())
    await queue.add_bulk([("job",)] * 10)
    await WorkerService(queue, work, WorkerOptions(prefetch=5)).start()
    await began.wait()
    print("leaving")

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=30, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("leaving\n", "")


async def test_a_thread_that_ignores_its_cancellation_does_not_keep_the_worker(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    released = threading.Event()

    def ignore(job: SyncActiveJob[Any]) -> None:
        assert released.wait(30)

    job = await queue.add("work")
    worker = make_worker(ignore, cancellation_grace=0.05)
    errors = Recording(worker, "worker.error")
    await worker.start()
    await eventually(lambda: worker.active_count)
    await _within(5, worker.close(grace=0))
    released.set()
    assert (await job.refresh()).state == "waiting"
    assert len(errors.events) == 1


async def test_closing_ends_when_the_database_is_away(
    queue: AnyQueue,
    make_worker: MakeWorker,
    repository: UnreliableRepository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("enfila.core.application.worker.worker_components._LAST_WRITES", 0.2)
    job = await queue.add("work")
    worker = make_worker(_never)
    errors = Recording(worker, "worker.error")
    await worker.start()
    await eventually(lambda: worker.active_count)
    repository.is_away = True
    await _within(5, worker.close(grace=0))
    assert "1 outcome(s) could not be written" in str([event.error for event in errors.events])
    repository.is_away = False
    # Nothing was lost: the job is still held, and recovered when its lock has run out.
    assert (await job.refresh()).state == "active"


async def test_closing_ends_when_the_database_does_not_answer(
    queue: AnyQueue,
    make_worker: MakeWorker,
    repository: UnreliableRepository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("enfila.core.application.worker.worker_components._LAST_WRITES", 0.2)
    await queue.add("work")
    worker = make_worker(_never)
    await worker.start()
    await eventually(lambda: worker.active_count)
    repository.hangs = asyncio.Event()
    await _within(15, worker.close(grace=0))
    repository.hangs.set()


async def test_an_outcome_is_written_when_the_database_comes_back_in_time(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    job = await queue.add("work")
    worker = make_worker(_never)
    await worker.start()
    await eventually(lambda: worker.active_count)
    repository.is_away = True
    closing = asyncio.ensure_future(worker.close(grace=0))
    await eventually(lambda: repository.calls.count("apply") >= 2)
    repository.is_away = False
    await _within(5, closing)
    assert (await job.refresh()).state == "waiting"


async def test_a_claim_under_way_at_the_close_is_given_back(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    jobs = await queue.add_bulk([("work",)] * 3)
    repository.hangs = asyncio.Event()
    worker = make_worker(_no_op, concurrency=3)
    await worker.start()
    await eventually(lambda: repository.claims)
    closing = asyncio.ensure_future(worker.close())
    await asyncio.sleep(0)
    repository.hangs.set()
    await _within(5, closing)
    assert [(await job.refresh()).state.value for job in jobs] == ["waiting"] * 3


async def test_a_worker_runs_once(make_worker: MakeWorker) -> None:
    worker = make_worker(_no_op)
    running = asyncio.ensure_future(worker.run())
    await eventually(lambda: worker.is_running)
    with pytest.raises(AlreadyRunning):
        await worker.run()
    await worker.close()
    await _within(5, running)
    with pytest.raises(AlreadyClosed):
        await worker.run()


async def test_a_worker_that_was_never_started_closes(make_worker: MakeWorker) -> None:
    worker = make_worker(_no_op)
    await worker.close()
    await worker.close()
    with pytest.raises(AlreadyClosed):
        await worker.start()


async def test_each_start_has_an_id_of_its_own(make_worker: MakeWorker) -> None:
    assert make_worker(_no_op).id != make_worker(_no_op).id


async def test_cancelling_run_stops_at_once_and_gives_back(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    job = await queue.add("work")
    worker = make_worker(_never, grace=60)
    running = asyncio.ensure_future(worker.run())
    await eventually(lambda: worker.active_count)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    assert not worker.is_running
    assert (await job.refresh()).state == "waiting"


async def test_a_handler_may_close_its_own_worker(queue: AnyQueue, make_worker: MakeWorker) -> None:
    async def close(job: ActiveJob[Any]) -> str:
        await worker.close()
        return "closed from within"

    job = await queue.add("work")
    worker = make_worker(close)
    await _within(5, worker.run())
    assert (await job.refresh()).state == "completed"


async def test_a_listener_may_close_the_worker(queue: AnyQueue, make_worker: MakeWorker) -> None:
    async def close(event: Any) -> None:
        await worker.close()

    worker = make_worker(_no_op)
    worker.on("worker.job.processed", close)
    await queue.add("work")
    await _within(3, worker.run())


async def test_a_worker_signs_on_and_off(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    async with make_worker(_no_op, concurrency=4) as worker:

        async def are_known() -> Any:
            return await repository.storage.workers.all("work")

        [known] = await eventually(are_known)
        assert (known.worker_id, known.concurrency) == (worker.id, 4)
    assert await repository.storage.workers.all("work") == []


async def test_maintenance_begins_with_the_worker(
    queue: AnyQueue, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(queue, "start_maintenance", started.append)
    options = WorkerOptions()
    async with WorkerService(queue, _no_op, options):
        assert started == [options.maintenance]
    async with make_worker(_no_op):
        assert len(started) == 1


@pytest.mark.parametrize("seed", range(40))
async def test_starting_and_closing_at_random_moments_leaves_nothing_behind(
    repository: UnreliableRepository, seed: int
) -> None:
    chance = random.Random(seed)
    before = asyncio.all_tasks()

    async def work(job: ActiveJob[Any]) -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        if chance.random() < 0.2:
            raise OSError("now and then")
        if chance.random() < 0.05:
            await asyncio.sleep(3600)

    def plain(job: SyncActiveJob[Any]) -> None:
        if chance.random() < 0.2:
            raise OSError("now and then")

    async with QueueService[Any, Any]("work", repository) as queue:
        await queue.add_bulk([("work", None, JobOptions(attempts=100))] * 300)
        for _ in range(4):
            worker = WorkerService[Any, Any](
                queue,
                work if chance.random() < 0.8 else plain,
                WorkerOptions(
                    concurrency=chance.choice([1, 3, 20]),
                    prefetch=chance.choice([None, None, 0, 10]),
                    maintenance=None,
                    poll_interval=0.05,
                ),
            )
            await worker.start()
            for _ in range(chance.randrange(60)):
                await asyncio.sleep(0)
            if chance.random() < 0.3:
                worker.concurrency = chance.choice([1, 5])
            closers: list[Callable[[], Awaitable[None]]] = [
                lambda worker=worker: worker.close(grace=0.01),  # type: ignore[misc]
                lambda worker=worker: worker.close(grace=0),  # type: ignore[misc]
            ]
            await _within(10, asyncio.gather(*(close() for close in closers)))
            counts = await queue.counts()
            assert counts.active == 0
            assert counts.total == 300
    await eventually(lambda: asyncio.all_tasks() == before)
    for job in await repository.find("work", [JobState.WAITING, JobState.DELAYED], limit=300):
        assert job.attempt <= 100
