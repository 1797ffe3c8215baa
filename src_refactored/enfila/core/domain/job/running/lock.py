"""The lock of a worker on a job, with a fencing token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from enfila.core.domain.job.identity import JobId, LockToken, WorkerId


@dataclass(frozen=True, slots=True)
class Lock:
    """Value object: the lock that a claim gives: worker, fencing token and expiry time.

    The token grows with every claim of the job. A write of a worker is refused unless the row still
    has the worker's token.
    """

    job_id: JobId
    token: LockToken
    worker_id: WorkerId
    until: datetime


@dataclass(frozen=True, slots=True)
class Extension:
    """Value object: the answer to a lock renewal.

    Attributes:
        is_held: false if the token is outdated: the run has to stop, its outcome is refused.
        cancel_requested: whether the cancellation of the job was requested.
        cancel_reason: the reason of that request.
    """

    job_id: JobId
    is_held: bool
    cancel_requested: bool = False
    cancel_reason: str | None = None
