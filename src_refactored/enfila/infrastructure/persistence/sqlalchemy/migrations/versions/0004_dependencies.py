"""Dependencies of jobs in a table of their own, instead of one column for one of them.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from enfila.infrastructure.persistence.sqlalchemy.database.types import (
    BigIdentity,
    Instant,
    JobIdColumn,
)

revision = "0004"
down_revision = "0003"

_FINAL = "'completed', 'failed', 'cancelled'"
_OLD_CHECK = "(state = 'blocked') = (blocked_by is not null)"
_NEW_CHECK = "(state = 'blocked') = (pending_dependencies > 0)"


def upgrade(schema: str | None, prefix: str) -> None:
    """Moves what blocked jobs wait for into the new table."""
    if op.get_bind().dialect.name == "sqlite":
        _rebuild(prefix, is_new=True)
        return
    jobs, place = f"{prefix}jobs", _place(schema, prefix)
    _make_dependencies(schema, prefix, jobs)
    op.execute(
        f'INSERT INTO {place}job_dependencies" (job_id, depends_on) '
        f"SELECT id, blocked_by FROM {place}jobs\" WHERE state = 'blocked'"
    )
    op.drop_constraint(f"{jobs}_blocked", jobs, schema=schema)
    op.add_column(
        jobs,
        sa.Column("pending_dependencies", sa.Integer, nullable=False, server_default="0"),
        schema=schema,
    )
    op.execute(f"UPDATE {place}jobs\" SET pending_dependencies = 1 WHERE state = 'blocked'")
    op.alter_column(jobs, "pending_dependencies", server_default=None, schema=schema)
    op.drop_index(f"{jobs}_blocked_by", jobs, schema=schema)
    op.drop_column(jobs, "blocked_by", schema=schema)
    op.alter_column(jobs, "followed", new_column_name="has_dependents", schema=schema)
    op.create_check_constraint(f"{jobs}_blocked", jobs, _NEW_CHECK, schema=schema)


def downgrade(schema: str | None, prefix: str) -> None:
    """Keeps one dependency of each blocked job."""
    if op.get_bind().dialect.name == "sqlite":
        _rebuild(prefix, is_new=False)
        return
    jobs, place = f"{prefix}jobs", _place(schema, prefix)
    op.drop_constraint(f"{jobs}_blocked", jobs, schema=schema)
    op.add_column(jobs, sa.Column("blocked_by", JobIdColumn), schema=schema)
    op.execute(
        f'UPDATE {place}jobs" SET blocked_by = (SELECT min(depends_on::text)::uuid '
        f"FROM {place}job_dependencies\" WHERE job_id = id) WHERE state = 'blocked'"
    )
    op.drop_column(jobs, "pending_dependencies", schema=schema)
    op.alter_column(jobs, "has_dependents", new_column_name="followed", schema=schema)
    op.create_check_constraint(f"{jobs}_blocked", jobs, _OLD_CHECK, schema=schema)
    _index(jobs, "blocked_by", ["blocked_by"], "blocked_by is not null", schema)
    op.drop_table(f"{prefix}job_dependencies", schema=schema)


def _place(schema: str | None, prefix: str) -> str:
    return f'"{schema}"."{prefix}' if schema else f'"{prefix}'


def _make_dependencies(schema: str | None, prefix: str, jobs: str) -> None:
    refers_to = f"{schema}.{jobs}.id" if schema else f"{jobs}.id"
    table = f"{prefix}job_dependencies"
    op.create_table(
        table,
        sa.Column(
            "job_id", JobIdColumn, sa.ForeignKey(refers_to, ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("depends_on", JobIdColumn, primary_key=True),
        schema=schema,
    )
    op.create_index(f"{table}_on", table, ["depends_on"], schema=schema)


def _index(
    table: str, name: str, columns: list[str], condition: str, schema: str | None = None
) -> None:
    where = sa.text(condition)
    op.create_index(
        f"{table}_{name}",
        table,
        columns,
        schema=schema,
        postgresql_where=where,
        sqlite_where=where,
    )


# ── SQLite ───────────────────────────────────────────────────────────────────────────────────────
# It cannot drop a column that a constraint names, so the table is made anew. To drop the old one
# would remove the rows of tables that refer to it, so these are made anew first.


def _rebuild(prefix: str, *, is_new: bool) -> None:
    jobs, attempts, logs = f"{prefix}jobs", f"{prefix}attempts", f"{prefix}job_logs"
    _make_jobs(f"{jobs}_new", jobs, is_new=is_new)
    kept = [name for name, *_ in _COLUMNS]
    if is_new:
        given = [*kept, "CASE WHEN state = 'blocked' THEN 1 ELSE 0 END", "followed"]
        _copy(jobs, f"{jobs}_new", [*kept, "pending_dependencies", "has_dependents"], given)
        _make_dependencies(None, prefix, f"{jobs}_new")
        op.execute(
            f'INSERT INTO "{prefix}job_dependencies" (job_id, depends_on) '
            f"SELECT id, blocked_by FROM \"{jobs}\" WHERE state = 'blocked'"
        )
    else:
        parent = f'(SELECT min(depends_on) FROM "{prefix}job_dependencies" WHERE job_id = id)'
        blocked_by = f"CASE WHEN state = 'blocked' THEN {parent} END"
        given = [*kept, blocked_by, "has_dependents"]
        _copy(jobs, f"{jobs}_new", [*kept, "blocked_by", "followed"], given)
        op.drop_table(f"{prefix}job_dependencies")
    _rebuild_attempts(attempts, f"{jobs}_new")
    _rebuild_logs(logs, f"{jobs}_new")
    op.drop_table(jobs)
    op.rename_table(f"{jobs}_new", jobs)
    for name, columns, condition in (
        ("waiting", ["queue", "priority", "position"], "state = 'waiting'"),
        ("delayed", ["queue", "run_at", "position"], "state = 'delayed'"),
        ("active", ["queue", "locked_until"], "state = 'active'"),
        ("done", ["queue", "state", "finished_at"], "finished_at is not null"),
        ("expiring", ["queue", "expires_at"], "expires_at is not null"),
        ("removable", ["queue", "remove_at"], "remove_at is not null"),
        ("rationed", ["queue", "state", "keep_newest"], "keep_newest is not null"),
        *(() if is_new else (("blocked_by", ["blocked_by"], "blocked_by is not null"),)),
    ):
        _index(jobs, name, columns, condition)


def _copy(source: str, target: str, columns: list[str], values: list[str]) -> None:
    op.execute(
        f'INSERT INTO "{target}" ({", ".join(columns)}) SELECT {", ".join(values)} FROM "{source}"'
    )


_COLUMNS = (
    ("id", JobIdColumn, False),
    ("queue", sa.Text, False),
    ("name", sa.Text, False),
    ("state", sa.Text, False),
    ("priority", sa.Integer, False),
    ("position", sa.BigInteger, False),
    ("payload", sa.Text, False),
    ("options", sa.Text, False),
    ("attempt", sa.Integer, False),
    ("max_attempts", sa.Integer, False),
    ("stalled_count", sa.Integer, False),
    ("lock_token", sa.BigInteger, False),
    ("worker_id", sa.String(36), True),
    ("locked_until", Instant, True),
    ("created_at", Instant, False),
    ("run_at", Instant, False),
    ("started_at", Instant, True),
    ("finished_at", Instant, True),
    ("expires_at", Instant, True),
    ("result", sa.Text, True),
    ("error", sa.Text, True),
    ("progress", sa.Text, True),
    ("cancel_requested", sa.Boolean, False),
    ("cancel_reason", sa.Text, True),
    ("own_retention", sa.Boolean, False),
    ("remove_at", Instant, True),
    ("keep_newest", sa.Integer, True),
    ("schedule_id", sa.Text, True),
    ("batch_id", sa.Text, True),
    ("tenant", sa.Text, True),
)


def _make_jobs(table: str, name: str, *, is_new: bool) -> None:
    columns = [
        sa.Column(column, kind, primary_key=column == "id", nullable=is_optional)
        for column, kind, is_optional in _COLUMNS
    ]
    if is_new:
        columns.append(sa.Column("pending_dependencies", sa.Integer, nullable=False))
        columns.append(sa.Column("has_dependents", sa.Boolean, nullable=False))
    else:
        columns.append(sa.Column("blocked_by", JobIdColumn))
        columns.append(sa.Column("followed", sa.Boolean, nullable=False))
    op.create_table(
        table,
        *columns,
        sa.CheckConstraint(
            f"state in ('waiting', 'delayed', 'blocked', 'active', {_FINAL})", name=f"{name}_state"
        ),
        sa.CheckConstraint("attempt between 0 and max_attempts", name=f"{name}_attempt"),
        sa.CheckConstraint(
            "(state = 'active') = (locked_until is not null)", name=f"{name}_locked"
        ),
        sa.CheckConstraint(
            f"(state in ({_FINAL})) = (finished_at is not null)", name=f"{name}_finished"
        ),
        sa.CheckConstraint(_NEW_CHECK if is_new else _OLD_CHECK, name=f"{name}_blocked"),
    )


def _rebuild_attempts(table: str, jobs: str) -> None:
    columns = (
        sa.Column(
            "job_id",
            JobIdColumn,
            sa.ForeignKey(f"{jobs}.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("token", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.String(36)),
        sa.Column("started_at", Instant),
        sa.Column("finished_at", Instant),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
    )
    _remake(table, columns)


def _rebuild_logs(table: str, jobs: str) -> None:
    columns = (
        sa.Column("id", BigIdentity, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "job_id", JobIdColumn, sa.ForeignKey(f"{jobs}.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("logged_at", Instant, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
    )
    _remake(table, columns)
    op.create_index(f"{table}_job", table, ["job_id", "id"])


def _remake(table: str, columns: Sequence[sa.Column[Any]]) -> None:
    names = [column.name for column in columns]
    op.create_table(f"{table}_new", *columns)
    _copy(table, f"{table}_new", names, names)
    op.drop_table(table)
    op.rename_table(f"{table}_new", table)
