"""The first tables.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.sql.ddl import CreateSequence, DropSequence

from enfila.infrastructure.persistence.sqlalchemy.database.types import (
    BigIdentity,
    Instant,
    JobIdColumn,
)

revision = "0001"
down_revision = None

_FINAL = "'completed', 'failed', 'cancelled'"


def upgrade(schema: str | None, prefix: str) -> None:
    """Makes all tables."""
    is_server = op.get_bind().dialect.name != "sqlite"
    if is_server:
        op.execute(
            CreateSequence(
                sa.Sequence(f"{prefix}job_positions", schema=schema, data_type=sa.BigInteger)
            )
        )
    _make_jobs(schema, prefix)
    _make_histories(schema, prefix)
    _make_others(schema, prefix)
    if is_server:
        _set_storage(schema, prefix)


def _set_storage(schema: str | None, prefix: str) -> None:
    """Rows of jobs are updated twice each in a short life: vacuum early, leave room for updates."""
    place = f'"{schema}".' if schema else ""
    settings = (
        "fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, "
        "autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1"
    )
    op.execute(f'ALTER TABLE {place}"{prefix}jobs" SET ({settings})')


def _make_jobs(schema: str | None, prefix: str) -> None:
    table = f"{prefix}jobs"
    op.create_table(
        table,
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
        sa.CheckConstraint(
            f"state in ('waiting', 'delayed', 'blocked', 'active', {_FINAL})",
            name=f"{table}_state",
        ),
        sa.CheckConstraint("attempt between 0 and max_attempts", name=f"{table}_attempt"),
        sa.CheckConstraint(
            "(state = 'active') = (locked_until is not null)", name=f"{table}_locked"
        ),
        sa.CheckConstraint(
            f"(state in ({_FINAL})) = (finished_at is not null)", name=f"{table}_finished"
        ),
        sa.CheckConstraint(
            "(state = 'blocked') = (blocked_by is not null)", name=f"{table}_blocked"
        ),
        schema=schema,
    )
    for name, columns, condition in (
        ("waiting", ["queue", "priority", "position"], "state = 'waiting'"),
        ("delayed", ["queue", "run_at", "position"], "state = 'delayed'"),
        ("active", ["queue", "locked_until"], "state = 'active'"),
        ("done", ["queue", "state", "finished_at"], "finished_at is not null"),
        ("expiring", ["queue", "expires_at"], "expires_at is not null"),
        ("blocked_by", ["blocked_by"], "blocked_by is not null"),
        ("removable", ["queue", "remove_at"], "remove_at is not null"),
        ("rationed", ["queue", "state", "keep_newest"], "keep_newest is not null"),
    ):
        op.create_index(
            f"{table}_{name}",
            table,
            columns,
            schema=schema,
            postgresql_where=sa.text(condition),
            sqlite_where=sa.text(condition),
        )


def _make_histories(schema: str | None, prefix: str) -> None:
    jobs = f"{schema}.{prefix}jobs.id" if schema else f"{prefix}jobs.id"
    op.create_table(
        f"{prefix}attempts",
        sa.Column("job_id", JobIdColumn, sa.ForeignKey(jobs, ondelete="CASCADE"), primary_key=True),
        sa.Column("token", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.String(36)),
        sa.Column("started_at", Instant),
        sa.Column("finished_at", Instant),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        schema=schema,
    )
    op.create_table(
        f"{prefix}job_logs",
        sa.Column("id", BigIdentity, sa.Identity(always=True), primary_key=True),
        sa.Column("job_id", JobIdColumn, sa.ForeignKey(jobs, ondelete="CASCADE"), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("logged_at", Instant, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_index(f"{prefix}job_logs_job", f"{prefix}job_logs", ["job_id", "id"], schema=schema)


def _make_others(schema: str | None, prefix: str) -> None:
    counter = op.create_table(
        f"{prefix}position_counter",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        schema=schema,
    )
    op.bulk_insert(counter, [{"id": 1, "last": 0}])
    op.create_table(
        f"{prefix}deduplications",
        sa.Column("queue", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("job_id", JobIdColumn),
        sa.Column("free_at", Instant),
        schema=schema,
    )
    op.create_index(
        f"{prefix}deduplications_job", f"{prefix}deduplications", ["job_id"], schema=schema
    )
    op.create_table(
        f"{prefix}counter_changes",
        sa.Column("id", BigIdentity, sa.Identity(always=True), primary_key=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
        schema=schema,
    )
    op.create_index(
        f"{prefix}counter_changes_queue",
        f"{prefix}counter_changes",
        ["queue", "state"],
        schema=schema,
    )
    op.create_table(
        f"{prefix}queues",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("paused_at", Instant),
        schema=schema,
    )
    op.create_table(
        f"{prefix}workers",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("process_id", sa.Integer, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("active", sa.Integer, nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("seen_at", Instant, nullable=False),
        schema=schema,
    )


def downgrade(schema: str | None, prefix: str) -> None:
    """Removes all tables, with every job in them."""
    for name in (
        "workers",
        "queues",
        "counter_changes",
        "deduplications",
        "position_counter",
        "job_logs",
        "attempts",
        "jobs",
    ):
        op.drop_table(f"{prefix}{name}", schema=schema)
    if op.get_bind().dialect.name != "sqlite":
        op.execute(DropSequence(sa.Sequence(f"{prefix}job_positions", schema=schema)))
