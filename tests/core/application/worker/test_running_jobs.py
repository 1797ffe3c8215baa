"""What becomes of jobs that a worker runs."""

import asyncio
import contextvars
import threading
from functools import partial
from typing import Any

import pytest

from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain.errors import JobNotCompleted, Unrecoverable
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.running.outcome import Cancel, Retry, Snooze
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from tests.core.application.worker.conftest import MakeWorker
from tests.core.application.worker.recording import Recording
from tests.core.application.worker.unreliable_repository import UnreliableRepository
from tests.waiting import eventually, wait_for_event


async def _never() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("result", [0, False, "", None, [], {}, {"sent": True}, 2**80, "😀"])
async def test_the_result_is_stored_and_told(
    queue: AnyQueue, make_worker: MakeWorker, result: Any
) -> None:
    async def give(job: ActiveJob[Any]) -> Any:
        return result

    completed = wait_for_event(queue, "job.completed")
    job = await queue.add("give")
    async with make_worker(give):
        event = await completed
        stored = await job.result(timeout=5)
    assert (event.result, stored, type(stored)) == (result, result, type(result))


async def test_a_result_that_is_not_json_fails_the_attempt_and_the_worker_goes_on(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def answer(job: ActiveJob[Any]) -> object:
        return object() if job.name == "bad" else "good"

    bad, good = await queue.add("bad"), await queue.add("good")
    async with make_worker(answer):
        assert await good.result(timeout=5) == "good"
        with pytest.raises(JobNotCompleted, match=r"cannot be stored.*object"):
            await bad.result(timeout=5)


async def test_a_plain_function_runs_in_a_thread_and_does_not_block_the_loop(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    released = threading.Event()
    threads: list[str] = []

    def wait(job: SyncActiveJob[Any]) -> str:
        threads.append(threading.current_thread().name)
        assert released.wait(5)
        return "done"

    job = await queue.add("wait")
    async with make_worker(wait):
        await eventually(lambda: threads)
        released.set()
        assert await job.result(timeout=5) == "done"
    assert threads[0] != threading.main_thread().name


async def test_what_a_plain_function_raises_fails_the_attempt_with_its_trace(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    def fail(job: SyncActiveJob[Any]) -> None:
        raise KeyError("missing")

    job = await queue.add("fail")
    async with make_worker(fail):
        with pytest.raises(JobNotCompleted):
            await job.result(timeout=5)
    assert job.error is not None
    assert (job.error.type, job.error.message) == ("KeyError", "'missing'")
    assert 'raise KeyError("missing")' in job.error.trace


@pytest.mark.parametrize(
    "raised",
    [SystemExit(3), KeyboardInterrupt(), StopIteration(1)],
    ids=lambda it: type(it).__name__,
)
async def test_a_plain_function_cannot_end_the_worker(
    queue: AnyQueue, make_worker: MakeWorker, raised: BaseException
) -> None:
    def leave(job: SyncActiveJob[Any]) -> None:
        if job.name == "leave":
            raise raised

    first, second = await queue.add("leave"), await queue.add("stay")
    async with make_worker(leave):
        with pytest.raises(JobNotCompleted):
            await first.result(timeout=5)
        assert await second.result(timeout=5) is None


async def test_an_async_processor_that_exits_fails_its_attempt_only(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def leave(job: ActiveJob[Any]) -> None:
        if job.name == "leave":
            raise SystemExit(3)

    first, second = await queue.add("leave"), await queue.add("stay")
    async with make_worker(leave):
        with pytest.raises(JobNotCompleted, match="SystemExit"):
            await first.result(timeout=5)
        assert await second.result(timeout=5) is None


async def test_a_processor_that_is_cancelled_by_its_own_doing_fails_its_attempt(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def await_cancelled(job: ActiveJob[Any]) -> None:
        if job.name == "other":
            other = asyncio.ensure_future(_never())
            asyncio.get_running_loop().call_soon(other.cancel)
            await other
        elif job.name == "itself":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    jobs = [await queue.add(name) for name in ("other", "itself", "none")]
    async with make_worker(await_cancelled):
        with pytest.raises(JobNotCompleted, match="CancelledError"):
            await jobs[0].result(timeout=5)
        assert await jobs[2].result(timeout=5) is None
        assert await jobs[1].result(timeout=5) is None


@pytest.mark.parametrize(
    "wrapped",
    [lambda send: partial(send, "hello"), lambda send: lambda job: send("hello", job)],
    ids=["partial", "lambda"],
)
async def test_a_callable_that_returns_an_awaitable_is_awaited(
    queue: AnyQueue, make_worker: MakeWorker, wrapped: Any
) -> None:
    async def send(greeting: str, job: Any) -> str:
        await asyncio.sleep(0)
        return f"{greeting} {job.name}"

    job = await queue.add("ada")
    async with make_worker(wrapped(send)):
        assert await job.result(timeout=5) == "hello ada"


async def test_an_object_with_an_async_call_is_a_processor(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    class Sender:
        async def __call__(self, job: ActiveJob[Any]) -> str:
            await job.log("sending")
            return "sent"

    job = await queue.add("welcome")
    async with make_worker(Sender()):
        assert await job.result(timeout=5) == "sent"


async def test_the_awaitable_of_a_plain_function_cannot_block_the_loop(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def send(job: Any) -> None:
        job.log("this would wait for the very loop that it blocks")

    job = await queue.add("welcome")
    async with make_worker(lambda job: send(job)):  # noqa: PLW0108 - a lambda tells nothing of what it calls
        with pytest.raises(JobNotCompleted, match="annotate its argument with ActiveJob"):
            await job.result(timeout=5)


async def test_a_timeout_ends_an_async_attempt_at_once(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    seen: list[str | None] = []

    async def hang(job: ActiveJob[Any]) -> None:
        try:
            await _never()
        finally:
            seen.append(job.cancel_reason)

    job = await queue.add("hang", None, JobOptions(timeout=0.02))
    async with make_worker(hang):
        with pytest.raises(JobNotCompleted, match=r"longer than its timeout of 0\.02 s"):
            await job.result(timeout=5)
    assert job.error is not None
    assert job.error.type == "AttemptTimedOut"
    assert seen == ["ran longer than its timeout of 0.02 s"]


async def test_the_workers_timeout_holds_for_jobs_without_one(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def hang(job: ActiveJob[Any]) -> None:
        await _never()

    job = await queue.add("hang")
    async with make_worker(hang, timeout=0.02):
        with pytest.raises(JobNotCompleted, match="timeout"):
            await job.result(timeout=5)


async def test_a_plain_functions_late_result_is_refused(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    released, ended = threading.Event(), threading.Event()

    def late(job: SyncActiveJob[Any]) -> str:
        assert job.cancelled.wait(5)
        assert released.wait(5)
        ended.set()
        return "too late"

    job = await queue.add("late", None, JobOptions(timeout=0.02))
    async with make_worker(late):
        with pytest.raises(JobNotCompleted, match="timeout"):
            await job.result(timeout=5)
        released.set()
        await eventually(ended.is_set)
        other = await queue.add("late", None, JobOptions(timeout=0.02))
        with pytest.raises(JobNotCompleted, match="timeout"):
            await other.result(timeout=5)
    await job.refresh()
    assert job.state is JobState.FAILED


async def test_two_failures_of_three_attempts_complete_on_the_third(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    told = Recording(queue, "job.retrying", "job.failed", "job.completed")

    async def fail_twice(job: ActiveJob[Any]) -> int:
        if job.attempt < job.max_attempts:
            raise OSError(f"attempt {job.attempt}")
        return job.attempt

    job = await queue.add("fail", None, JobOptions(attempts=3, backoff=Backoff.fixed(0.01)))
    async with make_worker(fail_twice) as worker:
        errored = Recording(worker, "worker.job.errored")
        assert await job.result(timeout=5) == 3
    assert told.names == ["job.retrying", "job.retrying", "job.completed"]
    assert [event.error.message for event in errored.events] == ["attempt 1", "attempt 2"]
    history = await job.attempt_history()
    assert [(run.number, run.outcome.value) for run in history] == [
        (1, "failed"),
        (2, "failed"),
        (3, "completed"),
    ]


async def test_one_attempt_runs_once(queue: AnyQueue, make_worker: MakeWorker) -> None:
    async def fail(job: ActiveJob[Any]) -> None:
        raise OSError

    told = Recording(queue, "job.retrying", "job.failed")
    job = await queue.add("fail")
    async with make_worker(fail):
        with pytest.raises(JobNotCompleted):
            await job.result(timeout=5)
    assert told.names == ["job.failed"]


async def test_unrecoverable_fails_at_once_with_attempts_left(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def fail(job: ActiveJob[Any]) -> None:
        raise Unrecoverable("no such customer")

    job = await queue.add("fail", None, JobOptions(attempts=5))
    async with make_worker(fail):
        with pytest.raises(JobNotCompleted, match="no such customer"):
            await job.result(timeout=5)
    assert (job.state, job.attempt) == (JobState.FAILED, 1)


@pytest.mark.parametrize("is_raised", [True, False])
async def test_a_snooze_costs_no_attempt(
    queue: AnyQueue, make_worker: MakeWorker, *, is_raised: bool
) -> None:
    calls = 0

    async def snooze_twice(job: ActiveJob[Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            return job.attempt
        if is_raised:
            raise Snooze(0.01)
        return Snooze(0.01)

    job = await queue.add("snooze")
    async with make_worker(snooze_twice):
        assert await job.result(timeout=5) == 1
    assert calls == 3


@pytest.mark.parametrize("is_raised", [True, False])
async def test_a_cancel_ends_as_cancelled(
    queue: AnyQueue, make_worker: MakeWorker, *, is_raised: bool
) -> None:
    def cancel(job: SyncActiveJob[Any]) -> Any:
        if is_raised:
            raise Cancel("not needed")
        return Cancel("not needed")

    told = wait_for_event(queue, "job.cancelled")
    job = await queue.add("cancel", None, JobOptions(attempts=5))
    async with make_worker(cancel):
        assert (await told).reason == "not needed"
        await job.refresh()
    assert job.state is JobState.CANCELLED


async def test_a_retry_chooses_its_own_wait(queue: AnyQueue, make_worker: MakeWorker) -> None:
    async def retry_once(job: ActiveJob[Any]) -> Any:
        return Retry("busy", delay=0.01) if job.attempt == 1 else "done"

    options = JobOptions(attempts=2, backoff=Backoff.fixed(3600))
    retrying = wait_for_event(queue, "job.retrying")
    job = await queue.add("retry", None, options)
    async with make_worker(retry_once):
        assert await job.result(timeout=5) == "done"
    assert (await retrying).error.message == "busy"


async def test_a_custom_backoff_computes_the_wait(queue: AnyQueue, make_worker: MakeWorker) -> None:
    async def fail(job: ActiveJob[Any]) -> None:
        raise OSError("busy")

    asked: list[tuple[int, str]] = []

    def rule(job: Any, error: BaseException) -> float:
        asked.append((job.attempt, str(error)))
        return 3600.0

    options = JobOptions(attempts=2, backoff=Backoff.custom("mine"))
    retrying = wait_for_event(queue, "job.retrying")
    await queue.add("fail", None, options)
    async with make_worker(fail, backoffs={"mine": rule}):
        event = await retrying
    assert asked == [(1, "busy")]
    assert (event.run_at - event.at).total_seconds() == 3600


@pytest.mark.parametrize(
    "backoffs", [{}, {"mine": lambda job, error: "soon"}], ids=["unknown", "wrong"]
)
async def test_a_custom_backoff_that_does_not_work_is_reported_and_means_no_wait(
    queue: AnyQueue, make_worker: MakeWorker, backoffs: dict[str, Any]
) -> None:
    async def fail_once(job: ActiveJob[Any]) -> str:
        if job.attempt == 1:
            raise OSError("busy")
        return "done"

    job = await queue.add("fail", None, JobOptions(attempts=2, backoff=Backoff.custom("mine")))
    worker = make_worker(fail_once, backoffs=backoffs)
    errors = Recording(worker, "worker.error")
    async with worker:
        assert await job.result(timeout=5) == "done"
    assert [event.during for event in errors.events] == ["computing the backoff 'mine'"]


async def test_the_context_variables_of_one_job_are_not_seen_by_the_next(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    customer = contextvars.ContextVar("customer", default="nobody")
    seen: list[str] = []

    async def work(job: ActiveJob[Any]) -> None:
        seen.append(customer.get())
        customer.set(job.name)

    jobs = await queue.add_bulk([(f"customer {number}",) for number in range(20)])
    async with make_worker(work, concurrency=2):
        for job in jobs:
            await job.result(timeout=5)
    assert set(seen) == {"nobody"}


def test_the_context_variables_of_a_job_are_not_seen_by_the_next_in_an_empty_context() -> None:
    """As under a plain `asyncio.run`, where a worker begins with no variable set."""
    customer = contextvars.ContextVar("customer", default="nobody")
    seen: list[str] = []

    async def work(job: ActiveJob[Any]) -> None:
        seen.append(customer.get())
        customer.set(job.name)

    async def main() -> None:
        async with QueueService[Any, Any]("work", InMemoryJobRepository()) as queue:
            jobs = await queue.add_bulk([(f"customer {number}",) for number in range(20)])
            async with WorkerService[Any, Any](queue, work, WorkerOptions(concurrency=2)):
                for job in jobs:
                    await job.result(timeout=5)

    contextvars.Context().run(asyncio.run, main())
    assert set(seen) == {"nobody"}


async def test_a_job_that_can_run_starts_while_a_far_delayed_one_waits(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    async def work(job: ActiveJob[Any]) -> str:
        return job.name

    await queue.add("later", None, JobOptions(delay=3600))
    async with make_worker(work, poll_interval=60):
        await eventually(lambda: "until_next_due" in repository.calls)
        job = await queue.add("now")
        assert await job.result(timeout=5) == "now"


async def test_a_delayed_job_starts_when_it_is_due_and_not_before(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    async def work(job: ActiveJob[Any]) -> None: ...

    job = await queue.add("later", None, JobOptions(delay=0.15))
    async with make_worker(work, poll_interval=60):
        await job.result(timeout=5)
    assert job.started_at is not None
    lateness = (job.started_at - job.run_at).total_seconds()
    assert 0 <= lateness < 5
