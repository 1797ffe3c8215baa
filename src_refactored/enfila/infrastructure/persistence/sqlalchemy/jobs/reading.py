"""Looking at jobs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, assert_never

import sqlalchemy as sa

from enfila.core.application.ports.job_reader import Overdue
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.attempt import Attempt
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import job_columns, job_of
from enfila.infrastructure.persistence.sqlalchemy.tables.states import ACTIVE, DELAYED
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

# So many ids in one statement stay far below every driver's limit of parameters.
_IDS_AT_ONCE = 1_000


class Reading:
    """The queries of `IJobReader`, as functions of a connection."""

    def __init__(self, tables: Tables, clock: DatabaseClock, effects: Effects) -> None:
        self._tables = tables
        self._attempts = effects.attempts
        self._dependencies = effects.dependencies
        self._clock = clock

    def get(self, connection: sa.Connection, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """See `IJobReader.get`."""
        jobs = self._tables.jobs
        found: dict[JobId, Job] = {}
        for start in range(0, len(job_ids), _IDS_AT_ONCE):
            some = job_ids[start : start + _IDS_AT_ONCE]
            rows = connection.execute(sa.select(*job_columns(jobs)).where(jobs.c.id.in_(some)))
            read = self._dependencies.completed(connection, [job_of(row) for row in rows])
            found |= {job.id: job for job in read}
        return found

    def find(
        self,
        connection: sa.Connection,
        queue: str,
        states: Collection[JobState],
        *,
        limit: int,
        offset: int,
        newest_first: bool,
    ) -> list[Job]:
        """See `IJobReader.find`."""
        jobs = self._tables.jobs
        added = sa.func.abs(jobs.c.position)
        rows = connection.execute(
            sa.select(*job_columns(jobs))
            .where(jobs.c.queue == queue, jobs.c.state.in_([state.value for state in states]))
            .order_by(added.desc() if newest_first else added)
            .limit(limit)
            .offset(offset)
        )
        return self._dependencies.completed(connection, [job_of(row) for row in rows])

    def overdue(
        self, connection: sa.Connection, queue: str, kind: Overdue, limit: int
    ) -> list[Job]:
        """See `IJobReader.overdue`."""
        jobs = self._tables.jobs
        now = self._clock.expression
        late: list[sa.ColumnElement[bool]]
        since: sa.ColumnElement[Any]
        match kind:
            case Overdue.STALLED:
                late = [jobs.c.state == ACTIVE, jobs.c.locked_until <= now]
                since = jobs.c.locked_until
            case Overdue.EXPIRED:
                late = [
                    jobs.c.expires_at <= now,
                    jobs.c.started_at.is_(None),
                    jobs.c.state.in_(_NOT_STARTED),
                ]
                since = jobs.c.expires_at
            case Overdue.DUE:
                late = [jobs.c.state == DELAYED, jobs.c.run_at <= now]
                since = jobs.c.run_at
            case _:
                assert_never(kind)
        rows = connection.execute(
            sa.select(*job_columns(jobs))
            .where(jobs.c.queue == queue, *late)
            .order_by(since, jobs.c.position)
            .limit(limit),
            self._clock.parameters(),
        )
        return self._dependencies.completed(connection, [job_of(row) for row in rows])

    def attempts(self, connection: sa.Connection, job_id: JobId) -> list[Attempt]:
        """See `IJobReader.attempts`."""
        runs = self._attempts.read(connection, job_id)
        job = self.get(connection, [job_id]).get(job_id)
        last = None if job is None else job.unrecorded_run
        return runs if last is None else [*runs, last]


_NOT_STARTED = [state.value for state in (JobState.WAITING, JobState.DELAYED, JobState.BLOCKED)]
