"""The rows of deduplication keys: locked, read, given to a job, and dropped when they are free."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.key_grant import KeyGrant
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.effects.dependencies import Dependencies
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import job_columns, job_of
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_KEYS_AT_ONCE = 1_000

QueueAndKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StandingGrant:
    """Value object: a grant, and the jobs that decide about it, locked so that they stay so."""

    grant: KeyGrant
    jobs: dict[JobId, Job]

    @property
    def states(self) -> dict[JobId, JobState]:
        """The states of the jobs that are there."""
        return {job_id: job.state for job_id, job in self.jobs.items()}


class Keys:
    """Reads and writes the rows of deduplication keys.

    Whoever decides by a key first locks its row, and the rows of jobs after it. Several keys are
    locked in their order, so that two bulks cannot deadlock.
    """

    def __init__(self, tables: Tables, dependencies: Dependencies, insert: UpsertingInsert) -> None:
        self._keys = tables.deduplications
        self._jobs = tables.jobs
        self._dependencies = dependencies
        self._insert = insert

    def lock(self, connection: sa.Connection, keys: Collection[QueueAndKey]) -> None:
        """Makes sure that each key has a row, and holds those rows until the commit."""
        table = self._keys
        for queue, key in sorted(set(keys)):
            locked = (
                sa.select(table.c.key)
                .where(table.c.queue == queue, table.c.key == key)
                .with_for_update()
            )
            # Housekeeping may drop a free key between the two statements.
            while True:
                connection.execute(
                    self._insert(table).on_conflict_do_nothing(), {"queue": queue, "key": key}
                )
                if connection.execute(locked).first() is not None:
                    break

    def read(self, connection: sa.Connection, queue: str, key: str) -> StandingGrant | None:
        """To whom a key was given, whose row is locked; None if nobody ever took it."""
        keys, jobs = self._keys, self._jobs
        row = connection.execute(
            sa.select(keys.c.job_id, keys.c.free_at, keys.c.follows, keys.c.removed_as).where(
                keys.c.queue == queue, keys.c.key == key
            )
        ).one()
        if row.job_id is None:
            return None
        removed_as = None if row.removed_as is None else JobState(row.removed_as)
        grant = KeyGrant(row.job_id, row.free_at, row.follows, removed_as)
        found = connection.execute(
            sa.select(*job_columns(jobs))
            .where(jobs.c.id.in_(grant.jobs))
            .order_by(jobs.c.id)
            .with_for_update()
        )
        read = self._dependencies.completed(connection, [job_of(each) for each in found])
        return StandingGrant(grant, {job.id: job for job in read})

    def give(self, connection: sa.Connection, queue: str, key: str, grant: KeyGrant) -> None:
        """Stores to whom a key was given, whose row is locked."""
        keys = self._keys
        connection.execute(
            sa.update(keys)
            .where(keys.c.queue == queue, keys.c.key == key)
            .values(
                job_id=grant.job_id,
                free_at=grant.free_at,
                follows=grant.follows,
                removed_as=None if grant.removed_as is None else grant.removed_as.value,
            )
        )

    def note_removal(
        self, connection: sa.Connection, chosen: sa.Select[tuple[JobId]], now: datetime
    ) -> None:
        """Notes the last state of finished jobs that are about to be removed.

        Only for keys that are held for longer. Their rows are locked before those of the jobs, as
        additions do it.
        """
        keys, jobs = self._keys, self._jobs
        found = connection.execute(
            sa.select(keys.c.queue, keys.c.key)
            .where(keys.c.free_at > now, keys.c.job_id.in_(chosen))
            .order_by(keys.c.queue, keys.c.key)
            .with_for_update()
        ).all()
        if not found:
            return
        # The state as a value and not as a condition, which could choose a partial index.
        final_state = sa.case((jobs.c.finished_at.is_not(None), jobs.c.state))
        state = sa.select(final_state).where(jobs.c.id == keys.c.job_id)
        connection.execute(
            sa.update(keys)
            .where(self._is_one_of([tuple(row) for row in found]))
            .values(removed_as=state.scalar_subquery())
        )

    def drop_free(self, connection: sa.Connection, now: datetime) -> None:
        """Removes keys whose time is over, or whose job is gone; several processes may do it.

        In two statements: a key that somebody takes at this moment is decided on only when it is
        locked, by a statement that sees the job it was given to.
        """
        keys = self._keys
        free = self._free(now)
        found = connection.execute(
            sa.select(keys.c.queue, keys.c.key)
            .where(free)
            .limit(_KEYS_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()
        if found:
            of_these = self._is_one_of([tuple(row) for row in found])
            connection.execute(sa.delete(keys).where(of_these, free))

    def _free(self, now: datetime) -> sa.ColumnElement[bool]:
        """Keys that `KeyGrant.is_free` calls free, whose last job is gone or whose time is over."""
        keys, jobs = self._keys, self._jobs
        is_there = sa.exists().where(jobs.c.id == keys.c.job_id)
        is_followed = sa.exists().where(jobs.c.id == keys.c.follows, jobs.c.finished_at.is_(None))
        is_over = sa.and_(keys.c.free_at.is_not(None), keys.c.free_at <= now)
        is_held_on = sa.and_(keys.c.free_at.is_not(None), keys.c.removed_as.is_not(None))
        orphaned = sa.and_(sa.not_(is_there), sa.not_(is_followed), sa.not_(is_held_on))
        return sa.or_(is_over, orphaned)

    def _is_one_of(self, found: list[Any]) -> sa.ColumnElement[bool]:
        return sa.tuple_(self._keys.c.queue, self._keys.c.key).in_(found)
