"""What people do to single jobs: read, decide in the domain, write; again if it was stale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.audience import Audience
from enfila.core.application.queue.job_moves import JobMoves
from enfila.core.domain.errors import JobNotFound, StaleTransition
from enfila.core.domain.events import JobRemoved
from enfila.core.domain.job.failure import storable
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition

MOST_DECISIONS: Final = 5
"""How often a job is reloaded and decided upon anew before `StaleTransition` is raised."""


class Changing:
    """The use cases on one job of one queue. Errors as in `AbstractQueue`."""

    def __init__(
        self,
        queue: str,
        repository: IJobRepository,
        *,
        moves: JobMoves,
        audience: Audience,
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._repository = repository
        self._moves = moves
        self._audience = audience
        self._clock = clock

    async def load(self, job_id: JobId) -> Job:
        """The job as it is now. `JobNotFound` also when it is another queue's."""
        job = (await self._repository.get([job_id])).get(job_id)
        if job is None or job.queue != self._queue:
            raise JobNotFound(job_id)
        return job

    async def retry(self, job_id: JobId, *, fresh_attempts: bool) -> Job:
        """A finished job goes back in line."""
        return await self._move(
            job_id, lambda job: job.retry(fresh_attempts=fresh_attempts), "retried"
        )

    async def promote(self, job_id: JobId) -> Job:
        """A delayed job joins the line now."""
        return await self._move(job_id, Job.promote, "promoted")

    async def cancel(self, job_id: JobId, reason: str) -> Job:
        """Cancels a job that is not active; asks the worker of an active one."""
        for _ in range(MOST_DECISIONS):
            job = await self.load(job_id)
            if job.state is JobState.ACTIVE:
                if await self._repository.request_cancellation(job_id, storable(reason)):
                    self._audience.hint(Hint.CONTROL)
                    return await self.load(job_id)
            elif after := await self._try(job, job.cancel(reason)):
                return after
        raise StaleTransition(job_id, "cancelled")

    async def set_priority(self, job_id: JobId, priority: int) -> Job:
        """A job that has not started moves in line."""
        checked = JobOptions(priority=priority).priority
        for _ in range(MOST_DECISIONS):
            job = await self.load(job_id)
            amendment = job.amend(priority=checked)
            if (at := await self._repository.amend(amendment)) is not None:
                return job.amended(amendment, at)
        raise StaleTransition(job_id, "given another priority")

    async def remove(self, job_id: JobId) -> None:
        """Removes a job that is not active."""
        for _ in range(MOST_DECISIONS):
            job = await self.load(job_id)
            job.check_removable()
            if await self._try_to_remove(job):
                return
        raise StaleTransition(job_id, "removed")

    async def _move(
        self, job_id: JobId, decide: Callable[[Job], Transition], participle: str
    ) -> Job:
        for _ in range(MOST_DECISIONS):
            job = await self.load(job_id)
            if after := await self._try(job, decide(job)):
                return after
        raise StaleTransition(job_id, participle)

    async def _try(self, job: Job, transition: Transition) -> Job | None:
        [after] = await self._moves.apply([(job, transition)])
        return after

    async def _try_to_remove(self, job: Job) -> bool:
        self._audience.drained.arm()
        with self._audience.announcer.place([job.id]) as place:
            [is_removed] = await self._repository.remove([job])
            if is_removed and self._audience.emitter.has_listeners(JobRemoved.name):
                place.tell(
                    JobRemoved(
                        queue=self._queue,
                        at=self._clock.now(),
                        job_id=job.id,
                        job_name=job.name,
                    )
                )
        if is_removed:
            self._audience.waiter.removed(job.id)
            # Jobs that were blocked by it may run now, in this process or another.
            self._audience.hint(Hint.SETTLED)
            self._audience.hint(Hint.JOBS)
            self._audience.drained.look_soon()
        return is_removed
