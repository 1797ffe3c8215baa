"""A database that goes away and comes back when the test says so."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from enfila.core.application.ports.job_reader import Overdue
from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.job.identity import JobId, WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.transition import Transition
from enfila.core.domain.worker import WorkerInfo
from enfila.infrastructure.persistence.memory.job_repository import InMemoryJobRepository
from enfila.infrastructure.persistence.memory.queues import InMemoryQueues
from enfila.infrastructure.persistence.memory.workers import InMemoryWorkers


class UnreliableRepository(InMemoryJobRepository):
    """The memory repository behind a line that can be cut.

    Attributes:
        is_away: every call fails.
        hangs: every call waits until this is set; None lets them through.
        loses_answers: the next so many `apply` are written, and yet fail as uncertain.
        refusals: what the next calls of `apply` raise.
        calls: the names of the methods that were called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.hangs: asyncio.Event | None = None
        self.loses_answers = 0
        self.refuses: set[JobId] = set()
        self.calls: list[str] = []
        self.claims: list[Claim] = []
        self.storage.queues = _UnreliableQueues(self)
        self.storage.workers = _UnreliableWorkers(self)

    async def reach(self, name: str) -> None:
        """Raises, or waits, as it was told."""
        self.calls.append(name)
        # As a real one does: every call gives the event loop to others.
        await asyncio.sleep(0)
        if self.hangs is not None:
            await self.hangs.wait()
        if self.is_away:
            raise RepositoryUnavailable("memory://test", "it is away")

    async def claim(self, claim: Claim) -> list[Job]:
        self.claims.append(claim)
        await self.reach("claim")
        return await super().claim(claim)

    async def overdue(self, queue: str, kind: Overdue, limit: int) -> list[Job]:
        await self.reach("overdue")
        return await super().overdue(queue, kind, limit)

    async def apply(self, transitions: Sequence[Transition]) -> list[datetime | None]:
        await self.reach("apply")
        if any(
            transition.job_id in self.refuses and transition.result for transition in transitions
        ):
            raise ValueError("this result cannot be stored")
        written = await super().apply(transitions)
        if self.loses_answers:
            self.loses_answers -= 1
            raise RepositoryUnavailable("memory://test", "the line broke", uncertain=True)
        return written

    async def extend(self, locks: Sequence[Lock], duration: timedelta) -> list[Extension]:
        await self.reach("extend")
        return await super().extend(locks, duration)

    async def update_progress(self, updates: Sequence[ProgressUpdate]) -> list[bool]:
        await self.reach("update_progress")
        return await super().update_progress(updates)

    async def get(self, job_ids: Collection[JobId]) -> dict[JobId, Job]:
        await self.reach("get")
        return await super().get(job_ids)


class _UnreliableQueues(InMemoryQueues):
    def __init__(self, repository: UnreliableRepository) -> None:
        super().__init__(repository.storage.store)
        self._repository = repository

    async def until_next_due(self, queue: str) -> timedelta | None:
        await self._repository.reach("until_next_due")
        return await super().until_next_due(queue)


class _UnreliableWorkers(InMemoryWorkers):
    def __init__(self, repository: UnreliableRepository) -> None:
        super().__init__(repository.storage.store)
        self._repository = repository

    async def heartbeat(self, worker: WorkerInfo) -> None:
        await self._repository.reach("heartbeat")
        await super().heartbeat(worker)

    async def deregister(self, worker_id: WorkerId) -> None:
        await self._repository.reach("deregister")
        await super().deregister(worker_id)
