"""How a queue looks after itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

from enfila.core.application.periodic_loop import PeriodicLoop
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.queue.expiry import expire_late
from enfila.core.application.queue.job_moves import JobMoves
from enfila.core.application.queue.maintenance_options import MaintenanceOptions
from enfila.core.application.queue.promotion import mature_due
from enfila.core.application.queue.retention import forget_silent, remove_old
from enfila.core.application.queue.stalled_recovery import recover_stalled
from enfila.core.domain.job.retention import RetentionPolicy


class Maintenance:
    """Service: the duties of one queue, each in a loop of its own, so that none holds up another.

    Any number of processes may have it run for one queue: what another one did first is stale.

    Args:
        retention: what the queue keeps; None leaves it to the options.
        report: told of what a duty raised; it is done again after its interval.
        chance: a random number in [0, 1) for the jitter of the intervals.
    """

    def __init__(
        self,
        queue: str,
        repository: IJobRepository,
        moves: JobMoves,
        retention: RetentionPolicy | None,
        *,
        report: Callable[[Exception], None],
        chance: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._repository = repository
        self._moves = moves
        self._retention = retention
        self._report = report
        self._chance = chance
        self._options = MaintenanceOptions()
        self._loops = [
            self._loop("recovers stalled jobs", self.recover_stalled, self._stalled_interval),
            self._loop("expires late jobs", self.expire_late, self._stalled_interval),
            self._loop("matures due jobs", self.mature_due, self._stalled_interval),
            self._loop("removes old jobs", self.remove_old, self._retention_interval),
            self._loop("tidies the tables", self.tidy, self._stalled_interval),
            self._loop("forgets silent workers", self.forget_silent, self._silent_interval),
        ]

    def start(self, options: MaintenanceOptions) -> None:
        """Begins on the running event loop; if it runs already, it goes on with these options."""
        self._options = options
        for loop in self._loops:
            loop.start()
            loop.wake()

    async def stop(self) -> None:
        """Ends after the statements under way. May be called twice."""
        await asyncio.gather(*(loop.stop() for loop in self._loops))

    # ── the duties; each does one batch and says whether there may be more ───────────────────

    async def recover_stalled(self) -> bool:
        """Stalled jobs run again or fail."""
        return await recover_stalled(
            self._queue,
            self._repository,
            self._moves,
            max_stalled_count=self._options.max_stalled_count,
            batch=self._options.batch,
        )

    async def expire_late(self) -> bool:
        """Jobs that were not started in time are cancelled."""
        return await expire_late(
            self._queue, self._repository, self._moves, batch=self._options.batch
        )

    async def mature_due(self) -> bool:
        """Due jobs join the line."""
        return await mature_due(
            self._queue, self._repository, self._moves, batch=self._options.batch
        )

    async def remove_old(self) -> bool:
        """Finished jobs that nobody asked to keep are removed."""
        return await remove_old(
            self._queue,
            self._repository,
            self._retention or self._options.retention,
            batch=self._options.batch,
        )

    async def tidy(self) -> bool:
        """The adapter's own housekeeping."""
        await self._repository.storage.tidy()
        return False

    async def forget_silent(self) -> bool:
        """Workers that died are forgotten."""
        return await forget_silent(
            self._repository.storage.workers, cast("timedelta", self._options.silent_worker)
        )

    def _loop(
        self, duty: str, step: Callable[[], Awaitable[bool]], interval: Callable[[], timedelta]
    ) -> PeriodicLoop:
        return PeriodicLoop(
            step,
            interval=interval,
            report=self._report,
            name=f"enfila {duty} of {self._queue}",
            chance=self._chance,
        )

    def _stalled_interval(self) -> timedelta:
        return cast("timedelta", self._options.stalled_interval)

    def _retention_interval(self) -> timedelta:
        return cast("timedelta", self._options.retention_interval)

    def _silent_interval(self) -> timedelta:
        return cast("timedelta", self._options.silent_worker)
