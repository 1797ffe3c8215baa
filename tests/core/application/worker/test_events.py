"""What a worker tells, and what becomes of listeners that raise."""

import asyncio
import logging
from typing import Any

import pytest

from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.worker.running.active_job import ActiveJob
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain.errors import InvalidRequest
from enfila.testing.frozen_clock import BEGINNING, FrozenClock
from tests.core.application.worker.conftest import MakeWorker
from tests.core.application.worker.recording import Recording
from tests.waiting import eventually, wait_for_event


async def _no_op(job: ActiveJob[Any]) -> str:
    return job.name


async def test_the_life_of_a_worker_is_told_in_order(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    worker = make_worker(_no_op)
    told = Recording(
        worker, "worker.ready", "worker.job.active", "worker.job.processed", "worker.closed"
    )
    job = await queue.add("welcome")
    async with worker:
        await job.result(timeout=5)
    assert told.names == [
        "worker.ready",
        "worker.job.active",
        "worker.job.processed",
        "worker.closed",
    ]
    assert {event.worker_id for event in told.events} == {worker.id}
    active, processed = told.events[1:3]
    assert (active.job_id, active.job_name, active.attempt) == (job.id, "welcome", 1)
    assert (processed.job_id, processed.result, processed.attempt) == (job.id, "welcome", 1)
    assert processed.duration == processed.at - active.at


async def test_the_events_of_a_job_arrive_in_the_order_of_its_life(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def work(job: ActiveJob[Any]) -> None:
        await job.update_progress(1)

    told = Recording(queue, "job.added", "job.active", "job.progress", "job.completed")
    async with make_worker(work, concurrency=10):
        jobs = await queue.add_bulk([("work",)] * 30)
        for job in jobs:
            await job.result(timeout=5)
    for job in jobs:
        names = [event.name for event in told.events if event.job_id == job.id]
        assert names == ["job.added", "job.active", "job.progress", "job.completed"]


async def test_an_event_is_told_after_its_commit(queue: AnyQueue, make_worker: MakeWorker) -> None:
    states: list[str] = []

    async def look(event: Any) -> None:
        handle = await queue.get_job(event.job_id)
        assert handle is not None
        states.append(handle.state.value)

    worker = make_worker(_no_op)
    worker.on("worker.job.processed", look)
    async with worker:
        job = await queue.add("work")
        await job.result(timeout=5)
        await eventually(lambda: states)
    assert states == ["completed"]


@pytest.mark.parametrize("on_queue", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_listener_that_raises_is_reported_and_the_next_is_called(
    queue: AnyQueue, make_worker: MakeWorker, *, on_queue: bool, is_async: bool
) -> None:
    def fail(event: Any) -> None:
        raise ZeroDivisionError("in a listener")

    async def fail_later(event: Any) -> None:
        raise ZeroDivisionError("in a listener")

    worker = make_worker(_no_op)
    emitter, name = (queue, "job.completed") if on_queue else (worker, "worker.job.processed")
    emitter.add_listener(name, fail_later if is_async else fail)
    called = Recording(emitter, name)
    reported = wait_for_event(worker, "worker.error")
    async with worker:
        job = await queue.add("work")
        await job.result(timeout=5)
        error = await reported
    assert isinstance(error.error, ZeroDivisionError)
    assert error.during == f"a listener of {name}"
    assert len(called.events) == 1


async def test_a_listener_of_errors_that_raises_goes_to_the_log(
    queue: AnyQueue, make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def fail(event: Any) -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError("again")

    worker = make_worker(_no_op)
    worker.on("worker.job.processed", fail)
    worker.on("worker.error", fail)
    with caplog.at_level(logging.ERROR, "enfila.worker"):
        async with worker:
            job = await queue.add("work")
            await job.result(timeout=5)
            await eventually(lambda: calls == 2)
    assert "a listener of worker.error" in caplog.text


async def test_an_unknown_event_is_refused_with_a_suggestion(make_worker: MakeWorker) -> None:
    with pytest.raises(InvalidRequest, match=r"did you mean 'worker\.closed'"):
        make_worker(_no_op).on("worker.close", print)  # type: ignore[call-overload]  # it is wrong


async def test_its_own_events_carry_the_instants_of_its_clock(queue: AnyQueue) -> None:
    options = WorkerOptions(maintenance=None)
    worker = WorkerService(queue, _no_op, options, clock=FrozenClock())
    told = Recording(worker, "worker.ready", "worker.closed")
    async with worker:
        await asyncio.sleep(0)
    assert [event.at for event in told.events] == [BEGINNING, BEGINNING]
