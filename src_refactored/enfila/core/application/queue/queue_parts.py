"""The parts of one queue object, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from enfila.core.application.emitter import Emitter
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint, WakeUp
from enfila.core.application.queue.adding import Adding
from enfila.core.application.queue.announcer import Announcer
from enfila.core.application.queue.audience import Audience
from enfila.core.application.queue.changing import Changing
from enfila.core.application.queue.drain_watch import DrainWatch
from enfila.core.application.queue.holdings import Holdings
from enfila.core.application.queue.job_catalog import JobCatalog
from enfila.core.application.queue.job_moves import JobMoves
from enfila.core.application.queue.lending import Lending
from enfila.core.application.queue.maintenance import Maintenance
from enfila.core.application.queue.payload_codec import PayloadCodec
from enfila.core.application.queue.queue_control import QueueControl
from enfila.core.application.queue.result_waiter import ResultWaiter
from enfila.core.application.sync_portal import SyncPortal
from enfila.core.application.tasks import OwnedTasks
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.retention import RetentionPolicy


class QueueParts:
    """Everything that a queue delegates to; what each one is, its own file says."""

    def __init__(
        self,
        queue: str,
        repository: IJobRepository,
        *,
        wake_up: WakeUp,
        emitter: Emitter,
        codec: PayloadCodec,
        defaults: JobOptions | None,
        catalog: JobCatalog | None,
        retention: RetentionPolicy | None,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self.tasks = OwnedTasks()
        self.portal = SyncPortal(f"enfila adds to {queue}")
        self.waiter = ResultWaiter(
            repository.get,
            listen=partial(wake_up.listen, queue, Hint.SETTLED),
            ignore=partial(wake_up.ignore, queue, Hint.SETTLED),
            name=f"enfila waits for results of {queue}",
        )
        audience = _audience(
            queue,
            repository,
            wake_up=wake_up,
            emitter=emitter,
            waiter=self.waiter,
            clock=clock,
            tasks=self.tasks,
        )
        moves = JobMoves(repository, audience)
        self.adding = Adding(
            queue,
            repository,
            codec=codec,
            defaults=defaults,
            catalog=catalog,
            audience=audience,
            clock=clock,
            defer=self.portal.post,
        )
        self.changing = Changing(queue, repository, moves=moves, audience=audience, clock=clock)
        self.control = QueueControl(queue, repository, audience, clock)
        self.lending = Lending(
            repository,
            moves=moves,
            audience=audience,
            tasks=self.tasks,
            clock=clock,
            chance=chance,
        )
        self.maintenance = Maintenance(
            queue,
            repository,
            moves,
            retention,
            report=lambda error: emitter.report_error(error, f"maintenance of {queue}"),
            chance=chance,
        )

    async def close(self, error: Exception) -> None:
        """Ends what runs, after its writes; who waits for a job gets `error`. Idempotent."""
        await self.maintenance.stop()
        await self.waiter.close(error)
        await self.adding.close()
        await self.tasks.wait()
        if self.portal.has_thread:
            await asyncio.to_thread(self.portal.close)


def _audience(
    queue: str,
    repository: IJobRepository,
    *,
    wake_up: WakeUp,
    emitter: Emitter,
    waiter: ResultWaiter,
    clock: Clock,
    tasks: OwnedTasks,
) -> Audience:
    holdings = Holdings()
    drained = DrainWatch(
        queue,
        emitter,
        holdings,
        count=partial(repository.storage.queues.counts, queue),
        now=clock.now,
        tasks=tasks,
    )
    return Audience(
        emitter,
        Announcer(emitter),
        waiter,
        holdings,
        drained,
        partial(wake_up.hint, queue),
        partial(wake_up.notice, queue),
    )
