"""Job types.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant

revision = "0002"
down_revision = "0001"


def upgrade(schema: str | None, prefix: str) -> None:
    """Makes the table of job types."""
    table = f"{prefix}job_types"
    op.create_table(
        table,
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
        sa.CheckConstraint("max_concurrency >= 1", name=f"{table}_max_concurrency"),
        sa.CheckConstraint("successes + failures <= runs", name=f"{table}_runs"),
        schema=schema,
    )


def downgrade(schema: str | None, prefix: str) -> None:
    """Removes the table; jobs stay."""
    op.drop_table(f"{prefix}job_types", schema=schema)
