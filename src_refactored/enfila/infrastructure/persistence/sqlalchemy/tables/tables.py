"""The tables of one installation, under the schema and prefix that the user chose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from enfila.core.domain.errors import InvalidRequest
from enfila.infrastructure.persistence.sqlalchemy.database.types import (
    BigIdentity,
    Instant,
    JobIdColumn,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.job_types import declare_job_types
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import declare_jobs
from enfila.infrastructure.persistence.sqlalchemy.tables.schedules import (
    declare_schedule_runs,
    declare_schedules,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.workers import declare_workers

DEFAULT_PREFIX: Final = "enfila_"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,29}")


@dataclass(frozen=True, slots=True)
class Tables:
    """The SQL tables that several packages share; effects declare their own.

    Attributes:
        prefix: what the names of the tables begin with.
    """

    metadata: sa.MetaData
    prefix: str
    jobs: sa.Table
    positions: sa.Sequence
    position_counter: sa.Table
    logs: sa.Table
    deduplications: sa.Table
    queues: sa.Table
    workers: sa.Table
    job_types: sa.Table
    schedules: sa.Table
    schedule_runs: sa.Table


def build_tables(schema: str | None = None, prefix: str = DEFAULT_PREFIX) -> Tables:
    """The tables under `schema` (PostgreSQL) with names that begin with `prefix`.

    Raises:
        InvalidRequest: a name that is not 1 to 30 letters, digits and underscores, or is reserved.
    """
    for field, value in (("schema", schema), ("table_prefix", prefix)):
        is_left_out = value is None and field == "schema"
        if not is_left_out and not _is_identifier(value):
            raise InvalidRequest(field, value, "give 1 to 30 letters, digits and underscores")
    prefix = str.__str__(prefix)
    if schema is not None and schema.lower().startswith("pg_"):
        raise InvalidRequest(
            "schema", schema, "PostgreSQL keeps names that begin with pg_ to itself"
        )
    metadata = sa.MetaData(schema=schema)
    jobs = declare_jobs(metadata, prefix)
    schedules = declare_schedules(metadata, prefix)
    return Tables(
        metadata=metadata,
        prefix=prefix,
        jobs=jobs,
        positions=sa.Sequence(f"{prefix}job_positions", metadata=metadata, data_type=sa.BigInteger),
        position_counter=sa.Table(
            f"{prefix}position_counter",
            metadata,
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("last", sa.BigInteger, nullable=False),
        ),
        logs=_logs(metadata, prefix, jobs),
        deduplications=sa.Table(
            f"{prefix}deduplications",
            metadata,
            sa.Column("queue", sa.Text, primary_key=True),
            sa.Column("key", sa.Text, primary_key=True),
            sa.Column("job_id", JobIdColumn),
            sa.Column("free_at", Instant),
            sa.Column("follows", JobIdColumn),
            sa.Column("removed_as", sa.Text),
            sa.Index(f"{prefix}deduplications_job", "job_id"),
        ),
        queues=sa.Table(
            f"{prefix}queues",
            metadata,
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("paused_at", Instant),
        ),
        workers=declare_workers(metadata, prefix),
        job_types=declare_job_types(metadata, prefix),
        schedules=schedules,
        schedule_runs=declare_schedule_runs(metadata, prefix, schedules),
    )


def _is_identifier(value: object) -> bool:
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


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
