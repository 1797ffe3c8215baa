"""What is of no use any more: it is removed."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, cast

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.storage import Storage
from enfila.core.application.ports.worker_repository import IWorkerRepository
from enfila.core.application.queue.maintenance.duty import Duty
from enfila.core.domain.job.policies.retention import RetentionPolicy

_COMPACTIONS_APART: Final = 3
"""Looks for stalled jobs between two compactions, which are for the sake of speed alone."""


class RetentionOfJobs(Duty):
    """Maintenance duty: removes finished jobs that no retention rule keeps.

    Args:
        policy: what the queue keeps; None leaves it to the options.
    """

    what = "removes old jobs"

    def __init__(
        self, repository: IJobRepository, queue: str, policy: RetentionPolicy | None
    ) -> None:
        super().__init__()
        self._repository = repository
        self._queue = queue
        self._policy = policy

    @property
    def interval(self) -> timedelta:
        return cast("timedelta", self.options.retention_interval)

    async def do_batch(self) -> bool:
        batch, policy = self.options.batch, self._policy or self.options.retention
        return await self._repository.apply_retention(self._queue, policy, batch) == batch


class ForgettingOfWorkers(Duty):
    """Maintenance duty: removes workers from the list that died without deregistering."""

    what = "forgets silent workers"

    def __init__(self, workers: IWorkerRepository) -> None:
        super().__init__()
        self._workers = workers

    @property
    def interval(self) -> timedelta:
        return cast("timedelta", self.options.silent_worker)

    async def do_batch(self) -> bool:
        await self._workers.forget_silent(self.interval)
        return False


class CompactingOfTables(Duty):
    """Maintenance duty: has the storage compact its own tables."""

    what = "tidies the tables"

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self._storage = storage

    @property
    def interval(self) -> timedelta:
        return _COMPACTIONS_APART * cast("timedelta", self.options.stalled_interval)

    async def do_batch(self) -> bool:
        await self._storage.compact()
        return False
