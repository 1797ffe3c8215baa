"""The port that producers and workers use: a queue."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from types import TracebackType
from typing import Any, ClassVar, Self, cast

from enfila.core.application.emitter import Emitter
from enfila.core.application.listening import ListensToQueue
from enfila.core.application.queue.claims.job_source import JobSource, P, R
from enfila.core.application.queue.queue_roles import (
    ClaimedJobWriter,
    JobProducer,
    QueueOperations,
    SingleJobOperations,
)
from enfila.core.domain.checking import instance
from enfila.core.domain.duration import Duration
from enfila.core.domain.events import QUEUE_EVENTS
from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.showing import shown


# pyee's `cancel` ends listeners, a queue's a job.
class AbstractQueue(  # type: ignore[misc]
    JobProducer[P, R],
    QueueOperations[R],
    SingleJobOperations[R],
    ClaimedJobWriter[R],
    Emitter,
    JobSource[P, R],
):
    """A named line of jobs, and an emitter of what happens to them.

    `P` is the type of its payloads, `R` of its results. Its events are listed in
    `enfila.core.domain.events`; they tell of what this object did and of what the workers on it
    did, each after its commit, each job's in the order of its life.

    Every method may raise `RepositoryUnavailable`, and after `close` raises `AlreadyClosed`.
    """

    _INSIDE: ClassVar[frozenset[str]] = Emitter._INSIDE | {  # noqa: SLF001 - a base class's
        *("attach_loop", "hears_others", "ignore", "listen", "mark_job_as_active", "outcomes"),
        *("read_payload", "until_next_due", "write_result"),
    }

    def __init__(self, name: str) -> None:
        super().__init__(QUEUE_EVENTS)
        self.name = name

    def __repr__(self) -> str:
        return f"<queue {shown(self.name)}, {'closed' if self.is_closed else 'open'}>"

    @property
    def on(self) -> ListensToQueue:  # type: ignore[override]  # a method of pyee's, typed by the event
        """Adds a listener: `queue.on("job.failed", f)`, or as a decorator without `f`."""
        return cast("ListensToQueue", super().on)

    @property
    def once(self) -> ListensToQueue:  # type: ignore[override]  # as above
        """As `on`, for one event."""
        return cast("ListensToQueue", super().once)

    async def fetch_next_job_and_lock(
        self, worker_id: WorkerId, lock_duration: Duration
    ) -> Job | None:
        """Claims the next job; None when there is none."""
        jobs = await self.fetch_jobs_and_lock(worker_id, 1, lock_duration)
        return jobs[0] if jobs else None

    async def extend_job_lock(self, job: Job, lock_duration: Duration) -> bool:
        """Makes the lock of one job hold longer; false when it is lost."""
        lock = instance("job", job, Job, "a job that was fetched").lock
        if lock is None:
            return False
        [extension] = await self.extend_job_locks([lock], lock_duration)
        return extension.is_held

    @abstractmethod
    def attach_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes `loop` the one that `add_sync` runs on; else it is the first it was used on."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether `close` was called: then nothing more can be done with it."""

    @abstractmethod
    async def close(self) -> None:
        """Ends maintenance and listening, after the writes under way and their async listeners.

        Who waits for a result gets `AlreadyClosed`. May be called twice. The repository stays open.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


AnyQueue = AbstractQueue[Any, Any]
