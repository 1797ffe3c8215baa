"""The result of adding a job."""

from __future__ import annotations

from dataclasses import dataclass, replace

from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.deduplication import KeyHolder
from enfila.core.domain.job.state import JobState


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

    @classmethod
    def removed(cls, job: Job, holder: KeyHolder) -> Added:
        """The answer where the holder of the key was removed, but for its id and last state."""
        state = holder.state or JobState.CANCELLED
        return cls(replace(job, id=holder.job_id, state=state), is_duplicate=True)
