"""Jobs that have most of what is stored of them in common, as those of one call mostly do."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from enfila.core.domain.job.job import Job

kind_of = attrgetter(
    "queue",
    "name",
    "state",
    "priority",
    "max_attempts",
    "blocked_by",
    "schedule_id",
    "batch_id",
    "tenant",
)
"""All that is stored of a new job besides its options, its id, its position and its payload."""


def are_alike(jobs: Sequence[Job]) -> bool:
    """Whether new jobs differ in their ids, positions and payloads only."""
    kind, options = kind_of(jobs[0]), jobs[0].options
    text = options.to_text()
    return all(
        kind_of(job) == kind
        # By what is stored of them: 1 and True are equal, and are not the same.
        and (job.options is options or job.options.to_text() == text)
        for job in jobs
    )
