"""Dropping deduplication keys whose jobs are gone."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_KEYS_AT_ONCE = 1_000


class FreeKeys:
    """Removes deduplication keys that no longer count; several processes may do it at once."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def drop(self, connection: sa.Connection, now: datetime) -> None:
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
