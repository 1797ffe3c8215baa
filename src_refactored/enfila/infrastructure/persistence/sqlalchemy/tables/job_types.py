"""The row of a job type, declared once."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.domain.job.options import options_from_text
from enfila.core.domain.job.running.attempt import AttemptOutcome
from enfila.core.domain.job_type import JobType, JobTypeInfo, RunStatistics
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant
from enfila.infrastructure.persistence.sqlalchemy.tables.row_shape import Column, RowShape

_DEFINITION: Final = (
    Column("name", sa.Text, is_key=True),
    Column("queue", sa.Text),
    Column("options", sa.Text, read=options_from_text, write=lambda options: options.to_text()),
    Column("max_concurrency", sa.Integer, is_optional=True),
    Column("display_name", sa.Text),
    Column("description", sa.Text),
    Column("enabled", sa.Boolean),
)
_STATISTICS: Final = (
    Column("runs", sa.BigInteger),
    Column("successes", sa.BigInteger),
    Column("failures", sa.BigInteger),
    Column("last_run_at", Instant, is_optional=True),
    Column(
        "last_status",
        sa.Text,
        read=lambda status: None if status is None else AttemptOutcome(status),
        is_optional=True,
    ),
)
_DECLARED_AT: Final = Column("declared_at", Instant)

_definition: Final = RowShape(
    lambda *values: JobType(
        **dict(zip((column.name for column in _DEFINITION), values, strict=True))
    ),
    _DEFINITION,
)
_statistics: Final = RowShape(RunStatistics, _STATISTICS)

NEWEST: Final = (
    "queue",
    "options",
    "max_concurrency",
    "display_name",
    "description",
    "declared_at",
)
"""What a new declaration of a known type replaces."""


def declare_job_types(metadata: sa.MetaData, prefix: str) -> sa.Table:
    """Declares the table of job types."""
    table = f"{prefix}job_types"
    return sa.Table(
        table,
        metadata,
        *(column.declared() for column in (*_DEFINITION, _DECLARED_AT, *_STATISTICS)),
        sa.CheckConstraint("max_concurrency >= 1", name=f"{table}_max_concurrency"),
        sa.CheckConstraint("successes + failures <= runs", name=f"{table}_runs"),
    )


def job_type_columns(types: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    """The columns that `job_type_of` reads, in its order."""
    return [*_definition.of(types), types.c.declared_at, *_statistics.of(types)]


def job_type_of(row: sa.Row[Any]) -> JobTypeInfo:
    """The job type that a row with `job_type_columns` tells of."""
    size = len(_DEFINITION)
    return JobTypeInfo(
        _definition.entity(row[:size]), row[size], _statistics.entity(row[size + 1 :])
    )


def job_type_values(definition: JobType, now: datetime) -> dict[str, Any]:
    """All columns of a definition that is stored for the first time."""
    nothing = _statistics.values(RunStatistics())
    return {**_definition.values(definition), "declared_at": now, **nothing}
