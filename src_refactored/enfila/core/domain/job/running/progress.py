"""Progress updates of running jobs."""

from __future__ import annotations

from dataclasses import dataclass

from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.json_document import JsonDocument


@dataclass(frozen=True, slots=True)
class ProgressUpdate:
    """Value object: progress and log lines of a running job since its last update.

    Attributes:
        progress: the newest progress; None when there was none since.
        lines: new log lines in order.
        keep_logs: only the newest N lines of the job are kept; None keeps all.
    """

    job_id: JobId
    token: LockToken
    attempt: int
    progress: JsonDocument | None = None
    lines: tuple[str, ...] = ()
    keep_logs: int | None = None
