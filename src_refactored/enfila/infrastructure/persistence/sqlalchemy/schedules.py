"""`IScheduleRepository` on SQLAlchemy Core."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from enfila.core.application.ports.schedule_repository import (
    ALL_OF_THEM,
    Decision,
    DueSchedules,
    EndedRuns,
    IScheduleRepository,
    ScheduleFilter,
    ScheduleStep,
)
from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.run import NewRun, RunId, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import ScheduleState
from enfila.infrastructure.persistence.sqlalchemy.access import Access
from enfila.infrastructure.persistence.sqlalchemy.schedule_run_statements import (
    ScheduleRunStatements,
)
from enfila.infrastructure.persistence.sqlalchemy.schedule_statements import ScheduleStatements


class SqlAlchemySchedules(Access, IScheduleRepository):
    """Knows the schedules and their runs."""

    _schedules: ScheduleStatements
    _runs: ScheduleRunStatements

    @abstractmethod
    async def _register(self, queues: set[str]) -> None:
        """Notes that these queues are used, unless this process has done so before."""

    async def current_instant(self) -> datetime:
        """See `IScheduleRepository.current_instant`."""
        return await self._read(self._instants.read)

    async def insert_schedule(self, schedule: Schedule) -> None:
        """See `IScheduleRepository.insert_schedule`."""
        await self._write(lambda connection: self._schedules.insert(connection, schedule))

    async def schedule(self, slug: str) -> Schedule | None:
        """See `IScheduleRepository.schedule`."""
        return await self._read(lambda connection: self._schedules.one(connection, slug))

    async def schedules(
        self,
        wanted: ScheduleFilter = ALL_OF_THEM,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Schedule]:
        """See `IScheduleRepository.schedules`."""
        return await self._read(
            lambda connection: self._schedules.find(connection, wanted, after, limit)
        )

    async def change_schedule(self, slug: str, decide: Decision) -> Schedule | None:
        """See `IScheduleRepository.change_schedule`."""

        def change(connection: sa.Connection) -> Schedule | None:
            found = self._schedules.held(connection, [slug]).get(slug)
            if found is None:
                return None
            changed = decide(found, self._instants.read(connection))
            self._schedules.write(connection, [changed])
            return changed

        return await self._write(change)

    async def delete_schedule(self, slug: str) -> bool:
        """See `IScheduleRepository.delete_schedule`."""
        return await self._write(lambda connection: self._schedules.delete(connection, slug))

    # ── ticks ────────────────────────────────────────────────────────────────────────────────

    async def due_schedules(self, limit: int) -> DueSchedules:
        """See `IScheduleRepository.due_schedules`."""
        return await self._read(
            lambda connection: self._schedules.due(
                connection, limit, self._instants.read(connection)
            )
        )

    async def tick(self, steps: Sequence[ScheduleStep]) -> list[bool]:
        """See `IScheduleRepository.tick`."""
        await self._register(_queues(run for step in steps for run in step.runs))
        return await self._write(lambda connection: self._tick(connection, steps))

    def _tick(self, connection: sa.Connection, steps: Sequence[ScheduleStep]) -> list[bool]:
        held = self._schedules.held(connection, [step.advance.slug for step in steps])
        held = {
            step.advance.slug: held[step.advance.slug]
            for step in steps
            if step.advance.slug in held and held[step.advance.slug].accepts(step.advance)
        }
        applied = [step for step in steps if step.advance.slug in held]
        self._schedules.write(
            connection, [held[step.advance.slug].after(step.advance) for step in applied]
        )
        runs = [(step.advance.slug, run) for step in applied for run in step.runs]
        _ = self._runs.add(connection, runs, self._instants.read(connection))
        return [step.advance.slug in held for step in steps]

    async def add_runs(self, slug: str, runs: Sequence[NewRun]) -> list[bool] | None:
        """See `IScheduleRepository.add_runs`."""

        def add(connection: sa.Connection) -> list[bool] | None:
            if slug not in self._schedules.held(connection, [slug]):
                return None
            now = self._instants.read(connection)
            return self._runs.add(connection, [(slug, run) for run in runs], now)

        await self._register(_queues(runs))
        return await self._write(add)

    # ── runs ─────────────────────────────────────────────────────────────────────────────────

    async def unfinished_jobs(self, slugs: Collection[str]) -> Mapping[str, Sequence[Job]]:
        """See `IScheduleRepository.unfinished_jobs`."""
        return await self._read(lambda connection: self._runs.unfinished(connection, sorted(slugs)))

    async def ended_runs(self, after: RunId | None, limit: int) -> EndedRuns:
        """See `IScheduleRepository.ended_runs`."""
        return await self._read(lambda connection: self._runs.ended(connection, after, limit))

    async def record_runs(self, runs: Sequence[ScheduleRun]) -> Collection[RunId]:
        """See `IScheduleRepository.record_runs`."""
        return await self._write(lambda connection: self._record(connection, runs))

    def _record(self, connection: sa.Connection, runs: Sequence[ScheduleRun]) -> set[RunId]:
        now = self._instants.read(connection)
        outcomes = {run.id: outcome for run in runs if (outcome := run.outcome(now)) is not None}
        held = self._schedules.held(connection, [run.slug for run in runs])
        closed = self._runs.close(connection, sorted(outcomes), now)
        going_on = self._runs.unfinished(
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

    async def runs(
        self, slug: str, *, limit: int = 100, before: RunId | None = None
    ) -> list[ScheduleRun]:
        """See `IScheduleRepository.runs`."""
        return await self._read(
            lambda connection: self._runs.of_schedule(connection, slug, limit, before)
        )

    async def forget_runs(self, older_than: timedelta, limit: int) -> int:
        """See `IScheduleRepository.forget_runs`."""

        def forget(connection: sa.Connection) -> int:
            now = self._instants.read(connection)
            return self._runs.forget(connection, older_than, limit, now)

        return await self._write(forget)


def _queues(runs: Iterable[NewRun]) -> set[str]:
    return {run.job.queue for run in runs if run.job is not None}
