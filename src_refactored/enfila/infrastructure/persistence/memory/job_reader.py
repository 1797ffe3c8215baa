"""Looking at jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from enfila.core.application.ports.job_reader import IJobReader, LogLine, Overdue
from enfila.core.domain.duration import ZERO
from enfila.core.domain.job.attempt import Attempt
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import INITIAL, JobState
from enfila.core.domain.queue import QueueCounts
from enfila.infrastructure.persistence.memory.job_table import copied
from enfila.infrastructure.persistence.memory.store import Store


class InMemoryJobReader(IJobReader):
    """Reads the dicts of a `Store`."""

    _store: Store

    async def get(self, job_ids: Collection[JobId]) -> dict[JobId, Job]:
        found = {job_id: self._store.jobs.get(job_id) for job_id in job_ids}
        return {job_id: copied(job) for job_id, job in found.items() if job is not None}

    async def find(
        self,
        queue: str,
        states: Collection[JobState],
        *,
        limit: int = 100,
        offset: int = 0,
        newest_first: bool = False,
    ) -> list[Job]:
        jobs = self._store.jobs.in_states(queue, states)
        if newest_first:
            jobs.reverse()
        return [copied(job) for job in jobs[offset : offset + limit]]

    async def overdue(self, queue: str, kind: Overdue, limit: int) -> list[Job]:
        states, instant = _OVERDUE[kind]
        now = self._store.clock.now()
        late = [
            (since, job.position, job)
            for job in self._store.jobs.in_states(queue, states)
            if (since := instant(job)) is not None and since <= now
        ]
        late.sort(key=lambda entry: entry[:2])
        return [copied(job) for _, _, job in late[:limit]]

    async def counts(self, queue: str) -> QueueCounts:
        return QueueCounts.of({state: self._store.jobs.count(queue, state) for state in JobState})

    async def until_next_due(self, queue: str) -> timedelta | None:
        due = self._store.jobs.next_due(queue)
        return None if due is None else max(due - self._store.clock.now(), ZERO)

    async def attempts(self, job_id: JobId) -> list[Attempt]:
        job = self._store.jobs.get(job_id)
        records = self._store.records.get(job_id, [])
        last = None if job is None else job.unrecorded_run
        return [*records] if last is None else [*records, last]

    async def logs(self, job_id: JobId, *, limit: int = 1000, offset: int = 0) -> list[LogLine]:
        return self._store.logs.get(job_id, [])[offset : offset + limit]

    async def queues(self) -> list[str]:
        return sorted(self._store.queues)


_OVERDUE: dict[Overdue, tuple[frozenset[JobState], Callable[[Job], datetime | None]]] = {
    Overdue.STALLED: (frozenset({JobState.ACTIVE}), lambda job: job.locked_until),
    Overdue.EXPIRED: (INITIAL, lambda job: job.expires_at),
    Overdue.DUE: (frozenset({JobState.DELAYED}), lambda job: job.run_at),
}
"""Per kind the states it is looked for in, and the instant after which a job is overdue."""
