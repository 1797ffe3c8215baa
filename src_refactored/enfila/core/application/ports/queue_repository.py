"""The port for queues as wholes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta

from enfila.core.domain.queue import QueueCounts


class IQueueRepository(ABC):
    """Looks at whole queues, and stops and starts their claims in every process."""

    @abstractmethod
    async def names(self) -> Sequence[str]:
        """The names of all queues that have been used, sorted."""

    @abstractmethod
    async def counts(self, queue: str) -> QueueCounts:
        """How many jobs are in each state. Its cost does not grow with the number of jobs."""

    @abstractmethod
    async def until_next_due(self, queue: str) -> timedelta | None:
        """Time until the next delayed job is due (zero when one is); None without delayed jobs."""

    @abstractmethod
    async def set_paused(self, queue: str, *, paused: bool) -> bool:
        """Pauses or resumes a queue; whether that changed anything.

        After it returned, no claim that begins later takes a job from a paused queue. Survives a
        restart. Adding works on, delays mature, running jobs go on.
        """

    @abstractmethod
    async def is_paused(self, queue: str) -> bool:
        """Whether the queue is paused; an unknown queue is not."""
