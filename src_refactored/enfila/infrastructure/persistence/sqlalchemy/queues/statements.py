"""The statements about whole queues."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from enfila.core.domain.duration import ZERO
from enfila.core.domain.queue import QueueCounts
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.effects.counters import Counters
from enfila.infrastructure.persistence.sqlalchemy.tables.states import DELAYED
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class QueueStatements:
    """The SQL statements about queues. What must hold for each: `IQueueRepository`."""

    def __init__(
        self, tables: Tables, clock: DatabaseClock, counters: Counters, insert: UpsertingInsert
    ) -> None:
        self._tables = tables
        self._clock = clock
        self._queues = tables.queues
        self._counters = counters
        self._insert = insert

    def register(self, connection: sa.Connection, names: Sequence[str]) -> None:
        """Notes that these queues are used."""
        connection.execute(
            self._insert(self._queues).on_conflict_do_nothing(),
            [{"name": name} for name in names],
        )

    def pause(self, connection: sa.Connection, queue: str, now: datetime) -> bool:
        """Whether it was not paused before."""
        queues = self._queues
        paused = connection.execute(
            self._insert(queues)
            .values(name=queue, paused_at=now)
            .on_conflict_do_update(
                index_elements=[queues.c.name],
                set_={"paused_at": now},
                where=queues.c.paused_at.is_(None),
            )
            .returning(queues.c.name)
        )
        return paused.first() is not None

    def resume(self, connection: sa.Connection, queue: str) -> bool:
        """Whether it was paused before."""
        queues = self._queues
        changed = connection.execute(
            sa.update(queues)
            .where(queues.c.name == queue, queues.c.paused_at.is_not(None))
            .values(paused_at=None)
        )
        return changed.rowcount == 1

    def is_paused(self, connection: sa.Connection, queue: str) -> bool:
        """See `IQueueRepository.is_paused`."""
        queues = self._queues
        return (
            connection.scalar(sa.select(queues.c.paused_at).where(queues.c.name == queue))
            is not None
        )

    def counts(self, connection: sa.Connection, queue: str) -> QueueCounts:
        """See `IQueueRepository.counts`."""
        return QueueCounts.of(self._counters.read(connection, queue))

    def until_next_due(self, connection: sa.Connection, queue: str) -> timedelta | None:
        """See `IQueueRepository.until_next_due`."""
        jobs = self._tables.jobs
        row = connection.execute(
            sa.select(jobs.c.run_at, self._clock.expression)
            .where(jobs.c.queue == queue, jobs.c.state == DELAYED)
            .order_by(jobs.c.run_at)
            .limit(1),
            self._clock.parameters(),
        ).one_or_none()
        return None if row is None else max(ZERO, row[0] - row[1])

    def names(self, connection: sa.Connection) -> list[str]:
        """See `IQueueRepository.names`."""
        used = sa.union(self._counters.queues_with_jobs(), sa.select(self._queues.c.name))
        return sorted(connection.scalars(used))
