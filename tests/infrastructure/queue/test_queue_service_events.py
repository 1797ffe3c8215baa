import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.events import QUEUE_EVENTS, JobAdded, JobCompleted, QueueDrained
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.running.outcome import Failed, Released
from enfila.core.domain.job.transition import Transition
from enfila.core.domain.queue import QueueCounts
from enfila.infrastructure.persistence.memory import InMemoryJobRepository, InMemoryStorage
from enfila.infrastructure.persistence.memory.queues import InMemoryQueues
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock
from tests.infrastructure.queue.bench import Bench, Queue
from tests.waiting import eventually, wait_for_event

FAILED = Failed(JobError("ValueError", "boom"))
DEADLINE = 10


# ── listeners ────────────────────────────────────────────────────────────────────────────────


async def test_listeners_may_be_plain_or_async_and_hear_the_same(queue: Queue) -> None:
    heard: list[Any] = []

    async def listen(event: Any) -> None:
        await asyncio.sleep(0)
        heard.append(event)

    queue.on("job.added", heard.append)
    queue.on("job.added", listen)
    await queue.add("a")
    await queue.close()
    assert len(heard) == 2
    assert heard[0] is heard[1]


async def test_a_listener_that_raises_is_logged_and_hurts_nobody(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []

    def broken(_: Any) -> None:
        raise ValueError("boom")

    queue.on("job.added", broken)
    queue.on("job.added", heard.append)
    with caplog.at_level(logging.ERROR, "enfila"):
        await queue.add("a")
    assert len(heard) == 1
    assert "boom" in caplog.text


async def test_a_listener_that_raises_can_be_reported_elsewhere(queue: Queue) -> None:
    reported: list[str] = []

    async def broken(_: Any) -> None:
        raise ValueError("boom")

    queue.report_errors_to(lambda error, during: reported.append(f"{during}: {error}"))
    queue.on("job.added", broken)
    await queue.add("a")
    await queue.close()
    assert reported == ["a listener of job.added: boom"]


async def test_off_and_once_work_as_in_pyee(queue: Queue) -> None:
    heard: list[str] = []

    def always(event: Any) -> None:
        heard.append(f"always {event.job_name}")

    queue.on("job.added", always)
    queue.once("job.added", lambda event: heard.append(f"once {event.job_name}"))
    await queue.add("first")
    await queue.add("second")
    queue.off("job.added", always)
    await queue.add("third")
    assert heard == ["always first", "once first", "always second"]


async def test_a_queue_without_listeners_makes_no_events(
    queue: Queue, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an event was made that nobody hears")

    for event in (JobAdded, JobCompleted, QueueDrained):
        monkeypatch.setattr(event, "__init__", refuse)
    counted: list[str] = []
    monkeypatch.setattr(InMemoryQueues, "counts", counted.append)
    await queue.add("a")
    await bench.run()
    assert counted == []


# ── order ────────────────────────────────────────────────────────────────────────────────────


async def test_the_events_of_a_job_tell_its_life(
    queue: Queue, bench: Bench, clock: FrozenClock
) -> None:
    bench.listen(*sorted(name for name in QUEUE_EVENTS if name.startswith("job.")))
    handle = await queue.add("a", options=JobOptions(delay=5, attempts=2))
    clock.advance(5)
    for outcome in (FAILED, None):
        job = await bench.fetch_one()
        await queue.mark_job_as_active(job)
        await queue.add_job_log(job, "hello")
        await queue.update_job_progress(job, 50)
        await bench.settle([job], outcome)
    await handle.remove()
    run = ["job.active", "job.log", "job.progress"]
    life = ["job.added", "job.delayed", *run, "job.retrying", *run, "job.completed", "job.removed"]
    assert bench.of(handle.id) == life


class SlowAnswers(InMemoryJobRepository):
    """Writes at once and answers when it may: others see what was written before the writer."""

    def __init__(self, clock: FrozenClock) -> None:
        super().__init__(clock)
        self.may_answer = asyncio.Event()

    async def add(self, jobs: Sequence[Job], notice: Notice | None = None) -> list[Added]:
        added = await super().add(jobs, notice)
        await self.may_answer.wait()
        return added

    async def apply(self, transitions: Sequence[Transition]) -> list[datetime | None]:
        written = await super().apply(transitions)
        await self.may_answer.wait()
        return written


async def test_a_worker_that_is_faster_than_the_answer_of_add_keeps_the_order(
    clock: FrozenClock,
) -> None:
    repository = SlowAnswers(clock)
    async with QueueService[Any, Any]("q", repository) as queue:
        bench = Bench(queue)
        bench.listen("job.added", "job.active", "job.retrying", "job.completed")
        adding = asyncio.create_task(queue.add("a", options=JobOptions(attempts=2)))
        settling = []
        for outcome in (FAILED, None):
            [job] = await eventually(bench.fetch)
            await queue.mark_job_as_active(job)
            settling.append(asyncio.create_task(bench.settle([job], outcome)))
        await eventually(lambda: _is_completed(repository))
        assert bench.events == []
        repository.may_answer.set()
        handle = await adding
        await asyncio.gather(*settling)
        assert bench.of(handle.id) == [
            "job.added",
            "job.active",
            "job.retrying",
            "job.active",
            "job.completed",
        ]


async def _is_completed(repository: InMemoryJobRepository) -> bool:
    return (await repository.storage.queues.counts("q")).completed == 1


async def test_no_event_is_told_of_what_was_not_written(clock: FrozenClock) -> None:

    class Absent(InMemoryJobRepository):
        async def apply(self, transitions: Sequence[Transition]) -> list[datetime | None]:
            raise RepositoryUnavailable("db", "away")

    async with QueueService[Any, Any]("q", Absent(clock)) as queue:
        bench = Bench(queue)
        bench.listen("job.completed", "job.active")
        await queue.add("a")
        job = await bench.fetch_one()
        with pytest.raises(RepositoryUnavailable):
            await bench.settle([job])
        await queue.mark_job_as_active(job)
        assert bench.names() == ["job.active"]


async def test_a_cancelled_settlement_is_told_all_the_same(clock: FrozenClock) -> None:
    repository = SlowAnswers(clock)
    repository.may_answer.set()
    async with QueueService[Any, Any]("q", repository) as queue:
        await queue.add("a")
        job = await Bench(queue).fetch_one()
        repository.may_answer.clear()
        told = wait_for_event(queue, "job.completed")
        settling = asyncio.create_task(Bench(queue).settle([job]))
        await eventually(lambda: _is_completed(repository))
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
        repository.may_answer.set()
        assert (await told).job_id == job.id


# ── queue.drained ────────────────────────────────────────────────────────────────────────────


async def drained(bench: Bench) -> int:
    """How often it was told by the time all that was begun has ended."""
    async with asyncio.timeout(DEADLINE):
        await bench.components.tasks.wait()
    return bench.names().count("queue.drained")


async def test_drained_is_told_once_when_the_last_job_is_done(queue: Queue, bench: Bench) -> None:
    bench.listen("job.completed", "queue.drained")
    await queue.add_bulk([("a",)] * 3)
    for _ in range(3):
        assert await drained(bench) == 0
        await bench.run()
    assert await drained(bench) == 1
    assert bench.names()[-1] == "queue.drained"


async def test_drained_is_told_once_with_many_settled_at_the_same_time(
    queue: Queue, bench: Bench
) -> None:
    bench.listen("queue.drained")
    await queue.add_bulk([("a",)] * 20)
    other = Bench(queue)
    jobs = [*await bench.fetch(10), *await other.fetch(10)]
    await asyncio.gather(*(bench.settle([job]) for job in jobs))
    assert await drained(bench) == 1


async def test_drained_waits_for_what_goes_back_in_line(queue: Queue, bench: Bench) -> None:
    bench.listen("queue.drained")
    await queue.add("a", options=JobOptions(attempts=2))
    await bench.run(Released())
    await bench.run(FAILED)
    assert await drained(bench) == 0
    await bench.run()
    assert await drained(bench) == 1


async def test_drained_waits_for_delayed_jobs_and_comes_when_the_last_is_cancelled(
    queue: Queue, bench: Bench
) -> None:
    bench.listen("queue.drained")
    later = await queue.add("later", options=JobOptions(delay=60))
    await queue.add("now")
    await bench.run()
    assert await drained(bench) == 0
    await later.cancel()
    assert await drained(bench) == 1


@pytest.mark.parametrize("way", ["drain", "remove"])
async def test_drained_comes_when_the_rest_is_removed(queue: Queue, bench: Bench, way: str) -> None:
    bench.listen("queue.drained")
    job = await queue.add("a")
    await (queue.drain() if way == "drain" else job.remove())
    assert await drained(bench) == 1


async def test_drained_comes_again_after_new_work(queue: Queue, bench: Bench) -> None:
    bench.listen("queue.drained")
    for times in (1, 2, 3):
        await queue.add("a")
        await bench.run()
        assert await drained(bench) == times


async def test_drained_does_not_wait_for_a_job_whose_lock_was_lost(
    queue: Queue, bench: Bench, repository: IJobRepository, clock: FrozenClock, queue_name: str
) -> None:
    bench.listen("queue.drained")
    await queue.add("a")
    lost = await bench.fetch_one()
    async with QueueService[Any, Any](queue_name, repository, clock=clock) as elsewhere:
        clock.advance(30)
        await Bench(elsewhere).recover_stalled()
        await Bench(elsewhere).run()
    await queue.add("b")
    assert lost.lock is not None
    assert not await queue.extend_job_lock(lost, 30)
    await bench.run()
    assert await drained(bench) == 1


async def test_drained_is_not_told_when_work_comes_while_it_is_counted(clock: FrozenClock) -> None:
    counting, may_count = asyncio.Event(), asyncio.Event()

    class SlowCounts(InMemoryQueues):
        async def counts(self, queue: str) -> QueueCounts:
            counts = await super().counts(queue)
            counting.set()
            await may_count.wait()
            return counts

    storage = InMemoryStorage(clock)
    storage.queues = SlowCounts(storage.store)
    async with QueueService[Any, Any]("q", storage.jobs) as queue:
        bench = Bench(queue)
        bench.listen("queue.drained")
        await queue.add("a")
        await bench.run()
        async with asyncio.timeout(DEADLINE):
            await counting.wait()
        await queue.add("b")
        may_count.set()
        assert await drained(bench) == 0
        await bench.run()
        assert await drained(bench) == 1


async def test_counts_that_cannot_be_had_are_reported(clock: FrozenClock) -> None:
    class Absent(InMemoryQueues):
        async def counts(self, queue: str) -> QueueCounts:
            raise RepositoryUnavailable(queue, "away")

    storage = InMemoryStorage(clock)
    storage.queues = Absent(storage.store)
    async with QueueService[Any, Any]("q", storage.jobs) as queue:
        bench = Bench(queue)
        reported: list[str] = []
        queue.report_errors_to(lambda _, during: reported.append(during))
        bench.listen("queue.drained")
        await queue.add("a")
        await bench.run()
        assert await drained(bench) == 0
        assert reported == ["looking whether the queue is drained"]
