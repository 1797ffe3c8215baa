"""Going on by itself after the database was away."""

import asyncio
import logging
from typing import Any

import pytest

from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.queue.maintenance.maintenance_options import MaintenanceOptions
from enfila.core.application.worker.outage import OutageWatch
from enfila.core.application.worker.running.active_job import ActiveJob
from enfila.core.domain.errors import AlreadyClosed, JobNotCompleted, RepositoryUnavailable
from tests.core.application.worker.conftest import MakeWorker
from tests.core.application.worker.recording import Recording
from tests.core.application.worker.unreliable_repository import UnreliableRepository
from tests.waiting import eventually, wait_for_event


async def _no_op(job: ActiveJob[Any]) -> str:
    return job.name


async def test_an_idle_worker_goes_on_after_an_outage_which_is_reported_once(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    worker = make_worker(_no_op)
    errors = Recording(worker, "worker.error")
    async with worker:
        await eventually(lambda: repository.claims)
        repository.is_away = True
        tried = len(repository.calls)
        await eventually(lambda: len(repository.calls) >= tried + 5)
        repository.is_away = False
        job = await queue.add("after")
        assert await job.result(timeout=10) == "after"
    assert len(errors.events) == 1
    assert isinstance(errors.events[0].error, RepositoryUnavailable)


async def test_each_outage_is_reported(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    worker = make_worker(_no_op, heartbeat=0.1)
    errors = Recording(worker, "worker.error")
    async with worker:
        # An outage is over when every part has got through again.
        for count in (1, 2):
            repository.is_away = True
            await eventually(lambda count=count: len(errors.events) == count)  # type: ignore[misc]
            repository.is_away = False
            job = await queue.add("between")
            await job.result(timeout=10)
            beats = repository.calls.count("heartbeat")
            await eventually(lambda beats=beats: repository.calls.count("heartbeat") > beats)  # type: ignore[misc]
    assert len(errors.events) == 2


async def test_an_outage_is_two_lines_in_the_log(
    queue: AnyQueue,
    make_worker: MakeWorker,
    repository: UnreliableRepository,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With maintenance and heartbeats, which meet it too."""
    often = MaintenanceOptions(stalled_interval=0.05)
    async with make_worker(_no_op, maintenance=often, heartbeat=0.1):
        await eventually(lambda: repository.calls.count("heartbeat"))
        repository.is_away = True
        tried = len(repository.calls)
        await eventually(lambda: len(repository.calls) >= tried + 50)
        repository.is_away = False
        await eventually(lambda: "answers again" in caplog.text)
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 2, [record.getMessage() for record in told]
    assert not any(record.exc_info for record in told)


async def test_a_worker_that_starts_in_an_outage_comes_up(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    job = await queue.add("waits")
    repository.is_away = True
    async with make_worker(_no_op) as worker:
        assert worker.is_running
        await eventually(lambda: repository.claims)
        repository.is_away = False
        assert await job.result(timeout=10) == "waits"


async def test_outcomes_are_kept_until_the_database_takes_them(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    async def cut(job: ActiveJob[Any]) -> str:
        repository.is_away = True
        return job.name

    jobs = await queue.add_bulk([(str(number),) for number in range(5)])
    worker = make_worker(cut, concurrency=5)
    processed = Recording(worker, "worker.job.processed")
    async with worker:
        await eventually(lambda: repository.calls.count("apply") >= 3)
        assert not processed.events
        repository.is_away = False
        assert [await job.result(timeout=10) for job in jobs] == ["0", "1", "2", "3", "4"]
        await eventually(lambda: len(processed.events) == 5)
    assert [job.attempt for job in jobs] == [1] * 5


async def test_an_outcome_outlives_its_lock_when_nobody_took_the_job_over(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    async def cut(job: ActiveJob[Any]) -> str:
        repository.is_away = True
        return "kept"

    job = await queue.add("work")
    async with make_worker(cut, lock_duration=0.1, lock_renewal=0.05):
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, passed.set)
        await passed.wait()
        repository.is_away = False
        assert await job.result(timeout=10) == "kept"
    assert (job.attempt, job.stalled_count) == (1, 0)


async def test_an_outcome_whose_answer_was_lost_is_not_taken_for_a_lost_lock(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    job = await queue.add("work")
    repository.loses_answers = 1
    worker = make_worker(_no_op)
    told = Recording(worker, "worker.lock.lost", "worker.job.processed")
    async with worker:
        await eventually(lambda: told.events)
    assert told.names == ["worker.job.processed"]
    assert (await job.refresh()).state == "completed"


async def test_one_outcome_that_cannot_be_stored_does_not_hold_up_the_others(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    barrier = asyncio.Barrier(10)

    async def together(job: ActiveJob[Any]) -> str:
        async with barrier:
            return job.name

    jobs = await queue.add_bulk([(str(number),) for number in range(10)])
    repository.refuses.add(jobs[3].id)
    worker = make_worker(together, concurrency=10)
    errors = Recording(worker, "worker.error")
    async with worker:
        for job in jobs[:3] + jobs[4:]:
            assert await job.result(timeout=10) == job.name
        with pytest.raises(JobNotCompleted, match="this result cannot be stored"):
            await jobs[3].result(timeout=10)
    assert {event.during for event in errors.events} == {"writing outcomes"}


async def test_a_report_waits_for_the_database(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    async def report(job: ActiveJob[Any]) -> None:
        repository.is_away = True
        await job.log("kept")

    job = await queue.add("work")
    async with make_worker(report):
        await eventually(lambda: repository.calls.count("update_progress") >= 2)
        repository.is_away = False
        await job.result(timeout=10)
    assert [line.line for line in await job.logs()] == ["kept"]


async def test_a_slow_database_holds_back_the_runs(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    ran = 0

    async def count(job: ActiveJob[Any]) -> None:
        nonlocal ran
        ran += 1

    await queue.add_bulk([("count",)] * 5000)
    apply, gate = repository.apply, asyncio.Event()

    async def wait(transitions: Any) -> Any:
        await gate.wait()
        return await apply(transitions)

    repository.apply = wait  # type: ignore[method-assign]
    async with make_worker(count, concurrency=10):
        await eventually(lambda: ran == 1000)
        assert (await queue.counts()).active < 2200
        assert ran == 1000
        gate.set()
        await eventually(lambda: ran == 5000)


async def test_a_fault_of_the_repository_that_is_no_outage_is_survived_too(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    claim = repository.claim

    async def fail_once(request: Any) -> Any:
        repository.claim = claim  # type: ignore[method-assign]
        raise KeyError("a bug")

    repository.claim = fail_once  # type: ignore[method-assign,assignment]
    job = await queue.add("work")
    worker = make_worker(_no_op)
    errors = Recording(worker, "worker.error")
    async with worker:
        assert await job.result(timeout=10) == "work"
    assert [(event.during, str(event.error)) for event in errors.events] == [
        ("fetching jobs", "'a bug'")
    ]


async def test_a_worker_whose_queue_is_closed_closes_and_says_why(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    worker = make_worker(_no_op)
    errors = Recording(worker, "worker.error")
    running = asyncio.ensure_future(worker.run())
    await wait_for_event(worker, "worker.ready")
    await queue.close()
    with pytest.raises(AlreadyClosed, match="queue 'work'"):
        await asyncio.wait_for(running, 10)
    assert not worker.is_running
    assert any(isinstance(event.error, AlreadyClosed) for event in errors.events)


async def test_the_waits_grow_and_whoever_gets_through_wakes_the_others() -> None:
    reported: list[str] = []
    watch = OutageWatch(lambda error, during: reported.append(during), random=lambda: 0.0)
    is_away = True
    calls = {"one": 0, "two": 0}

    async def call(name: str) -> str:
        calls[name] += 1
        if is_away:
            raise RepositoryUnavailable("memory://", "it is away")
        return name

    both = [
        asyncio.ensure_future(watch.keep_trying(name, lambda name=name: call(name), is_over=bool))  # type: ignore[misc]
        for name in ("one", "two")
    ]
    await eventually(lambda: calls["one"] == 3)  # after 0.1 s and 0.2 s
    is_away = False
    assert await asyncio.wait_for(asyncio.gather(*both), 10) == ["one", "two"]
    assert reported == ["one"]


async def test_enduring_ends_when_it_is_over() -> None:
    watch = OutageWatch(lambda error, during: None)

    async def call() -> str:
        raise RepositoryUnavailable("memory://", "it is away")

    assert await watch.keep_trying("closing", call, is_over=lambda: True) is None
