"""The moment when nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from enfila.core.application.emitter import Emitter
from enfila.core.application.queue.publishing.claimed_jobs import ClaimedJobs
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.errors import EnfilaError
from enfila.core.domain.events import QueueDrained
from enfila.core.domain.queue import QueueCounts


class DrainWatch:
    """Tells `queue.drained` once each time this process did the last of the work.

    It is armed by new work, and asks for the counts only when somebody listens and nothing is held
    here.

    Args:
        count: the queue's counts, as they are now.
        now: the instant that the event carries.
        tasks: the owner of the task that looks.
    """

    def __init__(
        self,
        queue: str,
        emitter: Emitter,
        claimed: ClaimedJobs,
        *,
        count: Callable[[], Coroutine[Any, Any, QueueCounts]],
        now: Callable[[], datetime],
        tasks: OwnedTasks,
    ) -> None:
        self._queue = queue
        self._emitter = emitter
        self._claimed = claimed
        self._count = count
        self._now = now
        self._tasks = tasks
        self._is_armed = False
        self._arming = object()

    def arm(self) -> None:
        """Notes that there is work: jobs were added or claimed, or may be about to end."""
        self._is_armed = True
        self._arming = object()  # another one: loops of several threads may arm it at once

    @property
    def is_due(self) -> bool:
        """Whether it is worth to `look`."""
        return (
            self._is_armed and not self._claimed and self._emitter.has_listeners(QueueDrained.name)
        )

    def look_soon(self) -> None:
        """Looks, in a task of its own: who settled the last job need not wait for it."""
        if self.is_due:
            _ = self._tasks.spawn(self._look_or_report(), name=f"enfila looks at {self._queue}")

    async def _look_or_report(self) -> None:
        try:
            await self.look()
        except EnfilaError as error:
            self._emitter.report_error(error, "looking whether the queue is drained")

    async def look(self) -> None:
        """Asks whether nothing is left to do, and tells it if so."""
        while self.is_due:
            arming = self._arming
            if (await self._count()).unfinished:
                return
            # Whatever came while the counts were on their way has to be counted too.
            if self.is_due and arming is self._arming:
                self._is_armed = False
                self._emitter.publish(QueueDrained(queue=self._queue, at=self._now()))
