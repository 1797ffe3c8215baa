"""Removing jobs: by hand, by state and age, and by the rules of retention."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.retention import Retention, RetentionPolicy
from enfila.core.domain.job.state import FINAL, JobState
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.jobs.keys import Keys
from enfila.infrastructure.persistence.sqlalchemy.jobs.writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.tables.states import ACTIVE, literal
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class Removing:
    """Selects the jobs that are to be removed, by state, age or retention."""

    def __init__(self, tables: Tables, clock: DatabaseClock, writes: JobWrites, keys: Keys) -> None:
        self._tables = tables
        self._jobs = tables.jobs
        self._clock = clock
        self._writes = writes
        self._keys = keys

    def remove(self, connection: sa.Connection, read: Sequence[Job]) -> list[bool]:
        """See `IJobRepository.remove`."""
        jobs = self._jobs
        gone: set[JobId] = set()
        for job in read:
            still_so = self._select(
                jobs.c.id == job.id,
                jobs.c.state == job.state.value,
                jobs.c.lock_token == job.token,
            )
            gone.update(self._remove(connection, still_so, is_final=job.state.is_final))
        return [job.id in gone for job in read]

    def remove_all(
        self,
        connection: sa.Connection,
        queue: str,
        states: Collection[JobState],
        finished_before: timedelta | None,
        limit: int,
    ) -> int:
        """See `IJobRepository.remove_all`."""
        jobs = self._jobs
        removed = 0
        # One state after the other: each has a partial index of its own.
        for state in sorted(states):
            wanted = [jobs.c.queue == queue, jobs.c.state == literal(state)]
            if finished_before is not None:
                wanted.append(jobs.c.finished_at <= self._ago(connection, finished_before))
            chosen = self._select(*wanted).order_by(jobs.c.finished_at).limit(limit - removed)
            if removed < limit:
                gone = self._remove(connection, chosen, is_final=state.is_final)
                removed += len(gone)
        return removed

    def apply_retention(
        self, connection: sa.Connection, queue: str, policy: RetentionPolicy, limit: int
    ) -> int:
        """See `IJobRepository.apply_retention`."""
        jobs = self._jobs
        removed = 0
        rules: list[sa.Select[tuple[JobId]]] = [
            self._select(jobs.c.queue == queue, jobs.c.remove_at <= self._clock.read(connection))
        ]
        rules += self._rationed_by_themselves(connection, queue)
        for state in FINAL:
            rules += self._by_policy(connection, queue, state, policy.of(state))
        for chosen in rules:
            if removed < limit:
                removed += len(self._remove(connection, chosen.limit(limit - removed)))
        return removed

    def obliterate(self, connection: sa.Connection, queue: str, *, force: bool) -> int | None:
        """See `IJobRepository.obliterate`."""
        jobs, queues = self._jobs, self._tables.queues
        if not force and self._has_active(connection, queue):
            return None
        removed = len(self._writes.remove_on(connection, self._select(jobs.c.queue == queue)))
        connection.execute(sa.delete(queues).where(queues.c.name == queue))
        keys = self._tables.deduplications
        connection.execute(sa.delete(keys).where(keys.c.queue == queue))
        return removed

    def _has_active(self, connection: sa.Connection, queue: str) -> bool:
        jobs = self._jobs
        active = sa.select(jobs.c.id).where(jobs.c.queue == queue, jobs.c.state == ACTIVE)
        return connection.scalar(active.limit(1)) is not None

    def _by_policy(
        self, connection: sa.Connection, queue: str, state: JobState, rule: Retention
    ) -> list[sa.Select[tuple[JobId]]]:
        """What the queue's rule removes of the jobs that have none of their own."""
        jobs = self._jobs
        ended = [
            jobs.c.queue == queue,
            jobs.c.state == state.value,
            jobs.c.own_retention.is_(sa.false()),
        ]
        rules = []
        if rule.age is not None:
            rules.append(
                self._select(*ended, jobs.c.finished_at <= self._ago(connection, rule.age))
            )
        if rule.newest is not None:
            rules.append(self._beyond_newest(queue, state, rule.newest, ended))
        return rules

    def _rationed_by_themselves(
        self, connection: sa.Connection, queue: str
    ) -> list[sa.Select[tuple[JobId]]]:
        """What jobs with a "keep the newest N" of their own give up, one query for each N."""
        jobs = self._jobs
        numbers = connection.execute(
            sa.select(jobs.c.state, jobs.c.keep_newest)
            .where(jobs.c.queue == queue, jobs.c.keep_newest.is_not(None))
            .distinct()
        ).all()
        return [
            self._beyond_newest(
                queue,
                JobState(state),
                newest,
                [
                    jobs.c.queue == queue,
                    jobs.c.state == state,
                    jobs.c.keep_newest == newest,
                ],
            )
            for state, newest in numbers
        ]

    def _beyond_newest(
        self, queue: str, state: JobState, newest: int, among: list[sa.ColumnElement[bool]]
    ) -> sa.Select[tuple[JobId]]:
        """Of `among` those that are not among the newest N of their queue and state."""
        jobs, others = self._jobs, self._jobs.alias("others")
        kept = (
            sa.select(others.c.id)
            .where(others.c.queue == queue, others.c.state == state.value)
            .order_by(others.c.finished_at.desc(), others.c.id.desc())
            .limit(newest)
        )
        return self._select(*among, jobs.c.id.not_in(kept))

    def _remove(
        self, connection: sa.Connection, chosen: sa.Select[tuple[JobId]], *, is_final: bool = True
    ) -> list[JobId]:
        if is_final:
            self._keys.note_removal(connection, chosen, self._clock.read(connection))
        return self._writes.remove_on(connection, chosen)

    def _select(self, *wanted: sa.ColumnElement[bool]) -> sa.Select[tuple[JobId]]:
        chosen: sa.Select[Any] = sa.select(self._jobs.c.id).where(*wanted)
        return chosen

    def _ago(self, connection: sa.Connection, length: timedelta) -> datetime:
        return self._clock.read(connection) - length
