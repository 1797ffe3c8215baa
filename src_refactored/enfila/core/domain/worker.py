"""The entry of a worker in the list of workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from enfila.core.domain.job.identity import WorkerId


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Value object: one running `WorkerService`, as its last heartbeat described it.

    Attributes:
        queue: the queue it serves.
        active: how many jobs it has claimed.
        started_at, seen_at: None when it is given to a repository, which writes its own clock.
    """

    worker_id: WorkerId
    queue: str
    host: str
    process_id: int
    concurrency: int
    active: int
    started_at: datetime | None = None
    seen_at: datetime | None = None
