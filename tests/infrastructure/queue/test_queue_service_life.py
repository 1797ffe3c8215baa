import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from enfila.core.application.ports.job_reader import Overdue
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.maintenance.maintenance_options import MaintenanceOptions
from enfila.core.domain.errors import AlreadyClosed, InvalidRequest, RepositoryUnavailable
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.retention import Retention, RetentionPolicy
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition
from enfila.core.domain.queue import QueueCounts
from enfila.core.domain.worker import WorkerInfo
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock
from tests.infrastructure.queue.bench import LOCK, Bench, Queue
from tests.waiting import eventually, wait_for_event

OFTEN = timedelta(milliseconds=5)


def often(**options: Any) -> MaintenanceOptions:
    """Options with which no test waits for long."""
    intervals = dict.fromkeys(("stalled_interval", "retention_interval"), OFTEN)
    return MaintenanceOptions(**(intervals | options))


def worker(bench: Bench) -> WorkerInfo:
    return WorkerInfo(
        worker_id=bench.worker_id,
        queue=bench.queue.name,
        host="here",
        process_id=1,
        concurrency=1,
        active=0,
    )


# ── maintenance ──────────────────────────────────────────────────────────────────────────────


async def test_a_stalled_job_returns_to_its_queue(
    queue: Queue, bench: Bench, clock: FrozenClock
) -> None:
    bench.listen("job.stalled", "job.failed")
    handle = await queue.add("a")
    await bench.fetch_one()
    queue.start_maintenance(often())
    clock.advance(LOCK - 1)
    told = wait_for_event(queue, "job.stalled")
    clock.advance(1)
    event = await told
    assert (event.job_id, event.stalled_count, event.state) == (handle.id, 1, JobState.WAITING)
    again = await bench.fetch_one()
    assert (again.attempt, again.stalled_count) == (1, 1)


async def test_a_job_that_stalls_too_often_fails_and_says_so(
    queue: Queue, bench: Bench, clock: FrozenClock
) -> None:
    handle = await queue.add("a")
    await bench.fetch_one()
    told = wait_for_event(queue, "job.failed")
    bench.listen("job.stalled", "job.failed")
    queue.start_maintenance(often(max_stalled_count=0))
    clock.advance(LOCK)
    assert "stalled 1 times" in (await told).error.message
    assert bench.of(handle.id) == ["job.stalled", "job.failed"]


async def test_a_late_job_is_cancelled(queue: Queue, clock: FrozenClock) -> None:
    handle = await queue.add("a", options=JobOptions(expires_in=60))
    told = wait_for_event(queue, "job.cancelled")
    queue.start_maintenance(often())
    clock.advance(60)
    assert (await told).reason == "expired: not started within 60 s"
    assert (await handle.refresh()).state is JobState.CANCELLED


async def test_due_jobs_are_counted_as_waiting_and_wake_workers(
    queue: Queue, clock: FrozenClock
) -> None:
    await queue.add_bulk([("a", None, JobOptions(delay=60))] * 3)
    event = queue.listen(Hint.JOBS)
    queue.start_maintenance(often())
    clock.advance(60)

    async def are_waiting() -> bool:
        return await queue.counts() == QueueCounts(waiting=3)

    await eventually(are_waiting)
    await asyncio.wait_for(event.wait(), 10)
    queue.ignore(Hint.JOBS, event)


async def test_one_look_does_all_batches(clock: FrozenClock) -> None:
    looks: list[Overdue] = []

    class Watching(InMemoryJobRepository):
        async def overdue(self, queue: str, kind: Overdue, limit: int) -> list[Job]:
            looks.append(kind)
            return await super().overdue(queue, kind, limit)

    async with QueueService[Any, Any]("q", Watching(clock)) as queue:
        await queue.add_bulk([("a", None, JobOptions(delay=60))] * 25)
        clock.advance(60)
        queue.start_maintenance(MaintenanceOptions(batch=10))

        async def are_waiting() -> bool:
            return (await queue.counts()).waiting == 25

        await eventually(are_waiting)
    assert looks.count(Overdue.DUE) == 3


@pytest.mark.parametrize("where", ["queue", "options", "job"])
async def test_old_jobs_are_removed_without_any_traffic(
    repository: IJobRepository, clock: FrozenClock, where: str, queue_name: str
) -> None:
    short = RetentionPolicy(completed=Retention.for_time(60))
    own = JobOptions(remove_on_complete=timedelta(seconds=60)) if where == "job" else None
    queue: Queue = QueueService(
        queue_name, repository, retention=short if where == "queue" else None
    )
    async with queue:
        await queue.add("a", options=own)
        await Bench(queue).run()
        queue.start_maintenance(often(retention=short) if where == "options" else often())
        clock.advance(61)

        async def is_gone() -> bool:
            return (await queue.counts()).total == 0

        await eventually(is_gone)


async def test_retention_keeps_the_newest(
    repository: IJobRepository, clock: FrozenClock, queue_name: str
) -> None:
    policy = RetentionPolicy(completed=Retention.keep_newest(2))
    async with QueueService[Any, Any](queue_name, repository, retention=policy) as queue:
        handles = await queue.add_bulk([("a",)] * 5)
        for _ in handles:
            await Bench(queue).run()
            clock.advance(1)
        queue.start_maintenance(often(batch=2))

        async def are_two() -> bool:
            return (await queue.counts()).total == 2

        await eventually(are_two)
        assert [job.id for job in await queue.get_jobs()] == [job.id for job in handles[3:]]


async def test_silent_workers_are_forgotten(
    queue: Queue, bench: Bench, repository: IJobRepository, clock: FrozenClock, queue_name: str
) -> None:
    await queue.outcomes.heartbeat(worker(bench))
    other = Bench(queue)
    await queue.outcomes.heartbeat(worker(other))
    await queue.outcomes.deregister(other.worker_id)
    assert len(await repository.storage.workers.all(queue_name)) == 1
    queue.start_maintenance(MaintenanceOptions(silent_worker=timedelta(minutes=1)))
    clock.advance(120)
    queue.start_maintenance(MaintenanceOptions(silent_worker=timedelta(minutes=1)))

    async def is_forgotten() -> bool:
        return not await repository.storage.workers.all(queue_name)

    await eventually(is_forgotten)


async def test_maintenance_goes_on_after_the_database_was_away(clock: FrozenClock) -> None:
    class Fragile(InMemoryJobRepository):
        is_away = False

        async def apply(self, transitions: Sequence[Transition]) -> list[datetime | None]:
            if self.is_away:
                raise RepositoryUnavailable("db", "away")
            return await super().apply(transitions)

    repository = Fragile(clock)
    async with QueueService[Any, Any]("q", repository) as queue:
        reported: list[str] = []
        queue.report_errors_to(lambda _, during: reported.append(during))
        await queue.add("a", options=JobOptions(delay=60))
        repository.is_away = True
        clock.advance(60)
        queue.start_maintenance(often())
        await eventually(lambda: len(reported) > 1)
        repository.is_away = False

        async def is_waiting() -> bool:
            return (await queue.counts()).waiting == 1

        await eventually(is_waiting)
        assert set(reported) == {"maintenance of q"}


async def test_many_processes_that_look_after_one_queue_do_everything_once(
    repository: IJobRepository, clock: FrozenClock, queue_name: str
) -> None:
    queues: list[Queue] = [QueueService(queue_name, repository, clock=clock) for _ in range(3)]
    benches = [Bench(queue) for queue in queues]
    for bench in benches:
        bench.listen("job.stalled", "job.cancelled")
    await queues[0].add_bulk([("a",)] * 10)
    await benches[0].fetch()
    await queues[0].add_bulk([("b", None, JobOptions(expires_in=5))] * 10)
    clock.advance(LOCK)
    for queue in queues:
        queue.start_maintenance(often(batch=3))

    async def is_done() -> bool:
        return await queues[0].counts() == QueueCounts(waiting=10, cancelled=10)

    await eventually(is_done)
    for queue in queues:
        await queue.close()
    told = [event for bench in benches for event in bench.events]
    assert len(told) == len({event.job_id for event in told}) == 20


# ── life ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["", "x" * 256, "a\x00", None])
def test_a_queue_needs_a_name(name: Any) -> None:
    with pytest.raises(InvalidRequest, match="queue: "):
        QueueService(name, InMemoryJobRepository())


def test_wrong_default_options_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="default_job_options: "):
        QueueService("q", InMemoryJobRepository(), default_job_options={})  # type: ignore[arg-type]


async def test_making_a_queue_starts_nothing(repository: IJobRepository, queue_name: str) -> None:
    before = asyncio.all_tasks()
    queue: Queue = QueueService(queue_name, repository)
    await queue.counts()
    assert asyncio.all_tasks() == before
    await queue.close()


async def test_closing_ends_everything_and_may_be_repeated(
    repository: IJobRepository, clock: FrozenClock, queue_name: str
) -> None:
    before = asyncio.all_tasks()
    queue: Queue = QueueService(queue_name, repository, clock=clock)
    queue.start_maintenance(often())
    handle = await queue.add("a")
    waiting = asyncio.create_task(handle.result())
    await asyncio.sleep(0)
    await asyncio.gather(queue.close(), queue.close())
    await queue.close()
    with pytest.raises(AlreadyClosed):
        await waiting
    # A read that is under way belongs to the repository, which lets no driver be cut off.
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_closing_waits_for_async_listeners(queue: Queue) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    ended: list[Any] = []

    async def listen(event: Any) -> None:
        begun.set()
        await may_end.wait()
        ended.append(event)

    queue.on("job.added", listen)
    await queue.add("a")
    async with asyncio.timeout(10):
        await begun.wait()
        closing = asyncio.create_task(queue.close())
        may_end.set()
        await closing
    assert len(ended) == 1


async def test_whatever_is_asked_of_a_closed_queue_is_refused(
    queue: Queue, bench: Bench, queue_name: str
) -> None:
    handle = await queue.add("a")
    job = await bench.fetch_one()
    assert job.lock is not None
    await queue.close()
    asked = [
        queue.add("a"),
        queue.add_bulk([("a",)]),
        queue.get_job(handle.id),
        queue.get_jobs(),
        queue.counts(),
        queue.is_paused(),
        queue.pause(),
        queue.resume(),
        queue.drain(),
        queue.clean(),
        queue.obliterate(),
        queue.retry(handle.id),
        queue.promote(handle.id),
        queue.cancel(handle.id),
        queue.set_priority(handle.id, 1),
        queue.remove(handle.id),
        queue.fetch_jobs_and_lock(new_worker_id(), 1, 30),
        queue.extend_job_locks([job.lock], 30),
        queue.outcomes.settle([]),
        queue.mark_job_as_active(job),
        queue.mark_job_as_completed(job),
        queue.mark_job_as_failed(job, "boom"),
        queue.update_job_progress(job, 5),
        queue.add_job_log(job, "line"),
        queue.until_next_due(),
        queue.outcomes.heartbeat(worker(bench)),
        queue.outcomes.deregister(bench.worker_id),
        handle.refresh(),
        handle.result(),
        handle.logs(),
        handle.attempt_history(),
    ]
    for question in asked:
        with pytest.raises(AlreadyClosed, match=f"queue '{queue_name}' is closed"):
            await question
    with pytest.raises(AlreadyClosed):
        queue.start_maintenance()


async def test_starts_and_closes_in_any_order_leave_nothing_behind(
    repository: IJobRepository, queue_name: str
) -> None:
    before = asyncio.all_tasks()
    for turn in range(30):
        queue: Queue = QueueService(queue_name, repository)
        queue.start_maintenance(often())
        adding = [asyncio.create_task(queue.add("a", number)) for number in range(turn % 4)]
        for _ in range(turn % 5):
            await asyncio.sleep(0)
        queue.start_maintenance(often(batch=turn + 1))
        async with asyncio.timeout(10):
            await queue.close()
            _ = await asyncio.gather(*adding, return_exceptions=True)
    await eventually(lambda: asyncio.all_tasks() == before)
