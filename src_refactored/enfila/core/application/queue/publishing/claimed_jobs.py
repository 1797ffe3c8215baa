"""Which jobs the workers of this process have in their hands."""

from __future__ import annotations

from collections.abc import Iterable

from enfila.core.application.runtime.forks import ForkAware
from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.job import Job


class ClaimedJobs(ForkAware):
    """The jobs that workers on this queue object have claimed and not settled."""

    def __init__(self) -> None:
        self._tokens: dict[JobId, LockToken] = {}

    def start_over(self) -> None:
        """See `ForkAware`. The parent has them."""
        self._tokens = {}

    def take(self, jobs: Iterable[Job]) -> None:
        """Notes claimed jobs."""
        self._tokens.update((job.id, job.token) for job in jobs)

    def let_go(self, job_id: JobId, token: LockToken) -> None:
        """Notes that a job is no longer held under this token."""
        if self._tokens.get(job_id) == token:
            del self._tokens[job_id]

    def __len__(self) -> int:
        return len(self._tokens)
