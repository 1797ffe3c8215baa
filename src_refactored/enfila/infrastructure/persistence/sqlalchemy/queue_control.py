"""`IQueueControl` and `IWorkerRegistry` on SQLAlchemy Core."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from enfila.core.application.ports.queue_control import IQueueControl, IWorkerRegistry
from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.worker import WorkerInfo
from enfila.infrastructure.persistence.sqlalchemy.access import Access
from enfila.infrastructure.persistence.sqlalchemy.queues_and_workers import Queues, Workers


class SqlAlchemyQueueControl(Access, IQueueControl):
    """Pauses queues."""

    _queues: Queues

    async def set_paused(self, queue: str, *, paused: bool) -> bool:
        """See `IQueueControl.set_paused`."""

        def set_paused(connection: sa.Connection) -> bool:
            if paused:
                return self._queues.pause(connection, queue, self._instants.read(connection))
            return self._queues.resume(connection, queue)

        return await self._write(set_paused)

    async def is_paused(self, queue: str) -> bool:
        """See `IQueueControl.is_paused`."""
        return await self._read(lambda connection: self._queues.is_paused(connection, queue))


class SqlAlchemyWorkerRegistry(Access, IWorkerRegistry):
    """Knows who works."""

    _workers: Workers

    async def beat(self, worker: WorkerInfo) -> None:
        """See `IWorkerRegistry.beat`."""
        await self._write(
            lambda connection: self._workers.beat(
                connection, worker, self._instants.read(connection)
            )
        )

    async def sign_off(self, worker_id: WorkerId) -> None:
        """See `IWorkerRegistry.sign_off`."""
        await self._write(lambda connection: self._workers.sign_off(connection, worker_id))

    async def workers(self, queue: str | None = None) -> list[WorkerInfo]:
        """See `IWorkerRegistry.workers`."""
        return await self._read(lambda connection: self._workers.all(connection, queue))

    async def forget_silent_workers(self, silent_for: timedelta) -> int:
        """See `IWorkerRegistry.forget_silent_workers`."""
        return await self._write(
            lambda connection: self._workers.forget_silent(
                connection, silent_for, self._instants.read(connection)
            )
        )
