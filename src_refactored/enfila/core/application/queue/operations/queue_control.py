"""What people do to whole queues."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.queue_repository import IQueueRepository
from enfila.core.application.queue.publishing.publisher import Publisher
from enfila.core.domain.errors import QueueNotEmpty
from enfila.core.domain.job.state import JobState

MOST_IN_A_STATEMENT: Final = 10_000


class QueueControl:
    """The use cases on one queue as a whole. Errors as in `AbstractQueue`."""

    def __init__(self, repository: IJobRepository, publisher: Publisher) -> None:
        self._queue = publisher.queue
        self._repository = repository
        self._queues: IQueueRepository = repository.storage.queues
        self._publisher = publisher

    async def pause(self) -> None:
        """Stops claims in every process."""
        if await self._queues.set_paused(self._queue, paused=True):
            self._publisher.paused()

    async def resume(self) -> None:
        """Allows claims again."""
        if await self._queues.set_paused(self._queue, paused=False):
            self._publisher.resumed()

    async def drain(self, *, delayed: bool) -> int:
        """Removes what has not started."""
        states = {JobState.WAITING, JobState.DELAYED} if delayed else {JobState.WAITING}
        return await self._remove(states)

    async def clean(self, state: JobState, older_than: timedelta, limit: int) -> int:
        """Removes what ended a while ago."""
        return await self._remove({state}, finished_before=older_than, limit=limit)

    async def obliterate(self, *, force: bool) -> int:
        """Removes everything."""
        removed = await self._repository.obliterate(self._queue, force=force)
        if removed is None:
            counts = await self._queues.counts(self._queue)
            raise QueueNotEmpty(self._queue, counts.active)
        self._publisher.obliterated()
        return removed

    async def _remove(
        self,
        states: Collection[JobState],
        *,
        finished_before: timedelta | None = None,
        limit: int | None = None,
    ) -> int:
        """In statements of bounded size, until one finds less than it may remove."""
        removed = 0
        with self._publisher.writing(()) as write:
            while limit is None or removed < limit:
                most = MOST_IN_A_STATEMENT if limit is None else limit - removed
                batch = min(most, MOST_IN_A_STATEMENT)
                found = await self._repository.remove_all(
                    self._queue, states, finished_before=finished_before, limit=batch
                )
                removed += found
                if found < batch:
                    break
            write.removed_all(states, removed)
        return removed
