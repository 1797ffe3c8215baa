"""One worker in a process of its own: `python -m tests.processes.worker_program PLAN`."""

import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from enfila import ActiveJob, MaintenanceOptions, SyncActiveJob, WorkerOptions
from enfila.core.domain.events import (
    JobCompleted,
    JobStalled,
    WorkerErrorOccurred,
    WorkerLockLost,
    WorkerReady,
)
from enfila.core.domain.job.job import Job
from tests.processes.history import (
    Completed,
    Ended,
    Ending,
    Finished,
    Imported,
    Journal,
    Lost,
    Ready,
    Stalled,
    Started,
    Troubled,
)
from tests.processes.plans import Plan, die_with_the_parent, read_plan, wait_for_go


@dataclass(frozen=True, kw_only=True)
class WorkerPlan(Plan):
    """What a worker process is to do. Lengths of time in seconds.

    Attributes:
        in_threads: the handler is a plain function.
        maintenance: between two looks for stalled jobs; None leaves them to others.
    """

    concurrency: int = 4
    lock: float = 2.0
    maintenance: float | None = 0.5
    max_stalled_count: int = 1000
    poll: float = 0.5
    heartbeat: float = 1.0
    grace: float = 30.0
    cancellation_grace: float = 5.0
    prefetch: int | None = None
    in_threads: bool = False
    notify: bool = True

    @property
    def options(self) -> WorkerOptions:
        maintenance = None
        if self.maintenance is not None:
            maintenance = MaintenanceOptions(
                stalled_interval=timedelta(seconds=self.maintenance),
                max_stalled_count=self.max_stalled_count,
            )
        return WorkerOptions(
            concurrency=self.concurrency,
            lock_duration=self.lock,
            poll_interval=self.poll,
            heartbeat=self.heartbeat,
            grace=self.grace,
            cancellation_grace=self.cancellation_grace,
            prefetch=self.prefetch,
            maintenance=maintenance,
        )


class Handler:
    """Does what a job's payload says, and writes down when it began and how it ended.

    `seconds`: how long it takes. `fails`: how many attempts fail. `logs`: it logs its token before
    it ends. `stubborn`: it ignores that it is cancelled.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def run(self, job: ActiveJob[dict[str, Any]]) -> dict[str, Any]:
        began = time.monotonic()
        self._started(job.snapshot)
        try:
            while (left := began + job.payload.get("seconds", 0) - time.monotonic()) > 0:
                try:
                    await asyncio.sleep(left)
                except asyncio.CancelledError:
                    if not job.payload.get("stubborn"):
                        raise
            if job.payload.get("logs"):
                await job.log(str(job.snapshot.token))
            _fail_if_wanted(job.snapshot)
        except BaseException as error:
            self._finished(job.snapshot, error)
            raise
        return self._returns(job.snapshot)

    def run_in_thread(self, job: SyncActiveJob[dict[str, Any]]) -> dict[str, Any]:
        self._started(job.snapshot)
        try:
            time.sleep(job.payload.get("seconds", 0))
            _fail_if_wanted(job.snapshot)
        except BaseException as error:
            self._finished(job.snapshot, error)
            raise
        return self._returns(job.snapshot)

    def _started(self, job: Job) -> None:
        payload: Any = job.payload
        self._journal.write(
            Started,
            job=job.id,
            token=job.token,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            worker=job.worker_id or "",
            not_before=payload.get("not_before", 0.0),
        )

    def _finished(self, job: Job, error: BaseException) -> None:
        is_cancelled = isinstance(error, asyncio.CancelledError)
        self._journal.write(
            Finished,
            job=job.id,
            token=job.token,
            ending=Ending.CANCELLED if is_cancelled else Ending.RAISED,
            error=repr(error),
        )

    def _returns(self, job: Job) -> dict[str, Any]:
        self._journal.write(Finished, job=job.id, token=job.token, ending=Ending.RETURNED)
        return {"token": job.token}


def _fail_if_wanted(job: Job) -> None:
    payload: Any = job.payload
    if job.attempt <= payload.get("fails", 0):
        raise RuntimeError(f"attempt {job.attempt} is to fail")


async def work(plan: WorkerPlan, journal: Journal) -> None:
    """Runs the worker until a signal ends it."""
    app = plan.place.app(notify=plan.notify)
    queue = app.queue(plan.queue)

    def completed(event: JobCompleted) -> None:
        result: Any = event.result
        journal.write(Completed, job=event.job_id, token=result["token"])

    def stalled(event: JobStalled) -> None:
        journal.write(Stalled, job=event.job_id, count=event.stalled_count)

    def ready(event: WorkerReady) -> None:
        journal.write(Ready, worker=event.worker_id)

    def lost(event: WorkerLockLost) -> None:
        journal.write(Lost, job=event.job_id, worker=event.worker_id)

    def troubled(event: WorkerErrorOccurred) -> None:
        journal.write(Troubled, during=event.during, error=repr(event.error))

    queue.on("job.completed", completed)
    queue.on("job.stalled", stalled)
    async with app:
        handler = Handler(journal)
        worker = app.worker(
            queue, handler.run_in_thread if plan.in_threads else handler.run, plan.options
        )
        worker.on("worker.ready", ready)
        worker.on("worker.lock.lost", lost)
        worker.on("worker.error", troubled)
        await worker.run()


def main(text: str) -> None:
    plan = read_plan(WorkerPlan, text)
    die_with_the_parent()
    journal = Journal(plan.folder, plan.name)
    journal.write(Imported)
    wait_for_go(plan)
    asyncio.run(work(plan, journal))
    journal.write(Ended)


if __name__ == "__main__":
    main(sys.argv[1])
