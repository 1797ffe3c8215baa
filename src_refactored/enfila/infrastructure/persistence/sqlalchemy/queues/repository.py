"""`IQueueRepository` on SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from enfila.core.application.ports.queue_repository import IQueueRepository
from enfila.core.domain.queue import QueueCounts
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.effects.counters import Counters
from enfila.infrastructure.persistence.sqlalchemy.queues.statements import QueueStatements
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class SqlAlchemyQueues(IQueueRepository):
    """`IQueueRepository` on SQL: looks at queues, and pauses them."""

    def __init__(
        self, access: Access, tables: Tables, counters: Counters, insert: UpsertingInsert
    ) -> None:
        self._access = access
        self._statements = QueueStatements(tables, access.clock, counters, insert)

    async def names(self) -> Sequence[str]:
        """See `IQueueRepository.names`."""
        return await self._access.read(self._statements.names)

    async def counts(self, queue: str) -> QueueCounts:
        """See `IQueueRepository.counts`."""
        return await self._access.read(
            lambda connection: self._statements.counts(connection, queue)
        )

    async def until_next_due(self, queue: str) -> timedelta | None:
        """See `IQueueRepository.until_next_due`."""
        return await self._access.read(
            lambda connection: self._statements.until_next_due(connection, queue)
        )

    async def set_paused(self, queue: str, *, paused: bool) -> bool:
        """See `IQueueRepository.set_paused`."""

        def set_paused(connection: sa.Connection) -> bool:
            if paused:
                now = self._access.clock.read(connection)
                return self._statements.pause(connection, queue, now)
            return self._statements.resume(connection, queue)

        return await self._access.write(set_paused)

    async def is_paused(self, queue: str) -> bool:
        """See `IQueueRepository.is_paused`."""
        return await self._access.read(
            lambda connection: self._statements.is_paused(connection, queue)
        )
