"""The ports for whole queues and for workers seen from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta

from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.worker import WorkerInfo


class IQueueControl(ABC):
    """Stops and starts the claims of a queue in every process."""

    @abstractmethod
    async def set_paused(self, queue: str, *, paused: bool) -> bool:
        """Pauses or resumes a queue; whether that changed anything.

        After it returned, no claim that begins later takes a job from a paused queue. Survives a
        restart. Adding works on, delays mature, running jobs go on.
        """

    @abstractmethod
    async def is_paused(self, queue: str) -> bool:
        """Whether the queue is paused; an unknown queue is not."""


class IWorkerRegistry(ABC):
    """Remembers which workers are alive, for people to look at. No rule depends on it."""

    @abstractmethod
    async def beat(self, worker: WorkerInfo) -> None:
        """Notes that the worker is alive: inserts or updates its row."""

    @abstractmethod
    async def sign_off(self, worker_id: WorkerId) -> None:
        """Forgets a worker that ended in good order. Unknown ones are ignored."""

    @abstractmethod
    async def workers(self, queue: str | None = None) -> list[WorkerInfo]:
        """The workers of one queue, or all, the oldest first."""

    @abstractmethod
    async def forget_silent_workers(self, silent_for: timedelta) -> int:
        """Forgets workers that were not heard of for so long; how many."""
