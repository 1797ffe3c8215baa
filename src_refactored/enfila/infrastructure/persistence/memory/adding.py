"""Adding jobs one after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.deduplication import Decision, Deduplication, KeyHolder
from enfila.infrastructure.persistence.memory.tables.data import Store
from enfila.infrastructure.persistence.memory.tables.job_table import copied


def add_job(store: Store, job: Job, now: datetime) -> Added:
    """Adds one job with a position of its own, or does what its deduplication decides."""
    number = next(store.numbers)
    return _add(store, job.added(now, -number if job.options.lifo else number), now)


def _add(store: Store, job: Job, now: datetime) -> Added:
    known = store.jobs.get(job.id)
    if known is not None:
        return Added(copied(known))
    store.queues.setdefault(job.queue, False)
    deduplication = job.options.deduplication
    if deduplication is None:
        return _put(store, job)
    holder = store.keys.holder(job.queue, deduplication.key, store.jobs)
    decision = deduplication.decide(holder, now)
    if holder is None or decision is Decision.ADD:
        return _put_with_key(store, job, deduplication, now)
    if decision is Decision.FOLLOW:
        return _put_with_key(store, job.behind(holder.job_id), deduplication, now)
    return Added(copied(_meet(store, holder, decision, job, now)), is_duplicate=True)


def _put(store: Store, job: Job) -> Added:
    store.jobs.put(job)
    return Added(copied(job))


def _put_with_key(store: Store, job: Job, deduplication: Deduplication, now: datetime) -> Added:
    store.keys.grant(deduplication, job, now)
    return _put(store, job)


def _meet(store: Store, holder: KeyHolder, decision: Decision, job: Job, now: datetime) -> Job:
    """The job that holds the key, with what it takes from the one that is not added."""
    held = store.jobs.get(holder.job_id)
    if held is None:  # removed, and its key is not free yet: nothing but its id is left
        return replace(job, id=holder.job_id)
    if decision is Decision.RETURN_HOLDER:
        return held
    run_after = job.run_at - now if decision is Decision.POSTPONE else None
    amendment = held.amend(document=job.document, options=job.options, run_after=run_after)
    amended = held.amended(amendment, now)
    store.jobs.put(amended)
    return amended
