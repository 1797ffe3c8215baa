"""One worker in a process of its own: `python -m tests.processes.worker_program PLAN`."""

import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

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


_STEP: Final = 0.02
"""Seconds between two looks at what a handler waits for."""
LONG: Final = 30.0
"""Seconds that nobody waits for: a handler that takes so long ends for another reason."""


class Handler:
    """Does what a job's payload says, and writes down when it began and how it ended.

    `seconds`: how long it takes; one number, or one for each run. `until`: it ends when this file
    exists. `awakes`: it ends when its process was stopped for so many seconds. `fails`: how many
    attempts fail. `logs`: it logs its token before it ends. `stubborn`: it ignores that it is
    cancelled.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def run(self, job: ActiveJob[dict[str, Any]]) -> dict[str, Any]:
        self._started(job.snapshot)
        try:
            await _take_time(job.snapshot)
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
            time.sleep(_seconds(job.snapshot))
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


async def _take_time(job: Job) -> None:
    payload: Any = job.payload
    awakes, until = payload.get("awakes"), payload.get("until")
    step = _STEP if awakes or until else LONG
    ends = time.monotonic() + _seconds(job)
    while (left := ends - (slept := time.monotonic())) > 0:
        try:
            await asyncio.sleep(min(left, step))
        except asyncio.CancelledError:
            if not payload.get("stubborn"):
                raise
        if (until and _is_there(until)) or (awakes and time.monotonic() - slept > awakes):
            return


def _is_there(file: str) -> bool:
    return Path(file).exists()


def _seconds(job: Job) -> float:
    payload: Any = job.payload
    seconds: float | list[float] = payload.get("seconds", 0)
    return seconds[min(job.token, len(seconds)) - 1] if isinstance(seconds, list) else seconds


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
