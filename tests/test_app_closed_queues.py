"""A queue that was closed is made anew when the app is asked for it again."""

from typing import Any

import pytest

from enfila import ActiveJob, AlreadyClosed, Enfila, InvalidRequest, JobOptions, WorkerOptions

OPTIONS = WorkerOptions(handle_signals=False)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest) -> str:
    return "memory://" if request.param == "memory" else request.getfixturevalue("sqlite_url")


async def done(job: ActiveJob[Any]) -> str:
    return "done"


async def test_the_next_one_is_new_and_has_the_jobs_of_the_closed_one(url: str) -> None:
    async with Enfila(url) as app:
        closed = app.queue("q")
        job = await closed.add("a")
        await closed.close()
        with pytest.raises(AlreadyClosed, match="make a new one"):
            await closed.add("a")
        queue = app.queue("q")
        assert queue is not closed
        assert app.queue("q") is queue
        assert (await queue.get_job(job.id)) is not None
        _ = await queue.add("a")
        assert (await queue.counts()).waiting == 2
        await queue.close()
        _ = await app.queue("q").add("a")


async def test_it_has_the_options_of_the_closed_one_or_those_that_are_given(url: str) -> None:
    async with Enfila(url) as app:
        first = app.queue("q", payload_type=int, default_job_options=JobOptions(attempts=7))
        await first.close()
        second = app.queue("q")
        assert (await second.add("a", 1)).max_attempts == 7
        with pytest.raises(InvalidRequest, match="payload"):
            await second.add("a", "one")
        with pytest.raises(InvalidRequest, match="it exists in this app"):
            app.queue("q", payload_type=str)
        await second.close()
        third = app.queue("q", payload_type=str)
        job = await third.add("a", "one")
        assert job.max_attempts == 1
        await third.close()
        assert (await app.queue("q").add("a", "two")).payload == "two"


async def test_a_worker_by_name_gets_the_new_one(url: str) -> None:
    async with Enfila(url) as app:
        await app.queue("q").close()
        async with app.worker("q", done, OPTIONS):
            assert await (await app.queue("q").add("a")).result(30) == "done"
        await app.queue("q").close()
        async with app.worker("q", done, OPTIONS):
            assert await (await app.queue("q").add("a")).result(30) == "done"


async def test_job_types_are_added_to_the_new_one_and_run_from_it(url: str) -> None:
    async with Enfila(url) as app:

        @app.job("double", queue="types", attempts=3)
        async def double(number: int) -> int:
            return 2 * number

        await app.queue("types").close()
        job = await double.enqueue(21)
        assert job.max_attempts == 3
        async with app.worker(options=OPTIONS):
            assert await job.result(30) == 42
        await app.queue("types").close()
        async with app.worker(options=OPTIONS):
            assert await (await double.enqueue(4)).result(30) == 8


async def test_a_schedule_adds_to_a_queue_that_was_closed(url: str) -> None:
    async with Enfila(url) as app:
        await app.queue("q").close()
        _ = await app.schedules.create(app.schedules.define("s", "a", "@daily", queue="q"))
        _ = await app.schedules.run_now("s", by="a test")
        assert (await app.queue("q").counts()).waiting == 1


async def test_the_container_makes_a_new_one_each_time(url: str) -> None:
    async with Enfila(url) as app:
        first = app.container.queue("q")
        await first.close()
        _ = await app.container.queue("q").add("a")
        assert (await app.queue("q").counts()).waiting == 1


async def test_the_app_is_not_made_anew(url: str) -> None:
    async with Enfila(url) as app:
        queue = app.queue("q")
    assert queue.is_closed
    with pytest.raises(AlreadyClosed, match="this app is closed"):
        app.queue("q")
