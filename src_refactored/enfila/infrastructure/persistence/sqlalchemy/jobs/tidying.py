"""Housekeeping that nobody sees: folding counters, dropping keys whose jobs are gone."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_CHANGES_AT_ONCE = 20_000
_FEW_CHANGES = 200
_KEYS_AT_ONCE = 1_000


class Tidying:
    """Work for maintenance; several processes may do it at once."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def fold_counters(self, connection: sa.Connection) -> None:
        """Replaces many changes of the counters by their sums, so that reading them stays cheap.

        The rows are locked first: whoever folds at the same time takes others.
        """
        changes = self._tables.counter_changes
        rows = connection.execute(
            sa.select(changes.c.id, changes.c.queue, changes.c.state, changes.c.change)
            .order_by(changes.c.id)
            .limit(_CHANGES_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()
        if len(rows) <= _FEW_CHANGES:
            return
        sums: dict[tuple[str, str], int] = {}
        for _, queue, state, change in rows:
            sums[queue, state] = sums.get((queue, state), 0) + change
        ids = [row[0] for row in rows]
        for start in range(0, len(ids), 1_000):
            connection.execute(
                sa.delete(changes).where(changes.c.id.in_(ids[start : start + 1_000]))
            )
        folded = [
            {"queue": queue, "state": state, "change": total}
            for (queue, state), total in sums.items()
            if total
        ]
        if folded:
            connection.execute(sa.insert(changes), folded)

    def drop_free_keys(self, connection: sa.Connection, now: datetime) -> None:
        """Removes deduplication keys whose time is over, or whose job is gone.

        In two statements: a key that somebody takes at this moment is decided on only when it is
        locked, by a statement that sees the job it was given to.
        """
        keys = self._tables.deduplications
        free = self._free(now)
        found = connection.execute(
            sa.select(keys.c.queue, keys.c.key)
            .where(free)
            .limit(_KEYS_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()
        if found:
            of_these = sa.tuple_(keys.c.queue, keys.c.key).in_([tuple(row) for row in found])
            connection.execute(sa.delete(keys).where(of_these, free))

    def _free(self, now: datetime) -> sa.ColumnElement[bool]:
        keys, jobs = self._tables.deduplications, self._tables.jobs
        exists = sa.exists().where(jobs.c.id == keys.c.job_id)
        over = sa.and_(keys.c.free_at.is_not(None), keys.c.free_at <= now)
        orphaned = sa.and_(keys.c.free_at.is_(None), sa.not_(exists))
        return sa.or_(over, orphaned)
