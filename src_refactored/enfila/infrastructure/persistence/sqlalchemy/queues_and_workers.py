"""Whole queues, and workers seen from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.worker import WorkerInfo
from enfila.infrastructure.persistence.sqlalchemy.tables import Tables

UpsertingInsert = Callable[[sa.Table], Any]
"""The dialect's own insert, which knows what to do in a conflict."""


class Queues:
    """Pausing and resuming."""

    def __init__(self, tables: Tables, insert: UpsertingInsert) -> None:
        self._queues = tables.queues
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
        """See `IQueueControl.is_paused`."""
        queues = self._queues
        return (
            connection.scalar(sa.select(queues.c.paused_at).where(queues.c.name == queue))
            is not None
        )


class Workers:
    """The list of workers."""

    def __init__(self, tables: Tables) -> None:
        self._workers = tables.workers

    def beat(self, connection: sa.Connection, worker: WorkerInfo, now: datetime) -> None:
        """See `IWorkerRegistry.beat`."""
        workers = self._workers
        values = {
            "queue": worker.queue,
            "host": worker.host,
            "process_id": worker.process_id,
            "concurrency": worker.concurrency,
            "active": worker.active,
            "seen_at": now,
        }
        changed = connection.execute(
            sa.update(workers).where(workers.c.id == worker.worker_id).values(values)
        )
        if changed.rowcount == 0:
            connection.execute(
                sa.insert(workers).values(id=worker.worker_id, started_at=now, **values)
            )

    def sign_off(self, connection: sa.Connection, worker_id: WorkerId) -> None:
        """See `IWorkerRegistry.sign_off`."""
        connection.execute(sa.delete(self._workers).where(self._workers.c.id == worker_id))

    def all(self, connection: sa.Connection, queue: str | None) -> list[WorkerInfo]:
        """See `IWorkerRegistry.workers`."""
        workers = self._workers
        chosen = sa.select(
            workers.c.id,
            workers.c.queue,
            workers.c.host,
            workers.c.process_id,
            workers.c.concurrency,
            workers.c.active,
            workers.c.started_at,
            workers.c.seen_at,
        ).order_by(workers.c.started_at, workers.c.id)
        if queue is not None:
            chosen = chosen.where(workers.c.queue == queue)
        return [WorkerInfo(*row) for row in connection.execute(chosen)]

    def forget_silent(self, connection: sa.Connection, silent_for: timedelta, now: datetime) -> int:
        """See `IWorkerRegistry.forget_silent_workers`."""
        gone = connection.execute(
            sa.delete(self._workers).where(self._workers.c.seen_at <= now - silent_for)
        )
        return gone.rowcount
