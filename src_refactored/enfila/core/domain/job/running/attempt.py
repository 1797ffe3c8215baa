"""One run of a job, as it is stored in the attempt history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from enfila.core.domain.job.effect import Effect
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import LockToken, WorkerId


class AttemptOutcome(StrEnum):
    """How a run ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STALLED = "stalled"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Attempt(Effect):
    """Value object: one run of a job in its attempt history; as an effect, its record.

    Attributes:
        number: 1 for the first attempt; a run that was not counted (stalled, released) has the
            same number as the one that follows it.
        token: the lock token it ran under; unique for the job, and growing with each run.
        started_at: when it was claimed.
        finished_at: None while it runs.
        error: why it failed; None otherwise.
    """

    number: int
    token: LockToken
    worker_id: WorkerId | None
    started_at: datetime | None
    finished_at: datetime | None
    outcome: AttemptOutcome
    error: JobError | None = None
