"""Whole queues: pausing, counting, and when the next job is due."""

from __future__ import annotations

from datetime import timedelta

from enfila.core.application.ports.queue_repository import IQueueRepository
from enfila.core.domain.duration import ZERO
from enfila.core.domain.job.state import JobState
from enfila.core.domain.queue import QueueCounts
from enfila.infrastructure.persistence.memory.tables.data import Store
from enfila.infrastructure.persistence.memory.tables.exclusive import exclusive


@exclusive
class InMemoryQueues(IQueueRepository):
    """`IQueueRepository` on a dict: whether each queue is paused, and how many jobs it has."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def names(self) -> list[str]:
        return sorted(self._store.queues)

    async def counts(self, queue: str) -> QueueCounts:
        return QueueCounts.of({state: self._store.jobs.count(queue, state) for state in JobState})

    async def until_next_due(self, queue: str) -> timedelta | None:
        due = self._store.jobs.next_due(queue)
        return None if due is None else max(due - self._store.clock.now(), ZERO)

    async def set_paused(self, queue: str, *, paused: bool) -> bool:
        was_paused = self._store.queues.get(queue, False)
        self._store.queues[queue] = paused
        return paused is not was_paused

    async def is_paused(self, queue: str) -> bool:
        return self._store.queues.get(queue, False)
