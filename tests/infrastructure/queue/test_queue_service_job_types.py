"""A queue that knows types of jobs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from pydantic import BaseModel

from enfila import (
    ActiveJob,
    Backoff,
    InvalidRequest,
    JobOptions,
    JobState,
    JobTypeRegistry,
    QueueService,
    SyncActiveJob,
    WorkerOptions,
    WorkerService,
)
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.testing import FrozenClock
from tests.infrastructure.queue.bench import Bench, Queue


class Letter(BaseModel):
    to: str
    copies: int = 1


@pytest.fixture
def types() -> JobTypeRegistry:
    return JobTypeRegistry()


@pytest_asyncio.fixture(loop_scope="session")
async def queue(
    queue_name: str, repository: IJobRepository, clock: FrozenClock, types: JobTypeRegistry
) -> AsyncIterator[Queue]:
    defaults = JobOptions(priority=7, attempts=2)
    queue: Queue = QueueService(
        queue_name, repository, clock=clock, job_types=types, default_job_options=defaults
    )
    types.attach(lambda name: queue)
    yield queue
    await queue.close()


@pytest.fixture
def worker(queue: Queue, types: JobTypeRegistry) -> Any:
    return lambda: WorkerService[Any, Any](
        queue, types, WorkerOptions(maintenance=None, poll_interval=0.05)
    )


# ── adding ───────────────────────────────────────────────────────────────────────────────────


async def test_a_job_has_the_options_of_its_call_then_of_its_type_then_of_its_queue(
    queue: Queue, types: JobTypeRegistry
) -> None:
    @types.job("send", queue=queue.name, attempts=5, backoff=Backoff.fixed(1), timeout=9)
    async def send(to: str) -> None: ...

    job = await send.with_options(timeout=3, delay=60).enqueue(to="ada")
    options = job.options
    assert (options.timeout, options.attempts, options.priority) == (timedelta(seconds=3), 5, 7)
    assert (job.state, job.payload) == (JobState.DELAYED, {"to": "ada"})
    plain = await queue.add("send", {"to": "ada"})
    assert plain.options.timeout == timedelta(seconds=9)


async def test_options_given_twice_come_together(queue: Queue, types: JobTypeRegistry) -> None:
    send = types.job("send", queue=queue.name)(lambda: None)
    twice = send.with_options(JobOptions(delay=9, lifo=True)).with_options(delay=5, priority=1)
    options = (await twice.enqueue()).options
    assert (options.delay, options.lifo, options.priority) == (timedelta(seconds=5), True, 1)
    assert (await send.enqueue()).options.delay == timedelta(0)


async def test_a_name_that_no_type_has_is_refused_with_the_nearest_one(
    bench: Bench, types: JobTypeRegistry
) -> None:
    for name in ("biz:pipeline", "biz:report"):
        types.job(name, queue=bench.queue.name)(lambda: None)
    with pytest.raises(InvalidRequest) as refused:
        await bench.queue.add("biz:pipelin")
    assert str(refused.value) == (
        "name: 'biz:pipelin' is not allowed; did you mean 'biz:pipeline'? "
        "give a job type of this app: biz:pipeline, biz:report"
    )
    with pytest.raises(InvalidRequest, match=r"^name: 'x' is not allowed; give a job type"):
        await bench.queue.add_bulk([("biz:report",), ("x",)])
    with pytest.raises(InvalidRequest, match=r"^name: "):
        bench.queue.add_sync("x")
    assert await bench.fetch() == []


async def test_a_queue_without_types_takes_any_name(queue: Queue, types: JobTypeRegistry) -> None:
    types.job("send", queue="elsewhere")(lambda: None)
    assert (await queue.add("anything", [1])).payload == [1]
    assert (await queue.add("send", "not checked")).payload == "not checked"


async def test_a_payload_that_the_signature_refuses_is_not_added(
    bench: Bench, types: JobTypeRegistry
) -> None:
    @types.job("send", queue=bench.queue.name)
    async def send(letter: Letter) -> None: ...

    wrong: list[Any] = [None, {}, {"letter": {}}, {"letter": {"to": "ada"}, "more": 1}, [1], "a"]
    for payload in wrong:
        with pytest.raises(InvalidRequest, match=r"^payload: .* give a payload of 'send': "):
            await bench.queue.add("send", payload)
    with pytest.raises(InvalidRequest, match=r"^payload: "):
        await send.enqueue({"to": 5})  # type: ignore[arg-type]
    assert await bench.fetch() == []


async def test_code_without_a_loop_adds_too(queue: Queue, types: JobTypeRegistry) -> None:
    @types.job("send", queue=queue.name)
    async def send(letter: Letter) -> None: ...

    job = await asyncio.to_thread(send.enqueue_sync, Letter(to="ada"))
    assert job.payload == {"letter": {"to": "ada", "copies": 1}}
    assert (await queue.counts()).waiting == 1


# ── running ──────────────────────────────────────────────────────────────────────────────────


async def test_arguments_and_results_are_rebuilt_on_both_sides(
    queue: Queue, types: JobTypeRegistry, worker: Any
) -> None:
    @types.job("copy", queue=queue.name)
    async def copy(job: ActiveJob[Any], letter: Letter) -> Letter:
        await job.log(f"copying for {letter.to}")
        return Letter(to=letter.to, copies=letter.copies + job.attempt)

    async with worker():
        job = await copy.enqueue(Letter(to="ada", copies=2))
        assert await job.result(timeout=20) == Letter(to="ada", copies=3)
    again = await queue.get_job(job.id)
    assert again is not None
    assert await again.result(timeout=1) == Letter(to="ada", copies=3)
    assert [line.line for line in await job.logs()] == ["copying for ada"]


async def test_plain_functions_and_classes_are_run(
    queue: Queue, types: JobTypeRegistry, worker: Any
) -> None:
    @types.job("plain", queue=queue.name)
    def plain(job: SyncActiveJob[Any], letter: Letter) -> str:
        job.log("from a thread")
        return letter.to

    class Pipeline:
        async def run(self, letter: Letter) -> Letter:
            return letter

    pipeline = types.job("pipeline", queue=queue.name)(Pipeline)
    async with worker():
        assert await (await plain.enqueue(Letter(to="ada"))).result(timeout=20) == "ada"
        job = await pipeline.enqueue(letter=Letter(to="bob"))
        assert await job.result(timeout=20) == Letter(to="bob")


async def test_a_stored_payload_that_does_not_fit_any_more_fails_the_job_for_good(
    queue: Queue, repository: IJobRepository, types: JobTypeRegistry, worker: Any
) -> None:
    async with QueueService[Any, Any](queue.name, repository) as elsewhere:
        old = await elsewhere.add("send", {"recipient": "ada"}, JobOptions(attempts=5))

    @types.job("send", queue=queue.name)
    async def send(to: str) -> None: ...

    async with worker():
        handle = await queue.get_job(old.id)
        assert handle is not None
        job = await handle.wait(timeout=20)
    assert (job.state, job.attempt) == (JobState.FAILED, 1)
    assert job.error is not None
    assert job.error.type == "Unrecoverable"
    assert "payload of 'send': $.to Field required; $.recipient Extra inputs" in job.error.message


async def test_a_result_that_is_not_of_the_return_type_fails_the_attempt(
    queue: Queue, types: JobTypeRegistry, worker: Any
) -> None:
    @types.job("wrong", queue=queue.name, attempts=1)
    async def wrong() -> int:
        return "seven"  # type: ignore[return-value]

    async with worker():
        job = await (await wrong.enqueue()).wait(timeout=20)
    assert job.state is JobState.FAILED
    assert str(job.error).startswith("ResultRefused: the result cannot be stored: it is not an int")


async def test_a_worker_takes_no_job_of_a_type_that_it_does_not_know(
    queue: Queue, repository: IJobRepository, types: JobTypeRegistry, worker: Any
) -> None:
    async with QueueService[Any, Any](queue.name, repository) as elsewhere:
        unknown = await elsewhere.add("of another deploy")
    known = types.job("known", queue=queue.name)(lambda: 7)
    async with worker():
        assert await (await known.enqueue()).result(timeout=20) == 7
    handle = await queue.get_job(unknown.id)
    assert handle is not None
    assert (handle.state, handle.attempt) == (JobState.WAITING, 0)


async def test_the_trace_of_a_plain_function_begins_in_it(
    queue: Queue, types: JobTypeRegistry, worker: Any
) -> None:
    @types.job("fails", queue=queue.name, attempts=1)
    def fails() -> None:
        raise ValueError("broken")

    async with worker():
        job = await (await fails.enqueue()).wait(timeout=20)
    assert job.error is not None
    assert job.error.trace.count('File "') == 1


def test_a_worker_needs_a_type(queue: Queue, types: JobTypeRegistry, worker: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^processor: .* at least one name"):
        worker()
