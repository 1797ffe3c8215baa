"""`IScheduleRunRepository` on SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from enfila.core.application.ports.schedule_run_repository import EndedRuns, IScheduleRunRepository
from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.runs.run import NewRun, RunId, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import ScheduleState
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.jobs.statements import JobStatements
from enfila.infrastructure.persistence.sqlalchemy.schedules.run_statements import (
    ScheduleRunStatements,
)
from enfila.infrastructure.persistence.sqlalchemy.schedules.statements import ScheduleStatements
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class SqlAlchemyScheduleRuns(IScheduleRunRepository):
    """`IScheduleRunRepository` on SQL."""

    def __init__(
        self,
        access: Access,
        tables: Tables,
        insert: UpsertingInsert,
        effects: Effects,
        jobs: JobStatements,
    ) -> None:
        self._access = access
        self._jobs = jobs
        self._schedules = ScheduleStatements(tables, insert)
        self._statements = ScheduleRunStatements(tables, insert, effects, jobs.add)

    async def add(self, slug: str, runs: Sequence[NewRun]) -> list[bool] | None:
        """See `IScheduleRunRepository.add`."""

        def add(connection: sa.Connection) -> list[bool] | None:
            if slug not in self._schedules.held(connection, [slug]):
                return None
            now = self._access.clock.read(connection)
            return self._statements.add(connection, [(slug, run) for run in runs], now)

        await self.register(runs)
        return await self._access.write(add)

    async def register(self, runs: Iterable[NewRun]) -> None:
        """Notes the queues of runs that are about to be added."""
        queues = {run.job.queue for run in runs if run.job is not None}
        await self._jobs.register_queues(self._access, queues)

    def add_on(
        self, connection: sa.Connection, runs: Sequence[tuple[str, NewRun]], now: datetime
    ) -> list[bool]:
        """Stores runs of schedules that are held, and their jobs; per run whether it was new."""
        return self._statements.add(connection, runs, now)

    def is_running(self, connection: sa.Connection, slug: str) -> bool:
        """Whether an open run of this schedule has an unfinished job."""
        return slug in self._statements.unfinished(connection, [slug])

    async def unfinished_jobs(self, slugs: Collection[str]) -> Mapping[str, Sequence[Job]]:
        """See `IScheduleRunRepository.unfinished_jobs`."""
        return await self._access.read(
            lambda connection: self._statements.unfinished(connection, sorted(slugs))
        )

    async def ended(self, after: RunId | None, limit: int) -> EndedRuns:
        """See `IScheduleRunRepository.ended`."""
        return await self._access.read(
            lambda connection: self._statements.ended(connection, after, limit)
        )

    async def record(self, runs: Sequence[ScheduleRun]) -> Collection[RunId]:
        """See `IScheduleRunRepository.record`."""
        return await self._access.write(lambda connection: self._record(connection, runs))

    def _record(self, connection: sa.Connection, runs: Sequence[ScheduleRun]) -> set[RunId]:
        now = self._access.clock.read(connection)
        outcomes = {run.id: outcome for run in runs if (outcome := run.outcome(now)) is not None}
        held = self._schedules.held(connection, [run.slug for run in runs])
        closed = self._statements.close(connection, sorted(outcomes), now)
        going_on = self._statements.unfinished(
            connection,
            [slug for slug, each in held.items() if each.state is ScheduleState.WAITING],
        )
        told: dict[str, Schedule] = {}
        for run in runs:
            if run.id in closed:
                schedule = told.get(run.slug, held[run.slug])
                told[run.slug] = schedule.run_ended(
                    outcomes[run.id], is_last=run.slug not in going_on
                )
        self._schedules.write(connection, list(told.values()))
        return closed

    async def find(
        self, slug: str, *, limit: int = 100, before: RunId | None = None
    ) -> list[ScheduleRun]:
        """See `IScheduleRunRepository.find`."""
        return await self._access.read(
            lambda connection: self._statements.of_schedule(connection, slug, limit, before)
        )

    async def forget(self, older_than: timedelta, limit: int) -> int:
        """See `IScheduleRunRepository.forget`."""

        def forget(connection: sa.Connection) -> int:
            now = self._access.clock.read(connection)
            return self._statements.forget(connection, older_than, limit, now)

        return await self._access.write(forget)
