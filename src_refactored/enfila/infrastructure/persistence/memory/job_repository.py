"""The repository on dicts."""

from __future__ import annotations

from enfila.core.application.ports.clock import Clock
from enfila.core.application.system_clock import SystemClock
from enfila.infrastructure.persistence.memory.adding import InMemoryAdding
from enfila.infrastructure.persistence.memory.job_reader import InMemoryJobReader
from enfila.infrastructure.persistence.memory.job_types import InMemoryJobTypes
from enfila.infrastructure.persistence.memory.queue_control import (
    InMemoryQueueControl,
    InMemoryWorkerRegistry,
)
from enfila.infrastructure.persistence.memory.removing import InMemoryRemoving
from enfila.infrastructure.persistence.memory.running import InMemoryRunning
from enfila.infrastructure.persistence.memory.schedules import InMemorySchedules
from enfila.infrastructure.persistence.memory.store import Store


class InMemoryJobRepository(
    InMemoryJobReader,
    InMemoryQueueControl,
    InMemoryWorkerRegistry,
    InMemoryJobTypes,
    InMemoryAdding,
    InMemorySchedules,
    InMemoryRunning,
    InMemoryRemoving,
):
    """Keeps jobs in this process, as long as the object lives.

    The other adapters are compared with it: what a job becomes, it always asks the domain. No
    method waits for anything, so each is one step to the tasks of an event loop.

    Args:
        clock: where instants come from; the machine's clock when left out.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._store = Store(clock or SystemClock())

    async def open(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """Nothing is released: it can be used again, and still has its jobs."""

    async def tidy(self) -> None:
        self._store.keys.forget_removed(self._store.jobs, self._store.clock.now())
