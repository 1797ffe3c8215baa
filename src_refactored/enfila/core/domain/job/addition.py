"""The answer to the addition of a job."""

from __future__ import annotations

from dataclasses import dataclass

from enfila.core.domain.job.job import Job


@dataclass(frozen=True, slots=True)
class Added:
    """Value object: the answer to one addition.

    Attributes:
        job: the job as stored, or the job that holds the deduplication key.
        is_duplicate: the new job was not added because `job` holds its key. `job` may have taken
            its payload, options and time (replace, debounce, keep last).
    """

    job: Job
    is_duplicate: bool = False
