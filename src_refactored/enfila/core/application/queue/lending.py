"""What a queue does for workers: lends them jobs and takes the outcomes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.queue.audience import Audience
from enfila.core.application.queue.job_moves import JobMoves
from enfila.core.application.tasks import OwnedTasks
from enfila.core.domain.events import JobActive, JobEvent, JobLogged, JobProgressed
from enfila.core.domain.job.claim import Claim
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.outcome import Outcome, Released
from enfila.core.domain.job.progress import ProgressUpdate


class Lending:
    """The use cases of workers. Errors as in `AbstractQueue`.

    Args:
        chance: a random number in [0, 1) for the jitter of backoffs.
    """

    def __init__(
        self,
        repository: IJobRepository,
        *,
        moves: JobMoves,
        audience: Audience,
        tasks: OwnedTasks,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self._repository = repository
        self._moves = moves
        self._audience = audience
        self._tasks = tasks
        self._clock = clock
        self._chance = chance

    async def fetch(self, claim: Claim) -> list[Job]:
        """Claims jobs. If the caller is cancelled meanwhile, what was claimed goes back."""
        claiming = self._tasks.spawn(self._claim(claim), name=f"enfila claims from {claim.queue}")
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            if not claiming.cancelled():
                _ = self._tasks.spawn(self._give_back(claiming), name="enfila gives jobs back")
            raise

    async def _claim(self, claim: Claim) -> list[Job]:
        jobs = await self._repository.claim(claim)
        if jobs:
            self._audience.holdings.take(jobs)
            self._audience.drained.arm()
        return jobs

    async def _give_back(self, claiming: asyncio.Task[list[Job]]) -> None:
        await asyncio.wait([claiming])
        if not claiming.cancelled() and claiming.exception() is None:
            await self.settle([(job, Released(has_run=False)) for job in claiming.result()])

    async def settle(self, outcomes: Sequence[tuple[Job, Outcome]]) -> list[Job | None]:
        """Writes how runs ended, in one step."""
        return await self._moves.apply(
            [(job, job.settle(outcome, self._chance())) for job, outcome in outcomes]
        )

    async def extend(self, locks: Sequence[Lock], duration: timedelta) -> list[Extension]:
        """Makes locks hold for longer."""
        extensions = await self._repository.extend(locks, duration)
        for lock, extension in zip(locks, extensions, strict=True):
            if not extension.is_held:
                self._audience.holdings.let_go(lock.job_id, lock.token)
        return extensions

    def begin(self, job: Job) -> None:
        """Tells that a claimed job begins to run."""
        if self._audience.emitter.has_listeners(JobActive.name) and job.worker_id is not None:
            self._audience.announcer.tell(
                JobActive(
                    queue=job.queue,
                    at=job.started_at or self._clock.now(),
                    job_id=job.id,
                    job_name=job.name,
                    attempt=job.attempt,
                    worker_id=job.worker_id,
                )
            )

    async def update_progress(self, queue: str, reports: Sequence[ProgressUpdate]) -> list[bool]:
        """Stores what running jobs said."""
        if not reports:
            return []
        with self._audience.announcer.place(report.job_id for report in reports) as place:
            accepted = await self._repository.update_progress(reports)
            if self._audience.emitter.is_heard:
                names = await self._names_of(reports)
                for report, is_accepted in zip(reports, accepted, strict=True):
                    if is_accepted:
                        for event in self._events_of(queue, report, names):
                            place.tell(event)
        return accepted

    def _events_of(
        self, queue: str, report: ProgressUpdate, names: dict[JobId, str]
    ) -> list[JobEvent]:
        said: dict[str, Any] = {
            "queue": queue,
            "at": self._clock.now(),
            "job_id": report.job_id,
            "job_name": names.get(report.job_id, ""),
        }
        events: list[JobEvent] = []
        if self._audience.emitter.has_listeners(JobLogged.name):
            events += [JobLogged(**said, line=line) for line in report.lines]
        if report.progress is not None and self._audience.emitter.has_listeners(JobProgressed.name):
            events.append(JobProgressed(**said, progress=report.progress.value))
        return events

    async def _names_of(self, reports: Sequence[ProgressUpdate]) -> dict[JobId, str]:
        """The names of reporting jobs: nearly always those that are held here."""
        names = {
            report.job_id: name
            for report in reports
            if (name := self._audience.holdings.name_of(report.job_id)) is not None
        }
        if unknown := [report.job_id for report in reports if report.job_id not in names]:
            found = await self._repository.get(unknown)
            names |= {job_id: job.name for job_id, job in found.items()}
        return names
