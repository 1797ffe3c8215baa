"""Jobs whose time has come, in one way or another: they are moved on."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from typing import ClassVar, cast

from enfila.core.application.ports.job_reader import Overdue
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.queue.maintenance.duty import Duty
from enfila.core.application.queue.publishing.publisher import Publisher
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.transition import Transition


class MovesOverdueJobs(Duty):
    """Base of maintenance duties that move jobs to another state when their time is up.

    What another process did first is stale, and told by that one.

    Attributes:
        kind: in which way they are overdue.
    """

    kind: ClassVar[Overdue]

    def __init__(self, repository: IJobRepository, publisher: Publisher) -> None:
        super().__init__()
        self._repository = repository
        self._publisher = publisher

    @property
    def interval(self) -> timedelta:
        return cast("timedelta", self.options.stalled_interval)

    async def do_batch(self) -> bool:
        batch = self.options.batch
        jobs = await self._repository.overdue(self._publisher.queue, self.kind, batch)
        if jobs:
            await self._move(jobs)
        return len(jobs) == batch

    async def _move(self, jobs: list[Job]) -> None:
        transitions = [self.decide(job) for job in jobs]
        with self._publisher.writing(job.id for job in jobs) as write:
            written = await self._repository.apply(transitions)
            for job, transition, at in zip(jobs, transitions, written, strict=True):
                _ = write.moved(job, transition, at)

    @abstractmethod
    def decide(self, job: Job) -> Transition:
        """What becomes of such a job."""


class StalledRecovery(MovesOverdueJobs):
    """Maintenance duty: jobs whose worker vanished run again, or fail after too many times."""

    what = "recovers stalled jobs"
    kind = Overdue.STALLED

    def decide(self, job: Job) -> Transition:
        return job.stall(self.options.max_stalled_count)


class Expiry(MovesOverdueJobs):
    """Maintenance duty: cancels jobs that were not started in time."""

    what = "expires late jobs"
    kind = Overdue.EXPIRED

    def decide(self, job: Job) -> Transition:
        return job.expire()


class Promotion(MovesOverdueJobs):
    """Maintenance duty: puts delayed jobs in line whose time has come.

    A claim takes due jobs whatever they are called; this keeps the counts right.
    """

    what = "matures due jobs"
    kind = Overdue.DUE

    def decide(self, job: Job) -> Transition:
        return job.mature()
