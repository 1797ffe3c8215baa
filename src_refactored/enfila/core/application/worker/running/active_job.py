"""What a processor may do with the job that it runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar, cast

from typing_extensions import TypeVar as TypeVarWithDefault

from enfila.core.application.queue.claims.progress import log_line, progress_document
from enfila.core.application.worker.running.run import Run
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.json_document import Json, JsonDocument
from enfila.core.domain.schedule.scheduled_for import ScheduledFor
from enfila.core.domain.showing import shown

P_co = TypeVarWithDefault("P_co", covariant=True, default=Any)
"""The type of a payload; a bare `ActiveJob` says nothing about it."""
T = TypeVar("T")


class JobControls(Protocol):
    """What a running job asks of its worker. Each returns after the commit; `LockLost`."""

    async def update_progress(
        self, run: Run, *, progress: JsonDocument | None = None, line: str | None = None
    ) -> None:
        """Stores progress or a log line."""
        ...

    async def extend_lock(self, run: Run, length: timedelta) -> None:
        """Makes the run's lock hold for so long from now on."""
        ...


class _RunningJob(Generic[P_co]):
    """What the jobs of async and of plain processors have in common."""

    __slots__ = ("_controls", "_payload", "_run")

    def __init__(self, run: Run, controls: JobControls, payload: object) -> None:
        self._run = run
        self._controls = controls
        self._payload = payload

    @property
    def snapshot(self) -> Job:
        """The whole job as it was claimed."""
        return self._run.job

    @property
    def id(self) -> JobId:
        """Its id, a UUIDv7."""
        return self._run.job.id

    @property
    def name(self) -> str:
        """What kind of work it is."""
        return self._run.job.name

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self._run.job.queue

    @property
    def payload(self) -> P_co:
        """Its payload, in the type of the processor's annotation or of the queue; else JSON."""
        return cast("P_co", self._payload)

    @property
    def attempt(self) -> int:
        """The number of this attempt, 1 for the first."""
        return self._run.job.attempt

    @property
    def max_attempts(self) -> int:
        """How often it may be tried in all."""
        return self._run.job.max_attempts

    @property
    def priority(self) -> int:
        """Lower ran first."""
        return self._run.job.priority

    @property
    def metadata(self) -> Mapping[str, Json]:
        """What travels with it (trace context, tenant data)."""
        return self._run.job.options.metadata

    @property
    def scheduled_for(self) -> ScheduledFor | None:
        """The tick that it was made of, with its nominal time; None if it is of no schedule."""
        return ScheduledFor.of(self.metadata) if self._run.job.schedule_id is not None else None

    @property
    def tags(self) -> tuple[str, ...]:
        """The words it can be found by."""
        return self._run.job.options.tags

    @property
    def tenant(self) -> str | None:
        """Whom it belongs to; None if nobody said so."""
        return self._run.job.tenant

    @property
    def created_at(self) -> datetime:
        """When it was added."""
        return self._run.job.created_at

    @property
    def stalled_count(self) -> int:
        """How often a worker vanished while it ran."""
        return self._run.job.stalled_count

    @property
    def is_cancelled(self) -> bool:
        """Whether this run is being cancelled; then nothing that it returns counts any more."""
        return self._run.interruption is not None

    @property
    def cancel_reason(self) -> str | None:
        """Why: a request from outside, a lost lock, the worker's shutdown, the timeout."""
        interruption = self._run.interruption
        return None if interruption is None else interruption.reason

    def __repr__(self) -> str:
        job = self._run.job
        return (
            f"<active job {shown(job.name)} {job.id}, attempt {job.attempt} of {job.max_attempts}>"
        )


class ActiveJob(_RunningJob[P_co]):
    """The job as an async processor gets it."""

    __slots__ = ()

    @property
    def cancelled(self) -> asyncio.Event:
        """Set when this run is being cancelled, which its task is told by `CancelledError` too."""
        run = self._run
        if not isinstance(run.cancelled, asyncio.Event):
            run.cancelled = asyncio.Event()
            if run.interruption is not None:
                run.cancelled.set()
        return run.cancelled

    async def log(self, line: str) -> None:
        """Stores a line in the job's log; returns after the commit.

        Raises:
            LockLost: another worker has the job, or this run is over; nothing was written.
        """
        await self._controls.update_progress(self._run, line=log_line(line))

    async def update_progress(self, value: Json) -> None:
        """Stores how far it is: a number, a text or an object; returns after the commit.

        Raises:
            LockLost: another worker has the job, or this run is over; nothing was written.
            InvalidRequest: it is not JSON.
        """
        await self._controls.update_progress(self._run, progress=progress_document(value))

    async def extend_lock(self, length: Duration) -> None:
        """Makes the lock hold for so long from now on.

        The worker renews locks by itself. Before a stretch that blocks the event loop for longer
        than the worker's `lock_duration` it cannot, and then this is needed. The lock is never made
        shorter than the worker's usual one.

        Raises:
            LockLost: another worker has the job, or this run is over; nothing was written.
            RepositoryUnavailable: the database is away.
        """
        await self._controls.extend_lock(self._run, duration("duration", length, allow_zero=False))


class SyncActiveJob(_RunningJob[P_co]):
    """The job as a plain function gets it, in its thread. Its methods block until the commit."""

    __slots__ = ("_cancelled", "_loop")

    def __init__(
        self,
        run: Run,
        controls: JobControls,
        payload: object,
        cancelled: threading.Event,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(run, controls, payload)
        self._cancelled = cancelled
        self._loop = loop

    @property
    def cancelled(self) -> threading.Event:
        """Set when this run is being cancelled. A thread cannot be stopped, so look at it."""
        return self._cancelled

    def log(self, line: str) -> None:
        """As `ActiveJob.log`."""
        self._wait(self._controls.update_progress(self._run, line=log_line(line)))

    def update_progress(self, value: Json) -> None:
        """As `ActiveJob.update_progress`."""
        self._wait(self._controls.update_progress(self._run, progress=progress_document(value)))

    def extend_lock(self, length: Duration) -> None:
        """As `ActiveJob.extend_lock`."""
        self._wait(
            self._controls.extend_lock(self._run, duration("duration", length, allow_zero=False))
        )

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 - the documented one raises without a loop
            coroutine.close()
            raise InvalidRequest(
                "processor",
                "a plain function whose awaitable uses the job",
                "make it an async function, or annotate its argument with ActiveJob",
            )
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
