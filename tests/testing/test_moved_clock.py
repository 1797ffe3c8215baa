"""Whoever waits for an instant looks again when a frozen clock is moved.

Polls and intervals of a day would not end in time.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from enfila import (
    Cron,
    Enfila,
    InMemoryJobRepository,
    JobOptions,
    MaintenanceOptions,
    QueueService,
    SchedulerOptions,
    WorkerOptions,
    WorkerService,
)
from enfila.core.domain.job.identity import new_worker_id
from enfila.testing import FrozenClock

DAY = timedelta(days=1)
LONG = MaintenanceOptions(stalled_interval=DAY, retention_interval=DAY, silent_worker=DAY)
PATIENT = WorkerOptions(poll_interval=DAY, maintenance=LONG, handle_signals=False)
SLOW = SchedulerOptions(poll_interval=DAY, record_interval=DAY, handle_signals=False)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest_asyncio.fixture(
    params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
async def app(request: pytest.FixtureRequest, clock: FrozenClock) -> AsyncIterator[Enfila]:
    url = "memory://"
    if request.param != "memory":
        url = request.getfixturevalue(f"{request.param}_url")
    async with Enfila(url, clock=clock, table_prefix=f"moved_{uuid4().hex[:20]}_") as app:
        yield app


async def done(job: Any) -> str:
    return "done"


async def test_a_worker_takes_what_is_due_by_then(app: Enfila, clock: FrozenClock) -> None:
    queue = app.queue("q")
    tomorrow = await queue.add("a", None, JobOptions(delay=DAY))
    now = await queue.add("a")
    async with app.worker(queue, done, PATIENT):
        assert await now.result(30) == "done"  # it rests from here on
        _ = clock.advance(DAY)
        assert await tomorrow.result(30) == "done"


async def test_a_clock_that_was_set_back_comes_round_again(app: Enfila, clock: FrozenClock) -> None:
    queue = app.queue("q")
    start = clock.now()
    async with app.worker(queue, done, PATIENT):
        _ = clock.move_to(start - DAY)
        job = await queue.add("a", None, JobOptions(run_at=start))
        assert (await job.refresh()).state == "delayed"
        _ = clock.move_to(start)
        assert await job.result(30) == "done"


async def test_a_scheduler_ticks(app: Enfila, clock: FrozenClock) -> None:
    daily = app.schedules.define("daily", "a", Cron("0 12 * * *"), queue="q")
    _ = await app.schedules.create(daily)
    ticked = asyncio.Event()
    scheduler = app.scheduler(SLOW)
    scheduler.on("schedule.ticked", lambda _: ticked.set())
    async with scheduler:
        for _ in range(3):
            ticked.clear()
            _ = clock.advance(DAY)
            async with asyncio.timeout(30):
                await ticked.wait()
    assert len(await app.schedules.history("daily")) == 3


async def test_maintenance_looks_for_stalled_jobs(app: Enfila, clock: FrozenClock) -> None:
    queue = app.queue("q")
    stalled = asyncio.Event()
    queue.on("job.stalled", lambda _: stalled.set())
    queue.start_maintenance(LONG)
    _ = await queue.add("a")
    _ = await queue.fetch_next_job_and_lock(new_worker_id(), 30)
    _ = clock.advance(60)
    async with asyncio.timeout(30):
        await stalled.wait()


async def test_a_queue_without_an_app_follows_the_clock_of_its_repository() -> None:
    clock = FrozenClock()
    queue: QueueService[Any, str] = QueueService("q", InMemoryJobRepository(clock))
    tomorrow = await queue.add("a", None, JobOptions(run_at=clock.now() + DAY))
    async with WorkerService(queue, done, PATIENT):
        await asyncio.to_thread(clock.advance, DAY)
        assert await tomorrow.result(30) == "done"
    await queue.close()
    _ = clock.advance(DAY)
    assert not clock._waiting  # noqa: SLF001 - a closed queue lets go of the clock
