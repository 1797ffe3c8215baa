"""A `TimeoutError` of `result` says what the job waits for."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from enfila import ActiveJob, Enfila, JobHandle
from tests.contract.adapters import SQL_ADAPTERS, url_of
from tests.waiting import eventually


@pytest_asyncio.fixture(params=["memory", *SQL_ADAPTERS])
async def app(request: pytest.FixtureRequest) -> AsyncIterator[Enfila]:
    url = url_of(request.param, request)
    async with Enfila(url, table_prefix=f"t{uuid4().hex[:20]}_") as app:
        yield app


async def said(job: JobHandle[object]) -> str:
    with pytest.raises(TimeoutError) as error:
        await job.result(timeout=0.02)
    beginning = f"job {job.id} was not finished within 0.02 s; it goes on: "
    assert str(error.value).startswith(beginning)
    return str(error.value).removeprefix(beginning)


async def nothing(job: ActiveJob) -> None: ...


async def test_a_queue_that_nobody_serves_is_named(app: Enfila) -> None:
    job = await app.queue("emial").add("a")
    assert await said(job) == (
        "it waits for a worker, and no worker serves queue 'emial', nor any other"
    )
    async with app.worker("email", nothing):
        await a_worker_is_known(app)
        assert await said(job) == (
            "it waits for a worker, and no worker serves queue 'emial'; perhaps 'email' is meant"
        )
        later = await app.queue("emial").add("a", delay=3600)
        assert "; perhaps 'email' is meant" in await said(later)
        assert f"it starts at {later.run_at.isoformat(timespec='seconds')}" in await said(later)


async def test_a_name_that_no_worker_knows_is_named(app: Enfila) -> None:
    async with app.worker("email", {"welcome": nothing}):
        await a_worker_is_known(app)
        assert await said(await app.queue("email").add("welcom")) == (
            "it waits for a worker, and those of queue 'email' are not busy: "
            "perhaps none of them has a processor for jobs named 'welcom'"
        )


async def test_what_else_a_job_may_wait_for_is_said(app: Enfila) -> None:
    started, released = asyncio.Event(), asyncio.Event()

    @app.job(queue="types")
    async def long() -> None:
        started.set()
        await released.wait()

    async with app.worker() as worker:
        await a_worker_is_known(app)
        running = await long.enqueue()
        await started.wait()
        assert await said(running) == f"worker {worker.id} runs it, attempt 1 of 1"
        await app.job_types.disable("long")
        waiting = await long.enqueue()
        assert await said(waiting) == "it waits for a worker, and job type 'long' is disabled"
        await app.queue("types").pause()
        assert await said(waiting) == "it waits for a worker, and queue 'types' is paused"
        released.set()


async def a_worker_is_known(app: Enfila) -> None:
    async def is_known() -> bool:
        return bool(await app.storage.workers.all())

    await eventually(is_known)
