"""Rows to entities and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from enfila.core.domain.job.attempt import Attempt, AttemptOutcome
from enfila.core.domain.job.claim import Claim
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import options_from_text
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import NULL, JsonDocument
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

# Looked up some hundred thousand times a minute: a dict is twice as fast as the enum's call.
_STATES = {state.value: state for state in JobState}


def job_columns(jobs: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    """The columns that `job_of` reads, in its order."""
    return [jobs.c[name] for name in _COLUMNS]


_COLUMNS = (
    "id",
    "queue",
    "name",
    "payload",
    "options",
    "state",
    "priority",
    "max_attempts",
    "created_at",
    "run_at",
    "attempt",
    "lock_token",
    "position",
    "stalled_count",
    "worker_id",
    "locked_until",
    "started_at",
    "finished_at",
    "expires_at",
    "result",
    "error",
    "progress",
    "cancel_requested",
    "cancel_reason",
    "blocked_by",
    "schedule_id",
    "batch_id",
    "tenant",
)


def job_of(row: Sequence[Any]) -> Job:
    """The job that a row with `job_columns` tells of."""
    (
        job_id,
        queue,
        name,
        payload,
        options,
        state,
        priority,
        max_attempts,
        created_at,
        run_at,
        attempt,
        lock_token,
        position,
        stalled_count,
        worker_id,
        locked_until,
        started_at,
        finished_at,
        expires_at,
        result,
        error,
        progress,
        cancel_requested,
        cancel_reason,
        blocked_by,
        schedule_id,
        batch_id,
        tenant,
    ) = row
    return Job(
        job_id,
        queue,
        name,
        JsonDocument(payload),
        options_from_text(options),
        _STATES[state],
        priority,
        max_attempts,
        created_at,
        run_at,
        attempt,
        lock_token,
        position,
        stalled_count,
        worker_id,
        locked_until,
        started_at,
        finished_at,
        expires_at,
        None if result is None else JsonDocument(result),
        error_of(error),
        NULL if progress is None else JsonDocument(progress),
        cancel_requested,
        cancel_reason,
        blocked_by,
        schedule_id,
        batch_id,
        tenant,
    )


def claimed_columns(jobs: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    """The columns that `claimed_job_of` reads, in its order, with ids as text.

    A third of the columns of a job that was just claimed are known without asking.
    """
    return [sa.cast(jobs.c.id, sa.Text).label("id"), *(jobs.c[name] for name in _CLAIMED[1:])]


_CLAIMED = (
    "id",
    "name",
    "payload",
    "options",
    "priority",
    "max_attempts",
    "created_at",
    "run_at",
    "attempt",
    "lock_token",
    "position",
    "stalled_count",
    "started_at",
    "result",
    "error",
    "progress",
    "cancel_requested",
    "cancel_reason",
    "schedule_id",
    "batch_id",
    "tenant",
)


def claimed_job_of(row: Sequence[Any], claim: Claim) -> Job:
    """The job that a row with `claimed_columns` tells of, which `claim` has just locked."""
    started_at = row[12]
    return job_of(
        (
            row[0],
            claim.queue,
            *row[1:4],
            JobState.ACTIVE.value,
            *row[4:12],
            claim.worker_id,
            started_at + claim.lock_duration,
            started_at,
            None,  # finished_at
            None,  # expires_at
            *row[13:18],
            None,  # blocked_by
            *row[18:],
        )
    )


def row_of(job: Job) -> dict[str, Any]:
    """All columns of a job that is about to be inserted."""
    return {
        "id": job.id,
        "queue": job.queue,
        "name": job.name,
        "payload": job.document.text,
        "options": job.options.to_text(),
        "state": job.state.value,
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "created_at": job.created_at,
        "run_at": job.run_at,
        "attempt": job.attempt,
        "lock_token": job.token,
        "position": job.position,
        "stalled_count": job.stalled_count,
        "expires_at": job.expires_at,
        "cancel_requested": job.cancel_requested,
        "blocked_by": job.blocked_by,
        "followed": False,
        "own_retention": False,
        "schedule_id": job.schedule_id,
        "batch_id": job.batch_id,
        "tenant": job.tenant,
    }


def error_text(error: JobError | None) -> str | None:
    """An error as it is stored."""
    return None if error is None else json.dumps(error.to_json())


def error_of(text: str | None) -> JobError | None:
    """The error that `error_text` stored."""
    return None if text is None else JobError.from_json(json.loads(text))


def attempt_columns(tables: Tables) -> list[sa.ColumnElement[Any]]:
    """The columns that `attempt_of` reads, in its order."""
    columns = tables.attempts.c
    return [
        columns.number,
        columns.token,
        columns.worker_id,
        columns.started_at,
        columns.finished_at,
        columns.outcome,
        columns.error,
    ]


def attempt_of(row: Sequence[Any]) -> Attempt:
    """The run that a row with `attempt_columns` tells of."""
    number, token, worker_id, started_at, finished_at, outcome, error = row
    return Attempt(
        number, token, worker_id, started_at, finished_at, AttemptOutcome(outcome), error_of(error)
    )
