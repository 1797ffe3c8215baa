"""Events of queues and workers, emitted after the commit. They are immutable."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import ClassVar

from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId, WorkerId
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import Json
from enfila.core.domain.showing import shown


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Event:
    """Base class of all events.

    Attributes:
        name: the name that listeners subscribe to.
        at: when it happened, by the clock that wrote the rows (aware UTC).
    """

    name: ClassVar[str]
    at: datetime

    def __repr__(self) -> str:
        values = (f"{each.name}={shown(getattr(self, each.name))}" for each in fields(self))
        return f"{type(self).__qualname__}({', '.join(values)})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class QueueEvent(Event):
    """Base class of the events of a queue.

    Attributes:
        queue: the queue's name.
    """

    queue: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobEvent(QueueEvent):
    """Base class of the events of a job."""

    job_id: JobId
    job_name: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobAdded(JobEvent):
    """A job was added and its transaction committed."""

    name: ClassVar[str] = "job.added"
    state: JobState
    run_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobActive(JobEvent):
    """A worker started to run a job."""

    name: ClassVar[str] = "job.active"
    attempt: int
    worker_id: WorkerId


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobProgressed(JobEvent):
    """A progress update of a running job was stored."""

    name: ClassVar[str] = "job.progress"
    progress: Json


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobLogged(JobEvent):
    """A log line of a running job was stored."""

    name: ClassVar[str] = "job.log"
    line: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobCompleted(JobEvent):
    """A job completed."""

    name: ClassVar[str] = "job.completed"
    result: Json
    attempt: int
    duration: timedelta


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobRetrying(JobEvent):
    """An attempt failed, and another one follows at `run_at`."""

    name: ClassVar[str] = "job.retrying"
    error: JobError
    attempt: int
    max_attempts: int
    run_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobFailed(JobEvent):
    """A job failed, and no attempt follows."""

    name: ClassVar[str] = "job.failed"
    error: JobError
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobDelayed(JobEvent):
    """A job waits until `run_at`: added with a delay, snoozed, or in its backoff."""

    name: ClassVar[str] = "job.delayed"
    run_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobStalled(JobEvent):
    """The lock of an active job expired, as its worker died. `state` is the job's new state."""

    name: ClassVar[str] = "job.stalled"
    stalled_count: int
    state: JobState


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobCancelled(JobEvent):
    """A job ended as cancelled."""

    name: ClassVar[str] = "job.cancelled"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobRemoved(JobEvent):
    """One job was removed with `remove`. Bulk removals (drain, clean, retention) emit no event."""

    name: ClassVar[str] = "job.removed"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class QueuePaused(QueueEvent):
    """The queue was paused: its jobs are not claimed until it is resumed."""

    name: ClassVar[str] = "queue.paused"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class QueueResumed(QueueEvent):
    """The queue was resumed: its jobs are claimed again."""

    name: ClassVar[str] = "queue.resumed"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class QueueDrained(QueueEvent):
    """The last unfinished job of the queue ended or was removed through this queue object."""

    name: ClassVar[str] = "queue.drained"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkerEvent(QueueEvent):
    """Base class of the events of a worker."""

    worker_id: WorkerId


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkerReady(WorkerEvent):
    """The worker starts to claim jobs."""

    name: ClassVar[str] = "worker.ready"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkerClosed(WorkerEvent):
    """The worker has stopped and holds no jobs."""

    name: ClassVar[str] = "worker.closed"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkerJobActive(WorkerEvent):
    """A run started."""

    name: ClassVar[str] = "worker.job.active"
    job_id: JobId
    job_name: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkerJobProcessed(WorkerEvent):
    """A run succeeded, and its completion was accepted."""

    name: ClassVar[str] = "worker.job.processed"
    job_id: JobId
    job_name: str
    attempt: int
    result: Json
    duration: timedelta


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkerJobErrored(WorkerEvent):
    """An attempt failed, whether another one follows or not."""

    name: ClassVar[str] = "worker.job.errored"
    job_id: JobId
    job_name: str
    attempt: int
    error: JobError


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkerLockLost(WorkerEvent):
    """The worker lost the lock of a job: another worker has claimed the job, or may have.

    The token is outdated, or the lock could not be renewed in time. The run is stopped, and its
    outcome is refused if another worker has claimed the job.
    """

    name: ClassVar[str] = "worker.lock.lost"
    job_id: JobId
    job_name: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkerErrorOccurred(WorkerEvent):
    """An error outside of the jobs (database, listener); the worker continues."""

    name: ClassVar[str] = "worker.error"
    error: BaseException
    during: str


QUEUE_EVENTS = frozenset(
    event.name
    for event in (
        JobAdded,
        JobActive,
        JobProgressed,
        JobLogged,
        JobCompleted,
        JobRetrying,
        JobFailed,
        JobDelayed,
        JobStalled,
        JobCancelled,
        JobRemoved,
        QueuePaused,
        QueueResumed,
        QueueDrained,
    )
)
WORKER_EVENTS = frozenset(
    event.name
    for event in (
        WorkerReady,
        WorkerClosed,
        WorkerJobActive,
        WorkerJobProcessed,
        WorkerJobErrored,
        WorkerLockLost,
        WorkerErrorOccurred,
    )
)
