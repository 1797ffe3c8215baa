"""Maintenance: jobs that were not started in time are cancelled."""

from __future__ import annotations

from enfila.core.application.ports.job_reader import IJobReader, Overdue
from enfila.core.application.queue.job_moves import JobMoves


async def expire_late(queue: str, jobs: IJobReader, moves: JobMoves, *, batch: int) -> bool:
    """Cancels a batch of jobs that are past `expires_at`; whether there may be more."""
    late = await jobs.overdue(queue, Overdue.EXPIRED, batch)
    await moves.apply([(job, job.expire()) for job in late])
    return len(late) == batch
