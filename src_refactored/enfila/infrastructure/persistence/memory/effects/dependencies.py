"""Which jobs wait for which others, and what happens when those end."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from enfila.core.domain.job.adding.dependency import released, with_pending_only
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.infrastructure.persistence.memory.tables.data import Store


def without_ended(store: Store, jobs: Iterable[Job], now: datetime) -> list[Job]:
    """Takes from new jobs the dependencies that are met: on jobs that have ended, or are gone."""
    given = list(jobs)
    parents = {parent for job in given for parent in job.depends_on}
    standing = [store.jobs.get(parent) for parent in parents]
    pending = [job.id for job in standing if job is not None and not job.state.is_final]
    return with_pending_only(given, pending, now)


def release(store: Store, ended: Collection[JobId], now: datetime) -> None:
    """Moves the jobs that waited for nothing but these ended ones; the others wait for fewer."""
    found = {job.id: job for parent in ended for job in store.jobs.dependents(parent)}
    moves = {move.job_id: move for move in released(found.values(), ended, now)}
    for job in found.values():
        if (move := moves.get(job.id)) is not None:
            store.jobs.put(job.after(move, now))
        else:
            left = tuple(parent for parent in job.depends_on if parent not in ended)
            store.jobs.put(replace(job, depends_on=left))
