"""The tables, under the schema and prefix that the user chose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.state import FINAL, JobState
from enfila.infrastructure.persistence.sqlalchemy.database.types import (
    BigIdentity,
    Instant,
    JobIdColumn,
    OrderedText,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.workers import workers_table

DEFAULT_PREFIX: Final = "enfila_"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,29}")


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one installation in one database."""

    metadata: sa.MetaData
    jobs: sa.Table
    positions: sa.Sequence
    position_counter: sa.Table
    attempts: sa.Table
    logs: sa.Table
    deduplications: sa.Table
    counter_changes: sa.Table
    queues: sa.Table
    workers: sa.Table
    job_types: sa.Table
    schedules: sa.Table
    schedule_runs: sa.Table


def build_tables(schema: str | None = None, prefix: str = DEFAULT_PREFIX) -> Tables:
    """The tables under `schema` (PostgreSQL) with names that begin with `prefix`.

    Raises:
        InvalidRequest: a name that is not 1 to 30 letters, digits and underscores.
    """
    for field, value in (("schema", schema), ("table_prefix", prefix)):
        if value is not None and not _is_identifier(value):
            raise InvalidRequest(field, value, "give 1 to 30 letters, digits and underscores")
    metadata = sa.MetaData(schema=schema)
    positions = sa.Sequence(f"{prefix}job_positions", metadata=metadata, data_type=sa.BigInteger)
    jobs = _jobs(metadata, prefix)
    schedules = _schedules(metadata, prefix)
    return Tables(
        metadata=metadata,
        jobs=jobs,
        positions=positions,
        position_counter=sa.Table(
            f"{prefix}position_counter",
            metadata,
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("last", sa.BigInteger, nullable=False),
        ),
        attempts=_attempts(metadata, prefix, jobs),
        logs=_logs(metadata, prefix, jobs),
        deduplications=sa.Table(
            f"{prefix}deduplications",
            metadata,
            sa.Column("queue", sa.Text, primary_key=True),
            sa.Column("key", sa.Text, primary_key=True),
            sa.Column("job_id", JobIdColumn),
            sa.Column("free_at", Instant),
            sa.Index(f"{prefix}deduplications_job", "job_id"),
        ),
        counter_changes=sa.Table(
            f"{prefix}counter_changes",
            metadata,
            sa.Column("id", BigIdentity, sa.Identity(always=True), primary_key=True),
            sa.Column("queue", sa.Text, nullable=False),
            sa.Column("state", sa.Text, nullable=False),
            sa.Column("change", sa.BigInteger, nullable=False),
            sa.Index(f"{prefix}counter_changes_queue", "queue", "state"),
        ),
        queues=sa.Table(
            f"{prefix}queues",
            metadata,
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("paused_at", Instant),
        ),
        workers=workers_table(metadata, prefix),
        job_types=_job_types(metadata, prefix),
        schedules=schedules,
        schedule_runs=_schedule_runs(metadata, prefix, schedules),
    )


def _is_identifier(value: object) -> bool:
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def _jobs(metadata: sa.MetaData, prefix: str) -> sa.Table:
    states = ", ".join(f"'{state.value}'" for state in JobState)
    final = ", ".join(f"'{state.value}'" for state in JobState if state in FINAL)
    return sa.Table(
        f"{prefix}jobs",
        metadata,
        sa.Column("id", JobIdColumn, primary_key=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("stalled_count", sa.Integer, nullable=False),
        sa.Column("lock_token", sa.BigInteger, nullable=False),
        sa.Column("worker_id", sa.String(36)),
        sa.Column("locked_until", Instant),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("run_at", Instant, nullable=False),
        sa.Column("started_at", Instant),
        sa.Column("finished_at", Instant),
        sa.Column("expires_at", Instant),
        sa.Column("result", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("progress", sa.Text),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("cancel_reason", sa.Text),
        sa.Column("blocked_by", JobIdColumn),
        sa.Column("followed", sa.Boolean, nullable=False),
        sa.Column("own_retention", sa.Boolean, nullable=False),
        sa.Column("remove_at", Instant),
        sa.Column("keep_newest", sa.Integer),
        sa.Column("schedule_id", sa.Text),
        sa.Column("batch_id", sa.Text),
        sa.Column("tenant", sa.Text),
        sa.CheckConstraint(f"state in ({states})", name=f"{prefix}jobs_state"),
        sa.CheckConstraint("attempt between 0 and max_attempts", name=f"{prefix}jobs_attempt"),
        sa.CheckConstraint(
            "(state = 'active') = (locked_until is not null)", name=f"{prefix}jobs_locked"
        ),
        sa.CheckConstraint(
            f"(state in ({final})) = (finished_at is not null)", name=f"{prefix}jobs_finished"
        ),
        sa.CheckConstraint(
            "(state = 'blocked') = (blocked_by is not null)", name=f"{prefix}jobs_blocked"
        ),
        _partial(
            f"{prefix}jobs_waiting", "queue", "priority", "position", where="state = 'waiting'"
        ),
        _partial(f"{prefix}jobs_delayed", "queue", "run_at", "position", where="state = 'delayed'"),
        _partial(f"{prefix}jobs_active", "queue", "locked_until", where="state = 'active'"),
        _partial(
            f"{prefix}jobs_done", "queue", "state", "finished_at", where="finished_at is not null"
        ),
        _partial(f"{prefix}jobs_expiring", "queue", "expires_at", where="expires_at is not null"),
        _partial(f"{prefix}jobs_blocked_by", "blocked_by", where="blocked_by is not null"),
        _partial(f"{prefix}jobs_removable", "queue", "remove_at", where="remove_at is not null"),
        _partial(
            f"{prefix}jobs_rationed",
            "queue",
            "state",
            "keep_newest",
            where="keep_newest is not null",
        ),
    )


def _partial(name: str, *columns: str, where: str) -> sa.Index:
    return sa.Index(name, *columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def _attempts(metadata: sa.MetaData, prefix: str, jobs: sa.Table) -> sa.Table:
    return sa.Table(
        f"{prefix}attempts",
        metadata,
        sa.Column(
            "job_id", JobIdColumn, sa.ForeignKey(jobs.c.id, ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("token", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.String(36)),
        sa.Column("started_at", Instant),
        sa.Column("finished_at", Instant),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
    )


def _job_types(metadata: sa.MetaData, prefix: str) -> sa.Table:
    return sa.Table(
        f"{prefix}job_types",
        metadata,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("max_concurrency", sa.Integer),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("declared_at", Instant, nullable=False),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sa.Column("successes", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("last_run_at", Instant),
        sa.Column("last_status", sa.Text),
        sa.CheckConstraint("max_concurrency >= 1", name=f"{prefix}job_types_max_concurrency"),
        sa.CheckConstraint("successes + failures <= runs", name=f"{prefix}job_types_runs"),
    )


def _schedules(metadata: sa.MetaData, prefix: str) -> sa.Table:
    return sa.Table(
        f"{prefix}schedules",
        metadata,
        sa.Column("slug", OrderedText, primary_key=True),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("job_type", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("next_run_at", Instant),
        sa.Column("wake_at", Instant),
        sa.Column("last_nominal", Instant),
        sa.Column("ticks_made", sa.BigInteger, nullable=False),
        sa.Column("enqueue_failures", sa.Integer, nullable=False),
        sa.Column("retry_at", Instant),
        sa.Column("finished", sa.Text),
        sa.Column("statistics", sa.Text, nullable=False),
        sa.CheckConstraint(
            "next_run_at is null or (enabled and finished is null)",
            name=f"{prefix}schedules_at_rest",
        ),
        sa.CheckConstraint(
            "(next_run_at is null) = (wake_at is null)", name=f"{prefix}schedules_wake_at"
        ),
        _partial(f"{prefix}schedules_due", "wake_at", where="wake_at is not null"),
    )


def _schedule_runs(metadata: sa.MetaData, prefix: str, schedules: sa.Table) -> sa.Table:
    table = f"{prefix}schedule_runs"
    return sa.Table(
        table,
        metadata,
        sa.Column("id", BigIdentity, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "slug", OrderedText, sa.ForeignKey(schedules.c.slug, ondelete="CASCADE"), nullable=False
        ),
        sa.Column("nominal", Instant, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text),
        sa.Column("job_id", JobIdColumn),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("closed_at", Instant),
        sa.CheckConstraint("origin in ('rule', 'backfill', 'manual')", name=f"{table}_origin"),
        sa.CheckConstraint("job_id is not null or closed_at is not null", name=f"{table}_skipped"),
        sa.Index(f"{table}_of_schedule", "slug", "id"),
        sa.Index(
            f"{table}_nominal",
            "slug",
            "nominal",
            unique=True,
            postgresql_where=sa.text("origin <> 'manual'"),
            sqlite_where=sa.text("origin <> 'manual'"),
        ),
        _partial(f"{table}_open", "id", where="closed_at is null"),
        _partial(f"{table}_open_of_schedule", "slug", where="closed_at is null"),
        _partial(f"{table}_closed", "closed_at", where="closed_at is not null"),
    )


def _logs(metadata: sa.MetaData, prefix: str, jobs: sa.Table) -> sa.Table:
    return sa.Table(
        f"{prefix}job_logs",
        metadata,
        sa.Column("id", BigIdentity, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "job_id", JobIdColumn, sa.ForeignKey(jobs.c.id, ondelete="CASCADE"), nullable=False
        ),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("logged_at", Instant, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Index(f"{prefix}job_logs_job", "job_id", "id"),
    )
