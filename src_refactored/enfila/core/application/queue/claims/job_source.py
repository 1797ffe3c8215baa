"""The port that a worker needs: where its jobs come from."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic

from typing_extensions import TypeVar

from enfila.core.application.emitter import ErrorReporter
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.claims.outcome_writer import OutcomeWriter
from enfila.core.application.queue.maintenance.maintenance_options import MaintenanceOptions
from enfila.core.domain.duration import Duration
from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.json_document import JsonDocument

P = TypeVar("P", default=Any)
"""The type of a payload."""
R = TypeVar("R", default=Any)
"""The type of a result."""


class JobSource(ABC, Generic[P, R]):
    """Where a worker takes jobs from: a queue, or several of one database.

    Here is what depends on the queue. What became of jobs is written to the database, for all
    queues at once: `outcomes`.

    Every method may raise `RepositoryUnavailable`, and after it was closed `AlreadyClosed`.

    Attributes:
        name: what people read: the name of the queue, or of the queues.
        outcomes: settles jobs, extends their locks, stores their progress, and knows workers.
    """

    name: str
    outcomes: OutcomeWriter

    @abstractmethod
    async def fetch_jobs_and_lock(
        self,
        worker_id: WorkerId,
        limit: int,
        lock_duration: Duration,
        *,
        names: frozenset[str] | None = None,
    ) -> list[Job]:
        """Claims up to `limit` jobs in the order to run them; [] when there is none.

        See `IJobRepository.claim` for which jobs are eligible.
        """

    @abstractmethod
    def read_payload(self, job: Job) -> P:
        """The payload of a job in the queue's `payload_type`, for its processor.

        Raises:
            InvalidRequest: what was stored does not fit the type, which must have changed since.
        """

    @abstractmethod
    def write_result(self, result: R | None) -> JsonDocument:
        """What `Completed` takes of a processor's result.

        Raises:
            ResultRefused: it does not fit the queue's `result_type`, is not JSON, or is too large.
        """

    @abstractmethod
    async def mark_job_as_active(self, job: Job) -> None:
        """Tells the listeners that a claimed job begins to run."""

    @abstractmethod
    async def until_next_due(self) -> timedelta | None:
        """Time until the next delayed job is due; None without delayed jobs."""

    @abstractmethod
    def listen(self, hint: Hint) -> asyncio.Event:
        """An event that is set when such a hint arrives; see `WakeUp`."""

    @abstractmethod
    def ignore(self, hint: Hint, event: asyncio.Event) -> None:
        """Ends what `listen` began."""

    @property
    def hears_others(self) -> bool:
        """Whether hints of other processes arrive at this moment; see `WakeUp`."""
        return False

    @abstractmethod
    def start_maintenance(self, options: MaintenanceOptions | None = None) -> None:
        """Begins to recover stalled jobs, expire late ones, mature due ones and remove old ones.

        Any number of processes may do so at the same time. Calling it again changes the options.
        """

    # ── listeners ────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def has_listeners(self, name: str) -> bool:
        """Whether building and telling such an event is worth the while."""

    @abstractmethod
    def report_errors_to(self, reporter: ErrorReporter) -> Callable[[], None]:
        """Has `reporter` told of errors instead of the log; call the answer to end that."""


AnySource = JobSource[Any, Any]
