"""The statements about schedules."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.application.ports.schedule_repository import DueSchedules, ScheduleFilter
from enfila.core.domain.errors import ScheduleExists
from enfila.core.domain.schedule.schedule import Schedule
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.tables.schedules import (
    SCHEDULE,
    schedule_values,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

# So many values in one statement stay far below every driver's limit of parameters.
AT_ONCE: Final = 1_000


class ScheduleStatements:
    """The SQL statements about schedules. What must hold for each: `IScheduleRepository`.

    Whoever writes a schedule holds its row, and several rows in the order of their slugs, so that
    no two processes wait for each other.
    """

    def __init__(self, tables: Tables, insert: UpsertingInsert) -> None:
        self._schedules = tables.schedules
        self._insert = insert
        self._columns = SCHEDULE.of(tables.schedules)

    def insert(self, connection: sa.Connection, schedule: Schedule) -> None:
        """See `IScheduleRepository.insert`."""
        inserted = connection.execute(
            self._insert(self._schedules)
            .values(schedule_values(schedule))
            .on_conflict_do_nothing()
            .returning(self._schedules.c.slug)
        )
        if inserted.first() is None:
            raise ScheduleExists(schedule.slug)

    def one(self, connection: sa.Connection, slug: str) -> Schedule | None:
        """See `IScheduleRepository.get`."""
        schedules = self._schedules
        row = connection.execute(sa.select(*self._columns).where(schedules.c.slug == slug)).first()
        return None if row is None else SCHEDULE.entity(row)

    def find(
        self,
        connection: sa.Connection,
        wanted: ScheduleFilter,
        after: str | None,
        limit: int | None,
    ) -> list[Schedule]:
        """See `IScheduleRepository.find`."""
        schedules = self._schedules
        chosen = sa.select(*self._columns).order_by(schedules.c.slug).limit(limit)
        for column, value in (
            (schedules.c.owner, wanted.owner),
            (schedules.c.category, wanted.category),
            (schedules.c.job_type, wanted.job_type),
            (schedules.c.state, wanted.state),
        ):
            if value is not None:
                chosen = chosen.where(column == str(value))
        if after is not None:
            chosen = chosen.where(schedules.c.slug > after)
        return [SCHEDULE.entity(row) for row in connection.execute(chosen)]

    def due(self, connection: sa.Connection, limit: int, now: datetime) -> DueSchedules:
        """See `IScheduleRepository.due`."""
        schedules = self._schedules
        rows = connection.execute(
            sa.select(*self._columns)
            .where(schedules.c.wake_at <= now)
            .order_by(schedules.c.wake_at, schedules.c.slug)
            .limit(limit + 1)
        ).all()
        wake_at = None if len(rows) > limit else self._next_wake_at(connection, now)
        return DueSchedules(now, [SCHEDULE.entity(row) for row in rows[:limit]], wake_at)

    def _next_wake_at(self, connection: sa.Connection, now: datetime) -> datetime | None:
        schedules = self._schedules
        return connection.scalar(
            sa.select(schedules.c.wake_at)
            .where(schedules.c.wake_at > now)
            .order_by(schedules.c.wake_at)
            .limit(1)
        )

    def held(self, connection: sa.Connection, slugs: Collection[str]) -> dict[str, Schedule]:
        """Those of these schedules that exist; their rows are held until the commit."""
        schedules, wanted = self._schedules, sorted(set(slugs))
        found: dict[str, Schedule] = {}
        for start in range(0, len(wanted), AT_ONCE):
            rows = connection.execute(
                sa.select(*self._columns)
                .where(schedules.c.slug.in_(wanted[start : start + AT_ONCE]))
                .order_by(schedules.c.slug)
                .with_for_update()
            )
            found |= {each.slug: each for each in map(SCHEDULE.entity, rows)}
        return found

    def write(self, connection: sa.Connection, schedules: Collection[Schedule]) -> None:
        """Replaces schedules that are held."""
        if not schedules:
            return
        table = self._schedules
        rows = [_without_slug(schedule_values(each)) for each in schedules]
        connection.execute(
            sa.update(table)
            .where(table.c.slug == sa.bindparam("of_slug"))
            .values({name: sa.bindparam(name) for name in rows[0] if name != "of_slug"}),
            rows,
        )

    def delete(self, connection: sa.Connection, slug: str) -> bool:
        """See `IScheduleRepository.delete`."""
        schedules = self._schedules
        gone = connection.execute(sa.delete(schedules).where(schedules.c.slug == slug))
        return gone.rowcount == 1


def _without_slug(row: dict[str, Any]) -> dict[str, Any]:
    """The columns that may change, and the slug under a name that is no column's."""
    return {("of_slug" if name == "slug" else name): value for name, value in row.items()}
