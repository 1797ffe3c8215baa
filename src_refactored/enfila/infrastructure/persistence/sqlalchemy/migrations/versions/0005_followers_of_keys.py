"""Whom the last job of a deduplication key follows; a mark for older programs.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from enfila.infrastructure.persistence.sqlalchemy.database.types import JobIdColumn

revision = "0005"
down_revision = "0004"


def upgrade(schema: str | None, prefix: str) -> None:
    """Adds columns, empty at first."""
    table = f"{prefix}deduplications"
    op.add_column(
        f"{prefix}schema_version", sa.Column("compatible_from", sa.String(64)), schema=schema
    )
    op.add_column(table, sa.Column("follows", JobIdColumn), schema=schema)
    op.add_column(table, sa.Column("removed_as", sa.Text), schema=schema)


def downgrade(schema: str | None, prefix: str) -> None:
    """Removes the columns; keys stay."""
    table = f"{prefix}deduplications"
    op.drop_column(f"{prefix}schema_version", "compatible_from", schema=schema)
    op.drop_column(table, "removed_as", schema=schema)
    op.drop_column(table, "follows", schema=schema)
