"""Cancelling the older jobs of a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint, WakeUp
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import JobState

MOST_DECISIONS: Final = 5
"""How often a job that moves meanwhile is looked at again, before it is left alone."""


class Cancelling:
    """Cancels jobs of any queue; asks the workers of active ones."""

    def __init__(self, repository: IJobRepository, wake_up: WakeUp) -> None:
        self._repository = repository
        self._wake_up = wake_up

    async def cancel(self, jobs: Sequence[Job], reason: str) -> None:
        """Cancels jobs one after the other. Those that are final, or gone, are left alone."""
        for job in jobs:
            await self._cancel(job, reason)

    async def _cancel(self, job: Job, reason: str) -> None:
        standing: Job | None = job
        for _ in range(MOST_DECISIONS):
            if standing is None or standing.state.is_final:
                return
            if await self._try(standing, reason):
                return
            standing = (await self._repository.get([job.id])).get(job.id)

    async def _try(self, job: Job, reason: str) -> bool:
        if job.state is JobState.ACTIVE:
            is_asked = await self._repository.request_cancellation(job.id, reason)
            self._wake_up.hint(job.queue, Hint.CONTROL)
            return is_asked
        [written_at] = await self._repository.apply([job.cancel(reason)])
        self._wake_up.hint(job.queue, Hint.SETTLED)
        return written_at is not None
