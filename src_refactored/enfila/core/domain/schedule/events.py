"""Events of a scheduler, emitted after the commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from enfila.core.domain.events import Event
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.schedule.rules.tick import Dropped
from enfila.core.domain.schedule.runs.statistics import RunStatus
from enfila.core.domain.schedule.state import FinishReason


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleEvent(Event):
    """Base class of the events of a schedule."""

    slug: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleTicked(ScheduleEvent):
    """A tick made a job."""

    name: ClassVar[str] = "schedule.ticked"
    nominal: datetime
    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleTickSkipped(ScheduleEvent):
    """A tick made no job, because an earlier run is unfinished."""

    name: ClassVar[str] = "schedule.skipped"
    nominal: datetime


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleTicksDropped(ScheduleEvent):
    """Late ticks were dropped."""

    name: ClassVar[str] = "schedule.dropped"
    dropped: Dropped


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleTargetMissing(ScheduleEvent):
    """No process has declared the job type of a tick; its job waits for a worker that has it."""

    name: ClassVar[str] = "schedule.target_missing"
    job_type: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleRunEnded(ScheduleEvent):
    """The outcome of a run was recorded on its schedule."""

    name: ClassVar[str] = "schedule.run_ended"
    nominal: datetime
    job_id: JobId | None
    status: RunStatus
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleFinished(ScheduleEvent):
    """A schedule has finished: it will not tick again."""

    name: ClassVar[str] = "schedule.finished"
    reason: FinishReason


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleFailed(ScheduleEvent):
    """The job of a due tick could not be added. It is tried again, or the schedule is disabled.

    Attributes:
        failures: the number of failures in a row.
        is_disabled: whether the schedule was disabled because of it.
    """

    name: ClassVar[str] = "schedule.failed"
    error: str
    failures: int
    is_disabled: bool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SchedulerReady(Event):
    """The scheduler starts to look for due schedules."""

    name: ClassVar[str] = "scheduler.ready"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SchedulerClosed(Event):
    """The scheduler has stopped."""

    name: ClassVar[str] = "scheduler.closed"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SchedulerErrorOccurred(Event):
    """An error occurred (database, listener); the scheduler continues."""

    name: ClassVar[str] = "scheduler.error"
    error: BaseException
    during: str


SCHEDULER_EVENTS: Final = frozenset(
    event.name
    for event in (
        ScheduleTicked,
        ScheduleTickSkipped,
        ScheduleTicksDropped,
        ScheduleTargetMissing,
        ScheduleRunEnded,
        ScheduleFinished,
        ScheduleFailed,
        SchedulerReady,
        SchedulerClosed,
        SchedulerErrorOccurred,
    )
)
