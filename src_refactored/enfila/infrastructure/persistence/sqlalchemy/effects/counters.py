"""How many jobs of a queue are in each state, as rows of changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy.database.types import BigIdentity
from enfila.infrastructure.persistence.sqlalchemy.effects.effect import (
    ChangedRow,
    ChangedSet,
    SqlEffect,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_CHANGES_AT_ONCE: Final = 20_000
_FEW_CHANGES: Final = 200
_IDS_AT_ONCE: Final = 1_000
_COLUMNS: Final = ["queue", "state", "change"]


class Counters(SqlEffect):
    """Effect: counts the jobs of each queue and state, as rows that no two writers wait for.

    Maintenance folds many rows into few, so that reading them stays cheap.
    """

    def __init__(self, tables: Tables) -> None:
        self.table = sa.Table(
            f"{tables.prefix}counter_changes",
            tables.metadata,
            sa.Column("id", BigIdentity, sa.Identity(always=True), primary_key=True),
            sa.Column("queue", sa.Text, nullable=False),
            sa.Column("state", sa.Text, nullable=False),
            sa.Column("change", sa.BigInteger, nullable=False),
            sa.Index(f"{tables.prefix}counter_changes_queue", "queue", "state"),
        )

    def of_set(self, changed: ChangedSet) -> sa.CTE | None:
        """See `SqlEffect.of_set`."""
        halves: list[sa.Select[Any]] = []
        if changed.source is not None:
            halves.append(_counted(changed, changed.source, -sa.func.count()))
        if changed.target is not None:
            halves.append(_counted(changed, changed.target, sa.func.count()))
        insert = sa.insert(self.table)
        return insert.from_select(_COLUMNS, sa.union_all(*halves)).cte("counted")

    def of_rows(
        self, connection: sa.Connection, changed: Sequence[ChangedRow], now: datetime
    ) -> None:
        """See `SqlEffect.of_rows`."""
        del now
        counts: Counter[tuple[str, str]] = Counter()
        for _, queue, source, target in changed:
            if source is not None:
                counts[queue, source] -= 1
            if target is not None:
                counts[queue, target] += 1
        self._insert(connection, counts)

    def _insert(self, connection: sa.Connection, sums: Mapping[tuple[str, str], int]) -> None:
        rows = [
            {"queue": queue, "state": state, "change": change}
            for (queue, state), change in sums.items()
            if change
        ]
        if rows:
            connection.execute(sa.insert(self.table), rows)

    # ── reading and folding ──────────────────────────────────────────────────────────────────

    def read(self, connection: sa.Connection, queue: str) -> dict[JobState, int]:
        """The sums of a queue's changes, by state."""
        changes = self.table
        rows = connection.execute(
            sa.select(changes.c.state, sa.func.sum(changes.c.change))
            .where(changes.c.queue == queue)
            .group_by(changes.c.state)
        )
        return {JobState(state): int(count) for state, count in rows}

    def queues_with_jobs(self) -> sa.Select[tuple[str]]:
        """The names of queues that have jobs, as a query."""
        changes = self.table
        return (
            sa.select(changes.c.queue)
            .group_by(changes.c.queue)
            .having(sa.func.sum(changes.c.change) > 0)
        )

    def fold(self, connection: sa.Connection) -> None:
        """Replaces many changes by their sums.

        The rows are locked first: whoever folds at the same time takes others.
        """
        changes = self.table
        rows = connection.execute(
            sa.select(changes.c.id, changes.c.queue, changes.c.state, changes.c.change)
            .order_by(changes.c.id)
            .limit(_CHANGES_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()
        if len(rows) <= _FEW_CHANGES:
            return
        sums: Counter[tuple[str, str]] = Counter()
        for _, queue, state, change in rows:
            sums[queue, state] += change
        ids = [row[0] for row in rows]
        for start in range(0, len(ids), _IDS_AT_ONCE):
            some = ids[start : start + _IDS_AT_ONCE]
            connection.execute(sa.delete(changes).where(changes.c.id.in_(some)))
        self._insert(connection, sums)


def _counted(
    changed: ChangedSet, state: sa.ColumnElement[str], count: sa.ColumnElement[int]
) -> Any:
    """A row for each queue and state of a set, and none for an empty one."""
    counts = sa.select(changed.queue, state, count).select_from(changed.rows)
    own = [each for each in (changed.queue, state) if getattr(each, "table", None) is changed.rows]
    if own:
        return counts.group_by(*own)
    return counts.having(sa.func.count() > sa.literal_column("0"))
