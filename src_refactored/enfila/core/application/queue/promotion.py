"""Maintenance: delayed jobs whose time has come join the line.

A claim takes due jobs whatever they are called; this keeps the counts right.
"""

from __future__ import annotations

from enfila.core.application.ports.job_reader import IJobReader, Overdue
from enfila.core.application.queue.job_moves import JobMoves


async def mature_due(queue: str, jobs: IJobReader, moves: JobMoves, *, batch: int) -> bool:
    """Moves a batch of due jobs to the waiting ones; whether there may be more."""
    due = await jobs.overdue(queue, Overdue.DUE, batch)
    await moves.apply([(job, job.mature()) for job in due])
    return len(due) == batch
