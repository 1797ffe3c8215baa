"""The port for one database: what is opened and closed, and hands out the repositories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from enfila.core.application.ports.clock import when_moved
from enfila.core.application.ports.job_type_repository import IJobTypeRepository
from enfila.core.application.ports.queue_repository import IQueueRepository
from enfila.core.application.ports.schedule_repository import IScheduleRepository
from enfila.core.application.ports.schedule_run_repository import IScheduleRunRepository
from enfila.core.application.ports.transactional_jobs import ITransactionalJobs
from enfila.core.application.ports.wake_up import WakeUp
from enfila.core.application.ports.worker_repository import IWorkerRepository
from enfila.core.domain.showing import class_name, plain


class Storage(ABC):
    """One database of an installation, with a repository for each concept.

    The jobs are the root of it: an `IJobRepository` knows its storage (`repository.storage`), and
    whoever swaps that repository swaps everything that is handed out here.

    Attributes:
        queues: whole queues: pauses, counts.
        workers: who is alive.
        job_types: definitions and statistics of job types.
        schedules: schedules, and their ticks.
        schedule_runs: what became of ticks.
        transactional_jobs: adds jobs inside a transaction of the caller's.
    """

    queues: IQueueRepository
    workers: IWorkerRepository
    job_types: IJobTypeRepository
    schedules: IScheduleRepository
    schedule_runs: IScheduleRunRepository
    transactional_jobs: ITransactionalJobs

    @property
    def address(self) -> str:
        """Where it is, for people; without a password."""
        return class_name(type(self))

    def __repr__(self) -> str:
        return f"<{class_name(type(self))} on {plain(self.address)}>"

    @abstractmethod
    async def open(self) -> None:
        """Makes ready: connects, and creates or checks the tables. May be called twice.

        Raises:
            RepositoryUnavailable: the database cannot be reached.
            SchemaMismatch: the tables do not fit this enfila.
        """

    @abstractmethod
    async def close(self) -> None:
        """Releases connections and threads, after the writes under way. May be called twice."""

    @abstractmethod
    async def compact(self) -> None:
        """Housekeeping of the adapter's own, called by maintenance; nothing visible changes."""

    def when_moved(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back whenever somebody moves the clock of its rows; call the answer to end that.

        Only clocks of tests are moved (`MovedClock`).
        """
        return when_moved(None, callback)

    @abstractmethod
    def make_wake_up(self, *, notify: bool, listen_url: str | None = None) -> WakeUp:
        """The wake-up that reaches the other processes on this database, if there can be any.

        Args:
            notify: whether the database may be asked to carry hints; otherwise others poll.
            listen_url: where hints are listened for, if that is another address.

        Raises:
            InvalidRequest: a wrong `listen_url`.
        """
