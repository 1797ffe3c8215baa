"""How jobs get from a queue into the hands of a worker."""

from __future__ import annotations

import asyncio

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.queue.claims.outcome_writer import OutcomeWriter
from enfila.core.application.queue.publishing.publisher import Publisher
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.claim import Claim


class Claiming:
    """Claims jobs of one queue for a worker; a claim that nobody waits for is given back.

    Args:
        outcomes: gives back what a cancelled caller does not want any more.
        tasks: the owner of the tasks that claim.
    """

    def __init__(
        self,
        repository: IJobRepository,
        publisher: Publisher,
        outcomes: OutcomeWriter,
        tasks: OwnedTasks,
    ) -> None:
        self._repository = repository
        self._publisher = publisher
        self._outcomes = outcomes
        self._tasks = tasks

    async def claim(self, claim: Claim) -> list[Job]:
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
        self._publisher.claimed(jobs)
        return jobs

    async def _give_back(self, claiming: asyncio.Task[list[Job]]) -> None:
        await asyncio.wait([claiming])
        if not claiming.cancelled() and claiming.exception() is None:
            self._outcomes.give_back(claiming.result())
