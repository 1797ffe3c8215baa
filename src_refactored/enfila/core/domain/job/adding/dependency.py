"""What a job waits for: other jobs that have to end first."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.transition import Transition


@dataclass(frozen=True, slots=True)
class Dependency:
    """Value object: one job waits until another one has ended, or is gone.

    It stands as long as it is pending. A job is blocked while one of its dependencies stands.
    """

    job_id: JobId
    depends_on: JobId


def dependencies_of(jobs: Iterable[Job]) -> list[Dependency]:
    """The dependencies of jobs that are about to be added."""
    return [Dependency(job.id, parent) for job in jobs for parent in job.depends_on]


def with_pending_only(jobs: Iterable[Job], pending: Collection[JobId], now: datetime) -> list[Job]:
    """Takes from new jobs the dependencies that are met: on jobs that have ended, or are gone.

    Args:
        jobs: about to be added together; they may depend on each other.
        pending: those of the jobs they depend on that have not ended.
        now: what decides whether a job that is blocked no longer is delayed.
    """
    given = list(jobs)
    unfinished = {*pending, *(job.id for job in given)}
    return [job.without_dependencies(set(job.depends_on) - unfinished, now) for job in given]


def released(
    dependents: Iterable[Job], ended: Collection[JobId], now: datetime
) -> list[Transition]:
    """The moves of those dependents that wait for nothing else than jobs that have ended."""
    return [job.unblock(now) for job in dependents if set(job.depends_on) <= set(ended)]
