"""Rows to schedules and their runs, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.run import NewRun, Origin, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import FinishReason
from enfila.core.domain.schedule.statistics import Statistics
from enfila.infrastructure.persistence.sqlalchemy.jobs.row import job_of


def schedule_row(schedule: Schedule) -> dict[str, Any]:
    """All columns of a schedule. Some repeat what the definition says, to be searched for."""
    definition = schedule.definition
    return {
        "slug": schedule.slug,
        "definition": json.dumps(definition.to_document()),
        "owner": definition.owner.value,
        "category": definition.category,
        "job_type": definition.target.job_type,
        "state": schedule.state.value,
        "version": schedule.version,
        "enabled": schedule.enabled,
        "disabled_reason": schedule.disabled_reason,
        "created_at": schedule.created_at,
        "next_run_at": schedule.next_run_at,
        "wake_at": schedule.wake_at,
        "last_nominal": schedule.last_nominal,
        "ticks_made": schedule.ticks_made,
        "enqueue_failures": schedule.enqueue_failures,
        "retry_at": schedule.retry_at,
        "finished": schedule.finished,
        "statistics": json.dumps(schedule.statistics.to_document()),
    }


def schedule_of(row: sa.Row[Any]) -> Schedule:
    """The schedule that a row tells of."""
    return Schedule(
        definition=ScheduleDefinition.from_document(json.loads(row.definition)),
        created_at=row.created_at,
        version=row.version,
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        next_run_at=row.next_run_at,
        last_nominal=row.last_nominal,
        ticks_made=row.ticks_made,
        enqueue_failures=row.enqueue_failures,
        retry_at=row.retry_at,
        finished=None if row.finished is None else FinishReason(row.finished),
        statistics=Statistics.from_document(json.loads(row.statistics)),
    )


def run_row(slug: str, run: NewRun, now: datetime) -> dict[str, Any]:
    """All columns of a new run. One without a job has nothing to wait for."""
    return {
        "slug": slug,
        "nominal": run.nominal,
        "origin": run.origin.value,
        "requested_by": run.by,
        "job_id": None if run.job is None else run.job.id,
        "made_at": now,
        "closed_at": now if run.job is None else None,
    }


def run_columns(runs: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    """The columns that `run_of` reads, in its order; those of the job follow them."""
    return [runs.c[name] for name in _RUN_COLUMNS]


_RUN_COLUMNS: Final = ("id", "slug", "nominal", "origin", "requested_by", "made_at", "job_id")


def run_of(row: Sequence[Any]) -> ScheduleRun:
    """The run that a row with `run_columns` and then `job_columns` tells of."""
    number, slug, nominal, origin, by, made_at, job_id = row[: len(_RUN_COLUMNS)]
    job = row[len(_RUN_COLUMNS) :]
    return ScheduleRun(
        number,
        slug,
        nominal,
        Origin(origin),
        by,
        made_at,
        job_id,
        None if job[0] is None else job_of(job),
    )
