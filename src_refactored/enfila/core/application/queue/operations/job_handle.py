"""A job in the hands of the one who added it or looked it up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Generic, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeVar as TypeVarWithDefault

from enfila.core.application.ports.job_reader import LogLine
from enfila.core.application.queue.operations.job_operations import JobOperations
from enfila.core.application.runtime.pickling import NotPickled
from enfila.core.domain.duration import Duration
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId, WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.running.attempt import Attempt
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import Json
from enfila.core.domain.showing import shown

R_co = TypeVarWithDefault("R_co", covariant=True, default=Any)
"""The type of a result; a bare `JobHandle` says nothing about it."""


class JobHandle(NotPickled, Generic[R_co]):
    """One job: what it was when it was last looked at, and what can be done about it.

    The attributes are a snapshot; `refresh` takes a new one, and so does every method that changes
    the job.

    Attributes:
        is_duplicate: this job held the deduplication key, so no new one was added.
    """

    __slots__ = ("_job", "_operations", "is_duplicate")
    _INSTEAD: ClassVar[str] = "send its id, and find it with `await queue.get_job(id)` there"
    __iter__: ClassVar[None] = None
    """It is no sequence, though `dict(handle)` may ask for its values."""

    def __init__(self, job: Job, operations: JobOperations, *, is_duplicate: bool = False) -> None:
        self._job = job
        self._operations = operations
        self.is_duplicate = is_duplicate

    @property
    def snapshot(self) -> Job:
        """The whole job as it was when it was last looked at."""
        return self._job

    @property
    def id(self) -> JobId:
        """Its id, a UUIDv7."""
        return self._job.id

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self._job.queue

    @property
    def name(self) -> str:
        """What kind of work it is."""
        return self._job.name

    @property
    def payload(self) -> Json:
        """Its payload as JSON."""
        return self._job.payload

    @property
    def options(self) -> JobOptions:
        """The options it was added with, the queue's defaults filled in."""
        return self._job.options

    @property
    def state(self) -> JobState:
        """Where it was in its life."""
        return self._job.state

    @property
    def priority(self) -> int:
        """Lower runs first."""
        return self._job.priority

    @property
    def attempt(self) -> int:
        """The number of its current or last attempt; 0 before the first."""
        return self._job.attempt

    @property
    def max_attempts(self) -> int:
        """How often it may be tried in all."""
        return self._job.max_attempts

    @property
    def stalled_count(self) -> int:
        """How often its worker vanished."""
        return self._job.stalled_count

    @property
    def progress(self) -> Json:
        """The last progress it reported; None before."""
        return self._job.progress

    @property
    def error(self) -> JobError | None:
        """Why its last attempt failed."""
        return self._job.error

    @property
    def created_at(self) -> datetime:
        """When it was added."""
        return self._job.created_at

    @property
    def run_at(self) -> datetime:
        """It does not start before."""
        return self._job.run_at

    @property
    def started_at(self) -> datetime | None:
        """When its last run began."""
        return self._job.started_at

    @property
    def finished_at(self) -> datetime | None:
        """When it became final."""
        return self._job.finished_at

    @property
    def worker_id(self) -> WorkerId | None:
        """The worker of its current or last run."""
        return self._job.worker_id

    @property
    def cancel_reason(self) -> str | None:
        """Why it was cancelled, or was asked to be."""
        return self._job.cancel_reason

    def as_dict(self) -> dict[str, Json]:
        """The job as JSON, as it was when it was last looked at; see `Job.as_dict`.

        `dict(handle)` is the same, so web frameworks can answer with a handle.
        """
        return self._job.as_dict()

    def keys(self) -> Iterable[str]:
        """The keys of `as_dict`."""
        return self._job.as_dict().keys()

    def __getitem__(self, key: str) -> Json:
        return self._job.as_dict()[key]

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Pydantic writes a handle as `as_dict`, as FastAPI does with what an endpoint returns."""
        del source
        written = core_schema.plain_serializer_function_ser_schema(
            cls.as_dict, return_schema=handler(dict[str, Any])
        )
        return core_schema.is_instance_schema(cls, serialization=written)

    async def wait(self, timeout: Duration | None = None) -> JobHandle[R_co]:
        """Waits until the job is final, however it ended, whichever process runs it; this handle.

        Args:
            timeout: seconds or a `timedelta`; None waits for ever.

        Raises:
            JobNotFound: it was removed.
            TimeoutError: it was not final in time; the job is not touched by that.
        """
        self._job = await self._operations.wait(self._job, timeout)
        return self

    async def refresh(self) -> JobHandle[R_co]:
        """Looks again; this handle. `JobNotFound` when it was removed."""
        self._job = await self._operations.load(self.id)
        return self

    async def result(self, timeout: Duration | None = None) -> R_co:
        """Waits until the job is final and returns its result, whichever process runs it.

        Args:
            timeout: seconds or a `timedelta`; None waits for ever.

        Raises:
            JobNotCompleted: it failed or was cancelled; the message says why.
            JobNotFound: it was removed.
            TimeoutError: it was not final in time; the job is not touched by that.
        """
        self._job = await self._operations.wait(self._job, timeout)
        return cast("R_co", self._operations.read_result(self._job))

    async def attempt_history(self) -> list[Attempt]:
        """Its runs, oldest first: start, end, outcome, error and worker of each."""
        return await self._operations.attempts(self.id)

    async def logs(self, *, limit: int = 1000, offset: int = 0) -> list[LogLine]:
        """The lines it logged, oldest first."""
        return await self._operations.logs(self.id, limit, offset)

    async def retry(self, *, fresh_attempts: bool = False) -> JobHandle[R_co]:
        """Puts it back in line; see `AbstractQueue.retry`."""
        self._job = await self._operations.retry(self.id, fresh_attempts=fresh_attempts)
        return self

    async def promote(self) -> JobHandle[R_co]:
        """Puts it in line now; see `AbstractQueue.promote`."""
        self._job = await self._operations.promote(self.id)
        return self

    async def cancel(self, reason: str = "cancelled by request") -> JobHandle[R_co]:
        """Cancels it; see `AbstractQueue.cancel`."""
        self._job = await self._operations.cancel(self.id, reason)
        return self

    async def set_priority(self, priority: int) -> JobHandle[R_co]:
        """Moves it in line; see `AbstractQueue.set_priority`."""
        self._job = await self._operations.set_priority(self.id, priority)
        return self

    async def remove(self) -> None:
        """Removes it; see `AbstractQueue.remove`."""
        await self._operations.remove(self.id)

    def __repr__(self) -> str:
        return f"<job {shown(self.name)} {self.id} {self.state.value} on {shown(self.queue)}>"
