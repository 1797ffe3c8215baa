"""Maintenance: jobs whose worker vanished run again, or fail when that happens too often."""

from __future__ import annotations

from enfila.core.application.ports.job_reader import IJobReader, Overdue
from enfila.core.application.queue.job_moves import JobMoves


async def recover_stalled(
    queue: str, jobs: IJobReader, moves: JobMoves, *, max_stalled_count: int, batch: int
) -> bool:
    """Moves a batch of jobs whose lock has run out; whether there may be more."""
    stalled = await jobs.overdue(queue, Overdue.STALLED, batch)
    await moves.apply([(job, job.stall(max_stalled_count)) for job in stalled])
    return len(stalled) == batch
