"""Knowing which workers are alive."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from enfila.core.application.ports.worker_repository import IWorkerRepository
from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.worker import WorkerInfo
from enfila.infrastructure.persistence.memory.tables.data import Store
from enfila.infrastructure.persistence.memory.tables.exclusive import exclusive


@exclusive
class InMemoryWorkers(IWorkerRepository):
    """`IWorkerRepository` on a dict."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def heartbeat(self, worker: WorkerInfo) -> None:
        now = self._store.clock.now()
        known = self._store.workers.get(worker.worker_id)
        started_at = now if known is None else known.started_at
        self._store.workers[worker.worker_id] = replace(worker, started_at=started_at, seen_at=now)

    async def deregister(self, worker_id: WorkerId) -> None:
        self._store.workers.pop(worker_id, None)

    async def all(self, queue: str | None = None) -> list[WorkerInfo]:
        # A dict keeps the order of first insertion, and that is the order of age.
        known = self._store.workers.values()
        return [worker for worker in known if queue is None or worker.queue == queue]

    async def forget_silent(self, silent_for: timedelta) -> int:
        limit = self._store.clock.now() - silent_for
        silent = [worker for worker in self._store.workers.values() if _was_silent(worker, limit)]
        for worker in silent:
            del self._store.workers[worker.worker_id]
        return len(silent)


def _was_silent(worker: WorkerInfo, since: datetime) -> bool:
    return worker.seen_at is not None and worker.seen_at <= since
