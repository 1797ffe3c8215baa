"""Removing jobs, by hand and by rule."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.retention import Retention, RetentionPolicy
from enfila.core.domain.job.state import FINAL, JobState
from enfila.infrastructure.persistence.memory.store import Store


class InMemoryRemoving(IJobRepository):
    """Removes jobs, the oldest first where there is a limit."""

    _store: Store

    async def remove(self, jobs: Sequence[Job]) -> list[bool]:
        standing = [self._store.standing(job.id, job.state, job.token) for job in jobs]
        self._remove([job for job in standing if job is not None])
        return [job is not None for job in standing]

    async def remove_all(
        self,
        queue: str,
        states: Collection[JobState],
        *,
        finished_before: timedelta | None = None,
        limit: int,
    ) -> int:
        jobs = self._store.jobs.in_states(queue, states)
        if finished_before is not None:
            latest = self._store.clock.now() - finished_before
            jobs = [job for job in jobs if _has_finished_by(latest, job)]
        return self._remove(jobs[:limit])

    async def apply_retention(self, queue: str, policy: RetentionPolicy, limit: int) -> int:
        now = self._store.clock.now()
        kept_no_longer = [
            job for state in sorted(FINAL) for job in self._beyond(queue, state, policy, now)
        ]
        return self._remove(kept_no_longer[:limit])

    def _beyond(
        self, queue: str, state: JobState, policy: RetentionPolicy, now: datetime
    ) -> list[Job]:
        """The finished jobs that neither their own rule nor the queue's keeps, oldest first."""
        oldest_first = sorted(self._store.jobs.in_states(queue, [state]), key=_order_of_finishing)
        younger = range(len(oldest_first) - 1, -1, -1)
        return [
            job
            for job, count in zip(oldest_first, younger, strict=True)
            if _is_over(self._store.retentions[job.id] or policy.of(state), job, count, now)
        ]

    async def obliterate(self, queue: str, *, force: bool) -> int | None:
        if not force and self._store.jobs.count(queue, JobState.ACTIVE):
            return None
        self._store.queues.pop(queue, None)
        self._store.keys.forget_queue(queue)
        return self._remove(self._store.jobs.in_states(queue, list(JobState)))

    def _remove(self, jobs: Collection[Job]) -> int:
        self._store.remove(jobs, self._store.clock.now())
        return len(jobs)


def _order_of_finishing(job: Job) -> tuple[datetime, JobId]:
    return (job.finished_at or job.created_at, job.id)


def _has_finished_by(instant: datetime, job: Job) -> bool:
    return job.finished_at is not None and job.finished_at <= instant


def _is_over(rule: Retention, job: Job, younger: int, now: datetime) -> bool:
    is_too_old = rule.age is not None and _has_finished_by(now - rule.age, job)
    is_one_too_many = rule.newest is not None and younger >= rule.newest
    return is_too_old or is_one_too_many
