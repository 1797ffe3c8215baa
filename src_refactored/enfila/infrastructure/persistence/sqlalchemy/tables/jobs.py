"""The row of a job, declared once: its table, how it is added, claimed and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum, auto
from operator import attrgetter, itemgetter
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import options_from_text
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.state import FINAL, JobState
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant, JobIdColumn
from enfila.infrastructure.persistence.sqlalchemy.tables.row_shape import Column, RowShape
from enfila.infrastructure.persistence.sqlalchemy.tables.text import (
    document_of,
    document_or_null,
    error_of,
)

# Looked up some hundred thousand times a minute: a dict is twice as fast as the enum's call.
_STATES: Final = {state.value: state for state in JobState}


class New(Enum):
    """Where the value of a new job's column comes from."""

    EACH = auto()
    """From the job; it differs between jobs that are alike otherwise."""
    SHARED = auto()
    """From the job; uniform jobs share it."""
    COMPUTED = auto()
    """From the clock and the order of the database."""
    CONSTANT = auto()
    """The same for every new job."""
    EMPTY = auto()
    """Null."""


@dataclass(frozen=True, slots=True)
class JobColumn(Column):
    """A column of the table of jobs, and where its value comes from for a new job.

    Attributes:
        new: where the value of a new job comes from.
        constant: the value, where it is always the same.
        when_claimed: what a claim makes of it, given the claim and its instant, so that the row
            need not be asked; None where it has to be.
    """

    new: New = New.EMPTY
    constant: Any = None
    when_claimed: Callable[[Claim, datetime], Any] | None = None


def _column(
    name: str, kind: Any, new: New = New.EMPTY, constant: Any = None, /, **more: Any
) -> JobColumn:
    return JobColumn(
        name, kind, new=new, constant=constant, is_optional=more.pop("is_optional", False), **more
    )


COLUMNS: Final = (
    _column("id", JobIdColumn, New.EACH, is_key=True),
    _column("queue", sa.Text, New.SHARED, when_claimed=lambda claim, _: claim.queue),
    _column("name", sa.Text, New.SHARED),
    _column(
        "payload",
        sa.Text,
        New.EACH,
        field="document",
        read=document_or_null,
        write=attrgetter("text"),
    ),
    _column(
        "options",
        sa.Text,
        New.SHARED,
        read=options_from_text,
        write=lambda options: options.to_text(),
    ),
    _column(
        "state",
        sa.Text,
        New.SHARED,
        read=_STATES.__getitem__,
        write=attrgetter("value"),
        when_claimed=lambda _claim, _now: JobState.ACTIVE.value,
    ),
    _column("priority", sa.Integer, New.SHARED),
    _column("max_attempts", sa.Integer, New.SHARED),
    _column("created_at", Instant, New.COMPUTED),
    _column("run_at", Instant, New.COMPUTED),
    _column("attempt", sa.Integer, New.CONSTANT, 0),
    _column("lock_token", sa.BigInteger, New.CONSTANT, 0, field="token"),
    _column("position", sa.BigInteger, New.COMPUTED),
    _column("stalled_count", sa.Integer, New.CONSTANT, 0),
    _column(
        "worker_id",
        sa.String(36),
        is_optional=True,
        when_claimed=lambda claim, _: claim.worker_id,
    ),
    _column(
        "locked_until",
        Instant,
        is_optional=True,
        when_claimed=lambda claim, now: now + claim.lock_duration,
    ),
    _column("started_at", Instant, is_optional=True),
    _column("finished_at", Instant, is_optional=True, when_claimed=lambda _claim, _now: None),
    _column(
        "expires_at",
        Instant,
        New.COMPUTED,
        is_optional=True,
        when_claimed=lambda _claim, _now: None,
    ),
    _column("result", sa.Text, field="result_document", read=document_of, is_optional=True),
    _column("error", sa.Text, read=error_of, is_optional=True),
    _column(
        "progress", sa.Text, field="progress_document", read=document_or_null, is_optional=True
    ),
    _column("cancel_requested", sa.Boolean, New.CONSTANT, False),
    _column("cancel_reason", sa.Text, is_optional=True),
    _column("schedule_id", sa.Text, New.SHARED, is_optional=True),
    _column("batch_id", sa.Text, New.SHARED, is_optional=True),
    _column("tenant", sa.Text, New.SHARED, is_optional=True),
)
"""The columns that a `Job` is read from, in the order in which it takes them."""

_OF_THE_ROW_ALONE: Final = (
    _column("pending_dependencies", sa.Integer, New.SHARED, field="depends_on", write=len),
    _column("has_dependents", sa.Boolean, New.CONSTANT, False),
    _column("own_retention", sa.Boolean, New.CONSTANT, False),
    _column("remove_at", Instant, is_optional=True),
    _column("keep_newest", sa.Integer, is_optional=True),
)
"""The columns that statements need and no `Job` shows."""

_ALL: Final = COLUMNS + _OF_THE_ROW_ALONE
_SHAPE: Final = RowShape(Job, COLUMNS)

# The row says everything but which jobs a blocked one waits for.
if [column.attribute for column in COLUMNS] != [each.name for each in fields(Job)][:-1]:
    raise TypeError("the columns are to be declared in the order of the fields of Job")

job_columns: Final = _SHAPE.of
"""The columns that `job_of` reads, in its order."""
job_of: Final = _SHAPE.entity
"""The job that a row with `job_columns` tells of, but for what a blocked one waits for."""


def declare_jobs(metadata: sa.MetaData, prefix: str) -> sa.Table:
    """Declares the table of jobs."""
    table = f"{prefix}jobs"
    states = ", ".join(f"'{state.value}'" for state in JobState)
    final = ", ".join(f"'{state.value}'" for state in JobState if state in FINAL)
    return sa.Table(
        table,
        metadata,
        *(column.declared() for column in _ALL),
        sa.CheckConstraint(f"state in ({states})", name=f"{table}_state"),
        sa.CheckConstraint("attempt between 0 and max_attempts", name=f"{table}_attempt"),
        sa.CheckConstraint(
            "(state = 'active') = (locked_until is not null)", name=f"{table}_locked"
        ),
        sa.CheckConstraint(
            f"(state in ({final})) = (finished_at is not null)", name=f"{table}_finished"
        ),
        sa.CheckConstraint(
            "(state = 'blocked') = (pending_dependencies > 0)", name=f"{table}_blocked"
        ),
        partial_index(
            f"{table}_waiting", "queue", "priority", "position", where="state = 'waiting'"
        ),
        partial_index(f"{table}_delayed", "queue", "run_at", "position", where="state = 'delayed'"),
        partial_index(f"{table}_active", "queue", "locked_until", where="state = 'active'"),
        partial_index(
            f"{table}_done", "queue", "state", "finished_at", where="finished_at is not null"
        ),
        partial_index(f"{table}_expiring", "queue", "expires_at", where="expires_at is not null"),
        partial_index(f"{table}_removable", "queue", "remove_at", where="remove_at is not null"),
        partial_index(
            f"{table}_rationed", "queue", "state", "keep_newest", where="keep_newest is not null"
        ),
    )


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    """Declares an index of the rows that fulfil a condition."""
    condition = sa.text(where)
    return sa.Index(
        name, *columns, unique=unique, postgresql_where=condition, sqlite_where=condition
    )


# ── new jobs ─────────────────────────────────────────────────────────────────────────────────────

NEW_COLUMNS: Final[Mapping[str, Any]] = {
    column.name: column.kind for column in _ALL if column.new in {New.EACH, New.SHARED}
}
"""The types of the columns that a new job gives."""
EACH_NEW: Final = tuple(column.name for column in _ALL if column.new is New.EACH)
"""Those of them that differ between uniform jobs."""
CONSTANTS: Final[Mapping[str, Any]] = {
    column.name: column.constant for column in _ALL if column.new is New.CONSTANT
}
"""The columns that are the same for every new job."""

_EACH: Final = [column for column in _ALL if column.new is New.EACH]
_SHARED: Final = [column for column in _ALL if column.new is New.SHARED]
_COMPUTED: Final = [column for column in _ALL if column.new is New.COMPUTED]

kind_of: Final = attrgetter(
    *(column.attribute for column in _SHARED if column.attribute != "options")
)
"""All that uniform jobs share, but for their options."""


def are_uniform(jobs: Sequence[Job]) -> bool:
    """Whether new jobs differ in their ids, positions and payloads only."""
    kind, options = kind_of(jobs[0]), jobs[0].options
    text = options.to_text()
    return all(
        kind_of(job) == kind
        # By what is stored of them: 1 and True are equal, and are not the same.
        and (job.options is options or job.options.to_text() == text)
        for job in jobs
    )


shared_values: Final = RowShape(Job, _SHARED).values
"""What a new job shares with those that are uniform with it, by column."""
computed_values: Final = RowShape(Job, _COMPUTED).values
"""What depends on the clock and the order, of a job that was given both, by column."""


def each_values(jobs: Sequence[Job]) -> dict[str, list[Any]]:
    """The values in which similar new jobs differ, by column."""
    return {column.name: column.values(jobs) for column in _EACH}


# ── claimed jobs ─────────────────────────────────────────────────────────────────────────────────

_ASKED: Final = [column for column in COLUMNS if column.when_claimed is None]
_KNOWN: Final = [
    (column.name, column.when_claimed) for column in COLUMNS if column.when_claimed is not None
]
_ORDER: Final = [column.name for column in _ASKED] + [name for name, _ in _KNOWN]
_arranged: Final = itemgetter(*(_ORDER.index(column.name) for column in COLUMNS))
_STARTED_AT: Final = [column.name for column in _ASKED].index("started_at")


def claimed_columns(jobs: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    """The columns that `claimed_jobs` reads, in its order, with ids as text.

    What a claim has just written is known without asking.
    """
    rest = [jobs.c[column.name] for column in _ASKED if not column.is_key]
    return [sa.cast(jobs.c.id, sa.Text).label("id"), *rest]


def claimed_jobs(rows: Sequence[Sequence[Any]], claim: Claim) -> list[Job]:
    """The jobs that rows with `claimed_columns` tell of, which `claim` has just locked."""
    if not rows:
        return []
    now = rows[0][_STARTED_AT]
    known = tuple(when_claimed(claim, now) for _, when_claimed in _KNOWN)
    return [job_of(_arranged((*row, *known))) for row in rows]
