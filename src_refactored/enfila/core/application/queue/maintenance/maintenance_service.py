"""The service that does the duties of a queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.queue.maintenance.cleaning import (
    CompactingOfTables,
    ForgettingOfWorkers,
    RetentionOfJobs,
)
from enfila.core.application.queue.maintenance.duty import Duty
from enfila.core.application.queue.maintenance.maintenance_options import MaintenanceOptions
from enfila.core.application.queue.maintenance.overdue_jobs import (
    Expiry,
    Promotion,
    StalledRecovery,
)
from enfila.core.application.queue.publishing.publisher import Publisher
from enfila.core.application.runtime.periodic_loop import PeriodicLoop
from enfila.core.domain.job.policies.retention import RetentionPolicy


class Maintenance:
    """Service: does the duties of a queue, each in a loop of its own: none waits for another.

    Any number of processes may have it run for one queue: what another one did first is stale.

    Args:
        duties: what is to be done.
        queue: for the names of the tasks.
        report: told of what a duty raised; it is done again after its interval.
        random: gives a number in [0, 1), for the jitter of the intervals.
    """

    def __init__(
        self,
        duties: Sequence[Duty],
        *,
        queue: str,
        report: Callable[[Exception], None],
        random: Callable[[], float],
    ) -> None:
        self._duties = duties
        self._loops = [
            PeriodicLoop(
                duty.do_batch,
                interval=_interval_of(duty),
                report=report,
                name=f"enfila {duty.what} of {queue}",
                random=random,
            )
            for duty in duties
        ]

    def start(self, options: MaintenanceOptions) -> None:
        """Begins on the running event loop; if it runs already, it goes on with these options."""
        for duty in self._duties:
            duty.options = options
        for loop in self._loops:
            loop.start()
            loop.wake()

    def wake(self) -> None:
        """Has every duty done soon, and not after its interval."""
        for loop in self._loops:
            loop.wake()

    async def stop(self) -> None:
        """Ends after the statements under way. May be called twice."""
        await asyncio.gather(*(loop.stop() for loop in self._loops))


def duties_of_a_queue(
    repository: IJobRepository, publisher: Publisher, retention: RetentionPolicy | None
) -> list[Duty]:
    """Makes the maintenance duties of one queue: stalled, expired and due jobs, retention.

    Args:
        repository: where its jobs are.
        publisher: tells of jobs that were moved.
        retention: what the queue keeps; None leaves it to the options.
    """
    return [
        StalledRecovery(repository, publisher),
        Expiry(repository, publisher),
        Promotion(repository, publisher),
        RetentionOfJobs(repository, publisher.queue, retention),
        CompactingOfTables(repository.storage),
        ForgettingOfWorkers(repository.storage.workers),
    ]


def _interval_of(duty: Duty) -> Callable[[], timedelta]:
    return lambda: duty.interval
