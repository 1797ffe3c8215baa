"""Adding jobs one after the other."""

from __future__ import annotations

from datetime import datetime

from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.deduplication import Decision
from enfila.core.domain.job.policies.key_grant import KeyGrant
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
    holder = store.keys.holder(job.queue, deduplication.key, store.jobs, now)
    decision = deduplication.decide(holder, now)
    if holder is None or decision is Decision.ADD:
        return _put_with_key(store, job, KeyGrant(job.id, deduplication.held_until(now)))
    if decision is Decision.FOLLOW:
        grant = KeyGrant(job.id, deduplication.held_until(now), follows=holder.job_id)
        return _put_with_key(store, job.behind(holder.job_id), grant)
    held = store.jobs.get(holder.job_id)
    if held is None:
        return Added.removed(copied(job), holder)
    return Added(copied(_meet(store, held, decision, job, now)), is_duplicate=True)


def _put(store: Store, job: Job) -> Added:
    store.jobs.put(job)
    return Added(copied(job))


def _put_with_key(store: Store, job: Job, grant: KeyGrant) -> Added:
    store.keys.grant(job, grant)
    return _put(store, job)


def _meet(store: Store, held: Job, decision: Decision, job: Job, now: datetime) -> Job:
    """The job that holds the key, with what it takes from the one that is not added."""
    if decision is Decision.RETURN_HOLDER:
        return held
    run_after = job.run_at - now if decision is Decision.POSTPONE else None
    amendment = held.amend(document=job.document, options=job.options, run_after=run_after)
    amended = held.amended(amendment, now)
    store.jobs.put(amended)
    return amended
