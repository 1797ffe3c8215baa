"""Which jobs wait for which others, and what happens when those end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from enfila.core.domain.job.adding.dependency import dependencies_of, with_pending_only
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.types import JobIdColumn
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import job_columns, job_of
from enfila.infrastructure.persistence.sqlalchemy.tables.states import (
    BLOCKED,
    DELAYED,
    WAITING,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

# So many ids in one statement stay far below every driver's limit of parameters.
_IDS_AT_ONCE = 1_000


class Dependencies:
    """Effect: which jobs wait for which others, and their release when those end.

    A row stands until the job that it depends on has ended, or its own job is gone. It counts only
    while its own job is blocked.

    A job that others depend on is marked (`has_dependents`): whoever ends or removes it looks for
    them. The mark is set under the lock of its row, so that no end passes it by.
    """

    def __init__(self, tables: Tables) -> None:
        self._jobs = tables.jobs
        self.table = sa.Table(
            f"{tables.prefix}job_dependencies",
            tables.metadata,
            sa.Column(
                "job_id",
                JobIdColumn,
                sa.ForeignKey(tables.jobs.c.id, ondelete="CASCADE"),
                primary_key=True,
            ),
            sa.Column("depends_on", JobIdColumn, primary_key=True),
            sa.Index(f"{tables.prefix}job_dependencies_on", "depends_on"),
        )

    # ── adding ───────────────────────────────────────────────────────────────────────────────

    def checked(self, connection: sa.Connection, jobs: Sequence[Job], now: datetime) -> list[Job]:
        """New jobs without dependencies that have ended; the jobs they wait for are marked.

        Those are locked until the commit: they cannot end before the new jobs are there.
        """
        parents = {parent for job in jobs for parent in job.depends_on}
        if not parents:
            return list(jobs)
        stored = self._jobs
        pending: set[JobId] = set()
        for some in _in_parts(parents):
            rows = connection.execute(
                sa.select(stored.c.id)
                .where(stored.c.id.in_(some), stored.c.finished_at.is_(None))
                .order_by(stored.c.id)
                .with_for_update()
            )
            pending |= set(rows.scalars())
        return with_pending_only(jobs, pending, now)

    def add(self, connection: sa.Connection, jobs: Sequence[Job]) -> None:
        """Stores the dependencies of jobs that were just added, and marks what they wait for."""
        found = dependencies_of(jobs)
        if not found:
            return
        rows = [{"job_id": each.job_id, "depends_on": each.depends_on} for each in found]
        connection.execute(sa.insert(self.table), rows)
        stored = self._jobs
        for some in _in_parts({each.depends_on for each in found}):
            marked = sa.update(stored).where(stored.c.id.in_(some)).values(has_dependents=True)
            connection.execute(marked)

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def completed(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Job]:
        """Jobs as they were read, the blocked ones with what they wait for."""
        blocked = [job.id for job in jobs if job.state is JobState.BLOCKED]
        if not blocked:
            return list(jobs)
        found: defaultdict[JobId, list[JobId]] = defaultdict(list)
        pending = self.table
        for some in _in_parts(blocked):
            rows = connection.execute(
                sa.select(pending.c.job_id, pending.c.depends_on)
                .where(pending.c.job_id.in_(some))
                .order_by(pending.c.depends_on)
            )
            for job_id, parent in rows:
                found[job_id].append(parent)
        return [
            replace(job, depends_on=tuple(found[job.id])) if job.id in found else job
            for job in jobs
        ]

    def dependents(self, connection: sa.Connection, ended: Collection[JobId]) -> list[Job]:
        """The jobs that wait for one of these, with all that they wait for."""
        jobs, pending = self._jobs, self.table
        found: dict[JobId, Job] = {}
        for some in _in_parts(ended):
            rows = connection.execute(
                sa.select(*job_columns(jobs))
                .join(pending, pending.c.job_id == jobs.c.id)
                .where(pending.c.depends_on.in_(some), jobs.c.state == BLOCKED)
            )
            found |= {row[0]: job_of(row) for row in rows}
        return self.completed(connection, list(found.values()))

    # ── ending ───────────────────────────────────────────────────────────────────────────────

    def meet(self, connection: sa.Connection, ended: Collection[JobId]) -> None:
        """Removes the dependencies on jobs that have ended or are gone, row by row."""
        jobs, pending = self._jobs, self.table
        for some in _in_parts(ended):
            left = (
                sa.select(sa.func.count())
                .where(pending.c.job_id == jobs.c.id, pending.c.depends_on.not_in(some))
                .scalar_subquery()
            )
            waiting = sa.select(pending.c.job_id).where(pending.c.depends_on.in_(some))
            still_blocked = sa.update(jobs).where(jobs.c.id.in_(waiting), jobs.c.state == BLOCKED)
            connection.execute(still_blocked.values(pending_dependencies=left))
            connection.execute(sa.delete(pending).where(pending.c.depends_on.in_(some)))

    def released_set(
        self, clock: DatabaseClock, ended: sa.ColumnElement[Any]
    ) -> tuple[sa.CTE, sa.CTE]:
        """Meets dependencies in one statement: `Job.unblock` where none is left.

        Two jobs that end at once count down one after the other, on the row of their dependent.

        Args:
            clock: the clock.
            ended: the ids of jobs that have ended or are gone, as an array.

        Returns:
            The jobs that were looked at, and those of them that are blocked no longer.
        """
        jobs, pending = self._jobs, self.table
        met = (
            sa.delete(pending)
            .where(pending.c.depends_on == sa.any_(ended))
            .returning(pending.c.job_id, BLOCKED.label("state"))
            .cte("met")
        )
        freed = (
            sa.select(met.c.job_id, met.c.state, sa.func.count().label("number"))
            .group_by(met.c.job_id, met.c.state)
            .cte("freed")
        )
        left = jobs.c.pending_dependencies - freed.c.number
        counted = (
            sa.update(jobs)
            # By primary key, from few rows, the state compared with a column: a plan that is kept
            # from when the table was small would else go through all of it.
            .where(
                freed.c.number == freed.c.number + sa.literal_column("0"),
                jobs.c.id == freed.c.job_id,
                jobs.c.state == freed.c.state,
            )
            .values(
                pending_dependencies=left,
                state=sa.case(
                    (left > sa.literal_column("0"), BLOCKED),
                    (jobs.c.run_at > clock.expression, DELAYED),
                    else_=WAITING,
                ),
            )
            .returning(jobs.c.id, jobs.c.queue, jobs.c.state)
            .cte("counted_down")
        )
        unblocked = sa.select(counted).where(counted.c.state != BLOCKED).cte("unblocked")
        return counted, unblocked


def _in_parts(job_ids: Iterable[JobId]) -> Iterable[list[JobId]]:
    ordered = sorted(job_ids)
    for start in range(0, len(ordered), _IDS_AT_ONCE):
        yield ordered[start : start + _IDS_AT_ONCE]
