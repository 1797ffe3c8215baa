"""Cancelling the older jobs of a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import WakeUp
from enfila.core.application.queue.operations.job_operations import JobOperations
from enfila.core.application.queue.publishing.publisher import Publisher
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.errors import JobNotFound, MoveNotAllowed, StaleTransition
from enfila.core.domain.job.job import Job


class Cancelling:
    """Cancels jobs of any queue, as that queue would; asks the workers of active ones.

    Nobody in this process can listen to a queue here, but other processes get every hint.
    """

    def __init__(self, repository: IJobRepository, wake_up: WakeUp) -> None:
        self._repository = repository
        self._wake_up = wake_up
        self._tasks = OwnedTasks()

    async def cancel(self, jobs: Sequence[Job], reason: str) -> None:
        """Cancels jobs one after the other. Those that are final, or gone, are left alone."""
        for job in jobs:
            with suppress(JobNotFound, MoveNotAllowed, StaleTransition):
                await self._operations_of(job.queue).cancel(job.id, reason, as_read=job)

    def _operations_of(self, queue: str) -> JobOperations:
        publisher = Publisher(queue, self._repository, self._wake_up, tasks=self._tasks)
        return JobOperations(self._repository, publisher, tasks=self._tasks)
