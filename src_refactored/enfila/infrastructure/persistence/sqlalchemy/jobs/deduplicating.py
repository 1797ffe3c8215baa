"""Adding jobs that carry deduplication keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

import sqlalchemy as sa

from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.deduplication import Decision, Deduplication, KeyHolder
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.effects.dependencies import Dependencies
from enfila.infrastructure.persistence.sqlalchemy.jobs.amending import Amending
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import job_columns, job_of
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

AddPlainly = Callable[[sa.Connection, Sequence[Job]], list[Job]]


class Deduplicating:
    """Looks up who holds a deduplication key, and does what the domain decides.

    Additions under one key wait for each other on the key's row, so two processes that add at once
    make one job. Keys are locked in their order, so that two bulks cannot deadlock.
    """

    def __init__(
        self,
        tables: Tables,
        amending: Amending,
        dependencies: Dependencies,
        add_plainly: AddPlainly,
        insert: UpsertingInsert,
    ) -> None:
        self._tables = tables
        self._amending = amending
        self._dependencies = dependencies
        self._add_plainly = add_plainly
        self._insert = insert

    def add(self, connection: sa.Connection, jobs: Sequence[Job], now: datetime) -> list[Added]:
        """Adds the jobs one after the other, in their order."""
        self._lock_keys(
            connection,
            sorted(
                {
                    (job.queue, job.options.deduplication.key)
                    for job in jobs
                    if job.options.deduplication is not None
                }
            ),
        )
        return [self._add_one(connection, job.added(now, 0), now) for job in jobs]

    def _add_one(self, connection: sa.Connection, job: Job, now: datetime) -> Added:
        rule = job.options.deduplication
        if rule is None or self._is_stored(connection, job.id):
            return Added(self._add_plainly(connection, [job])[0])
        holder = self._holder(connection, job.queue, rule.key)
        known = None if holder is None else KeyHolder(holder[0], _state(holder[1]), holder[2])
        decision = rule.decide(known, now)
        if decision is Decision.ADD or holder is None:
            return self._take_key(connection, job, rule, now)
        if holder[1] is None:
            # Removed, and its key is not free yet: nothing but its id is left.
            return Added(replace(job, id=holder[0]), is_duplicate=True)
        return self._meet(connection, job, holder[1], decision, now)

    def _meet(
        self, connection: sa.Connection, job: Job, holder: Job, decision: Decision, now: datetime
    ) -> Added:
        match decision:
            case Decision.RETURN_HOLDER | Decision.ADD:
                return Added(holder, is_duplicate=True)
            case Decision.REPLACE | Decision.POSTPONE:
                postponed = decision is Decision.POSTPONE
                amendment = holder.amend(
                    document=job.document,
                    options=job.options,
                    run_after=job.run_at - now if postponed else None,
                )
                self._amending.amend(connection, amendment, now)
                return Added(holder.amended(amendment, now), is_duplicate=True)
            case Decision.FOLLOW:
                rule = job.options.deduplication
                assert rule is not None  # noqa: S101 - only a job with a key comes here
                return self._take_key(connection, job.behind(holder.id), rule, now)
            case _:
                assert_never(decision)

    def _take_key(
        self, connection: sa.Connection, job: Job, rule: Deduplication, now: datetime
    ) -> Added:
        [stored] = self._add_plainly(connection, [job])
        keys = self._tables.deduplications
        connection.execute(
            sa.update(keys)
            .where(keys.c.queue == job.queue, keys.c.key == rule.key)
            .values(job_id=job.id, free_at=None if rule.ttl is None else now + rule.ttl)
        )
        return Added(stored)

    def _is_stored(self, connection: sa.Connection, job_id: JobId) -> bool:
        jobs = self._tables.jobs
        return connection.scalar(sa.select(jobs.c.id).where(jobs.c.id == job_id)) is not None

    def _lock_keys(self, connection: sa.Connection, keys: Sequence[tuple[str, str]]) -> None:
        """Makes sure that each key has a row, and holds those rows until the commit."""
        table = self._tables.deduplications
        for queue, key in keys:
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

    def _holder(
        self, connection: sa.Connection, queue: str, key: str
    ) -> tuple[JobId, Job | None, datetime | None] | None:
        """The job that the key was given to, locked so that it stays what it is."""
        keys, jobs = self._tables.deduplications, self._tables.jobs
        row = connection.execute(
            sa.select(keys.c.job_id, keys.c.free_at).where(keys.c.queue == queue, keys.c.key == key)
        ).one()
        if row.job_id is None:
            return None
        held = connection.execute(
            sa.select(*job_columns(jobs)).where(jobs.c.id == row.job_id).with_for_update()
        ).one_or_none()
        if held is None:
            return row.job_id, None, row.free_at
        [holder] = self._dependencies.completed(connection, [job_of(held)])
        return row.job_id, holder, row.free_at


def _state(job: Job | None) -> JobState | None:
    return None if job is None else job.state
