"""One worker for the types of several queues."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from enfila import (
    ActiveJob,
    InvalidRequest,
    JobOptions,
    JobState,
    JobTypeRegistry,
    QueueService,
    RepositoryUnavailable,
    ServedQueues,
    WorkerOptions,
    WorkerService,
)
from enfila.core.application.queue.job_handle import JobHandle
from enfila.core.domain.job.attempt import AttemptOutcome
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.outcome import Completed
from enfila.core.domain.job.progress import ProgressUpdate
from enfila.core.domain.job_type import RunStatistics
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
    await served.deregister(new_worker_id())
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


async def test_a_log_line_that_was_stored_before_a_queue_failed_is_stored_once(
    types: JobTypeRegistry, serve: Serve, queues: dict[str, Queue], monkeypatch: Any
) -> None:
    handles = [await types.job(n, queue=n)(lambda: None).enqueue() for n in ("one", "two")]
    served = serve()
    claimed = await fetch(served, types)
    update, failures = queues["two"].update_progress, [RuntimeError("away")]

    async def fail_once(updates: Any) -> Any:
        if failures:
            raise failures.pop()
        return await update(updates)

    monkeypatch.setattr(queues["two"], "update_progress", fail_once)
    said = [ProgressUpdate(job.id, job.token, job.attempt, lines=("hello",)) for job in claimed]
    with pytest.raises(RuntimeError, match="away"):
        await served.update_progress(said)
    assert await served.update_progress(said) == [True, True]
    assert [len(await handle.logs()) for handle in handles] == [1, 1]


# ── settling ─────────────────────────────────────────────────────────────────────────────────


async def test_an_outcome_that_was_written_before_a_queue_failed_is_not_stale_later(
    types: JobTypeRegistry,
    work: Callable[..., Any],
    queues: dict[str, Queue],
    monkeypatch: Any,
    repository: UnreliableRepository,
) -> None:
    both = asyncio.Barrier(2)  # so that they end together, and are settled in one step

    @types.job("a", queue="one")
    async def first() -> str:
        await both.wait()
        return "one"

    @types.job("b", queue="two")
    async def second() -> str:
        await both.wait()
        return "two"

    settle, failures = queues["two"].settle, [RepositoryUnavailable("db", "away")]

    async def fail_once(outcomes: Any) -> Any:
        if failures:
            raise failures.pop()
        return await settle(outcomes)

    monkeypatch.setattr(queues["two"], "settle", fail_once)
    lost: list[Any] = []
    jobs: list[JobHandle[str]] = [await first.enqueue(), await second.enqueue()]
    worker = await work(concurrency=2)
    worker.on("worker.lock.lost", lost.append)
    assert [await job.result(SECONDS) for job in jobs] == ["one", "two"]
    await worker.close()
    assert (failures, lost) == ([], [])
    counted = [info.statistics.successes for info in await repository.storage.job_types.all()]
    assert counted == [1, 1]


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


@pytest.mark.parametrize("notice", ["extend", "report"])
async def test_a_job_that_was_lost_makes_room_again(
    types: JobTypeRegistry, serve: Serve, queues: dict[str, Queue], notice: str
) -> None:
    limited = types.job("limited", queue="one", max_concurrency=1)(lambda: None)
    for _ in range(2):
        await limited.enqueue()
    served = serve()
    [job] = await fetch(served, types)
    assert await fetch(served, types) == []
    await queues["one"].mark_job_as_completed(job)
    assert job.lock is not None
    if notice == "extend":
        [extension] = await served.extend_job_locks([job.lock], 30)
        assert extension.is_held is False
    else:
        assert await served.update_progress([ProgressUpdate(job.id, job.token, job.attempt)]) == [
            False
        ]
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
    await served.settle([(claimed, Completed())])
    count_runs = repository.storage.job_types.count_runs

    async def fail(_: Any) -> None:
        raise RuntimeError("away")

    monkeypatch.setattr(repository.storage.job_types, "count_runs", fail)
    with pytest.raises(RuntimeError, match="away"):
        await served.deregister(new_worker_id())
    monkeypatch.setattr(repository.storage.job_types, "count_runs", count_runs)
    await served.deregister(new_worker_id())
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
