"""Who holds which deduplication key."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.deduplication import KeyHolder
from enfila.core.domain.job.policies.key_grant import KeyGrant, RetakenKey
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.memory.tables.job_table import JobTable


class DeduplicationKeys:
    """The deduplication keys of jobs in memory, with the last job that got each."""

    def __init__(self) -> None:
        self._grants: dict[tuple[str, str], KeyGrant] = {}

    def grant(self, job: Job, grant: KeyGrant) -> None:
        """Gives the key of a job to it."""
        if job.options.deduplication is not None:
            self._grants[job.queue, job.options.deduplication.key] = grant

    def holder(self, queue: str, key: str, jobs: JobTable, now: datetime) -> KeyHolder | None:
        """The job that holds the key, or held it last; None if nobody ever took it."""
        grant = self._grants.get((queue, key))
        return None if grant is None else grant.holder(_states(grant, jobs), now)

    def retake(self, job_id: JobId, retaken: RetakenKey, jobs: JobTable, now: datetime) -> bool:
        """Whether a finished job may go back in line; it gets its key again if so."""
        place = retaken.queue, retaken.key
        grant = self._grants.get(place) or KeyGrant(job_id)
        states = _states(grant, jobs)
        if not grant.lets_return(job_id, states, now):
            return False
        self._grants[place] = grant.after_return(job_id, retaken, states, now)
        return True

    def note_removal(self, jobs: Collection[Job]) -> None:
        """Notes the last state of finished jobs that are removed, for keys that are held longer."""
        for job in jobs:
            rule = job.options.deduplication
            if rule is None or not job.state.is_final:
                continue
            grant = self._grants.get((job.queue, rule.key))
            if grant is not None and grant.job_id == job.id:
                self._grants[job.queue, rule.key] = replace(grant, removed_as=job.state)

    def forget_queue(self, queue: str) -> None:
        """Frees all keys of a queue."""
        for place in [place for place in self._grants if place[0] == queue]:
            del self._grants[place]

    def forget_removed(self, jobs: JobTable, now: datetime) -> None:
        """Forgets free keys of jobs that were removed, so that the dict does not grow for ever."""
        for place, grant in list(self._grants.items()):
            if jobs.get(grant.job_id) is None and grant.is_free(_states(grant, jobs), now):
                del self._grants[place]


def _states(grant: KeyGrant, jobs: JobTable) -> dict[JobId, JobState]:
    found = (jobs.get(job_id) for job_id in grant.jobs)
    return {job.id: job.state for job in found if job is not None}
