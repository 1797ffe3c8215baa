"""One worker for the types of several queues."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from enfila import (
    ActiveJob,
    AlreadyClosed,
    InvalidRequest,
    JobOptions,
    JobState,
    JobTypeRegistry,
    QueueService,
    ServedQueues,
    WorkerOptions,
    WorkerService,
)
from enfila.core.application.queue.operations.job_handle import JobHandle
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.attempt import AttemptOutcome
from enfila.core.domain.job.running.outcome import Completed
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job_type import RunStatistics
from enfila.core.domain.json_document import JsonDocument
from tests.core.application.worker.unreliable_repository import UnreliableRepository
from tests.waiting import eventually

Queue = QueueService[Any, Any]
Serve = Callable[[], ServedQueues]
SECONDS = 20


@pytest.fixture
def repository() -> UnreliableRepository:
    return UnreliableRepository()


@pytest.fixture
def types() -> JobTypeRegistry:
    return JobTypeRegistry()


@pytest_asyncio.fixture
async def queues(
    repository: UnreliableRepository, types: JobTypeRegistry
) -> AsyncIterator[dict[str, Queue]]:
    made = {
        name: Queue(name, repository, job_types=types, random=lambda: 0.0)
        for name in ("one", "two")
    }
    types.attach(made.__getitem__)
    yield made
    for queue in made.values():
        await queue.close()


@pytest.fixture
def serve(
    queues: dict[str, Queue], types: JobTypeRegistry, repository: UnreliableRepository
) -> Serve:
    return lambda: ServedQueues(list(queues.values()), types, repository)


@pytest_asyncio.fixture
async def work(serve: Serve, types: JobTypeRegistry) -> AsyncIterator[Callable[..., Any]]:
    """Makes workers for all queues, that look when they hear of a job; keywords are options."""
    async with AsyncExitStack() as stack:

        async def work(**options: Any) -> WorkerService[Any, Any]:
            chosen = {"maintenance": None, "poll_interval": 3600, **options}
            worker = WorkerService[Any, Any](serve(), types, WorkerOptions(**chosen))
            return await stack.enter_async_context(worker)

        yield work


async def fetch(served: ServedQueues, types: JobTypeRegistry, limit: int = 100) -> list[Job]:
    return await served.fetch_jobs_and_lock(
        new_worker_id(), limit, 30, names=frozenset(types.handlers())
    )


def names(jobs: list[Job]) -> list[str]:
    return [f"{job.queue}/{job.name}" for job in jobs]


# ── fetching ─────────────────────────────────────────────────────────────────────────────────


async def test_one_worker_runs_the_types_of_all_queues(
    types: JobTypeRegistry, work: Callable[..., Any]
) -> None:
    first = types.job("first", queue="one")(lambda: 1)
    second = types.job("second", queue="two")(lambda: 2)
    await work()
    results = [await (await each.enqueue()).result(SECONDS) for each in (first, second, first)]
    assert results == [1, 2, 1]


async def test_the_queues_take_turns(types: JobTypeRegistry, serve: Serve) -> None:
    first = types.job("a", queue="one")(lambda: None)
    second = types.job("b", queue="two")(lambda: None)
    for each in (first, second) * 3:
        await each.enqueue()
    served = serve()
    assert names(await fetch(served, types, 2)) == ["one/a", "one/a"]
    assert names(await fetch(served, types, 2)) == ["two/b", "two/b"]
    assert names(await fetch(served, types)) == ["one/a", "two/b"]


async def test_a_type_that_moved_is_still_taken_from_its_old_queue(
    types: JobTypeRegistry, serve: Serve, queues: dict[str, Queue]
) -> None:
    types.job("moved", queue="two")(lambda: None)
    types.job("stayed", queue="one")(lambda: None)
    await queues["one"].add("moved")
    assert names(await fetch(serve(), types)) == ["one/moved"]


async def test_jobs_claimed_before_a_queue_failed_are_run(
    types: JobTypeRegistry, serve: Serve, queues: dict[str, Queue], monkeypatch: Any
) -> None:
    first = types.job("a", queue="one")(lambda: None)
    await first.enqueue()

    async def fail(*_: Any, **__: Any) -> list[Job]:
        raise RuntimeError("away")

    monkeypatch.setattr(queues["two"], "fetch_jobs_and_lock", fail)
    served = serve()
    assert names(await fetch(served, types)) == ["one/a"]
    with pytest.raises(RuntimeError, match="away"):
        await fetch(served, types)


async def test_jobs_claimed_before_the_fetch_was_cancelled_go_back(
    types: JobTypeRegistry, serve: Serve, queues: dict[str, Queue], monkeypatch: Any
) -> None:
    first = types.job("a", queue="one")(lambda: None)
    job = await first.enqueue()
    asked = asyncio.Event()

    async def hang(*_: Any, **__: Any) -> list[Job]:
        asked.set()
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(queues["two"], "fetch_jobs_and_lock", hang)
    served = serve()
    fetching = asyncio.ensure_future(fetch(served, types))
    await asked.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    await served.outcomes.deregister(new_worker_id())
    after = await job.refresh()
    assert (after.state, after.attempt) == (JobState.WAITING, 0)


def test_a_worker_needs_a_queue(types: JobTypeRegistry, repository: UnreliableRepository) -> None:
    with pytest.raises(InvalidRequest, match=r"^queues: .* give at least one"):
        ServedQueues([], types, repository)


async def test_the_next_due_job_of_any_queue_is_waited_for(
    types: JobTypeRegistry, work: Callable[..., Any]
) -> None:
    first = types.job("a", queue="one")(lambda: None)
    second = types.job("b", queue="two")(lambda: "soon")
    await first.with_options(delay=3600).enqueue()
    job = await second.with_options(delay=0.05).enqueue()
    await work()
    assert await job.result(SECONDS) == "soon"


# ── what is told ─────────────────────────────────────────────────────────────────────────────


async def test_each_queue_tells_of_its_own_jobs(
    types: JobTypeRegistry, work: Callable[..., Any], queues: dict[str, Queue]
) -> None:
    heard: list[tuple[str, str]] = []
    for name in ("job.active", "job.log", "job.completed"):
        queues["two"].on(name, lambda event: heard.append((event.name, event.queue)))

    async def talk(job: ActiveJob[object]) -> None:
        await job.log(f"in {job.queue}")

    jobs = [types.job(f"talk {name}", queue=name)(talk) for name in queues]
    worker = await work()
    worker.on("worker.job.processed", lambda event: heard.append((event.name, event.queue)))
    for each in jobs:
        await (await each.enqueue()).wait(SECONDS)
    await worker.close()
    assert [told for told in heard if told[1] == "two"] == [
        ("job.active", "two"),
        ("job.log", "two"),
        ("job.completed", "two"),
        ("worker.job.processed", "two"),
    ]
    assert [told for told in heard if told[1] != "two"] == [("worker.job.processed", "one")]


async def test_a_worker_of_twenty_queues_writes_once_for_all_of_them(
    types: JobTypeRegistry, repository: UnreliableRepository
) -> None:
    names_of_queues = [f"queue {number}" for number in range(20)]
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(Queue(name, repository, job_types=types))
            for name in names_of_queues
        ]
        heard: list[tuple[str, str]] = []
        for queue in made:
            for name in ("job.progress", "job.log", "job.completed"):
                queue.on(name, lambda event, at=queue.name: heard.append((event.name, at)))
            types.job(f"type of {queue.name}", queue=queue.name)(lambda: None)
            await queue.add(f"type of {queue.name}")
        served = ServedQueues(made, types, repository)
        jobs = await fetch(served, types)
        assert [job.queue for job in jobs] == names_of_queues
        repository.calls.clear()
        locks = [job.lock for job in jobs if job.lock is not None]
        extended = await served.outcomes.extend_locks(locks, timedelta(seconds=30))
        assert [extension.is_held for extension in extended] == [True] * 20
        assert repository.calls == ["extend"]
        said = [
            (job, ProgressUpdate(job.id, job.token, job.attempt, JsonDocument.of(1), ("hello",)))
            for job in jobs
        ]
        assert await served.outcomes.update_progress(said) == [True] * 20
        assert repository.calls == ["extend", "update_progress"]
        settled = await served.outcomes.settle([(job, Completed()) for job in jobs])
        assert [job.queue for job in settled if job is not None] == names_of_queues
        assert repository.calls == ["extend", "update_progress", "apply"]
        kinds = ["job.log", "job.progress", "job.completed"]
        for queue in made:
            assert [name for name, at in heard if at == queue.name] == kinds
        assert len(heard) == 60


async def test_the_queues_of_one_write_are_told_only_of_what_was_not_stale(
    types: JobTypeRegistry, serve: Serve, queues: dict[str, Queue]
) -> None:
    heard: list[tuple[str, str]] = []
    for name, queue in queues.items():
        queue.add_listener("job.completed", lambda event, at=name: heard.append((at, event.queue)))
        await types.job(f"of {name}", queue=name)(lambda: None).enqueue()
    served = serve()
    lost, held = await fetch(served, types)
    await queues["one"].mark_job_as_completed(lost)
    heard.clear()
    after = await served.outcomes.settle([(held, Completed()), (lost, Completed())])
    assert [job and job.id for job in after] == [held.id, None]
    assert heard == [("two", "two")]


async def test_whoever_waits_for_a_job_of_one_of_the_queues_is_answered_at_once(
    types: JobTypeRegistry, serve: Serve
) -> None:
    handles = [await types.job(n, queue=n)(lambda: None).enqueue() for n in ("one", "two")]
    served = serve()
    jobs = await fetch(served, types)
    waiting = [asyncio.ensure_future(handle.wait(SECONDS)) for handle in handles]
    await asyncio.sleep(0)
    await served.outcomes.settle([(job, Completed()) for job in jobs])
    assert [(await each).state for each in waiting] == [JobState.COMPLETED] * 2


async def test_nothing_is_written_once_one_of_the_queues_is_closed(
    types: JobTypeRegistry, serve: Serve, queues: dict[str, Queue]
) -> None:
    await types.job("a", queue="one")(lambda: None).enqueue()
    served = serve()
    [job] = await fetch(served, types)
    await queues["two"].close()
    with pytest.raises(AlreadyClosed, match="queue 'two' is closed"):
        await served.outcomes.settle([(job, Completed())])


async def test_closing_a_queue_waits_for_a_write_to_several(
    types: JobTypeRegistry,
    serve: Serve,
    queues: dict[str, Queue],
    repository: UnreliableRepository,
) -> None:
    heard: list[str] = []
    queues["two"].on("job.completed", lambda event: heard.append(event.queue))
    for name in queues:
        await types.job(name, queue=name)(lambda: None).enqueue()
    served = serve()
    jobs = await fetch(served, types)
    repository.hangs = asyncio.Event()
    settling = asyncio.ensure_future(served.outcomes.settle([(job, Completed()) for job in jobs]))
    await eventually(lambda: "apply" in repository.calls)
    closing = asyncio.ensure_future(queues["two"].close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    repository.hangs.set()
    await asyncio.gather(settling, closing)
    assert heard == ["two"]


# ── settling ─────────────────────────────────────────────────────────────────────────────────


async def test_outcomes_of_several_queues_that_could_not_be_written_are_written_later(
    types: JobTypeRegistry, work: Callable[..., Any], repository: UnreliableRepository
) -> None:
    both = asyncio.Barrier(2)  # so that they end together, and are settled in one step

    @types.job("a", queue="one")
    async def first() -> str:
        await both.wait()
        return "one"

    @types.job("b", queue="two")
    async def second() -> str:
        await both.wait()
        repository.loses_answers = 1
        return "two"

    lost: list[Any] = []
    jobs: list[JobHandle[str]] = [await first.enqueue(), await second.enqueue()]
    worker = await work(concurrency=2)
    worker.on("worker.lock.lost", lost.append)
    assert [await job.result(SECONDS) for job in jobs] == ["one", "two"]
    await worker.close()
    assert lost == []
    assert repository.loses_answers == 0
    assert repository.calls.count("apply") == 2


# ── limits ───────────────────────────────────────────────────────────────────────────────────


async def test_a_worker_holds_no_more_jobs_of_a_type_than_its_limit(
    types: JobTypeRegistry, work: Callable[..., Any]
) -> None:
    running = most = 0
    two = asyncio.Barrier(2)

    @types.job("limited", queue="one", max_concurrency=2)
    async def limited() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await two.wait()
        running -= 1

    free = types.job("free", queue="one")(lambda: "free")
    jobs = [await limited.enqueue() for _ in range(8)]
    worker = await work(concurrency=10)
    # Room is seen at once: the next look would come only after the poll interval.
    for job in jobs:
        assert (await job.wait(SECONDS)).state is JobState.COMPLETED
    assert await (await free.enqueue()).result(SECONDS) == "free"
    assert most == 2
    assert worker.active_count == 0


async def test_a_limited_type_is_not_starved_by_others(
    types: JobTypeRegistry, serve: Serve
) -> None:
    limited = types.job("limited", queue="one", max_concurrency=1)(lambda: None)
    free = types.job("free", queue="one")(lambda: None)
    for _ in range(5):
        await free.enqueue()
        await limited.enqueue()
    served = serve()
    taken = [names(await fetch(served, types, 2)) for _ in range(3)]
    assert [each.count("one/limited") for each in taken] == [0, 1, 0]


@pytest.mark.parametrize("found_by", ["extending", "progress"])
async def test_a_job_that_was_lost_makes_room_again(
    types: JobTypeRegistry, serve: Serve, queues: dict[str, Queue], found_by: str
) -> None:
    limited = types.job("limited", queue="one", max_concurrency=1)(lambda: None)
    for _ in range(2):
        await limited.enqueue()
    served = serve()
    [job] = await fetch(served, types)
    assert await fetch(served, types) == []
    await queues["one"].mark_job_as_completed(job)
    assert job.lock is not None
    if found_by == "extending":
        [extension] = await served.outcomes.extend_locks([job.lock], timedelta(seconds=30))
        assert extension.is_held is False
    else:
        said = [(job, ProgressUpdate(job.id, job.token, job.attempt))]
        assert await served.outcomes.update_progress(said) == [False]
    assert len(await fetch(served, types)) == 1


# ── what is written beside ───────────────────────────────────────────────────────────────────


async def test_runs_are_counted_by_type_when_the_worker_signs_off(
    types: JobTypeRegistry, work: Callable[..., Any], repository: UnreliableRepository
) -> None:
    @types.job("flaky", queue="one", options=JobOptions(attempts=2))
    async def flaky(fail: bool) -> None:
        if fail:
            raise ValueError("no")

    worker = await work()
    for fail in (False, True):
        await (await flaky.enqueue(fail)).wait(SECONDS)
    await worker.close()
    [info] = await repository.storage.job_types.all()
    counted = info.statistics
    assert (counted.runs, counted.successes, counted.failures) == (3, 1, 2)
    assert counted.last_status is AttemptOutcome.FAILED
    assert counted.last_run_at is not None


async def test_a_heartbeat_writes_the_counts(
    types: JobTypeRegistry, work: Callable[..., Any], repository: UnreliableRepository
) -> None:
    quick = types.job("quick", queue="one")(lambda: None)
    await work(heartbeat=0.05)
    await (await quick.enqueue()).wait(SECONDS)

    async def successes() -> int:
        [info] = await repository.storage.job_types.all()
        return info.statistics.successes

    assert await eventually(successes) == 1


async def test_counts_that_cannot_be_written_are_kept(
    types: JobTypeRegistry, serve: Serve, repository: UnreliableRepository, monkeypatch: Any
) -> None:
    job = types.job("quick", queue="one")(lambda: None)
    await job.enqueue()
    served = serve()
    [claimed] = await fetch(served, types)
    await served.outcomes.settle([(claimed, Completed())])
    count_runs = repository.storage.job_types.count_runs

    async def fail(_: Any) -> None:
        raise RuntimeError("away")

    monkeypatch.setattr(repository.storage.job_types, "count_runs", fail)
    with pytest.raises(RuntimeError, match="away"):
        await served.outcomes.deregister(new_worker_id())
    monkeypatch.setattr(repository.storage.job_types, "count_runs", count_runs)
    await served.outcomes.deregister(new_worker_id())
    info = await repository.storage.job_types.get("quick")
    assert info is not None
    assert info.statistics == RunStatistics(1, 1, 0, claimed.started_at, AttemptOutcome.COMPLETED)


async def test_types_are_declared_before_the_first_fetch(
    types: JobTypeRegistry, serve: Serve, repository: UnreliableRepository
) -> None:
    types.job("late", queue="one", enabled=False)(lambda: None)
    await fetch(serve(), types)
    info = await repository.storage.job_types.get("late")
    assert info is not None
    assert info.is_enabled is False
