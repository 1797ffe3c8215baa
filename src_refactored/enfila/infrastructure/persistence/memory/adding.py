"""Adding jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NoReturn

from enfila.core.application.ports.job_repository import Added, CallersTransaction, IJobRepository
from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.deduplication import Decision, Deduplication, KeyHolder
from enfila.core.domain.job.job import Job
from enfila.infrastructure.persistence.memory.job_table import copied
from enfila.infrastructure.persistence.memory.store import Store


class InMemoryAdding(IJobRepository):
    """Stores new jobs one after the other."""

    _store: Store

    async def add(self, jobs: Sequence[Job], notice: Notice | None = None) -> list[Added]:
        del notice
        now = self._store.clock.now()
        return [self._add_job(job, now) for job in jobs]

    async def add_within(
        self,
        jobs: Sequence[Job],  # noqa: ARG002 - the port's signature
        transaction: CallersTransaction,
    ) -> list[Added]:
        _refuse(transaction)

    def add_within_sync(
        self,
        jobs: Sequence[Job],  # noqa: ARG002 - the port's signature
        transaction: CallersTransaction,
    ) -> list[Added]:
        _refuse(transaction)

    def after_commit(
        self,
        transaction: CallersTransaction,
        callback: Callable[[], None],  # noqa: ARG002 - the port's signature
    ) -> None:
        _refuse(transaction)

    def _add_job(self, job: Job, now: datetime) -> Added:
        return self._add(self._numbered(job, now), now)

    def _numbered(self, job: Job, now: datetime) -> Job:
        number = next(self._store.numbers)
        return job.added(now, -number if job.options.lifo else number)

    def _add(self, job: Job, now: datetime) -> Added:
        known = self._store.jobs.get(job.id)
        if known is not None:
            return Added(copied(known))
        self._store.queues.setdefault(job.queue, False)
        deduplication = job.options.deduplication
        if deduplication is None:
            return self._put(job)
        holder = self._store.keys.holder(job.queue, deduplication.key, self._store.jobs)
        decision = deduplication.decide(holder, now)
        if holder is None or decision is Decision.ADD:
            return self._put_with_key(job, deduplication, now)
        if decision is Decision.FOLLOW:
            return self._put_with_key(job.behind(holder.job_id), deduplication, now)
        return Added(copied(self._meet(holder, decision, job, now)), is_duplicate=True)

    def _put(self, job: Job) -> Added:
        self._store.jobs.put(job)
        return Added(copied(job))

    def _put_with_key(self, job: Job, deduplication: Deduplication, now: datetime) -> Added:
        self._store.keys.grant(deduplication, job, now)
        return self._put(job)

    def _meet(self, holder: KeyHolder, decision: Decision, job: Job, now: datetime) -> Job:
        """The job that holds the key, with what it takes from the one that is not added."""
        held = self._store.jobs.get(holder.job_id)
        if held is None:  # removed, and its key is not free yet: nothing but its id is left
            return replace(job, id=holder.job_id)
        if decision is Decision.RETURN_HOLDER:
            return held
        run_after = job.run_at - now if decision is Decision.POSTPONE else None
        amendment = held.amend(document=job.document, options=job.options, run_after=run_after)
        amended = held.amended(amendment, now)
        self._store.jobs.put(amended)
        return amended


def _refuse(transaction: CallersTransaction) -> NoReturn:
    raise InvalidRequest(
        "session", transaction, "jobs in memory take part in no transaction: add without session"
    )
