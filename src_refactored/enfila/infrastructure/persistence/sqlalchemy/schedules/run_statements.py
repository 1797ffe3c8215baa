"""The statements about runs of schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from enfila.core.application.ports.schedule_run_repository import EndedRuns
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.runs.run import NewRun, RunId, ScheduleRun
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.schedules.statements import AT_ONCE
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import job_columns, job_of
from enfila.infrastructure.persistence.sqlalchemy.tables.schedules import (
    new_run_values,
    run_columns,
    run_of,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_Identity = tuple[str, datetime, str, JobId | None]
"""What tells the runs of one statement from each other."""

AddJobs = Callable[[sa.Connection, Sequence[Job]], list[Added]]


class ScheduleRunStatements:
    """The SQL statements about runs of schedules. What must hold: `IScheduleRunRepository`.

    Args:
        add_jobs: adds jobs in a transaction that is under way, as `IJobRepository.add` says.
    """

    def __init__(
        self, tables: Tables, insert: UpsertingInsert, effects: Effects, add_jobs: AddJobs
    ) -> None:
        self._runs = tables.schedule_runs
        self._jobs = tables.jobs
        self._insert = insert
        self._add_jobs = add_jobs
        self._dependencies = effects.dependencies

    # ── making ───────────────────────────────────────────────────────────────────────────────

    def add(
        self, connection: sa.Connection, runs: Sequence[tuple[str, NewRun]], now: datetime
    ) -> list[bool]:
        """Stores runs of schedules that are held, and their jobs; per run whether it was new."""
        rows = [new_run_values(slug, run, now) for slug, run in runs]
        numbers = self._add_rows(connection, rows)
        ids = [numbers.get(_identity(row)) for row in rows]
        jobs = [
            (number, run.job)
            for number, (_, run) in zip(ids, runs, strict=True)
            if number is not None and run.job is not None
        ]
        self._add_their_jobs(connection, jobs)
        return [number is not None for number in ids]

    def _add_rows(
        self, connection: sa.Connection, rows: Sequence[dict[str, Any]]
    ) -> dict[_Identity, RunId]:
        """The numbers of those that were new."""
        if not rows:
            return {}
        runs = self._runs.c
        added = connection.execute(
            self._insert(self._runs)
            .on_conflict_do_nothing()
            .returning(runs.id, runs.slug, runs.nominal, runs.origin, runs.job_id),
            rows,
        )
        return {_identity(row): row["id"] for row in map(dict, added.mappings())}

    def _add_their_jobs(self, connection: sa.Connection, jobs: Sequence[tuple[RunId, Job]]) -> None:
        added = self._add_jobs(connection, [job for _, job in jobs])
        for (number, job), answer in zip(jobs, added, strict=True):
            if answer.job.id != job.id:
                self._set_job(connection, number, answer.job.id)

    def _set_job(self, connection: sa.Connection, number: RunId, job_id: JobId) -> None:
        """The run is another job's: that one holds its deduplication key."""
        runs = self._runs
        connection.execute(sa.update(runs).where(runs.c.id == number).values(job_id=job_id))

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    def unfinished(
        self, connection: sa.Connection, slugs: Sequence[str]
    ) -> Mapping[str, Sequence[Job]]:
        """See `IScheduleRunRepository.unfinished_jobs`."""
        runs, jobs = self._runs, self._jobs
        found: dict[str, list[Job]] = {}
        for start in range(0, len(slugs), AT_ONCE):
            rows = connection.execute(
                sa.select(runs.c.slug, *job_columns(jobs))
                .join(jobs, jobs.c.id == runs.c.job_id)
                .where(
                    runs.c.slug.in_(slugs[start : start + AT_ONCE]),
                    runs.c.closed_at.is_(None),
                    jobs.c.finished_at.is_(None),
                )
                .order_by(runs.c.id)
            )
            read = [(slug, job_of(job)) for slug, *job in rows]
            jobs_read = self._dependencies.completed(connection, [job for _, job in read])
            for (slug, _), job in zip(read, jobs_read, strict=True):
                found.setdefault(slug, []).append(job)
        return found

    def ended(self, connection: sa.Connection, after: RunId | None, limit: int) -> EndedRuns:
        """See `IScheduleRunRepository.ended`."""
        runs, jobs = self._runs, self._jobs
        part = connection.scalars(
            sa.select(runs.c.id)
            .where(runs.c.closed_at.is_(None), runs.c.id > (after or 0))
            .order_by(runs.c.id)
            .limit(limit)
        ).all()
        if not part:
            return EndedRuns([], None)
        ended = self._with_jobs.where(
            runs.c.closed_at.is_(None),
            runs.c.id.between(part[0], part[-1]),
            sa.or_(jobs.c.id.is_(None), jobs.c.finished_at.is_not(None)),
        )
        rows = connection.execute(ended.order_by(runs.c.id))
        return EndedRuns([run_of(row) for row in rows], part[-1])

    def of_schedule(
        self, connection: sa.Connection, slug: str, limit: int, before: RunId | None
    ) -> list[ScheduleRun]:
        """See `IScheduleRunRepository.find`."""
        runs = self._runs
        chosen = self._with_jobs.where(runs.c.slug == slug)
        if before is not None:
            chosen = chosen.where(runs.c.id < before)
        rows = connection.execute(chosen.order_by(runs.c.id.desc()).limit(limit))
        return [run_of(row) for row in rows]

    @property
    def _with_jobs(self) -> sa.Select[Any]:
        runs, jobs = self._runs, self._jobs
        together = runs.outerjoin(jobs, jobs.c.id == runs.c.job_id)
        return sa.select(*run_columns(runs), *job_columns(jobs)).select_from(together)

    # ── closing and forgetting ───────────────────────────────────────────────────────────────

    def close(
        self, connection: sa.Connection, numbers: Sequence[RunId], now: datetime
    ) -> set[RunId]:
        """Closes runs; those that were open."""
        runs, closed = self._runs, set[RunId]()
        for start in range(0, len(numbers), AT_ONCE):
            closed |= set(
                connection.scalars(
                    sa.update(runs)
                    .where(
                        runs.c.id.in_(numbers[start : start + AT_ONCE]), runs.c.closed_at.is_(None)
                    )
                    .values(closed_at=now)
                    .returning(runs.c.id)
                )
            )
        return closed

    def forget(
        self, connection: sa.Connection, older_than: timedelta, limit: int, now: datetime
    ) -> int:
        """See `IScheduleRunRepository.forget`."""
        runs = self._runs
        old = (
            sa.select(runs.c.id)
            .where(runs.c.closed_at <= now - older_than)
            .order_by(runs.c.closed_at)
            .limit(limit)
        )
        return connection.execute(sa.delete(runs).where(runs.c.id.in_(old))).rowcount


def _identity(row: Mapping[str, Any]) -> _Identity:
    return (row["slug"], row["nominal"], row["origin"], row["job_id"])
