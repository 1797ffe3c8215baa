"""A worker's wish for jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from enfila.core.domain.job.identity import WorkerId


@dataclass(frozen=True, slots=True)
class Claim:
    """Value object: a worker's wish for jobs.

    Attributes:
        limit: at most so many, at least 1.
        lock_duration: how long the locks hold.
        names: only jobs with these names; None for all.
    """

    queue: str
    worker_id: WorkerId
    limit: int
    lock_duration: timedelta
    names: frozenset[str] | None = None
