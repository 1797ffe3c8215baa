import asyncio
import math
from datetime import timedelta
from typing import Any

import pytest

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint
from enfila.core.domain.errors import InvalidRequest, LockLost, ResultRefused, Unrecoverable
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.outcome import Completed, Released, Snoozed
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock
from tests.infrastructure.queue.bench import LOCK, Bench, Queue
from tests.waiting import eventually


async def taken_over(bench: Bench, clock: FrozenClock) -> tuple[Job, Job]:
    """A job in the hands of a worker that vanished, and in those of the next."""
    await bench.queue.add("a", options=JobOptions(attempts=5))
    old = await bench.fetch_one()
    clock.advance(LOCK)
    await bench.recover_stalled()
    return old, await bench.fetch_one()


async def test_jobs_are_fetched_in_order_and_only_once(queue: Queue, bench: Bench) -> None:
    handles = await queue.add_bulk([("a",), ("b",), ("c",)])
    jobs = [*await bench.fetch(2), *await bench.fetch(2)]
    assert [job.id for job in jobs] == [handle.id for handle in handles]
    assert await bench.fetch() == []
    assert await queue.fetch_next_job_and_lock(new_worker_id(), 30) is None


async def test_only_jobs_of_the_given_names_are_fetched(queue: Queue, bench: Bench) -> None:
    await queue.add_bulk([("a",), ("b",)])
    jobs = await queue.fetch_jobs_and_lock(bench.worker_id, 10, 30, names=frozenset({"b"}))
    assert [job.name for job in jobs] == ["b"]


@pytest.mark.parametrize(("limit", "lock"), [(0, 30), (-1, 30), (True, 30), (1, 0), (1, -1)])
async def test_a_wrong_wish_is_refused(queue: Queue, limit: int, lock: float) -> None:
    with pytest.raises(InvalidRequest):
        await queue.fetch_jobs_and_lock(new_worker_id(), limit, lock)


@pytest.mark.parametrize("result", [0, False, "", None, [], {"n": 1}, "long" * 1000])
async def test_a_result_is_stored_told_and_returned(
    queue: Queue, bench: Bench, result: Any
) -> None:
    bench.listen("job.completed")
    handle = await queue.add("a")
    job = await bench.fetch_one()
    after = await queue.mark_job_as_completed(job, result)
    assert after.state is JobState.COMPLETED
    assert after.result == result
    [event] = bench.events
    answers = [event.result, await handle.result(10), (await handle.refresh()).snapshot.result]
    assert answers == [result] * 3
    assert {type(answer) for answer in answers} == {type(result)}


async def test_a_result_that_is_not_json_is_refused_and_nothing_written(
    queue: Queue, bench: Bench
) -> None:
    await queue.add("a")
    job = await bench.fetch_one()
    for result in (object(), math.nan, {"a": {1}}):
        with pytest.raises(ResultRefused):
            await queue.mark_job_as_completed(job, result)
    assert (await queue.counts()).active == 1
    failed = await queue.mark_job_as_failed(job, ResultRefused("$ is a set"))
    assert str(failed.error) == "ResultRefused: the result cannot be stored: $ is a set"


async def test_a_failed_attempt_is_followed_by_another_after_its_backoff(
    queue: Queue, bench: Bench, clock: FrozenClock
) -> None:
    bench.listen("job.retrying", "job.delayed", "job.failed")
    options = JobOptions(attempts=2, backoff=Backoff.fixed(10))
    await queue.add("a", options=options)
    after = await queue.mark_job_as_failed(await bench.fetch_one(), ValueError("boom"))
    assert (after.state, after.run_at) == (JobState.DELAYED, clock.now() + timedelta(seconds=10))
    clock.advance(10)
    last = await queue.mark_job_as_failed(await bench.fetch_one(), "boom")
    assert (last.state, str(last.error)) == (JobState.FAILED, "Error: boom")
    assert bench.names() == ["job.retrying", "job.delayed", "job.failed"]


async def test_the_jitter_of_a_backoff_comes_from_the_given_chance(
    repository: IJobRepository, clock: FrozenClock, queue_name: str
) -> None:
    async with QueueService[Any, Any](queue_name, repository, random=lambda: 0.5) as queue:
        options = JobOptions(attempts=2, backoff=Backoff.fixed(10, jitter=1))
        await queue.add("a", options=options)
        after = await queue.mark_job_as_failed(await Bench(queue).fetch_one(), "boom")
        assert after.run_at == clock.now() + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("error", "recoverable"), [(Unrecoverable("no"), True), (JobError("E", "no"), False)]
)
async def test_an_unrecoverable_failure_is_final(
    queue: Queue, bench: Bench, error: Any, *, recoverable: bool
) -> None:
    await queue.add("a", options=JobOptions(attempts=5))
    job = await bench.fetch_one()
    after = await queue.mark_job_as_failed(job, error, recoverable=recoverable)
    assert after.state is JobState.FAILED


async def test_only_the_holder_of_the_lock_may_write(
    queue: Queue, bench: Bench, clock: FrozenClock
) -> None:
    old, new = await taken_over(bench, clock)
    bench.listen("job.completed", "job.retrying", "job.progress", "job.log")
    for refused in (
        queue.mark_job_as_completed(old, 1),
        queue.mark_job_as_failed(old, "boom"),
        queue.update_job_progress(old, 5),
        queue.add_job_log(old, "hello"),
    ):
        with pytest.raises(LockLost, match="no longer held under lock token 1"):
            await refused
    assert not await queue.extend_job_lock(old, LOCK)
    said = [(old, ProgressUpdate(old.id, old.token, old.attempt))]
    assert await queue.outcomes.update_progress(said) == [False]
    assert bench.events == []
    assert await queue.extend_job_lock(new, LOCK)
    assert (await queue.mark_job_as_completed(new, 2)).result == 2


async def test_of_a_step_with_a_stale_outcome_the_others_are_written(
    queue: Queue, bench: Bench, clock: FrozenClock
) -> None:
    old, new = await taken_over(bench, clock)
    await queue.add("b")
    other = await bench.fetch_one()
    stale, completed = await bench.settle([old, other])
    assert stale is None
    assert completed is not None
    assert (await bench.settle([new]))[0] is not None


async def test_settling_nothing_is_nothing(queue: Queue) -> None:
    assert await queue.outcomes.settle([]) == []
    assert await queue.outcomes.update_progress([]) == []


@pytest.mark.parametrize("progress", [0, 0.5, 100, "half", {"done": 3, "of": 4}, {}])
async def test_progress_is_stored_and_told(queue: Queue, bench: Bench, progress: Any) -> None:
    bench.listen("job.progress")
    handle = await queue.add("a")
    job = await bench.fetch_one()
    await queue.update_job_progress(job, "before")
    await queue.update_job_progress(job, progress)
    assert (await handle.refresh()).progress == progress
    assert [(event.job_id, event.progress) for event in bench.events] == [
        (handle.id, "before"),
        (handle.id, progress),
    ]


@pytest.mark.parametrize("progress", [None, True, math.nan, [1], {"a": math.inf}, {1: 2}])
async def test_progress_of_another_kind_is_refused(
    queue: Queue, bench: Bench, progress: Any
) -> None:
    await queue.add("a")
    job = await bench.fetch_one()
    with pytest.raises(InvalidRequest, match=r"progress: .*give a finite number, a text or a JSON"):
        await queue.update_job_progress(job, progress)


async def test_log_lines_are_stored_told_and_the_newest_kept(queue: Queue, bench: Bench) -> None:
    bench.listen("job.log")
    handle = await queue.add("a", options=JobOptions(keep_logs=2))
    job = await bench.fetch_one()
    for line in ("one", "two\x00", "three"):
        await queue.add_job_log(job, line)
    assert [log.line for log in await handle.logs()] == ["two\\x00", "three"]
    assert [event.line for event in bench.events] == ["one", "two\\x00", "three"]
    with pytest.raises(InvalidRequest, match="line: 5 is not allowed"):
        await queue.add_job_log(job, 5)  # type: ignore[arg-type]


async def test_a_report_for_a_job_of_another_object_is_told_with_its_name(
    queue: Queue, bench: Bench, repository: IJobRepository, queue_name: str
) -> None:
    async with QueueService[Any, Any](queue_name, repository) as other:
        await queue.add("by name")
        job = await Bench(other).fetch_one()
        bench.listen("job.log")
        await queue.add_job_log(job, "hello")
    assert bench.events[0].job_name == "by name"


async def test_a_job_that_begins_to_run_is_told(queue: Queue, bench: Bench) -> None:
    bench.listen("job.active")
    await queue.add("a")
    job = await bench.fetch_one()
    await queue.mark_job_as_active(job)
    [event] = bench.events
    assert (event.job_id, event.attempt, event.worker_id) == (job.id, 1, bench.worker_id)
    assert event.at == job.started_at


@pytest.mark.parametrize(
    ("outcome", "hints"),
    [
        (Completed(), {Hint.SETTLED}),
        (Released(), {Hint.JOBS}),
        (Snoozed(timedelta(seconds=5)), {Hint.JOBS}),
    ],
)
async def test_settling_hints_at_what_may_be_done_now(
    queue: Queue, bench: Bench, outcome: Any, hints: set[Hint]
) -> None:
    await queue.add("a")
    job = await bench.fetch_one()
    events = {hint: queue.listen(hint) for hint in Hint}
    await bench.settle([job], outcome)
    assert {hint for hint, event in events.items() if event.is_set()} == hints


async def test_what_a_cancelled_caller_fetched_goes_back(clock: FrozenClock) -> None:
    claiming, may_claim = asyncio.Event(), asyncio.Event()

    class Slow(InMemoryJobRepository):
        async def claim(self, claim: Claim) -> list[Job]:
            claiming.set()
            await may_claim.wait()
            return await super().claim(claim)

    async with QueueService[Any, Any]("q", Slow(clock)) as queue:
        handle = await queue.add("a")
        fetching = asyncio.create_task(Bench(queue).fetch())
        async with asyncio.timeout(10):
            await claiming.wait()
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        may_claim.set()

        async def is_back() -> bool:
            await handle.refresh()
            return handle.snapshot.token == 1 and handle.state is JobState.WAITING

        await eventually(is_back)
        assert handle.attempt == 0


async def test_the_time_until_the_next_due_job_is_told(queue: Queue) -> None:
    assert await queue.until_next_due() is None
    await queue.add("a", options=JobOptions(delay=60))
    assert await queue.until_next_due() == timedelta(seconds=60)
