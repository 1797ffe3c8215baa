"""Maintenance: finished jobs that nobody asked to keep are removed, silent workers forgotten."""

from __future__ import annotations

from datetime import timedelta

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.worker_repository import IWorkerRepository
from enfila.core.domain.job.retention import RetentionPolicy


async def remove_old(
    queue: str, repository: IJobRepository, policy: RetentionPolicy, *, batch: int
) -> bool:
    """Removes a batch of finished jobs; whether there may be more."""
    return await repository.apply_retention(queue, policy, batch) == batch


async def forget_silent(workers: IWorkerRepository, silent_for: timedelta) -> bool:
    """Forgets workers that were not heard of for so long; there is never more."""
    await workers.forget_silent(silent_for)
    return False
