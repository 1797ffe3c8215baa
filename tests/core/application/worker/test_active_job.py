"""What a processor can do with its job."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob
from enfila.core.domain.errors import InvalidRequest, LockLost
from enfila.core.domain.job.options import JobOptions
from tests.core.application.worker.conftest import MakeWorker
from tests.core.application.worker.recording import Recording
from tests.core.application.worker.unreliable_repository import UnreliableRepository
from tests.waiting import eventually, wait_for_event

LOOKED_AT = (
    "id",
    "name",
    "queue",
    "payload",
    "attempt",
    "max_attempts",
    "priority",
    "metadata",
    "tags",
    "created_at",
    "stalled_count",
    "is_cancelled",
    "cancel_reason",
)


async def test_it_knows_what_it_is(queue: AnyQueue, make_worker: MakeWorker) -> None:
    seen: dict[str, Any] = {}

    async def look(job: ActiveJob[Any]) -> None:
        for name in LOOKED_AT:
            seen[name] = getattr(job, name)
        seen["repr"] = repr(job)

    options = JobOptions(attempts=3, priority=-5, tags=["vip"], metadata={"trace": "1"})
    job = await queue.add("welcome", {"to": "ada"}, options)
    async with make_worker(look):
        await job.result(timeout=5)
    assert seen.pop("created_at") <= datetime.now(UTC)
    assert seen == {
        "id": job.id,
        "name": "welcome",
        "queue": "work",
        "payload": {"to": "ada"},
        "attempt": 1,
        "max_attempts": 3,
        "priority": -5,
        "metadata": {"trace": "1"},
        "tags": ("vip",),
        "stalled_count": 0,
        "is_cancelled": False,
        "cancel_reason": None,
        "repr": f"<active job 'welcome' {job.id}, attempt 1 of 3>",
    }


async def test_progress_and_logs_are_stored_when_the_call_returns(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    seen: list[Any] = []

    async def work(job: ActiveJob[Any]) -> None:
        await job.update_progress(50)
        await job.log("half way")
        handle = await queue.get_job(job.id)
        assert handle is not None
        seen.extend([handle.progress, [line.line for line in await handle.logs()]])

    job = await queue.add("work")
    async with make_worker(work):
        await job.result(timeout=5)
    assert seen == [50, ["half way"]]


async def test_a_plain_function_reports_from_its_thread(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    def work(job: SyncActiveJob[Any]) -> bool:
        job.update_progress({"done": 1})
        job.log("one")
        job.extend_lock(60)
        return job.cancelled.is_set()

    told = Recording(queue, "job.progress", "job.log", "job.completed")
    job = await queue.add("work")
    async with make_worker(work):
        assert await job.result(timeout=5) is False
    assert told.names == ["job.progress", "job.log", "job.completed"]
    assert (await job.refresh()).progress == {"done": 1}
    assert [line.line for line in await job.logs()] == ["one"]


async def test_each_progress_is_told_and_the_last_one_stored(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def work(job: ActiveJob[Any]) -> None:
        await asyncio.gather(
            *(job.update_progress(percent) for percent in (10, 20, 30)),
            *(job.log(str(number)) for number in range(5)),
        )

    told = Recording(queue, "job.progress", "job.log")
    job = await queue.add("work")
    async with make_worker(work):
        await job.result(timeout=5)
    assert [event.progress for event in told.of("job.progress")] == [10, 20, 30]
    assert [event.line for event in told.of("job.log")] == ["0", "1", "2", "3", "4"]
    assert (await job.refresh()).progress == 30


async def test_the_reports_of_many_jobs_share_a_statement(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    gate = asyncio.Barrier(50)

    async def work(job: ActiveJob[Any]) -> None:
        async with gate:
            await job.log("here")

    jobs = await queue.add_bulk([("work",)] * 50)
    async with make_worker(work, concurrency=50):
        for job in jobs:
            await job.result(timeout=5)
            assert len(await job.logs()) == 1
    assert repository.calls.count("update_progress") < 10


async def test_a_report_that_nobody_awaits_is_stored_before_the_outcome(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def work(job: ActiveJob[Any]) -> None:
        tasks.append(asyncio.create_task(job.log("last words")))
        await asyncio.sleep(0)

    told = Recording(queue, "job.log", "job.completed")
    job = await queue.add("work")
    async with make_worker(work):
        await job.result(timeout=5)
    assert told.names == ["job.log", "job.completed"]
    assert [line.line for line in await job.logs()] == ["last words"]


async def test_only_the_newest_lines_are_kept_when_that_is_asked_for(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def work(job: ActiveJob[Any]) -> None:
        for number in range(5):
            await job.log(str(number))

    job = await queue.add("work", None, JobOptions(keep_logs=2))
    async with make_worker(work):
        await job.result(timeout=5)
    assert [line.line for line in await job.logs()] == ["3", "4"]


@pytest.mark.parametrize(
    "value", [None, True, [1], float("nan"), object()], ids=lambda it: type(it).__name__
)
async def test_a_progress_that_is_none_is_refused(
    queue: AnyQueue, make_worker: MakeWorker, value: Any
) -> None:
    refusals: list[InvalidRequest] = []

    async def work(job: ActiveJob[Any]) -> None:
        with pytest.raises(InvalidRequest, match="progress") as refusal:
            await job.update_progress(value)
        refusals.append(refusal.value)

    job = await queue.add("work")
    async with make_worker(work):
        await job.result(timeout=5)
    assert len(refusals) == 1


async def test_a_run_that_is_over_can_report_no_more(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    kept: list[ActiveJob[Any]] = []

    async def keep(job: ActiveJob[Any]) -> None:
        kept.append(job)

    job = await queue.add("work")
    async with make_worker(keep):
        await job.result(timeout=5)
        for late in (kept[0].log("late"), kept[0].update_progress(1), kept[0].extend_lock(60)):
            with pytest.raises(LockLost):
                await late
    assert await job.logs() == []


async def test_a_handler_whose_job_was_taken_over_is_told_so(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    gate = asyncio.Event()
    raised: list[BaseException] = []

    async def work(job: ActiveJob[Any]) -> None:
        await gate.wait()
        try:
            await job.log("mine?")
        except LockLost as error:
            raised.append(error)
            raise

    job = await queue.add("work")
    worker = make_worker(work)
    lost = wait_for_event(worker, "worker.lock.lost")
    async with worker:
        await eventually(lambda: worker.active_count)
        await job.refresh()
        await repository.apply([job.snapshot.stall(max_stalled_count=5)])
        worker.pause()
        gate.set()
        assert (await lost).job_id == job.id
        await eventually(lambda: not worker.active_count)
    assert len(raised) == 1
    assert await job.logs() == []


async def test_cancelled_can_be_waited_for(queue: AnyQueue, make_worker: MakeWorker) -> None:
    reasons: list[str | None] = []

    async def work(job: ActiveJob[Any]) -> None:
        waiting = asyncio.ensure_future(job.cancelled.wait())
        try:
            await asyncio.Event().wait()
        finally:
            assert await waiting
            reasons.append(job.cancel_reason)

    job = await queue.add("work")
    async with make_worker(work) as worker:
        await eventually(lambda: worker.active_count)
        await job.cancel("changed my mind")
        await eventually(lambda: reasons)
        await eventually(lambda: not worker.active_count)
    assert reasons == ["changed my mind"]
    assert (await job.refresh()).state == "cancelled"


async def test_a_plain_function_that_looks_at_cancelled_ends_as_cancelled(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    began = threading.Event()

    def work(job: SyncActiveJob[Any]) -> str:
        began.set()
        assert job.cancelled.wait(5)
        return "stopped early"

    cancelled = wait_for_event(queue, "job.cancelled")
    job = await queue.add("work")
    async with make_worker(work):
        await eventually(began.is_set)
        await job.cancel("enough")
        assert (await cancelled).reason == "enough"
    assert (await job.refresh()).state == "cancelled"
