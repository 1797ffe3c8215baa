"""A worker's temporary right to a job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from enfila.core.domain.job.identity import JobId, LockToken, WorkerId


@dataclass(frozen=True, slots=True)
class Lock:
    """Value object: worker, token and end of a claim.

    The token is the fence: it rises with every claim of the job, and every write of a holder is
    refused unless the row still has the holder's token.
    """

    job_id: JobId
    token: LockToken
    worker_id: WorkerId
    until: datetime


@dataclass(frozen=True, slots=True)
class Extension:
    """Value object: the answer to a holder that asked for more time.

    Attributes:
        is_held: false when the token is old: the run must stop, its outcome would be refused.
        cancel_requested: somebody asked for this job's cancellation.
        cancel_reason: what they gave as the reason.
    """

    job_id: JobId
    is_held: bool
    cancel_requested: bool = False
    cancel_reason: str | None = None
