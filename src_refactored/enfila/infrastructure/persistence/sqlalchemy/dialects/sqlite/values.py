"""The parameters of the statements that move a job and insert one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.domain.job.job import Job
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import (
    CONSTANTS,
    computed_values,
    each_values,
    shared_values,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.moves import FIELDS, LENGTHS, RESULT

_KINDS: Final = {field.name: field.kind for field in (*FIELDS, RESULT)}
_PREFIX: Final = "move_"
JOB: Final = f"{_PREFIX}job"
NOW: Final = f"{_PREFIX}now"


def given(name: str) -> sa.ColumnElement[Any]:
    """The SQL parameter for one field of a job's transition."""
    return sa.bindparam(f"{_PREFIX}{name}", type_=_KINDS[name])


def later(name: str) -> sa.ColumnElement[Any]:
    """The SQL parameter for an instant that a transition gives as a length of time from now."""
    return sa.bindparam(f"{_PREFIX}{name}", type_=Instant)


def values(move: Transition, now: datetime) -> dict[str, Any]:
    """All SQL parameters of a job's transition, by name."""
    return {
        **_shared(move, now),
        JOB: move.job_id,
        f"{_PREFIX}result": RESULT.value(move),
    }


def uniform_values(
    moves: Sequence[Transition], now: datetime
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Splits the SQL parameters of similar transitions into shared ones and the others."""
    return _shared(moves[0], now), {
        JOB: [move.job_id for move in moves],
        f"{_PREFIX}result": [RESULT.value(move) for move in moves],
    }


def _shared(move: Transition, now: datetime) -> dict[str, Any]:
    shared: dict[str, Any] = {f"{_PREFIX}{field.name}": field.value(move) for field in FIELDS}
    for length in LENGTHS:
        ahead = length.value(move)
        shared[f"{_PREFIX}{length.name}"] = None if ahead is None else now + ahead
    shared[NOW] = now
    return shared


def row_of(job: Job) -> dict[str, Any]:
    """All columns of a new job with their values, once its order and clock are known."""
    each = {name: column[0] for name, column in each_values([job]).items()}
    return {**each, **shared_values(job), **computed_values(job), **CONSTANTS}


def uniform_rows(jobs: Sequence[Job]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Splits the columns of similar new jobs into those that they share and the others."""
    shared = {**shared_values(jobs[0]), **computed_values(jobs[0]), **CONSTANTS}
    return shared, {**each_values(jobs), "position": [job.position for job in jobs]}
