"""Interceptors around the runs of a worker."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from enfila.core.application.interceptors import Interceptors
from enfila.core.application.ports.interceptor import Interceptor, Proceed, RunningJob
from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain.errors import InvalidRequest, JobNotCompleted, Unrecoverable
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.running.outcome import Cancel, Retry, Snooze
from enfila.core.domain.job.state import JobState
from tests.waiting import eventually

TENANT = contextvars.ContextVar("TENANT", default="nobody")

Around = Callable[[RunningJob, Proceed], Awaitable[object]]


class Calling(Interceptor):
    """Does what a function says."""

    def __init__(self, around: Around) -> None:
        self._around = around

    async def running(self, job: RunningJob, proceed: Proceed) -> object:
        return await self._around(job, proceed)


def worker_of(
    queue: AnyQueue, processor: Any, *around: Around, **options: Any
) -> WorkerService[Any, Any]:
    chosen = WorkerOptions(**{"maintenance": None, "poll_interval": 0.1, **options})
    interceptors = [Calling(each) for each in around]
    return WorkerService[Any, Any](queue, processor, chosen, interceptors=interceptors)


async def _echo(job: ActiveJob[Any]) -> Any:
    return job.payload


def _plain_echo(job: SyncActiveJob[Any]) -> Any:
    return job.payload


both_kinds = pytest.mark.parametrize("echo", [_echo, _plain_echo])


# ── results and errors ───────────────────────────────────────────────────────────────────────


@both_kinds
async def test_the_result_passes_through_and_may_be_replaced(queue: AnyQueue, echo: Any) -> None:
    seen: list[Any] = []

    async def around(job: RunningJob, proceed: Proceed) -> object:
        seen.append((job.name, job.payload, job.attempt, job.max_attempts, dict(job.metadata)))
        return {"wrapped": await proceed()}

    job = await queue.add("welcome", 7, JobOptions(metadata={"trace": "x"}))
    async with worker_of(queue, echo, around):
        assert await job.result(timeout=5) == {"wrapped": 7}
    assert seen == [("welcome", 7, 1, 1, {"trace": "x"})]


async def test_a_handler_may_be_left_out(queue: AnyQueue) -> None:
    async def never(job: ActiveJob[Any]) -> None:
        pytest.fail("called")

    async def around(job: RunningJob, proceed: Proceed) -> object:
        return "cached"

    job = await queue.add("a")
    async with worker_of(queue, never, around):
        assert await job.result(timeout=5) == "cached"


@both_kinds
async def test_a_handler_may_be_called_again(queue: AnyQueue, echo: Any) -> None:
    async def around(job: RunningJob, proceed: Proceed) -> object:
        return [await proceed(), await proceed()]

    job = await queue.add("a", 7)
    async with worker_of(queue, echo, around):
        assert await job.result(timeout=5) == [7, 7]


async def test_what_it_raises_fails_the_attempt(queue: AnyQueue) -> None:
    async def around(job: RunningJob, proceed: Proceed) -> object:
        await proceed()
        raise PermissionError("not for you")

    job = await queue.add("a")
    async with worker_of(queue, _echo, around):
        with pytest.raises(JobNotCompleted, match="not for you"):
            await job.result(timeout=5)


@both_kinds
async def test_it_sees_the_error_of_a_handler_and_may_answer_for_it(
    queue: AnyQueue, echo: Any
) -> None:
    def fail(job: Any) -> object:
        raise ConnectionError("away")

    async def fail_async(job: ActiveJob[Any]) -> object:
        raise ConnectionError("away")

    async def around(job: RunningJob, proceed: Proceed) -> object:
        try:
            return await proceed()
        except ConnectionError as error:
            return f"instead of {error}"

    job = await queue.add("a")
    async with worker_of(queue, fail if echo is _plain_echo else fail_async, around):
        assert await job.result(timeout=5) == "instead of away"


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize(
    ("word", "state"),
    [
        (Snooze(60), JobState.DELAYED),
        (Cancel("enough"), JobState.CANCELLED),
        (Retry(delay=60), JobState.DELAYED),
    ],
)
async def test_the_words_of_a_handler_are_results_to_it(
    queue: AnyQueue, word: Any, state: JobState, raises: bool
) -> None:
    answers: list[object] = []

    async def say(job: ActiveJob[Any]) -> object:
        if raises:
            raise word
        return word

    async def around(job: RunningJob, proceed: Proceed) -> object:
        answers.append(await proceed())
        return answers[-1]

    job = await queue.add("a", options=JobOptions(attempts=2))
    async with worker_of(queue, say, around):
        await eventually(lambda: _is_in(queue, job.id, state))
    assert answers == [word]


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (Snooze(60), JobState.DELAYED),
        (Cancel("enough"), JobState.CANCELLED),
        (Retry(delay=60), JobState.DELAYED),
        (Unrecoverable("no use"), JobState.FAILED),
    ],
)
async def test_its_own_words_keep_their_meaning(
    queue: AnyQueue, word: Exception, state: JobState
) -> None:
    async def around(job: RunningJob, proceed: Proceed) -> object:
        raise word

    job = await queue.add("a", options=JobOptions(attempts=2))
    async with worker_of(queue, _echo, around):
        await eventually(lambda: _is_in(queue, job.id, state))


async def _is_in(queue: AnyQueue, job_id: Any, state: JobState) -> bool:
    found = await queue.get_job(job_id)
    return found is not None and found.state is state


# ── context variables ────────────────────────────────────────────────────────────────────────


async def _tell(job: ActiveJob[Any]) -> str:
    return TENANT.get()


def _plain_tell(job: SyncActiveJob[Any]) -> str:
    return TENANT.get()


@pytest.mark.parametrize("tell", [_tell, _plain_tell])
async def test_context_variables_reach_the_handler_and_no_other_job(
    queue: AnyQueue, tell: Any
) -> None:
    async def around(job: RunningJob, proceed: Proceed) -> object:
        if job.payload is not None:
            TENANT.set(job.payload)  # and is not set back
        return await proceed()

    jobs = await queue.add_bulk([("a", "acme"), ("a",), ("a", "corp"), ("a",)])
    async with worker_of(queue, tell, around):
        answers = [await job.result(timeout=5) for job in jobs]
    assert answers == ["acme", "nobody", "corp", "nobody"]


# ── interruptions ────────────────────────────────────────────────────────────────────────────


async def _swallow(job: RunningJob, proceed: Proceed) -> object:
    try:
        return await proceed()
    except asyncio.CancelledError:
        return "swallowed"


async def _wait(job: ActiveJob[Any]) -> None:
    await asyncio.Event().wait()


async def test_a_run_that_timed_out_fails_though_the_cancellation_is_swallowed(
    queue: AnyQueue,
) -> None:
    job = await queue.add("a", options=JobOptions(timeout=0.05))
    after = await queue.add("b")

    async def wait_or_answer(job: ActiveJob[Any]) -> str:
        if job.name == "a":
            await asyncio.Event().wait()
        return "next"

    async with worker_of(queue, wait_or_answer, _swallow):
        with pytest.raises(JobNotCompleted, match="longer than its timeout"):
            await job.result(timeout=5)
        assert await after.result(timeout=5) == "next"


async def test_a_shutdown_releases_a_run_though_the_cancellation_is_swallowed(
    queue: AnyQueue,
) -> None:
    started = asyncio.Event()

    async def wait(job: ActiveJob[Any]) -> None:
        started.set()
        await asyncio.Event().wait()

    job = await queue.add("a")
    worker = worker_of(queue, wait, _swallow)
    await worker.start()
    await asyncio.wait_for(started.wait(), 5)
    await worker.close(grace=0)
    assert await _is_in(queue, job.id, JobState.WAITING)


@both_kinds
async def test_no_handler_begins_after_a_swallowed_cancellation(queue: AnyQueue, echo: Any) -> None:
    called: list[str] = []

    def note(job: Any) -> None:
        called.append(job.name)

    async def note_async(job: Any) -> None:
        called.append(job.name)

    async def around(job: RunningJob, proceed: Proceed) -> object:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert job.is_cancelled
        return await proceed()

    job = await queue.add("a", options=JobOptions(timeout=0.05))
    async with worker_of(queue, note if echo is _plain_echo else note_async, around):
        with pytest.raises(JobNotCompleted, match="longer than its timeout"):
            await job.result(timeout=5)
    assert called == []


async def test_an_interceptor_that_never_ends_does_not_keep_the_worker(queue: AnyQueue) -> None:
    async def cling(job: RunningJob, proceed: Proceed) -> object:
        while True:
            try:
                return await proceed()
            except asyncio.CancelledError:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    return None

    job = await queue.add("a", options=JobOptions(timeout=0.05))
    async with worker_of(queue, _wait, cling, cancellation_grace=0.05):
        with pytest.raises(JobNotCompleted, match="longer than its timeout"):
            await job.result(timeout=5)


async def test_a_thread_hears_of_its_cancellation_within_an_interceptor(queue: AnyQueue) -> None:
    async def around(job: RunningJob, proceed: Proceed) -> object:
        return await proceed()

    def wait(job: SyncActiveJob[Any]) -> bool:
        return job.cancelled.wait(5)

    job = await queue.add("a", options=JobOptions(attempts=1))
    async with worker_of(queue, wait, around, cancellation_grace=3):
        await eventually(lambda: _is_in(queue, job.id, JobState.ACTIVE))
        await queue.cancel(job.id)
        await eventually(lambda: _is_in(queue, job.id, JobState.CANCELLED))


# ── registration ─────────────────────────────────────────────────────────────────────────────


async def test_an_interceptor_that_comes_later_is_around_the_next_run(queue: AnyQueue) -> None:
    async def around(job: RunningJob, proceed: Proceed) -> object:
        return "around"

    shared = Interceptors()
    options = WorkerOptions(maintenance=None, poll_interval=0.1)
    async with WorkerService[Any, Any](queue, _echo, options, interceptors=shared):
        assert await (await queue.add("a", 1)).result(timeout=5) == 1
        shared.register(Calling(around))
        assert await (await queue.add("a", 1)).result(timeout=5) == "around"


def test_a_wrong_interceptor_is_refused(queue: AnyQueue) -> None:
    wrong: Any = [print]
    with pytest.raises(InvalidRequest, match=r"interceptors: .* derived from enfila\.Interceptor"):
        WorkerService[Any, Any](queue, _echo, interceptors=wrong)
