"""What type checkers know of active jobs, processors and job types. `mypy` checks it; never run.

Each `type: ignore` stands where an error has to be: one that is not needed is an error too.
"""

from typing import Any, assert_type

from enfila import (
    AbstractQueue,
    ActiveJob,
    Enfila,
    JobHandle,
    JobTypeRegistry,
    SyncActiveJob,
    WorkerService,
)

types = JobTypeRegistry()


# ── processors ───────────────────────────────────────────────────────────────────────────────


async def bare(job: ActiveJob) -> None:
    assert_type(job.payload, Any)


def bare_in_thread(job: SyncActiveJob) -> None:
    assert_type(job.payload, Any)


async def of_objects(job: ActiveJob[object]) -> None:
    assert_type(job.payload, object)


async def of_numbers(job: ActiveJob[int]) -> int:
    return job.payload + 1


async def of_texts(job: ActiveJob[str]) -> int:
    return len(job.payload)


def workers(app: Enfila) -> None:
    untyped, typed = app.queue("a"), app.queue("b", payload_type=int)
    for processor in (bare, bare_in_thread, of_objects):
        app.worker(untyped, processor)
    app.worker(untyped, of_numbers)
    app.worker(typed, bare)
    app.worker(typed, bare_in_thread)
    app.worker(typed, of_objects)
    app.worker(typed, of_numbers)
    app.worker(typed, of_texts)  # type: ignore[arg-type]


# ── job types ────────────────────────────────────────────────────────────────────────────────


@types.job
async def plain(to: str) -> int:
    return len(to)


@types.job("named", queue="email")
async def named(job: ActiveJob[object], to: str) -> int:
    return len(to)


@types.job
async def with_bare_job(job: ActiveJob, to: str) -> int:
    return len(to)


class Sending:
    async def run(self, to: str) -> int:
        return len(to)


class SendingWithJob:
    async def run(self, job: ActiveJob, to: str) -> int:
        return len(to)


by_class = types.job("by class")(Sending)
by_class_with_job = types.job("by class with job")(SendingWithJob)
by_object = types.job("by object")(SendingWithJob())
by_bare_class = types.job(Sending)


async def enqueues() -> None:
    assert_type(await plain.enqueue(to="a"), JobHandle[int])
    assert_type(await named.enqueue("a"), JobHandle[int])
    _ = await with_bare_job.enqueue(to="a")
    assert_type(await by_class.enqueue(to="a"), JobHandle[int])
    assert_type(await by_class_with_job.enqueue("a"), JobHandle[int])
    assert_type(await by_object.enqueue(to="a"), JobHandle[int])
    assert_type(await by_bare_class.enqueue(to="a"), JobHandle[int])
    _ = await plain.enqueue(5)  # type: ignore[arg-type]
    _ = await plain.enqueue()  # type: ignore[call-arg]
    _ = await named.enqueue(to=5)  # type: ignore[arg-type]
    _ = await by_class.enqueue(at="a")  # type: ignore[call-arg]
    plain.enqueue(to="a")  # type: ignore[unused-coroutine]


# ── handles, queues and workers ──────────────────────────────────────────────────────────────


async def bare_names(queue: AbstractQueue, worker: WorkerService, handle: JobHandle) -> None:
    assert_type(await queue.add("a", 5), JobHandle[Any])
    assert_type(await handle.result(), Any)
    assert_type(worker, WorkerService[Any, Any])


def any_handle(handle: JobHandle[object]) -> None: ...


def typed_handles(number: JobHandle[int], queue: AbstractQueue[int, str]) -> None:
    any_handle(number)
    text: JobHandle[str] = number  # type: ignore[assignment]
    assert_type(queue.add_sync("a", 5), JobHandle[str])
    queue.add_sync("a", "five")  # type: ignore[arg-type]
    any_handle(text)
