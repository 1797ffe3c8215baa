"""What people do to single jobs: read, decide in the domain, write; again if it was stale."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

from enfila.core.application.ports.job_reader import LogLine
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.queue.adding.payload_codec import PayloadCodec
from enfila.core.application.queue.operations.checking import checked_count
from enfila.core.application.queue.operations.unfinished import why_unfinished
from enfila.core.application.queue.publishing.publisher import Publisher
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.checking import any_text, flag, whole
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import JobNotCompleted, JobNotFound, KeyTaken, StaleTransition
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import PRIORITY_LIMIT
from enfila.core.domain.job.running.attempt import Attempt
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition
from enfila.core.domain.showing import message_of, storable

T = TypeVar("T")

MOST_DECISIONS: Final = 5
"""How often a job is reloaded and decided upon anew before `StaleTransition` is raised."""


class JobOperations:
    """The use cases on one job of one queue: what a `JobHandle` offers. Errors as there.

    What changes a job runs to its end, and is told, even if the caller is cancelled.

    Args:
        repository: where the job is.
        publisher: that of the job's queue.
        tasks: the owner of the tasks that write.
        codec_of: what reads the result of a job; None where nobody asks for results.
    """

    def __init__(
        self,
        repository: IJobRepository,
        publisher: Publisher,
        *,
        tasks: OwnedTasks,
        codec_of: Callable[[Job], PayloadCodec] | None = None,
    ) -> None:
        self._repository = repository
        self._publisher = publisher
        self._tasks = tasks
        self._codec_of = codec_of or _plain_json

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    async def load(self, job_id: JobId) -> Job:
        """The job as it is now. `JobNotFound` also when it is another queue's."""
        self._publisher.check_open()
        return await self._load(job_id)

    async def wait(self, job: Job, timeout: Duration | None) -> Job:
        """The job once it is final. One that its end would remove is kept for those who wait."""
        self._publisher.check_open()
        limit = None if timeout is None else duration("timeout", timeout)
        announce = partial(self._expect_end, job.id) if job.may_leave_nothing else None
        try:
            return await self._publisher.wait_until_final(job.id, limit, announce)
        except TimeoutError as error:
            reason = await why_unfinished(self._repository, job.id)
            if reason is None:
                raise
            raise TimeoutError(f"{message_of(error)}: {reason}") from None

    async def _expect_end(self, job_id: JobId) -> bool:
        return await self._tasks.run(
            self._repository.expect_end(job_id), name="enfila expects the end of a job"
        )

    def read_result(self, job: Job) -> object:
        """The result of a completed job in its result type."""
        if job.state is not JobState.COMPLETED:
            reason = job.cancel_reason if job.state is JobState.CANCELLED else str(job.error)
            raise JobNotCompleted(job.id, job.state, reason or "no reason was given")
        return self._codec_of(job).read_result(job.result_document)

    async def attempts(self, job_id: JobId) -> list[Attempt]:
        """Its runs, oldest first."""
        self._publisher.check_open()
        return await self._repository.attempts(job_id)

    async def logs(self, job_id: JobId, limit: int, offset: int) -> list[LogLine]:
        """Its log lines, oldest first."""
        self._publisher.check_open()
        most, skipped = checked_count("limit", limit), checked_count("offset", offset)
        return await self._repository.logs(job_id, limit=most, offset=skipped)

    # ── changing ─────────────────────────────────────────────────────────────────────────────

    async def retry(self, job_id: JobId, *, fresh_attempts: bool) -> Job:
        """A finished job goes back in line."""
        is_fresh = flag("fresh_attempts", fresh_attempts)
        return await self._run(self._retry(job_id, fresh_attempts=is_fresh))

    async def promote(self, job_id: JobId) -> Job:
        """A delayed job joins the line now."""
        return await self._run(self._move(job_id, Job.promote, "promoted"))

    async def cancel(self, job_id: JobId, reason: str, *, as_read: Job | None = None) -> Job:
        """Cancels a job that is not active; asks the worker of an active one.

        Args:
            job_id: which one.
            reason: why, for people.
            as_read: the job, if it was read just now; saves a read if it has not moved since.
        """
        return await self._run(self._cancel(job_id, any_text("reason", reason), as_read))

    async def set_priority(self, job_id: JobId, priority: int) -> Job:
        """A job that has not started moves in line."""
        checked = whole("priority", priority, -PRIORITY_LIMIT, PRIORITY_LIMIT)
        return await self._run(self._set_priority(job_id, checked))

    async def remove(self, job_id: JobId) -> None:
        """Removes a job that is not active."""
        await self._run(self._remove(job_id))

    # ── the steps ────────────────────────────────────────────────────────────────────────────

    async def _run(self, change: Coroutine[Any, Any, T]) -> T:
        try:
            self._publisher.check_open()
        except BaseException:
            change.close()
            raise
        return await self._tasks.run(change, name="enfila changes a job")

    async def _load(self, job_id: JobId) -> Job:
        job = (await self._repository.get([job_id])).get(job_id)
        if job is None or job.queue != self._publisher.queue:
            raise JobNotFound(job_id)
        return job

    async def _move(
        self, job_id: JobId, decide: Callable[[Job], Transition], participle: str
    ) -> Job:
        for _ in range(MOST_DECISIONS):
            job = await self._load(job_id)
            if after := await self._apply(job, decide(job)):
                return after
        raise StaleTransition(job_id, participle)

    async def _retry(self, job_id: JobId, *, fresh_attempts: bool) -> Job:
        for _ in range(MOST_DECISIONS):
            job = await self._load(job_id)
            transition = job.retry(fresh_attempts=fresh_attempts)
            if after := await self._apply(job, transition):
                return after
            if transition.retakes is not None and transition.is_based_on(await self._load(job_id)):
                raise KeyTaken(job_id, transition.retakes.key)
        raise StaleTransition(job_id, "retried")

    async def _apply(self, job: Job, transition: Transition) -> Job | None:
        with self._publisher.writing((job.id,)) as write:
            [at] = await self._repository.apply([transition])
            return write.moved(job, transition, at)

    async def _cancel(self, job_id: JobId, reason: str, as_read: Job | None) -> Job:
        for _ in range(MOST_DECISIONS):
            job = as_read or await self._load(job_id)
            as_read = None
            if job.state is JobState.ACTIVE:
                if await self._repository.request_cancellation(job_id, storable(reason)):
                    self._publisher.cancellation_requested()
                    return await self._load(job_id)
            elif after := await self._apply(job, job.cancel(reason)):
                return after
        raise StaleTransition(job_id, "cancelled")

    async def _set_priority(self, job_id: JobId, priority: int) -> Job:
        for _ in range(MOST_DECISIONS):
            job = await self._load(job_id)
            amendment = job.amend(priority=priority)
            if (at := await self._repository.amend(amendment)) is not None:
                return job.amended(amendment, at)
        raise StaleTransition(job_id, "given another priority")

    async def _remove(self, job_id: JobId) -> None:
        for _ in range(MOST_DECISIONS):
            job = await self._load(job_id)
            job.check_removable()
            with self._publisher.writing((job.id,)) as write:
                [is_removed] = await self._repository.remove([job])
                if is_removed:
                    write.removed(job)
            if is_removed:
                return
        raise StaleTransition(job_id, "removed")


def _plain_json(job: Job) -> PayloadCodec:
    del job
    return PayloadCodec()
