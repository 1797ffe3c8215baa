"""What type checkers know of listeners. `mypy` checks it; never run.

Each `type: ignore` stands where an error has to be: one that is not needed is an error too.
"""

from enfila import AbstractQueue, SchedulerService, WorkerService, events


def failed(event: events.JobFailed) -> None: ...


async def failed_async(event: events.JobFailed) -> None: ...


def any_event(event: events.Event) -> None: ...


def of_queue(queue: AbstractQueue[int, str]) -> None:
    queue.on("job.failed", failed)
    queue.on("job.failed", failed_async)
    queue.on("job.completed", any_event)
    queue.on("job.completed", lambda event: print(event.job_id, event.result))
    queue.on("job.completed", lambda event: event.error)  # type: ignore[call-overload]
    queue.once("queue.drained", lambda event: event.at.isoformat())
    queue.once("queue.drained", lambda event: event.job_id)  # type: ignore[call-overload]

    @queue.on("job.failed")
    async def told(event: events.JobFailed) -> str:
        return event.error.message

    @queue.once("job.failed")
    def told_once(event: events.JobFailed) -> None: ...

    queue.off("job.failed", told)
    queue.on("job.complete", any_event)  # type: ignore[call-overload]
    queue.once("worker.ready", any_event)  # type: ignore[call-overload]
    queue.on("job.completed", failed)  # type: ignore[call-overload]
    queue.once("job.completed", failed_async)  # type: ignore[call-overload]

    @queue.on("job.completed")  # type: ignore[arg-type]
    def told_wrongly(event: events.JobFailed) -> None: ...


def of_worker(worker: WorkerService[int, str], scheduler: SchedulerService) -> None:
    worker.on("worker.error", lambda event: print(event.during, event.error))
    worker.on("worker.ready", lambda event: event.worker_id)
    worker.on("worker.ready", lambda event: event.error)  # type: ignore[call-overload]
    worker.on("job.failed", any_event)  # type: ignore[call-overload]
    scheduler.on("schedule.ticked", lambda event: event.slug)
    scheduler.on("schedule.tick", any_event)  # type: ignore[call-overload]


def of_a_name_that_is_a_variable(queue: AbstractQueue[int, str], name: str) -> None:
    queue.add_listener(name, any_event)
