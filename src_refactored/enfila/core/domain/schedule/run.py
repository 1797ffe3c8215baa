"""What a tick has left behind: a row, and the job that was made of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import Json
from enfila.core.domain.schedule.statistics import RunOutcome, RunStatus

RunId = NewType("RunId", int)
"""The number of a run, given by the repository; later ones are larger."""


class Origin(StrEnum):
    """Who had a schedule's job made."""

    RULE = "rule"
    """Its trigger."""
    BACKFILL = "backfill"
    """Somebody who had ticks of a range made up for."""
    MANUAL = "manual"
    """Somebody who wanted a run at once."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """Value object: a run of a schedule that is about to be stored.

    Attributes:
        nominal: the time that it stands for. Only one run of rule or backfill may have it.
        job: what is to be added; None for a tick that the overlap rule skips.
        by: who asked for it; None for the rule.
    """

    nominal: datetime
    job: Job | None
    origin: Origin = Origin.RULE
    by: str | None = None


class RunState(StrEnum):
    """Where a run is: the state of its job, or why there is none."""

    WAITING = "waiting"
    DELAYED = "delayed"
    BLOCKED = "blocked"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """The overlap rule made no job of it."""
    REMOVED = "removed"
    """Its job is not stored any more."""


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """Value object: how many items a handler worked on.

    A handler reports them in its progress, or returns them: `{"processed": 9, "succeeded": 8,
    "failed": 1}`, alone or among other keys; what it leaves out is None.
    """

    processed: int | None
    succeeded: int | None
    failed: int | None

    @classmethod
    def of(cls, value: Json) -> ItemCounts | None:
        """The counts in a result or progress; None if there are none."""
        if not isinstance(value, dict):
            return None
        found = [value.get(each.name) for each in fields(cls)]
        counts = [each if type(each) is int else None for each in found]
        return None if counts == [None] * len(counts) else cls(*counts)


@dataclass(frozen=True, slots=True)
class ScheduleRun:
    """Value object: one run of a schedule, and its job as it is now.

    Attributes:
        nominal: the time that it stands for.
        made_at: when it was stored.
        job_id: None for a skipped tick.
        job: None when it was skipped, or removed since.
    """

    id: RunId
    slug: str
    nominal: datetime
    origin: Origin
    by: str | None
    made_at: datetime
    job_id: JobId | None
    job: Job | None

    @property
    def state(self) -> RunState:
        """Where it is."""
        if self.job_id is None:
            return RunState.SKIPPED
        return RunState.REMOVED if self.job is None else RunState(self.job.state.value)

    @property
    def attempts(self) -> int:
        """How many attempts its job has had."""
        return 0 if self.job is None else self.job.attempt

    @property
    def duration(self) -> timedelta | None:
        """How long its last attempt took; None unless it has ended and the job is still stored."""
        job = self.job
        if job is None or job.started_at is None or job.finished_at is None:
            return None
        return job.finished_at - job.started_at

    @property
    def items(self) -> ItemCounts | None:
        """What its handler counted; None when it did not."""
        if self.job is None:
            return None
        return ItemCounts.of(self.job.result) or ItemCounts.of(self.job.progress)

    def outcome(self, now: datetime) -> RunOutcome | None:
        """How it ended; None while it has not. A removed job's end is now, as nobody knows it."""
        job = self.job
        if job is None:
            return RunOutcome(RunStatus.REMOVED, now, now)
        if job.finished_at is None:
            return None
        error = job.error.message if job.error is not None else None
        return RunOutcome(
            _STATUS[job.state],
            job.started_at or job.finished_at,
            job.finished_at,
            error if job.state is JobState.FAILED else None,
        )


_STATUS: Final = {
    JobState.COMPLETED: RunStatus.COMPLETED,
    JobState.FAILED: RunStatus.FAILED,
    JobState.CANCELLED: RunStatus.CANCELLED,
}
