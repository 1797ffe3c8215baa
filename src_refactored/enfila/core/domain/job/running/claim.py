"""The request of a worker to claim jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from enfila.core.domain.job.identity import WorkerId


@dataclass(frozen=True, slots=True)
class Claim:
    """Value object: the request of a worker to claim jobs.

    Attributes:
        limit: the maximum number of jobs, at least 1.
        lock_duration: how long the locks are valid.
        names: only jobs with these names; None for all.
    """

    queue: str
    worker_id: WorkerId
    limit: int
    lock_duration: timedelta
    names: frozenset[str] | None = None
