"""Claims, and what the holders of locks write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from enfila.core.application.ports.job_reader import LogLine
from enfila.core.application.ports.job_repository import Claim, IJobRepository, Report
from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Amendment, Transition
from enfila.infrastructure.persistence.memory.job_table import copied
from enfila.infrastructure.persistence.memory.store import Store


class InMemoryRunning(IJobRepository):
    """Moves jobs: reads the one that stands, and writes what the domain makes of it."""

    _store: Store

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
        self._store.jobs.put(job.after(transition, now))
        if transition.record is not None:
            ended_at = transition.record.finished_at or now
            record = replace(transition.record, finished_at=ended_at)
            self._store.records[job.id].append(record)
        if transition.target.is_final:
            self._store.retentions[job.id] = transition.retention
            self._store.unblock_followers(job.id, now)
        return now

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

    async def report(self, reports: Sequence[Report]) -> list[bool]:
        now = self._store.clock.now()
        return [self._report(report, now) for report in reports]

    def _report(self, report: Report, now: datetime) -> bool:
        job = self._held(report.job_id, report.token)
        if job is None:
            return False
        if report.progress is not None:
            self._store.jobs.put(replace(job, progress_document=report.progress))
        if report.lines:
            logs = self._store.logs[job.id]
            logs.extend(LogLine(now, report.attempt, line) for line in report.lines)
            if report.keep_logs is not None:
                del logs[: max(len(logs) - report.keep_logs, 0)]
        return True

    async def request_cancellation(self, job_id: JobId, reason: str) -> bool:
        job = self._store.jobs.get(job_id)
        if job is None or job.state is not JobState.ACTIVE:
            return False
        self._store.jobs.put(replace(job, cancel_requested=True, cancel_reason=reason))
        return True

    def _held(self, job_id: JobId, token: LockToken) -> Job | None:
        return self._store.standing(job_id, JobState.ACTIVE, token)


def _is_eligible(job: Job, names: frozenset[str] | None, now: datetime) -> bool:
    return (
        job.run_at <= now
        and (job.expires_at is None or job.expires_at > now)
        and (names is None or job.name in names)
    )
