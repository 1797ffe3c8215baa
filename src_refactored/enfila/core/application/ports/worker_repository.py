"""The port that remembers which workers are alive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta

from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.worker import WorkerInfo


class IWorkerRepository(ABC):
    """Remembers which workers are alive, for people to look at. No rule depends on it."""

    @abstractmethod
    async def heartbeat(self, worker: WorkerInfo) -> None:
        """Notes that the worker is alive: inserts or updates its row."""

    @abstractmethod
    async def deregister(self, worker_id: WorkerId) -> None:
        """Forgets a worker that ended in good order. Unknown ones are ignored."""

    @abstractmethod
    async def all(self, queue: str | None = None) -> list[WorkerInfo]:
        """The workers of one queue, or of all, the oldest first."""

    @abstractmethod
    async def forget_silent(self, silent_for: timedelta) -> int:
        """Forgets workers that were not heard of for so long; how many."""
