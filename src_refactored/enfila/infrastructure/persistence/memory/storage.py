"""A database of dicts."""

from __future__ import annotations

from collections.abc import Callable

from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.ports.clock import Clock, when_moved
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.storage import Storage
from enfila.core.application.ports.wake_up import WakeUp
from enfila.core.application.system_clock import clock_or_system
from enfila.infrastructure.persistence.memory.job_types import InMemoryJobTypes
from enfila.infrastructure.persistence.memory.jobs import InMemoryJobs
from enfila.infrastructure.persistence.memory.queues import InMemoryQueues
from enfila.infrastructure.persistence.memory.schedule_runs import InMemoryScheduleRuns
from enfila.infrastructure.persistence.memory.schedules import InMemorySchedules
from enfila.infrastructure.persistence.memory.tables.data import Store
from enfila.infrastructure.persistence.memory.transactional_jobs import InMemoryTransactionalJobs
from enfila.infrastructure.persistence.memory.workers import InMemoryWorkers


class InMemoryStorage(Storage):
    """`Storage` on dicts: everything is kept in this process, as long as the object lives.

    The other storages are compared with it: what a job becomes, it always asks the domain. No
    method waits for anything, so each is one step to the tasks of an event loop; a lock makes it
    one to those of other loops too.

    Args:
        clock: where instants come from; the machine's clock when left out.

    Attributes:
        store: the dicts.
        jobs: the jobs in them.
    """

    jobs: IJobRepository

    def __init__(self, clock: Clock | None = None) -> None:
        self.store = Store(clock_or_system(clock))
        self.jobs = InMemoryJobs(self.store, self)
        self.queues = InMemoryQueues(self.store)
        self.workers = InMemoryWorkers(self.store)
        self.job_types = InMemoryJobTypes(self.store)
        self.schedule_runs = InMemoryScheduleRuns(self.store)
        self.schedules = InMemorySchedules(self.store, self.schedule_runs)
        self.transactional_jobs = InMemoryTransactionalJobs()

    @property
    def address(self) -> str:
        """See `Storage.address`."""
        return "memory://"

    async def open(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """Nothing is released: it can be used again, and still has its jobs."""

    async def compact(self) -> None:
        with self.store.lock:
            self.store.keys.forget_removed(self.store.jobs, self.store.clock.now())

    def when_moved(self, callback: Callable[[], None]) -> Callable[[], None]:
        return when_moved(self.store.clock, callback)

    def make_wake_up(self, *, notify: bool, listen_url: str | None = None) -> WakeUp:
        del notify, listen_url  # no other process sees what is here
        return InProcessWakeUp()
