"""What happened, told to listeners after the commit. Every event is frozen and knows its name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId, WorkerId
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        name: what listeners subscribe to.
        at: when, by the clock that wrote the rows (aware UTC).
    """

    name: ClassVar[str]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEvent(Event):
    """Something that happened on a queue.

    Attributes:
        queue: the queue's name.
    """

    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent(QueueEvent):
    """Something that happened to a job."""

    job_id: JobId
    job_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAdded(JobEvent):
    """A job was added and its transaction committed."""

    name: ClassVar[str] = "job.added"
    state: JobState
    run_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobActive(JobEvent):
    """A worker starts to run a job."""

    name: ClassVar[str] = "job.active"
    attempt: int
    worker_id: WorkerId


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgressed(JobEvent):
    """A running job reported progress, and it was stored."""

    name: ClassVar[str] = "job.progress"
    progress: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLogged(JobEvent):
    """A running job logged a line, and it was stored."""

    name: ClassVar[str] = "job.log"
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted(JobEvent):
    """A job completed."""

    name: ClassVar[str] = "job.completed"
    result: Json
    attempt: int
    duration: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRetrying(JobEvent):
    """An attempt failed and another follows at `run_at`."""

    name: ClassVar[str] = "job.retrying"
    error: JobError
    attempt: int
    max_attempts: int
    run_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed(JobEvent):
    """A job failed for good."""

    name: ClassVar[str] = "job.failed"
    error: JobError
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDelayed(JobEvent):
    """A job waits for `run_at`: added for later, snoozed, or backing off."""

    name: ClassVar[str] = "job.delayed"
    run_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStalled(JobEvent):
    """The lock of an active job ran out: its worker vanished. `state` is what became of it."""

    name: ClassVar[str] = "job.stalled"
    stalled_count: int
    state: JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCancelled(JobEvent):
    """A job ended as cancelled."""

    name: ClassVar[str] = "job.cancelled"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRemoved(JobEvent):
    """One job was removed by hand. What goes in bulk (drain, clean, retention) is not told."""

    name: ClassVar[str] = "job.removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePaused(QueueEvent):
    """No job of this queue is claimed until it is resumed."""

    name: ClassVar[str] = "queue.paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueResumed(QueueEvent):
    """Jobs of this queue are claimed again."""

    name: ClassVar[str] = "queue.resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDrained(QueueEvent):
    """The last unfinished job of the queue is done, and it was done on this queue object."""

    name: ClassVar[str] = "queue.drained"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvent(QueueEvent):
    """Something that happened in a worker."""

    worker_id: WorkerId


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReady(WorkerEvent):
    """The worker takes jobs."""

    name: ClassVar[str] = "worker.ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerClosed(WorkerEvent):
    """The worker has ended and holds nothing."""

    name: ClassVar[str] = "worker.closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJobActive(WorkerEvent):
    """A run begins."""

    name: ClassVar[str] = "worker.job.active"
    job_id: JobId
    job_name: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJobProcessed(WorkerEvent):
    """A run ended well, and its completion was accepted."""

    name: ClassVar[str] = "worker.job.processed"
    job_id: JobId
    job_name: str
    attempt: int
    result: Json
    duration: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJobErrored(WorkerEvent):
    """An attempt failed, whatever comes after it."""

    name: ClassVar[str] = "worker.job.errored"
    job_id: JobId
    job_name: str
    attempt: int
    error: JobError


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLockLost(WorkerEvent):
    """A job that this worker held is another's, or may be.

    It was taken over, or its lock could not be renewed in time. Its run is stopped, and its outcome
    is refused if another has the job.
    """

    name: ClassVar[str] = "worker.lock.lost"
    job_id: JobId
    job_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerErrorOccurred(WorkerEvent):
    """Something around the jobs went wrong (database, listener); the worker goes on."""

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
