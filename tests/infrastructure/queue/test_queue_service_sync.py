import asyncio
import threading
from typing import Any

import pytest

from enfila.core.domain.errors import AlreadyClosed, InvalidRequest
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from tests.infrastructure.queue.bench import Bench, Queue


def test_without_any_loop_a_job_is_added_and_told() -> None:
    queue: Queue = QueueService("q", InMemoryJobRepository())
    bench = Bench(queue)
    bench.listen("job.added")
    job = queue.add_sync("welcome", {"to": "ada"})
    assert (job.name, job.state) == ("welcome", JobState.WAITING)
    assert bench.of(job.id) == ["job.added"]
    asyncio.run(queue.close())
    assert "enfila adds to q" not in {thread.name for thread in threading.enumerate()}


def test_many_threads_add_without_a_loop() -> None:
    queue: Queue = QueueService("q", InMemoryJobRepository())
    threads = [threading.Thread(target=queue.add_sync, args=("a", n)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def count_and_close() -> int:
        async with queue:
            return (await queue.counts()).waiting

    assert asyncio.run(count_and_close()) == 20


async def test_from_a_thread_it_runs_on_the_loop_that_the_queue_is_used_on(queue: Queue) -> None:
    heard_on: list[asyncio.AbstractEventLoop] = []
    queue.on("job.added", lambda _: heard_on.append(asyncio.get_running_loop()))
    await queue.counts()
    job = await asyncio.to_thread(queue.add_sync, "a")
    assert heard_on == [asyncio.get_running_loop()]
    assert (await queue.get_job(job.id)) is not None


async def test_from_a_thread_it_runs_on_the_loop_that_was_attached(queue: Queue) -> None:
    heard_on: list[asyncio.AbstractEventLoop] = []
    queue.on("job.added", lambda _: heard_on.append(asyncio.get_running_loop()))
    queue.attach_loop(asyncio.get_running_loop())
    await asyncio.to_thread(queue.add_sync, "a")
    assert heard_on == [asyncio.get_running_loop()]


async def test_on_a_loop_it_is_refused_with_what_to_write(queue: Queue) -> None:
    with pytest.raises(InvalidRequest, match=r"it would block the loop: write `await queue\.add"):
        queue.add_sync("a")
    assert (await queue.counts()).total == 0


async def test_after_closing_it_is_refused(queue: Queue) -> None:
    await queue.close()
    with pytest.raises(AlreadyClosed):
        await asyncio.to_thread(queue.add_sync, "a")


def test_a_queue_is_used_on_one_loop_after_the_other() -> None:
    queue: Queue = QueueService("q", InMemoryJobRepository())

    async def use(expected: int) -> Any:
        job = await queue.add("a")
        bench = Bench(queue)
        await asyncio.to_thread(queue.add_sync, "b")
        result = asyncio.create_task(job.result(10))
        await asyncio.sleep(0)
        await bench.settle(await bench.fetch())
        assert (await queue.counts()).completed == expected
        return await result

    assert asyncio.run(use(2)) is None
    assert asyncio.run(use(4)) is None
    asyncio.run(queue.close())
