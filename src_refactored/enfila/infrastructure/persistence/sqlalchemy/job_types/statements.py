"""The statements about job types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from enfila.core.domain.job.attempt import AttemptOutcome
from enfila.core.domain.job.options import options_from_text
from enfila.core.domain.job_type import JobType, JobTypeInfo, RunStatistics
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_NEWEST = ("queue", "options", "max_concurrency", "display_name", "description", "declared_at")


class JobTypeStatements:
    """What must hold for each stands in `IJobTypeRepository`.

    Rows are written in the order of their names, so that no two processes wait for each other.
    """

    def __init__(self, tables: Tables, insert: UpsertingInsert) -> None:
        self._types = tables.job_types
        self._insert = insert

    def declare(self, connection: sa.Connection, types: Sequence[JobType], now: datetime) -> None:
        """See `IJobTypeRepository.declare`."""
        rows = [_row_of(each, now) for each in sorted(types, key=lambda each: each.name)]
        connection.execute(self._upsert, rows)

    def all(self, connection: sa.Connection) -> list[JobTypeInfo]:
        """See `IJobTypeRepository.all`."""
        found = [_info_of(row) for row in connection.execute(sa.select(self._types))]
        # By code point, as everywhere: a server may sort by the rules of a language.
        return sorted(found, key=lambda each: each.name)

    def one(self, connection: sa.Connection, name: str) -> JobTypeInfo | None:
        """See `IJobTypeRepository.get`."""
        types = self._types
        row = connection.execute(sa.select(types).where(types.c.name == name)).first()
        return None if row is None else _info_of(row)

    def set_enabled(self, connection: sa.Connection, name: str, *, enabled: bool) -> bool:
        """See `IJobTypeRepository.set_enabled`."""
        types = self._types
        changed = connection.execute(
            sa.update(types).where(types.c.name == name).values(enabled=enabled)
        )
        return changed.rowcount == 1

    def count_runs(
        self, connection: sa.Connection, statistics: Mapping[str, RunStatistics]
    ) -> None:
        """See `IJobTypeRepository.count_runs`."""
        for name, counted in sorted(statistics.items()):
            values = {
                "type": name,
                "more_runs": counted.runs,
                "more_successes": counted.successes,
                "more_failures": counted.failures,
                "at": counted.last_run_at,
                "status": counted.last_status,
            }
            connection.execute(self._count, values)

    def remove(self, connection: sa.Connection, name: str) -> bool:
        """See `IJobTypeRepository.remove`."""
        types = self._types
        return connection.execute(sa.delete(types).where(types.c.name == name)).rowcount == 1

    @cached_property
    def _upsert(self) -> sa.Executable:
        types = self._types
        insert = self._insert(types)
        newest = {column: insert.excluded[column] for column in _NEWEST}
        upsert: sa.Executable = insert.on_conflict_do_update(
            index_elements=[types.c.name], set_=newest
        )
        return upsert

    @cached_property
    def _count(self) -> sa.Update:
        types = self._types
        at = sa.bindparam("at", type_=Instant)
        is_later = sa.and_(
            at.is_not(None), sa.or_(types.c.last_run_at.is_(None), types.c.last_run_at <= at)
        )

        def last(column: sa.Column[Any], newer: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
            return sa.case((is_later, newer), else_=column)

        return (
            sa.update(types)
            .where(types.c.name == sa.bindparam("type"))
            .values(
                runs=types.c.runs + sa.bindparam("more_runs"),
                successes=types.c.successes + sa.bindparam("more_successes"),
                failures=types.c.failures + sa.bindparam("more_failures"),
                last_run_at=last(types.c.last_run_at, at),
                last_status=last(types.c.last_status, sa.bindparam("status", type_=sa.Text)),
            )
        )


def _row_of(definition: JobType, now: datetime) -> dict[str, Any]:
    return {
        "name": definition.name,
        "queue": definition.queue,
        "options": definition.options.to_text(),
        "max_concurrency": definition.max_concurrency,
        "display_name": definition.display_name,
        "description": definition.description,
        "enabled": definition.enabled,
        "declared_at": now,
        "runs": 0,
        "successes": 0,
        "failures": 0,
    }


def _info_of(row: sa.Row[Any]) -> JobTypeInfo:
    definition = JobType(
        name=row.name,
        queue=row.queue,
        options=options_from_text(row.options),
        max_concurrency=row.max_concurrency,
        display_name=row.display_name,
        description=row.description,
        enabled=row.enabled,
    )
    status = None if row.last_status is None else AttemptOutcome(row.last_status)
    statistics = RunStatistics(row.runs, row.successes, row.failures, row.last_run_at, status)
    return JobTypeInfo(definition, row.declared_at, statistics)
