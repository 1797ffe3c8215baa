"""What this process holds."""

from __future__ import annotations

from collections.abc import Iterable

from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.job import Job


class Holdings:
    """The jobs that workers on this queue object have fetched and not settled."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, Job] = {}

    def take(self, jobs: Iterable[Job]) -> None:
        """Notes fetched jobs."""
        self._jobs.update((job.id, job) for job in jobs)

    def let_go(self, job_id: JobId, token: LockToken) -> None:
        """Notes that a job is no longer held under this token."""
        held = self._jobs.get(job_id)
        if held is not None and held.token == token:
            del self._jobs[job_id]

    def name_of(self, job_id: JobId) -> str | None:
        """The name of a held job."""
        held = self._jobs.get(job_id)
        return None if held is None else held.name

    def __contains__(self, job_id: JobId) -> bool:
        return job_id in self._jobs

    def __len__(self) -> int:
        return len(self._jobs)
