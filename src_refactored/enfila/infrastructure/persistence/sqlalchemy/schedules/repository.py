"""`IScheduleRepository` on SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from enfila.core.application.ports.schedule_repository import (
    ALL_OF_THEM,
    Decision,
    DueSchedules,
    Edit,
    IScheduleRepository,
    ScheduleFilter,
    ScheduleStep,
)
from enfila.core.domain.schedule.schedule import Schedule
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.schedules.run_repository import (
    SqlAlchemyScheduleRuns,
)
from enfila.infrastructure.persistence.sqlalchemy.schedules.statements import ScheduleStatements
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class SqlAlchemySchedules(IScheduleRepository):
    """`IScheduleRepository` on SQL; it applies their ticks."""

    def __init__(
        self,
        access: Access,
        tables: Tables,
        insert: UpsertingInsert,
        runs: SqlAlchemyScheduleRuns,
    ) -> None:
        self._access = access
        self._statements = ScheduleStatements(tables, insert)
        self._runs = runs

    async def current_instant(self) -> datetime:
        """See `IScheduleRepository.current_instant`."""
        return await self._access.read(self._access.clock.read)

    async def insert(self, schedule: Schedule) -> None:
        """See `IScheduleRepository.insert`."""
        await self._access.write(lambda connection: self._statements.insert(connection, schedule))

    async def get(self, slug: str) -> Schedule | None:
        """See `IScheduleRepository.get`."""
        return await self._access.read(lambda connection: self._statements.one(connection, slug))

    async def find(
        self,
        wanted: ScheduleFilter = ALL_OF_THEM,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Schedule]:
        """See `IScheduleRepository.find`."""
        return await self._access.read(
            lambda connection: self._statements.find(connection, wanted, after, limit)
        )

    async def change(self, slug: str, decide: Decision) -> Schedule | None:
        """See `IScheduleRepository.change`."""

        def change(connection: sa.Connection) -> Schedule | None:
            return self._change(connection, slug, decide)

        return await self._access.write(change)

    async def edit(self, slug: str, decide: Edit) -> Schedule | None:
        """See `IScheduleRepository.edit`."""

        def edit(connection: sa.Connection) -> Schedule | None:
            def decide_here(standing: Schedule, now: datetime) -> Schedule:
                # Whoever adds or records a run holds the schedule, which is held here.
                return decide(standing, now, self._runs.is_running(connection, slug))

            return self._change(connection, slug, decide_here)

        return await self._access.write(edit)

    def _change(self, connection: sa.Connection, slug: str, decide: Decision) -> Schedule | None:
        found = self._statements.held(connection, [slug]).get(slug)
        if found is None:
            return None
        changed = decide(found, self._access.clock.read(connection))
        self._statements.write(connection, [changed])
        return changed

    async def delete(self, slug: str) -> bool:
        """See `IScheduleRepository.delete`."""
        return await self._access.write(
            lambda connection: self._statements.delete(connection, slug)
        )

    # ── ticks ────────────────────────────────────────────────────────────────────────────────

    async def due(self, limit: int) -> DueSchedules:
        """See `IScheduleRepository.due`."""
        return await self._access.read(
            lambda connection: self._statements.due(
                connection, limit, self._access.clock.read(connection)
            )
        )

    async def tick(self, steps: Sequence[ScheduleStep]) -> list[bool]:
        """See `IScheduleRepository.tick`."""
        await self._runs.register(run for step in steps for run in step.runs)
        return await self._access.write(lambda connection: self._tick(connection, steps))

    def _tick(self, connection: sa.Connection, steps: Sequence[ScheduleStep]) -> list[bool]:
        held = self._statements.held(connection, [step.advance.slug for step in steps])
        held = {
            step.advance.slug: held[step.advance.slug]
            for step in steps
            if step.advance.slug in held and held[step.advance.slug].accepts(step.advance)
        }
        applied = [step for step in steps if step.advance.slug in held]
        self._statements.write(
            connection, [held[step.advance.slug].after(step.advance) for step in applied]
        )
        runs = [(step.advance.slug, run) for step in applied for run in step.runs]
        _ = self._runs.add_on(connection, runs, self._access.clock.read(connection))
        return [step.advance.slug in held for step in steps]
