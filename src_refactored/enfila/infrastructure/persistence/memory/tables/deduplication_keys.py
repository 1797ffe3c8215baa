"""Who holds which deduplication key."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.deduplication import Decision, Deduplication, KeyHolder
from enfila.infrastructure.persistence.memory.tables.job_table import JobTable


class _Grant(NamedTuple):
    job_id: JobId
    free_at: datetime | None


class DeduplicationKeys:
    """The deduplication keys of jobs in memory, with the last job that got each."""

    def __init__(self) -> None:
        self._grants: dict[tuple[str, str], _Grant] = {}

    def grant(self, deduplication: Deduplication, job: Job, now: datetime) -> None:
        """Gives the key to a job from now on."""
        free_at = None if deduplication.ttl is None else now + deduplication.ttl
        self._grants[job.queue, deduplication.key] = _Grant(job.id, free_at)

    def holder(self, queue: str, key: str, jobs: JobTable) -> KeyHolder | None:
        """The job that the key was given to, as it is now; None if nobody ever took it."""
        grant = self._grants.get((queue, key))
        if grant is None:
            return None
        job = jobs.get(grant.job_id)
        return KeyHolder(grant.job_id, None if job is None else job.state, grant.free_at)

    def forget_queue(self, queue: str) -> None:
        """Frees all keys of a queue."""
        for place in [place for place in self._grants if place[0] == queue]:
            del self._grants[place]

    def forget_removed(self, jobs: JobTable, now: datetime) -> None:
        """Forgets free keys of jobs that were removed, so that the dict does not grow for ever."""
        for place, grant in list(self._grants.items()):
            if jobs.get(grant.job_id) is None and self._is_free(place, jobs, now):
                del self._grants[place]

    def _is_free(self, place: tuple[str, str], jobs: JobTable, now: datetime) -> bool:
        addition = Deduplication.while_unfinished(place[1])
        return addition.decide(self.holder(*place, jobs), now) is Decision.ADD
