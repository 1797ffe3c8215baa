"""The jobs, on dicts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from enfila.core.application.ports.job_reader import LogLine, Overdue
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.storage import Storage
from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.retention import Retention, RetentionPolicy
from enfila.core.domain.job.running.attempt import Attempt
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import FINAL, INITIAL, JobState
from enfila.core.domain.job.transition import Amendment, Transition
from enfila.infrastructure.persistence.memory.adding import add_job
from enfila.infrastructure.persistence.memory.effects.dependencies import release, without_ended
from enfila.infrastructure.persistence.memory.effects.effects import store_effects
from enfila.infrastructure.persistence.memory.tables.data import Store
from enfila.infrastructure.persistence.memory.tables.exclusive import exclusive
from enfila.infrastructure.persistence.memory.tables.job_table import copied


@exclusive
class InMemoryJobs(IJobRepository):
    """`IJobRepository` on dicts."""

    def __init__(self, store: Store, storage: Storage) -> None:
        self._store = store
        self._storage = storage

    @property
    def storage(self) -> Storage:
        return self._storage

    # ── looking ──────────────────────────────────────────────────────────────────────────────

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

    async def attempts(self, job_id: JobId) -> list[Attempt]:
        job = self._store.jobs.get(job_id)
        records = self._store.attempts.get(job_id, [])
        last = None if job is None else job.unrecorded_run
        return [*records] if last is None else [*records, last]

    async def logs(self, job_id: JobId, *, limit: int = 1000, offset: int = 0) -> list[LogLine]:
        return self._store.logs.get(job_id, [])[offset : offset + limit]

    # ── adding ───────────────────────────────────────────────────────────────────────────────

    async def add(self, jobs: Sequence[Job], notice: Notice | None = None) -> list[Added]:
        del notice
        now = self._store.clock.now()
        ready = without_ended(self._store, jobs, now)
        return [add_job(self._store, job, now) for job in ready]

    # ── running ──────────────────────────────────────────────────────────────────────────────

    async def claim(self, claim: Claim) -> list[Job]:
        if self._store.queues.get(claim.queue, False):
            return []
        now = self._store.clock.now()
        line = self._store.jobs.in_line(claim.queue, now)
        names = self._names_of(claim)
        eligible = (job for job in line if _is_eligible(job, names, now))
        until = now + claim.lock_duration
        claimed = [
            job.claimed(claim.worker_id, now, until) for job in islice(eligible, claim.limit)
        ]
        for job in claimed:
            self._store.jobs.put(job)
        return [copied(job) for job in claimed]

    def _names_of(self, claim: Claim) -> frozenset[str] | None:
        """The names that a claim may take; None for all."""
        if claim.names is None:
            return None
        types = self._store.job_types
        return claim.names - {name for name, known in types.items() if not known.is_enabled}

    async def apply(self, transitions: Sequence[Transition]) -> list[datetime | None]:
        now = self._store.clock.now()
        return [self._apply(transition, now) for transition in transitions]

    def _apply(self, transition: Transition, now: datetime) -> datetime | None:
        job = self._store.standing(transition.job_id, transition.source, transition.token)
        if job is None:
            return None
        key = transition.retakes
        if key is not None and not self._store.keys.retake(job.id, key, self._store.jobs, now):
            return None
        if transition.removes and not self._is_expected(job.id):
            self._store.forget([job])
            return now
        self._store.jobs.put(job.after(transition, now))
        store_effects(self._store, job, transition, now)
        if transition.target.is_final:
            self._store.retentions[job.id] = transition.retention
            release(self._store, [job.id], now)
        return now

    def _is_expected(self, job_id: JobId) -> bool:
        """Whether somebody, or another job, waits for the end of this one."""
        return job_id in self._store.expected or bool(self._store.jobs.dependents(job_id))

    async def expect_end(self, job_id: JobId) -> bool:
        job = self._store.jobs.get(job_id)
        if job is None or job.state.is_final:
            return False
        self._store.expected.add(job_id)
        return True

    async def amend(self, amendment: Amendment) -> datetime | None:
        job = self._store.standing(amendment.job_id, amendment.source, amendment.token)
        if job is None:
            return None
        now = self._store.clock.now()
        self._store.jobs.put(job.amended(amendment, now))
        return now

    async def extend(self, locks: Sequence[Lock], duration: timedelta) -> list[Extension]:
        until = self._store.clock.now() + duration
        return [self._extend(lock, until) for lock in locks]

    def _extend(self, lock: Lock, until: datetime) -> Extension:
        job = self._held(lock.job_id, lock.token)
        if job is None:
            return Extension(lock.job_id, is_held=False)
        self._store.jobs.put(replace(job, locked_until=until))
        return Extension(
            job.id,
            is_held=True,
            cancel_requested=job.cancel_requested,
            cancel_reason=job.cancel_reason,
        )

    async def update_progress(self, updates: Sequence[ProgressUpdate]) -> list[bool]:
        now = self._store.clock.now()
        return [self._update(update, now) for update in updates]

    def _update(self, update: ProgressUpdate, now: datetime) -> bool:
        job = self._held(update.job_id, update.token)
        if job is None:
            return False
        if update.progress is not None:
            self._store.jobs.put(replace(job, progress_document=update.progress))
        if update.lines:
            logs = self._store.logs[job.id]
            logs.extend(LogLine(now, update.attempt, line) for line in update.lines)
            if update.keep_logs is not None:
                del logs[: max(len(logs) - update.keep_logs, 0)]
        return True

    async def request_cancellation(self, job_id: JobId, reason: str) -> bool:
        job = self._store.jobs.get(job_id)
        if job is None or job.state is not JobState.ACTIVE:
            return False
        self._store.jobs.put(replace(job, cancel_requested=True, cancel_reason=reason))
        return True

    def _held(self, job_id: JobId, token: LockToken) -> Job | None:
        return self._store.standing(job_id, JobState.ACTIVE, token)

    # ── removing, the oldest first where there is a limit ────────────────────────────────────

    async def remove(self, jobs: Sequence[Job]) -> list[bool]:
        standing = [self._store.standing(job.id, job.state, job.token) for job in jobs]
        self._remove([job for job in standing if job is not None])
        return [job is not None for job in standing]

    async def remove_all(
        self,
        queue: str,
        states: Collection[JobState],
        *,
        finished_before: timedelta | None = None,
        limit: int,
    ) -> int:
        jobs = self._store.jobs.in_states(queue, states)
        if finished_before is not None:
            latest = self._store.clock.now() - finished_before
            jobs = [job for job in jobs if _has_finished_by(latest, job)]
        return self._remove(jobs[:limit])

    async def apply_retention(self, queue: str, policy: RetentionPolicy, limit: int) -> int:
        now = self._store.clock.now()
        kept_no_longer = [
            job for state in sorted(FINAL) for job in self._beyond(queue, state, policy, now)
        ]
        return self._remove(kept_no_longer[:limit])

    def _beyond(
        self, queue: str, state: JobState, policy: RetentionPolicy, now: datetime
    ) -> list[Job]:
        """The finished jobs that neither their own rule nor the queue's keeps, oldest first."""
        oldest_first = sorted(self._store.jobs.in_states(queue, [state]), key=_order_of_finishing)
        younger = range(len(oldest_first) - 1, -1, -1)
        return [
            job
            for job, count in zip(oldest_first, younger, strict=True)
            if _is_over(self._store.retentions[job.id] or policy.of(state), job, count, now)
        ]

    async def obliterate(self, queue: str, *, force: bool) -> int | None:
        if not force and self._store.jobs.count(queue, JobState.ACTIVE):
            return None
        self._store.queues.pop(queue, None)
        self._store.keys.forget_queue(queue)
        return self._remove(self._store.jobs.in_states(queue, list(JobState)))

    def _remove(self, jobs: Collection[Job]) -> int:
        self._store.forget(jobs)
        release(self._store, [job.id for job in jobs], self._store.clock.now())
        return len(jobs)


_OVERDUE: dict[Overdue, tuple[frozenset[JobState], Callable[[Job], datetime | None]]] = {
    Overdue.STALLED: (frozenset({JobState.ACTIVE}), lambda job: job.locked_until),
    Overdue.EXPIRED: (INITIAL, lambda job: job.expires_at),
    Overdue.DUE: (frozenset({JobState.DELAYED}), lambda job: job.run_at),
}
"""Per kind the states it is looked for in, and the instant after which a job is overdue."""


def _is_eligible(job: Job, names: frozenset[str] | None, now: datetime) -> bool:
    return (
        job.run_at <= now
        and (job.expires_at is None or job.expires_at > now)
        and (names is None or job.name in names)
    )


def _order_of_finishing(job: Job) -> tuple[datetime, JobId]:
    return (job.finished_at or job.created_at, job.id)


def _has_finished_by(instant: datetime, job: Job) -> bool:
    return job.finished_at is not None and job.finished_at <= instant


def _is_over(rule: Retention, job: Job, younger: int, now: datetime) -> bool:
    is_too_old = rule.age is not None and _has_finished_by(now - rule.age, job)
    is_one_too_many = rule.newest is not None and younger >= rule.newest
    return is_too_old or is_one_too_many
