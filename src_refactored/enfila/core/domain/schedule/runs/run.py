"""The runs of a schedule, with their jobs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import Json
from enfila.core.domain.schedule.runs.statistics import RunOutcome, RunStatus

RunId = NewType("RunId", int)
"""The number of a run, given by the repository; later ones are larger."""


class Origin(StrEnum):
    """What started a run."""

    RULE = "rule"
    """The trigger of the schedule."""
    BACKFILL = "backfill"
    """A backfill of a range of times."""
    MANUAL = "manual"
    """A manual run (`run_now`)."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """Value object: a run of a schedule that is about to be stored.

    Attributes:
        nominal: the nominal time. Only one run of trigger or backfill may have it.
        job: the job to add; None for a tick that the overlap policy skips.
        by: who requested it; None for the trigger.
    """

    nominal: datetime
    job: Job | None
    origin: Origin = Origin.RULE
    by: str | None = None


class RunState(StrEnum):
    """The state of a run: that of its job, or why there is no job."""

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
    """Value object: how many items a run worked on.

    A processor reports them in its progress, or returns them: `{"processed": 9, "succeeded": 8,
    "failed": 1}`, alone or among other keys; what it leaves out is None.
    """

    processed: int | None
    succeeded: int | None
    failed: int | None

    @classmethod
    def of(cls, value: Json) -> ItemCounts | None:
        """Reads the counts in a result or progress; None if there are none."""
        if not isinstance(value, dict):
            return None
        found = [value.get(each.name) for each in fields(cls)]
        counts = [each if type(each) is int else None for each in found]
        return None if counts == [None] * len(counts) else cls(*counts)


@dataclass(frozen=True, slots=True)
class ScheduleRun:
    """Value object: one run of a schedule, and its job as it is now.

    Attributes:
        nominal: the nominal time.
        made_at: when it was stored.
        job_id: None for a skipped tick.
        job: None if the tick was skipped or the job was removed.
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
        """The state of the run."""
        if self.job_id is None:
            return RunState.SKIPPED
        return RunState.REMOVED if self.job is None else RunState(self.job.state.value)

    @property
    def attempts(self) -> int:
        """The number of attempts of its job."""
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
        """The item counts that its processor reported; None without them."""
        if self.job is None:
            return None
        return ItemCounts.of(self.job.result) or ItemCounts.of(self.job.progress)

    def outcome(self, now: datetime) -> RunOutcome | None:
        """How it ended; None while it has not. A removed job is taken to have ended now."""
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
