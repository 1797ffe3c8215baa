"""What one queue object consists of, wired in one place."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from enfila.core.application.emitter import Emitter
from enfila.core.application.interceptors import Interceptors
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint, WakeUp
from enfila.core.application.queue.adding.adding import Adding
from enfila.core.application.queue.adding.intercepted_adding import InterceptedAdding
from enfila.core.application.queue.adding.job_catalog import JobCatalog
from enfila.core.application.queue.adding.payload_codec import PayloadCodec
from enfila.core.application.queue.claims.claiming import Claiming
from enfila.core.application.queue.claims.outcome_writer import OutcomeWriter
from enfila.core.application.queue.maintenance.maintenance_service import (
    Maintenance,
    duties_of_a_queue,
)
from enfila.core.application.queue.operations.job_operations import JobOperations
from enfila.core.application.queue.operations.queue_control import QueueControl
from enfila.core.application.queue.publishing.publisher import Publisher
from enfila.core.application.runtime.sync_portal import SyncPortal
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.retention import RetentionPolicy

_LAST_WRITES: Final = 1.5
"""Seconds that a closing queue waits for its writes under way."""


class QueueComponents:
    """Builds the use cases that a queue delegates to, and what they share.

    Args:
        check_open: raises `AlreadyClosed` when the queue is closed.

    Attributes:
        tasks: everything that writes runs in one of these, to its end.
        portal: the way in for code without an event loop.
        publisher: tells what was written.
        claiming, outcomes, operations, control: the use cases, as their files say.
        maintenance: does what keeps the queue in order.
    """

    def __init__(
        self,
        queue: str,
        repository: IJobRepository,
        *,
        wake_up: WakeUp,
        emitter: Emitter,
        codec: PayloadCodec,
        codec_of: Callable[[Job], PayloadCodec],
        defaults: JobOptions | None,
        catalog: JobCatalog | None,
        retention: RetentionPolicy | None,
        interceptors: Interceptors,
        clock: Clock,
        random: Callable[[], float],
        check_open: Callable[[], None],
    ) -> None:
        self.tasks = OwnedTasks()
        self.portal = SyncPortal(f"enfila adds to {queue}")
        self.publisher = Publisher(
            queue,
            repository,
            wake_up,
            emitter=emitter,
            clock=clock,
            tasks=self.tasks,
            check_open=check_open,
        )
        self._adding = Adding(
            repository,
            self.publisher,
            codec=codec,
            defaults=defaults,
            catalog=catalog,
            clock=clock,
            tasks=self.tasks,
            portal=self.portal,
        )
        self._intercepted = InterceptedAdding(self._adding, interceptors)
        self._interceptors = interceptors
        self.outcomes = OutcomeWriter(repository, [self.publisher], tasks=self.tasks, random=random)
        self.claiming = Claiming(repository, self.publisher, self.outcomes, self.tasks)
        self.operations = JobOperations(
            repository, self.publisher, tasks=self.tasks, codec_of=codec_of
        )
        self.control = QueueControl(repository, self.publisher)
        self._wake_up = wake_up
        self._stop_watching = repository.storage.when_moved(self._clock_was_moved)
        self.maintenance = Maintenance(
            duties_of_a_queue(repository, self.publisher, retention),
            queue=queue,
            report=lambda error: emitter.report_error(error, f"maintenance of {queue}"),
            random=random,
        )

    @property
    def adding(self) -> Adding | InterceptedAdding:
        """How jobs get in; asked each time, because interceptors may come later."""
        return self._intercepted if self._interceptors.around_adds else self._adding

    def _clock_was_moved(self) -> None:
        """Workers and maintenance look again: what waits for an instant may be due."""
        self._wake_up.hint(self.publisher.queue, Hint.JOBS)
        self.portal.post(self.maintenance.wake)

    async def close(self, error: Exception) -> None:
        """Ends what runs, after its writes; who waits for a job gets `error`. Idempotent.

        Writes that take long go on; whoever closes the database waits for them, if it answers.
        """
        self._stop_watching()
        ends = asyncio.get_running_loop().time() + _LAST_WRITES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(ends):
                await self.maintenance.stop()
                await self._adding.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(ends):
                await self.publisher.close(error)
                await self.tasks.wait()
        if self.portal.has_thread:
            await asyncio.to_thread(self.portal.close)
