"""How the events of a name are typed for those who listen to them.

Each protocol is that of `on` and `once`: called with a name and a listener, or with a name alone as
a decorator. A name that nobody emits and a listener of another event are errors for type checkers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar, overload

from enfila.core.domain.events import (
    Event,
    JobActive,
    JobAdded,
    JobCancelled,
    JobCompleted,
    JobDelayed,
    JobFailed,
    JobLogged,
    JobProgressed,
    JobRemoved,
    JobRetrying,
    JobStalled,
    QueueDrained,
    QueuePaused,
    QueueResumed,
    WorkerClosed,
    WorkerErrorOccurred,
    WorkerJobActive,
    WorkerJobErrored,
    WorkerJobProcessed,
    WorkerLockLost,
    WorkerReady,
)
from enfila.core.domain.schedule.events import (
    ScheduleFailed,
    ScheduleFinished,
    SchedulerClosed,
    SchedulerErrorOccurred,
    SchedulerReady,
    ScheduleRunEnded,
    ScheduleTargetMissing,
    ScheduleTicked,
    ScheduleTicksDropped,
    ScheduleTickSkipped,
)

E = TypeVar("E", bound=Event)
T = TypeVar("T")


class ListenerDecorator(Protocol[E]):
    """Makes a function a listener, and returns it."""

    def __call__(self, listener: Callable[[E], T], /) -> Callable[[E], T]:
        """The function itself."""
        ...


class ListensToQueue(Protocol):
    """`on` and `once` of a queue."""

    @overload
    def __call__(self, event: Literal["job.added"]) -> ListenerDecorator[JobAdded]: ...

    @overload
    def __call__(
        self, event: Literal["job.added"], f: Callable[[JobAdded], T]
    ) -> Callable[[JobAdded], T]: ...

    @overload
    def __call__(self, event: Literal["job.active"]) -> ListenerDecorator[JobActive]: ...

    @overload
    def __call__(
        self, event: Literal["job.active"], f: Callable[[JobActive], T]
    ) -> Callable[[JobActive], T]: ...

    @overload
    def __call__(self, event: Literal["job.progress"]) -> ListenerDecorator[JobProgressed]: ...

    @overload
    def __call__(
        self, event: Literal["job.progress"], f: Callable[[JobProgressed], T]
    ) -> Callable[[JobProgressed], T]: ...

    @overload
    def __call__(self, event: Literal["job.log"]) -> ListenerDecorator[JobLogged]: ...

    @overload
    def __call__(
        self, event: Literal["job.log"], f: Callable[[JobLogged], T]
    ) -> Callable[[JobLogged], T]: ...

    @overload
    def __call__(self, event: Literal["job.completed"]) -> ListenerDecorator[JobCompleted]: ...

    @overload
    def __call__(
        self, event: Literal["job.completed"], f: Callable[[JobCompleted], T]
    ) -> Callable[[JobCompleted], T]: ...

    @overload
    def __call__(self, event: Literal["job.retrying"]) -> ListenerDecorator[JobRetrying]: ...

    @overload
    def __call__(
        self, event: Literal["job.retrying"], f: Callable[[JobRetrying], T]
    ) -> Callable[[JobRetrying], T]: ...

    @overload
    def __call__(self, event: Literal["job.failed"]) -> ListenerDecorator[JobFailed]: ...

    @overload
    def __call__(
        self, event: Literal["job.failed"], f: Callable[[JobFailed], T]
    ) -> Callable[[JobFailed], T]: ...

    @overload
    def __call__(self, event: Literal["job.delayed"]) -> ListenerDecorator[JobDelayed]: ...

    @overload
    def __call__(
        self, event: Literal["job.delayed"], f: Callable[[JobDelayed], T]
    ) -> Callable[[JobDelayed], T]: ...

    @overload
    def __call__(self, event: Literal["job.stalled"]) -> ListenerDecorator[JobStalled]: ...

    @overload
    def __call__(
        self, event: Literal["job.stalled"], f: Callable[[JobStalled], T]
    ) -> Callable[[JobStalled], T]: ...

    @overload
    def __call__(self, event: Literal["job.cancelled"]) -> ListenerDecorator[JobCancelled]: ...

    @overload
    def __call__(
        self, event: Literal["job.cancelled"], f: Callable[[JobCancelled], T]
    ) -> Callable[[JobCancelled], T]: ...

    @overload
    def __call__(self, event: Literal["job.removed"]) -> ListenerDecorator[JobRemoved]: ...

    @overload
    def __call__(
        self, event: Literal["job.removed"], f: Callable[[JobRemoved], T]
    ) -> Callable[[JobRemoved], T]: ...

    @overload
    def __call__(self, event: Literal["queue.paused"]) -> ListenerDecorator[QueuePaused]: ...

    @overload
    def __call__(
        self, event: Literal["queue.paused"], f: Callable[[QueuePaused], T]
    ) -> Callable[[QueuePaused], T]: ...

    @overload
    def __call__(self, event: Literal["queue.resumed"]) -> ListenerDecorator[QueueResumed]: ...

    @overload
    def __call__(
        self, event: Literal["queue.resumed"], f: Callable[[QueueResumed], T]
    ) -> Callable[[QueueResumed], T]: ...

    @overload
    def __call__(self, event: Literal["queue.drained"]) -> ListenerDecorator[QueueDrained]: ...

    @overload
    def __call__(
        self, event: Literal["queue.drained"], f: Callable[[QueueDrained], T]
    ) -> Callable[[QueueDrained], T]: ...

    @overload
    def __call__(
        self, event: Literal["new_listener"], f: Callable[[str, Callable[..., Any]], T]
    ) -> Callable[[str, Callable[..., Any]], T]: ...


class ListensToWorker(Protocol):
    """`on` and `once` of a worker."""

    @overload
    def __call__(self, event: Literal["worker.ready"]) -> ListenerDecorator[WorkerReady]: ...

    @overload
    def __call__(
        self, event: Literal["worker.ready"], f: Callable[[WorkerReady], T]
    ) -> Callable[[WorkerReady], T]: ...

    @overload
    def __call__(self, event: Literal["worker.closed"]) -> ListenerDecorator[WorkerClosed]: ...

    @overload
    def __call__(
        self, event: Literal["worker.closed"], f: Callable[[WorkerClosed], T]
    ) -> Callable[[WorkerClosed], T]: ...

    @overload
    def __call__(
        self, event: Literal["worker.job.active"]
    ) -> ListenerDecorator[WorkerJobActive]: ...

    @overload
    def __call__(
        self, event: Literal["worker.job.active"], f: Callable[[WorkerJobActive], T]
    ) -> Callable[[WorkerJobActive], T]: ...

    @overload
    def __call__(
        self, event: Literal["worker.job.processed"]
    ) -> ListenerDecorator[WorkerJobProcessed]: ...

    @overload
    def __call__(
        self, event: Literal["worker.job.processed"], f: Callable[[WorkerJobProcessed], T]
    ) -> Callable[[WorkerJobProcessed], T]: ...

    @overload
    def __call__(
        self, event: Literal["worker.job.errored"]
    ) -> ListenerDecorator[WorkerJobErrored]: ...

    @overload
    def __call__(
        self, event: Literal["worker.job.errored"], f: Callable[[WorkerJobErrored], T]
    ) -> Callable[[WorkerJobErrored], T]: ...

    @overload
    def __call__(self, event: Literal["worker.lock.lost"]) -> ListenerDecorator[WorkerLockLost]: ...

    @overload
    def __call__(
        self, event: Literal["worker.lock.lost"], f: Callable[[WorkerLockLost], T]
    ) -> Callable[[WorkerLockLost], T]: ...

    @overload
    def __call__(
        self, event: Literal["worker.error"]
    ) -> ListenerDecorator[WorkerErrorOccurred]: ...

    @overload
    def __call__(
        self, event: Literal["worker.error"], f: Callable[[WorkerErrorOccurred], T]
    ) -> Callable[[WorkerErrorOccurred], T]: ...

    @overload
    def __call__(
        self, event: Literal["new_listener"], f: Callable[[str, Callable[..., Any]], T]
    ) -> Callable[[str, Callable[..., Any]], T]: ...


class ListensToScheduler(Protocol):
    """`on` and `once` of a scheduler."""

    @overload
    def __call__(self, event: Literal["schedule.ticked"]) -> ListenerDecorator[ScheduleTicked]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.ticked"], f: Callable[[ScheduleTicked], T]
    ) -> Callable[[ScheduleTicked], T]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.skipped"]
    ) -> ListenerDecorator[ScheduleTickSkipped]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.skipped"], f: Callable[[ScheduleTickSkipped], T]
    ) -> Callable[[ScheduleTickSkipped], T]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.dropped"]
    ) -> ListenerDecorator[ScheduleTicksDropped]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.dropped"], f: Callable[[ScheduleTicksDropped], T]
    ) -> Callable[[ScheduleTicksDropped], T]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.target_missing"]
    ) -> ListenerDecorator[ScheduleTargetMissing]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.target_missing"], f: Callable[[ScheduleTargetMissing], T]
    ) -> Callable[[ScheduleTargetMissing], T]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.run_ended"]
    ) -> ListenerDecorator[ScheduleRunEnded]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.run_ended"], f: Callable[[ScheduleRunEnded], T]
    ) -> Callable[[ScheduleRunEnded], T]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.finished"]
    ) -> ListenerDecorator[ScheduleFinished]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.finished"], f: Callable[[ScheduleFinished], T]
    ) -> Callable[[ScheduleFinished], T]: ...

    @overload
    def __call__(self, event: Literal["schedule.failed"]) -> ListenerDecorator[ScheduleFailed]: ...

    @overload
    def __call__(
        self, event: Literal["schedule.failed"], f: Callable[[ScheduleFailed], T]
    ) -> Callable[[ScheduleFailed], T]: ...

    @overload
    def __call__(self, event: Literal["scheduler.ready"]) -> ListenerDecorator[SchedulerReady]: ...

    @overload
    def __call__(
        self, event: Literal["scheduler.ready"], f: Callable[[SchedulerReady], T]
    ) -> Callable[[SchedulerReady], T]: ...

    @overload
    def __call__(
        self, event: Literal["scheduler.closed"]
    ) -> ListenerDecorator[SchedulerClosed]: ...

    @overload
    def __call__(
        self, event: Literal["scheduler.closed"], f: Callable[[SchedulerClosed], T]
    ) -> Callable[[SchedulerClosed], T]: ...

    @overload
    def __call__(
        self, event: Literal["scheduler.error"]
    ) -> ListenerDecorator[SchedulerErrorOccurred]: ...

    @overload
    def __call__(
        self, event: Literal["scheduler.error"], f: Callable[[SchedulerErrorOccurred], T]
    ) -> Callable[[SchedulerErrorOccurred], T]: ...

    @overload
    def __call__(
        self, event: Literal["new_listener"], f: Callable[[str, Callable[..., Any]], T]
    ) -> Callable[[str, Callable[..., Any]], T]: ...
