"""The result of adding a job."""

from __future__ import annotations

from dataclasses import dataclass

from enfila.core.domain.job.job import Job


@dataclass(frozen=True, slots=True)
class Added:
    """Value object: the result of adding one job.

    Attributes:
        job: the job as stored, or the job that holds the deduplication key.
        is_duplicate: the new job was not added because `job` holds its key. Payload, options and
            time of `job` may have been replaced by those of the new job.
    """

    job: Job
    is_duplicate: bool = False
