"""Telling the listeners of a worker."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from enfila.core.application.emitter import Emitter
from enfila.core.application.ports.clock import Clock
from enfila.core.application.runtime.error_log import log_error
from enfila.core.application.worker.running.run import Run
from enfila.core.domain.duration import ZERO
from enfila.core.domain.events import (
    WorkerClosed,
    WorkerErrorOccurred,
    WorkerJobErrored,
    WorkerJobProcessed,
    WorkerLockLost,
    WorkerReady,
)
from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.outcome import Completed, Failed
from enfila.core.domain.showing import shown

logger = logging.getLogger("enfila.worker")


class WorkerEvents:
    """Builds the events of a worker, if anybody listens, and tells them."""

    def __init__(self, emitter: Emitter, queue: str, worker_id: WorkerId, clock: Clock) -> None:
        self._emitter = emitter
        self._queue = queue
        self._worker_id = worker_id
        self._clock = clock

    def ready(self) -> None:
        """The worker takes jobs."""
        self._emitter.publish(
            WorkerReady(queue=self._queue, at=self._clock.now(), worker_id=self._worker_id)
        )

    def closed(self) -> None:
        """The worker has ended."""
        self._emitter.publish(
            WorkerClosed(queue=self._queue, at=self._clock.now(), worker_id=self._worker_id)
        )

    def lock_lost(self, run: Run) -> None:
        """A run turned out to be another worker's, or may be."""
        logger.warning("the lock of job %s (%s) is lost", run.job.id, shown(run.job.name))
        if self._emitter.has_listeners(WorkerLockLost.name):
            self._emitter.publish(
                WorkerLockLost(
                    queue=run.job.queue,
                    at=self._clock.now(),
                    worker_id=self._worker_id,
                    job_id=run.job.id,
                    job_name=run.job.name,
                )
            )

    def error(self, error: BaseException, during: str) -> None:
        """Something around the jobs went wrong."""
        log_error(logger, error, during)
        # What a listener of errors raises is not told to it again, or that might never end.
        is_its_own = during == f"a listener of {WorkerErrorOccurred.name}"
        if not is_its_own and self._emitter.has_listeners(WorkerErrorOccurred.name):
            self._emitter.publish(
                WorkerErrorOccurred(
                    queue=self._queue,
                    at=self._clock.now(),
                    worker_id=self._worker_id,
                    error=error,
                    during=during,
                )
            )

    def settled(self, runs: Sequence[Run], jobs: Sequence[Job | None]) -> None:
        """Outcomes were answered; None where the lock was another's by then."""
        hears_processed = self._emitter.has_listeners(WorkerJobProcessed.name)
        hears_errored = self._emitter.has_listeners(WorkerJobErrored.name)
        for run, job in zip(runs, jobs, strict=True):
            if job is None:
                if not run.is_lock_over:
                    self.lock_lost(run)
            elif hears_processed and isinstance(run.outcome, Completed):
                self._processed(run, job)
            elif hears_errored and isinstance(run.outcome, Failed):
                self._errored(run, job, run.outcome)

    def _processed(self, run: Run, job: Job) -> None:
        ended_at = job.finished_at or self._clock.now()
        self._emitter.publish(
            WorkerJobProcessed(
                queue=job.queue,
                at=ended_at,
                worker_id=self._worker_id,
                job_id=job.id,
                job_name=job.name,
                attempt=run.job.attempt,
                result=job.result,
                duration=ended_at - run.job.started_at if run.job.started_at else ZERO,
            )
        )

    def _errored(self, run: Run, job: Job, failed: Failed) -> None:
        self._emitter.publish(
            WorkerJobErrored(
                queue=job.queue,
                at=job.finished_at or self._clock.now(),
                worker_id=self._worker_id,
                job_id=job.id,
                job_name=job.name,
                attempt=run.job.attempt,
                error=failed.error,
            )
        )
