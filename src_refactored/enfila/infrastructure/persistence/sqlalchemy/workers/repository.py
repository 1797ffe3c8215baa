"""`IWorkerRepository` on SQLAlchemy Core."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from enfila.core.application.ports.worker_repository import IWorkerRepository
from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.worker import WorkerInfo
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables
from enfila.infrastructure.persistence.sqlalchemy.tables.workers import WORKER, heartbeat_values


class SqlAlchemyWorkers(IWorkerRepository):
    """`IWorkerRepository` on SQL."""

    def __init__(self, access: Access, tables: Tables) -> None:
        self._access = access
        self._workers = tables.workers

    async def heartbeat(self, worker: WorkerInfo) -> None:
        """See `IWorkerRepository.heartbeat`."""
        workers = self._workers

        def heartbeat(connection: sa.Connection) -> None:
            now = self._access.clock.read(connection)
            values = heartbeat_values(worker, now)
            changed = connection.execute(
                sa.update(workers).where(workers.c.id == worker.worker_id).values(values)
            )
            if changed.rowcount == 0:
                connection.execute(
                    sa.insert(workers).values(id=worker.worker_id, started_at=now, **values)
                )

        await self._access.write(heartbeat)

    async def deregister(self, worker_id: WorkerId) -> None:
        """See `IWorkerRepository.deregister`."""
        gone = sa.delete(self._workers).where(self._workers.c.id == worker_id)
        await self._access.write(lambda connection: connection.execute(gone).rowcount)

    async def all(self, queue: str | None = None) -> list[WorkerInfo]:
        """See `IWorkerRepository.all`."""
        workers = self._workers
        chosen = sa.select(*WORKER.of(workers)).order_by(workers.c.started_at, workers.c.id)
        if queue is not None:
            chosen = chosen.where(workers.c.queue == queue)
        return await self._access.read(
            lambda connection: [WORKER.entity(row) for row in connection.execute(chosen)]
        )

    async def forget_silent(self, silent_for: timedelta) -> int:
        """See `IWorkerRepository.forget_silent`."""

        def forget(connection: sa.Connection) -> int:
            latest = self._access.clock.read(connection) - silent_for
            silent = sa.delete(self._workers).where(self._workers.c.seen_at <= latest)
            return connection.execute(silent).rowcount

        return await self._access.write(forget)
