"""A worker's row, declared once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.domain.worker import WorkerInfo
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant

# The columns by the fields of `WorkerInfo`, in its order.
_COLUMNS: Final[Mapping[str, tuple[str, Any]]] = {
    "worker_id": ("id", sa.String(36)),
    "queue": ("queue", sa.Text),
    "host": ("host", sa.Text),
    "process_id": ("process_id", sa.Integer),
    "concurrency": ("concurrency", sa.Integer),
    "active": ("active", sa.Integer),
    "started_at": ("started_at", Instant),
    "seen_at": ("seen_at", Instant),
}
_SET_ONCE: Final = ("worker_id", "started_at")


def workers_table(metadata: sa.MetaData, prefix: str) -> sa.Table:
    """The table of workers."""
    return sa.Table(
        f"{prefix}workers",
        metadata,
        *(
            sa.Column(name, kind, primary_key=name == "id", nullable=False)
            for name, kind in _COLUMNS.values()
        ),
    )


def worker_columns(workers: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    """The columns in the order in which `WorkerInfo` takes them."""
    return [workers.c[name] for name, _ in _COLUMNS.values()]


def worker_values(worker: WorkerInfo, now: datetime) -> dict[str, Any]:
    """What a heartbeat writes."""
    values = {
        name: getattr(worker, field)
        for field, (name, _) in _COLUMNS.items()
        if field not in _SET_ONCE
    }
    return values | {"seen_at": now}
