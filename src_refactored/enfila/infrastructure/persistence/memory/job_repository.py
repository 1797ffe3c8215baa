"""The jobs of a storage in memory that is made with them."""

from __future__ import annotations

from enfila.core.application.ports.clock import Clock
from enfila.infrastructure.persistence.memory.jobs import InMemoryJobs
from enfila.infrastructure.persistence.memory.storage import InMemoryStorage


class InMemoryJobRepository(InMemoryJobs):
    """Jobs in this process, with an `InMemoryStorage` of their own, for tests.

    Args:
        clock: where instants come from; the machine's clock when left out.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        storage = InMemoryStorage(clock)
        super().__init__(storage.store, storage)
        storage.jobs = self
        self._memory = storage

    @property
    def storage(self) -> InMemoryStorage:
        """The storage that was made with it."""
        return self._memory
