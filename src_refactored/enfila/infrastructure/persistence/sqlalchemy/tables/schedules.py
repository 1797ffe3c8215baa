"""The rows of schedules and of their runs, each declared once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.runs.run import NewRun, Origin, ScheduleRun
from enfila.core.domain.schedule.runs.statistics import Statistics
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import FinishReason
from enfila.infrastructure.persistence.sqlalchemy.database.types import (
    BigIdentity,
    Instant,
    JobIdColumn,
    OrderedText,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import job_of, partial_index
from enfila.infrastructure.persistence.sqlalchemy.tables.row_shape import Column, RowShape

SCHEDULE: Final = RowShape(
    Schedule,
    (
        Column(
            "definition",
            sa.Text,
            read=lambda text: ScheduleDefinition.from_document(json.loads(text)),
            write=lambda definition: json.dumps(definition.to_document()),
        ),
        Column("created_at", Instant),
        Column("version", sa.BigInteger),
        Column("enabled", sa.Boolean),
        Column("disabled_reason", sa.Text, is_optional=True),
        Column("next_run_at", Instant, is_optional=True),
        Column("last_nominal", Instant, is_optional=True),
        Column("ticks_made", sa.BigInteger),
        Column("enqueue_failures", sa.Integer),
        Column("retry_at", Instant, is_optional=True),
        Column(
            "finished",
            sa.Text,
            read=lambda reason: None if reason is None else FinishReason(reason),
            is_optional=True,
        ),
        Column(
            "statistics",
            sa.Text,
            read=lambda text: Statistics.from_document(json.loads(text)),
            write=lambda statistics: json.dumps(statistics.to_document()),
        ),
    ),
)
"""What a schedule is read from."""
_SEARCHED: Final[RowShape[Any]] = RowShape(
    tuple,
    (
        Column("slug", OrderedText, is_key=True),
        Column("owner", sa.Text, "definition.owner", write=attrgetter("value")),
        Column("category", sa.Text, "definition.category"),
        Column("job_type", sa.Text, "definition.target.job_type"),
        Column("state", sa.Text, write=attrgetter("value")),
        Column("wake_at", Instant, is_optional=True),
    ),
)
"""What repeats something of it, to be searched for."""

_RUN: Final[RowShape[Callable[[Job | None], ScheduleRun]]] = RowShape(
    lambda *values: partial(ScheduleRun, *values),
    (
        Column("id", BigIdentity, is_key=True),
        Column("slug", OrderedText),
        Column("nominal", Instant),
        Column("origin", sa.Text, read=Origin, write=attrgetter("value")),
        Column("requested_by", sa.Text, "by", is_optional=True),
        Column("made_at", Instant),
        Column("job_id", JobIdColumn, is_optional=True),
    ),
)
"""What a run is read from, besides its job."""


def declare_schedules(metadata: sa.MetaData, prefix: str) -> sa.Table:
    """Declares the table of schedules."""
    table = f"{prefix}schedules"
    return sa.Table(
        table,
        metadata,
        *(column.declared() for column in (*_SEARCHED.columns, *SCHEDULE.columns)),
        sa.CheckConstraint(
            "next_run_at is null or (enabled and finished is null)", name=f"{table}_at_rest"
        ),
        sa.CheckConstraint("(next_run_at is null) = (wake_at is null)", name=f"{table}_wake_at"),
        partial_index(f"{table}_due", "wake_at", where="wake_at is not null"),
    )


def schedule_values(schedule: Schedule) -> dict[str, Any]:
    """All columns of a schedule with their values."""
    return SCHEDULE.values(schedule) | _SEARCHED.values(schedule)


def declare_schedule_runs(metadata: sa.MetaData, prefix: str, schedules: sa.Table) -> sa.Table:
    """Declares the table of runs of schedules."""
    table = f"{prefix}schedule_runs"
    number, slug, *others = _RUN.columns
    return sa.Table(
        table,
        metadata,
        sa.Column(number.name, number.kind, sa.Identity(always=True), primary_key=True),
        slug.declared(sa.ForeignKey(schedules.c.slug, ondelete="CASCADE")),
        *(column.declared() for column in others),
        Column("closed_at", Instant, is_optional=True).declared(),
        sa.CheckConstraint("origin in ('rule', 'backfill', 'manual')", name=f"{table}_origin"),
        sa.CheckConstraint("job_id is not null or closed_at is not null", name=f"{table}_skipped"),
        sa.Index(f"{table}_of_schedule", "slug", "id"),
        partial_index(
            f"{table}_nominal", "slug", "nominal", where="origin <> 'manual'", unique=True
        ),
        partial_index(f"{table}_open", "id", where="closed_at is null"),
        partial_index(f"{table}_open_of_schedule", "slug", where="closed_at is null"),
        partial_index(f"{table}_closed", "closed_at", where="closed_at is not null"),
    )


def new_run_values(slug: str, run: NewRun, now: datetime) -> dict[str, Any]:
    """All columns of a new run of a schedule with their values."""
    return {
        "slug": slug,
        "nominal": run.nominal,
        "origin": run.origin.value,
        "requested_by": run.by,
        "job_id": None if run.job is None else run.job.id,
        "made_at": now,
        "closed_at": now if run.job is None else None,
    }


run_columns: Final = _RUN.of
"""The columns that `run_of` reads, in its order; those of the job follow them."""


def run_of(row: Sequence[Any]) -> ScheduleRun:
    """The run that a row with `run_columns` and then `job_columns` tells of."""
    size = len(_RUN.columns)
    job = row[size:]
    return _RUN.entity(row[:size])(None if job[0] is None else job_of(job))
