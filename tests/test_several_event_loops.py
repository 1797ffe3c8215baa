"""One app, several event loops in several threads: each one's callers wake on their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from enfila import (
    ActiveJob,
    AlreadyClosed,
    Deduplication,
    Enfila,
    Interval,
    JobHandle,
    JobOptions,
    JobState,
    WorkerOptions,
)
from enfila.core.application.queue.publishing import result_waiter
from enfila.core.application.queue.publishing.result_waiter import ResultWaiter
from tests.contract.adapters import SQL_ADAPTERS, url_of
from tests.loops import DEADLINE, LoopInThread, in_a_passing_loop
from tests.waiting import eventually


@pytest.fixture(params=["memory", *SQL_ADAPTERS])
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request.param, request)


@pytest_asyncio.fixture
async def app(url: str) -> AsyncIterator[Enfila]:
    async with Enfila(url) as app:
        yield app


@pytest.fixture
def name() -> str:
    return f"q-{uuid4().hex}"


async def echo(job: ActiveJob[Any]) -> Any:
    """What a worker of these tests does."""
    return job.payload


async def _add(app: Enfila, name: str, count: int) -> list[JobHandle[Any]]:
    """As many at once."""
    queue = app.queue(name)
    return [*await asyncio.gather(*(queue.add("a", number) for number in range(count)))]


async def test_all_that_add_at_once_get_their_answer(app: Enfila, name: str) -> None:
    with LoopInThread() as second:
        for _ in range(5):
            answers = await asyncio.gather(
                _add(app, name, 20),
                second.run(_add(app, name, 20)),
                in_a_passing_loop(_add(app, name, 20)),
            )
            assert [len(jobs) for jobs in answers] == [20, 20, 20]
    assert (await app.queue(name).counts()).waiting == 300


async def test_a_loop_goes_on_when_the_first_has_ended(url: str, name: str) -> None:
    app = Enfila(url)
    with LoopInThread() as second:
        with LoopInThread() as first:
            await first.run(app.open())
            await first.run(_add(app, name, 3))
            await second.run(_add(app, name, 3))
        await second.run(_add(app, name, 3))
        assert (await second.run(app.queue(name).counts())).waiting == 9
        await second.run(app.close())


async def test_a_loop_that_ends_in_the_middle_of_its_adds_hinders_nobody(
    app: Enfila, name: str
) -> None:
    for _ in range(5):
        with LoopInThread() as passing:
            for number in range(10):
                _ = passing.submit(app.queue(name).add("cut off", number))
        assert len(await asyncio.wait_for(_add(app, name, 5), DEADLINE)) == 5
    counts = await app.queue(name).counts()
    assert 25 <= counts.waiting <= 75


async def test_a_result_wakes_each_loop_at_once(
    app: Enfila, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its reader, which would find it too, but late."""
    monkeypatch.setattr(result_waiter, "LONGEST_WAIT", timedelta(hours=1))
    monkeypatch.setattr(result_waiter, "SHORTEST_WAIT", timedelta(minutes=30))
    queue = app.queue(name)
    with LoopInThread() as second, LoopInThread() as working:
        jobs = await _add(app, name, 2)
        waiting = [
            asyncio.ensure_future(jobs[0].result(DEADLINE)),
            asyncio.ensure_future(second.run(jobs[1].result(DEADLINE))),
            asyncio.ensure_future(in_a_passing_loop(jobs[1].result(DEADLINE))),
        ]
        waiter: ResultWaiter = queue._components.publisher._to.waiter  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else tells that all wait
        await eventually(lambda: len(waiter) == 3)
        worker = app.worker(queue, echo, WorkerOptions(poll_interval=0.1))
        await working.run(worker.start())
        assert await asyncio.gather(*waiting) == [0, 1, 1]
        await working.run(worker.close())


async def test_a_worker_hears_of_jobs_that_other_loops_add(app: Enfila, name: str) -> None:
    """Its own poll would come after the test."""
    with LoopInThread() as working, LoopInThread() as second:
        worker = app.worker(name, echo, WorkerOptions(poll_interval=3600))
        await working.run(worker.start())
        for run in (_awaited, second.run, in_a_passing_loop, working.run):
            [job] = await run(_add(app, name, 1))
            assert await job.result(timeout=DEADLINE) == 0
        await worker.close()
        assert not worker.is_running


async def _awaited(coroutine: Any) -> Any:
    return await coroutine


async def _every_operation(app: Enfila, name: str) -> None:
    """Whatever can be awaited of a queue, its jobs and the schedules."""
    queue = app.queue(name)
    one = await queue.add("one", {"n": 1}, JobOptions(delay=60))
    two, three = await queue.add_bulk([("two", 2), ("three", 3, JobOptions(delay=60))])
    key = JobOptions(deduplication=Deduplication.replace(uuid4().hex), delay=60)
    assert (await queue.add("key", 1, key)).id == (await queue.add("key", 2, key)).id
    assert (await queue.get_job(one.id)) is not None
    assert await queue.get_jobs(limit=10)
    assert (await queue.counts()).total >= 4
    await queue.is_paused()
    await one.promote()
    await three.set_priority(3)
    await three.cancel("no more")
    assert (await three.wait(DEADLINE)).state is JobState.CANCELLED
    await three.retry()
    assert await three.result(DEADLINE) == 3
    await two.refresh()
    await two.logs()
    await two.attempt_history()
    await three.remove()
    assert (await one.result(DEADLINE), await two.result(DEADLINE)) == ({"n": 1}, 2)
    await queue.clean(3600)
    await app.storage.queues.names()
    slug = f"s-{uuid4().hex}"
    await app.schedules.create(app.schedules.define(slug, "report", Interval(3600), queue=name))
    await app.schedules.disable(slug)
    await app.schedules.delete(slug)


async def test_every_operation_from_three_loops_at_once(app: Enfila, name: str) -> None:
    worker = app.worker(name, echo, WorkerOptions(concurrency=5))
    with LoopInThread() as second:
        async with worker:
            for _ in range(3):
                await asyncio.gather(
                    _every_operation(app, name),
                    second.run(_every_operation(app, name)),
                    in_a_passing_loop(_every_operation(app, name)),
                )


async def test_events_of_a_job_keep_their_order_whoever_writes(app: Enfila, name: str) -> None:
    queue = app.queue(name)
    seen: dict[str, list[str]] = {}
    for event in ("job.added", "job.active", "job.completed"):
        queue.on(event, lambda told: seen.setdefault(told.job_id, []).append(told.name))
    with LoopInThread() as second, LoopInThread() as working:
        worker = app.worker(queue, echo, WorkerOptions(concurrency=10))
        await working.run(worker.start())
        jobs, others = await asyncio.gather(_add(app, name, 50), second.run(_add(app, name, 50)))
        for job in [*jobs, *others]:
            await job.result(DEADLINE)
        await worker.close()
    assert len(seen) == 100
    assert {tuple(told) for told in seen.values()} == {("job.added", "job.active", "job.completed")}


Close = Callable[[Enfila, str], Awaitable[object]]
CLOSINGS: dict[str, Close] = {
    "queue": lambda app, name: app.queue(name).close(),
    "app": lambda app, _: app.close(),
}


@pytest.mark.parametrize("close", CLOSINGS.values(), ids=CLOSINGS)
@pytest.mark.parametrize("is_passing", [False, True])
async def test_what_one_loop_uses_another_may_close(
    url: str, name: str, close: Close, is_passing: bool
) -> None:
    app = Enfila(url)
    with LoopInThread() as first, LoopInThread() as second:
        await first.run(app.open())
        queue = app.queue(name)
        worker = app.worker(queue, echo)
        scheduler = app.scheduler()
        await first.run(worker.start())
        await first.run(scheduler.start())
        [job] = await second.run(_add(app, name, 1))
        assert await second.run(job.result(DEADLINE)) == 0
        [late] = await first.run(app.queue(name).add_bulk([("late", 1, JobOptions(delay=3600))]))
        waiting = first.submit(late.wait())

        async def closed() -> None:
            await close(app, name)

        if is_passing:
            await in_a_passing_loop(closed())
        else:
            await second.run(closed())
        with pytest.raises(AlreadyClosed):
            await asyncio.wrap_future(waiting)
        with pytest.raises(AlreadyClosed):
            await first.run(queue.add("too late"))
        await first.run(app.close())
        assert not worker.is_running
        assert not scheduler.is_running


async def test_what_a_loop_that_ended_has_left_can_be_closed(url: str, name: str) -> None:
    app = Enfila(url)
    with LoopInThread() as first:
        await first.run(app.open())
        worker = app.worker(name, echo)
        scheduler = app.scheduler()
        await first.run(worker.start())
        await first.run(scheduler.start())
    await asyncio.wait_for(app.close(), DEADLINE)
    assert not worker.is_running
    assert not scheduler.is_running
