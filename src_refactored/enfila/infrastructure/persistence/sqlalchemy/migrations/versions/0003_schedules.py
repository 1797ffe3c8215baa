"""Schedules.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from enfila.infrastructure.persistence.sqlalchemy.database.types import (
    BigIdentity,
    Instant,
    JobIdColumn,
    OrderedText,
)

revision = "0003"
down_revision = "0002"


def upgrade(schema: str | None, prefix: str) -> None:
    """Makes the tables of schedules and of their runs."""
    _make_schedules(schema, f"{prefix}schedules")
    _make_runs(schema, prefix)


def _make_schedules(schema: str | None, table: str) -> None:
    op.create_table(
        table,
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
            "next_run_at is null or (enabled and finished is null)", name=f"{table}_at_rest"
        ),
        sa.CheckConstraint("(next_run_at is null) = (wake_at is null)", name=f"{table}_wake_at"),
        schema=schema,
    )
    _index(schema, table, "due", ["wake_at"], "wake_at is not null")


def _make_runs(schema: str | None, prefix: str) -> None:
    table = f"{prefix}schedule_runs"
    schedules = f"{schema}.{prefix}schedules.slug" if schema else f"{prefix}schedules.slug"
    op.create_table(
        table,
        sa.Column("id", BigIdentity, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "slug", OrderedText, sa.ForeignKey(schedules, ondelete="CASCADE"), nullable=False
        ),
        sa.Column("nominal", Instant, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text),
        sa.Column("job_id", JobIdColumn),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("closed_at", Instant),
        sa.CheckConstraint("origin in ('rule', 'backfill', 'manual')", name=f"{table}_origin"),
        sa.CheckConstraint("job_id is not null or closed_at is not null", name=f"{table}_skipped"),
        schema=schema,
    )
    op.create_index(f"{table}_of_schedule", table, ["slug", "id"], schema=schema)
    _index(schema, table, "nominal", ["slug", "nominal"], "origin <> 'manual'", unique=True)
    _index(schema, table, "open", ["id"], "closed_at is null")
    _index(schema, table, "open_of_schedule", ["slug"], "closed_at is null")
    _index(schema, table, "closed", ["closed_at"], "closed_at is not null")


def _index(
    schema: str | None,
    table: str,
    name: str,
    columns: list[str],
    condition: str,
    *,
    unique: bool = False,
) -> None:
    op.create_index(
        f"{table}_{name}",
        table,
        columns,
        unique=unique,
        schema=schema,
        postgresql_where=sa.text(condition),
        sqlite_where=sa.text(condition),
    )


def downgrade(schema: str | None, prefix: str) -> None:
    """Removes the tables; jobs stay."""
    op.drop_table(f"{prefix}schedule_runs", schema=schema)
    op.drop_table(f"{prefix}schedules", schema=schema)
