"""The statements about job types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from enfila.core.domain.job_type import JobType, JobTypeInfo, RunStatistics
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.tables.job_types import (
    NEWEST,
    job_type_columns,
    job_type_of,
    job_type_values,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class JobTypeStatements:
    """The SQL statements about job types. What must hold for each: `IJobTypeRepository`.

    Rows are written in the order of their names, so that no two processes wait for each other.
    """

    def __init__(self, tables: Tables, insert: UpsertingInsert) -> None:
        self._types = tables.job_types
        self._insert = insert

    def declare(self, connection: sa.Connection, types: Sequence[JobType], now: datetime) -> None:
        """See `IJobTypeRepository.declare`."""
        rows = [job_type_values(each, now) for each in sorted(types, key=lambda each: each.name)]
        connection.execute(self._upsert, rows)

    def all(self, connection: sa.Connection) -> list[JobTypeInfo]:
        """See `IJobTypeRepository.all`."""
        found = [
            job_type_of(row)
            for row in connection.execute(sa.select(*job_type_columns(self._types)))
        ]
        # By code point, as everywhere: a server may sort by the rules of a language.
        return sorted(found, key=lambda each: each.name)

    def one(self, connection: sa.Connection, name: str) -> JobTypeInfo | None:
        """See `IJobTypeRepository.get`."""
        types = self._types
        row = connection.execute(
            sa.select(*job_type_columns(types)).where(types.c.name == name)
        ).first()
        return None if row is None else job_type_of(row)

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
        newest = {column: insert.excluded[column] for column in NEWEST}
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
