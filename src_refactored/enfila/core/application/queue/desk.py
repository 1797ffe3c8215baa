"""What handles of jobs ask, answered by the parts of their queue."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from enfila.core.application.ports.job_reader import IJobReader, LogLine
from enfila.core.application.queue.changing import Changing
from enfila.core.application.queue.checking import checked_count
from enfila.core.application.queue.job_handle import JobDesk
from enfila.core.application.queue.payload_codec import PayloadCodec
from enfila.core.application.queue.result_waiter import ResultWaiter
from enfila.core.application.tasks import OwnedTasks
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import JobNotCompleted
from enfila.core.domain.job.attempt import Attempt
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import JobState

T = TypeVar("T")


class Desk(JobDesk):
    """The desk of one queue.

    Args:
        jobs: where jobs are looked up.
        changing: changes them.
        waiter: waits for them.
        codec_of: what reads the result of a job.
        tasks: the owner of the tasks that write.
        enter: raises `AlreadyClosed` when the queue is closed; called before anything is done.
    """

    def __init__(
        self,
        jobs: IJobReader,
        *,
        changing: Changing,
        waiter: ResultWaiter,
        codec_of: Callable[[Job], PayloadCodec],
        tasks: OwnedTasks,
        enter: Callable[[], None],
    ) -> None:
        self._jobs = jobs
        self._changing = changing
        self._waiter = waiter
        self._codec_of = codec_of
        self._tasks = tasks
        self._enter = enter

    async def reload(self, job_id: JobId) -> Job:
        self._enter()
        return await self._changing.load(job_id)

    async def wait_until_final(self, job_id: JobId, timeout: Duration | None) -> Job:
        self._enter()
        limit = None if timeout is None else duration("timeout", timeout)
        return await self._waiter.wait(job_id, limit)

    def read_result(self, job: Job) -> object:
        if job.state is not JobState.COMPLETED:
            reason = job.cancel_reason if job.state is JobState.CANCELLED else str(job.error)
            raise JobNotCompleted(job.id, job.state, reason or "no reason was given")
        return self._codec_of(job).read_result(job.result_document)

    async def attempts_of(self, job_id: JobId) -> list[Attempt]:
        self._enter()
        return await self._jobs.attempts(job_id)

    async def logs_of(self, job_id: JobId, limit: int, offset: int) -> list[LogLine]:
        self._enter()
        most, skipped = checked_count("limit", limit), checked_count("offset", offset)
        return await self._jobs.logs(job_id, limit=most, offset=skipped)

    async def do_retry(self, job_id: JobId, *, fresh_attempts: bool) -> Job:
        return await self._write(self._changing.retry(job_id, fresh_attempts=fresh_attempts))

    async def do_promote(self, job_id: JobId) -> Job:
        return await self._write(self._changing.promote(job_id))

    async def do_cancel(self, job_id: JobId, reason: str) -> Job:
        return await self._write(self._changing.cancel(job_id, reason))

    async def do_set_priority(self, job_id: JobId, priority: int) -> Job:
        return await self._write(self._changing.set_priority(job_id, priority))

    async def remove(self, job_id: JobId) -> None:
        await self._write(self._changing.remove(job_id))

    async def _write(self, change: Coroutine[Any, Any, T]) -> T:
        """Changes and then tells, to the end even if the caller is cancelled."""
        try:
            self._enter()
        except BaseException:
            change.close()
            raise
        return await self._tasks.run(change, name="enfila changes a job")
