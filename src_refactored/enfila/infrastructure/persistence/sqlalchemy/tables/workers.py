"""The row of a worker, declared once."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.domain.worker import WorkerInfo
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant
from enfila.infrastructure.persistence.sqlalchemy.tables.row_shape import Column, RowShape

WORKER: Final = RowShape(
    WorkerInfo,
    (
        Column("id", sa.String(36), "worker_id", is_key=True),
        Column("queue", sa.Text),
        Column("host", sa.Text),
        Column("process_id", sa.Integer),
        Column("concurrency", sa.Integer),
        Column("active", sa.Integer),
        Column("started_at", Instant),
        Column("seen_at", Instant),
    ),
)
_SET_ONCE: Final = ("id", "started_at")


def declare_workers(metadata: sa.MetaData, prefix: str) -> sa.Table:
    """Declares the table of workers."""
    columns = (column.declared() for column in WORKER.columns)
    return sa.Table(f"{prefix}workers", metadata, *columns)


def heartbeat_values(worker: WorkerInfo, now: datetime) -> dict[str, Any]:
    """The columns that a worker's heartbeat writes."""
    values = {**WORKER.values(worker), "seen_at": now}
    return {name: value for name, value in values.items() if name not in _SET_ONCE}
