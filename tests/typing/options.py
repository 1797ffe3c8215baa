"""What type checkers know of options by name. `mypy` checks it; never run.

Each `type: ignore` stands where an error has to be: one that is not needed is an error too.
"""

from datetime import timedelta

from enfila import ActiveJob, Enfila, JobOptions, WorkerOptions


async def work(job: ActiveJob) -> None: ...


async def by_name(app: Enfila) -> None:
    queue = app.queue("q")
    _ = await queue.add("a", {}, delay=5, attempts=3)
    _ = await queue.add("a", {}, JobOptions(attempts=3), delay=timedelta(seconds=5))
    _ = queue.add_sync("a", priority=5)
    app.worker(queue, work, concurrency=3)
    app.worker(queue, work, WorkerOptions(concurrency=3), timeout=1.5)
    app.worker(concurrency=3, queues=["a"])
    app.scheduler(batch=5)


async def wrong(app: Enfila) -> None:
    queue = app.queue("q")
    await queue.add("a", {}, dely=5)  # type: ignore[call-arg]
    await queue.add("a", {}, priority="high")  # type: ignore[arg-type]
    queue.add_sync("a", sesion=5)  # type: ignore[call-arg]
    app.worker(queue, work, concurency=3)  # type: ignore[call-overload]
    app.scheduler(batch="many")  # type: ignore[arg-type]
