"""Jobs of ticks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from enfila.core.application.job_ids import new_job_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import DEFAULT_OPTIONS, JobOptions
from enfila.core.domain.job_type import DEFAULT_QUEUE, JobTypeInfo
from enfila.core.domain.schedule.scheduled_for import ScheduledFor
from enfila.core.domain.schedule.target import Target


class JobFactory:
    """Turns targets into jobs, with the queue and the options of their types.

    A type that nobody has declared is no obstacle: its job waits for a worker that has it.

    Args:
        types: all that are stored.
    """

    def __init__(self, types: Iterable[JobTypeInfo]) -> None:
        self._types = {each.name: each.definition for each in types}

    def is_known(self, target: Target) -> bool:
        """Whether somebody has declared the type, or the target needs none to find its queue."""
        return target.queue is not None or target.job_type in self._types

    def make(
        self, target: Target, tick: ScheduledFor, *, now: datetime, run_at: datetime | None = None
    ) -> Job:
        """The job, not stored yet. It may start at `run_at`; None means at once."""
        known = self._types.get(target.job_type)
        defaults = DEFAULT_OPTIONS if known is None else known.options
        options = target.options.over(defaults)
        own = JobOptions(run_at=run_at or now, metadata={**options.metadata, **tick.to_metadata()})
        queue = target.queue or (DEFAULT_QUEUE if known is None else known.queue)
        job = Job.new(
            new_job_id(now), queue, target.job_type, target.document, own.over(options), now
        )
        job.schedule_id = tick.slug
        return job
