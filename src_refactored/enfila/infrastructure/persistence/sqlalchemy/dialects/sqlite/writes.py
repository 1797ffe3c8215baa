"""The hot statements on SQLite, where a whole transaction runs without a round trip."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.job.claim import Claim
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.database.instants import Instants
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite import statements
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.batch import Batch
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.values import (
    attempt_row,
    move_values,
)
from enfila.infrastructure.persistence.sqlalchemy.jobs.logs import JobLogs
from enfila.infrastructure.persistence.sqlalchemy.jobs.row import job_of, row_of
from enfila.infrastructure.persistence.sqlalchemy.jobs.uniform import are_alike
from enfila.infrastructure.persistence.sqlalchemy.jobs.writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

Counts = Counter[tuple[str, str]]
Holder = tuple[JobId, int]
"""A job, and the token under which somebody holds it."""


class SqliteJobWrites(JobWrites):
    """Locks the rows, compares them with what a decision rests on, and writes.

    It must run in a transaction that no other writer interrupts (SQLite: `BEGIN IMMEDIATE`).
    """

    def __init__(self, tables: Tables, instants: Instants) -> None:
        self._tables = tables
        self._instants = instants
        self._logs = JobLogs(tables)

    async def add(self, access: Access, jobs: Sequence[Job], notice: Notice | None) -> list[Job]:
        """See `JobWrites.add`; the commit itself is what others see, so no notice is sent."""
        del notice
        return await access.write(lambda connection: self.add_on(connection, jobs))

    def add_on(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Job]:
        """See `JobWrites.add_on`."""
        now = self._instants.read(connection)
        last = connection.scalar(self._next_positions, {"count": len(jobs)})
        first = (last or 0) - len(jobs) + 1
        stored = [
            job.added(now, -place if job.options.lifo else place)
            for place, job in enumerate(jobs, first)
        ]
        new = stored
        if self._insert(connection, stored) < len(stored):
            stored, new = self._told_apart(connection, stored)
        self._count(connection, Counter((job.queue, job.state.value) for job in new))
        return stored

    def _insert(self, connection: sa.Connection, jobs: Sequence[Job]) -> int:
        if not are_alike(jobs):
            return self._add.execute(connection, [row_of(job) for job in jobs])
        apart: dict[str, Sequence[Any]] = {
            "id": [job.id for job in jobs],
            "position": [job.position for job in jobs],
            "payload": [job.document.text for job in jobs],
        }
        return self._add.execute_alike(connection, row_of(jobs[0]), apart)

    def _told_apart(
        self, connection: sa.Connection, jobs: Sequence[Job]
    ) -> tuple[list[Job], list[Job]]:
        """The jobs as they are stored, and those that were not there before.

        A write whose answer never arrived is tried again with the same ids.
        """
        ids = id_list(job.id for job in jobs)
        places = {row[0]: row for row in connection.execute(self._places, {"ids": ids})}
        new = [job for job in jobs if places[job.id][1] == job.position]
        return [job.added(places[job.id][2], places[job.id][1]) for job in jobs], new

    async def claim(self, access: Access, claim: Claim) -> list[Job]:
        """See `JobWrites.claim`."""
        return await access.write(lambda connection: self._claim_on(connection, claim))

    def _claim_on(self, connection: sa.Connection, claim: Claim) -> list[Job]:
        now = self._instants.read(connection)
        parameters: dict[str, Any] = {"from_queue": claim.queue, "limit": claim.limit, "now": now}
        statement = self._eligible
        if claim.names is not None:
            statement = self._eligible_by_name
            parameters["names"] = sorted(claim.names)
        found = [job_of(row) for row in connection.execute(statement, parameters).all()]
        if not found:
            return []
        until = now + claim.lock_duration
        connection.execute(
            self._take,
            {
                "ids": id_list(job.id for job in found),
                "worker": claim.worker_id,
                "until": until,
                "now": now,
            },
        )
        counts: Counts = Counter({(claim.queue, JobState.ACTIVE.value): len(found)})
        counts.subtract(Counter((job.queue, job.state.value) for job in found))
        self._count(connection, counts)
        return [job.claimed(claim.worker_id, now, until) for job in found]

    async def apply(
        self, access: Access, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `JobWrites.apply`."""
        return await access.write(lambda connection: self._apply_on(connection, transitions))

    def _apply_on(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        standing = self._standing(connection, [transition.job_id for transition in transitions])
        now = self._instants.read(connection)
        fresh = [
            transition
            for transition in transitions
            if standing.get(transition.job_id, ())[1:] == (transition.source, transition.token)
        ]
        self._write(connection, fresh, standing, now)
        # By token too: a worker may settle an old run of a job together with a newer one.
        written = {(transition.job_id, transition.token) for transition in fresh}
        return [
            now if (transition.job_id, transition.token) in written else None
            for transition in transitions
        ]

    def _write(
        self,
        connection: sa.Connection,
        transitions: Sequence[Transition],
        standing: Mapping[JobId, tuple[Any, ...]],
        now: datetime,
    ) -> None:
        if not transitions:
            return
        self._move.execute(connection, [move_values(each, now) for each in transitions])
        records = [attempt_row(each, now) for each in transitions if each.record is not None]
        if records:
            connection.execute(sa.insert(self._tables.attempts), records)
        counts: Counts = Counter()
        for each in transitions:
            queue = standing[each.job_id][0]
            counts[queue, each.source.value] -= 1
            counts[queue, each.target.value] += 1
        self._count(connection, counts)
        self._unblock(connection, [each.job_id for each in transitions if each.target.is_final])

    def _unblock(self, connection: sa.Connection, ended: Sequence[JobId]) -> None:
        """Moves the followers of jobs that ended, in the same step."""
        if not ended:
            return
        found = connection.execute(self._followers, {"ids": id_list(ended)}).all()
        if found:
            now = self._instants.read(connection)
            self._apply_on(connection, [job_of(row).unblock(now) for row in found])

    async def extend(
        self, access: Access, locks: Sequence[Lock], duration: timedelta
    ) -> list[Extension]:
        """See `JobWrites.extend`."""
        return await access.write(lambda connection: self._extend_on(connection, locks, duration))

    def _extend_on(
        self, connection: sa.Connection, locks: Sequence[Lock], duration: timedelta
    ) -> list[Extension]:
        held = self._held(connection, {(lock.job_id, lock.token) for lock in locks})
        if held:
            until = self._instants.read(connection) + duration
            ids = id_list(job_id for job_id, _ in held)
            connection.execute(self._extend, {"ids": ids, "until": until})
        return [
            held.get((lock.job_id, lock.token)) or Extension(lock.job_id, False) for lock in locks
        ]

    async def update_progress(
        self, access: Access, updates: Sequence[ProgressUpdate]
    ) -> list[bool]:
        """See `JobWrites.update_progress`."""
        return await access.write(lambda connection: self._update_on(connection, updates))

    def _update_on(
        self, connection: sa.Connection, updates: Sequence[ProgressUpdate]
    ) -> list[bool]:
        held = self._held(connection, {(update.job_id, update.token) for update in updates})
        accepted = [update for update in updates if (update.job_id, update.token) in held]
        progress = [
            {"job": update.job_id, "latest": update.progress.text}
            for update in accepted
            if update.progress is not None
        ]
        if progress:
            connection.execute(self._progress, progress)
        self._logs.append(connection, accepted, self._instants.read(connection))
        return [(update.job_id, update.token) in held for update in updates]

    def remove_on(self, connection: sa.Connection, jobs: sa.Select[tuple[JobId]]) -> list[JobId]:
        """See `JobWrites.remove_on`."""
        table = self._tables.jobs
        found: list[JobId] = [
            JobId(str(row[0])) for row in connection.execute(jobs, self._instants.parameters())
        ]
        if not found:
            return []
        gone = connection.execute(
            sa.delete(table)
            .where(table.c.id.in_(statements.given_ids()))
            .returning(table.c.queue, table.c.state),
            {"ids": id_list(found)},
        )
        counts: Counts = Counter()
        counts.subtract(Counter((row[0], row[1]) for row in gone))
        self._count(connection, counts)
        self._unblock(connection, found)
        return found

    def _standing(
        self, connection: sa.Connection, job_ids: Sequence[JobId]
    ) -> dict[JobId, tuple[Any, ...]]:
        """Queue, state and token of jobs, as they stand under this transaction's lock."""
        rows = connection.execute(self._states, {"ids": id_list(job_ids)})
        return {row[0]: (row[1], row[2], row[3]) for row in rows.all()}

    def _held(
        self, connection: sa.Connection, holders: Collection[Holder]
    ) -> dict[Holder, Extension]:
        """Of these holders those whose job is active under their token, and what is asked of it."""
        ids = id_list({job_id for job_id, _ in holders})
        rows = connection.execute(self._states, {"ids": ids})
        return {
            (row[0], row[3]): Extension(row[0], True, row[4], row[5])
            for row in rows.all()
            if row[2] == JobState.ACTIVE and (row[0], row[3]) in holders
        }

    def _count(self, connection: sa.Connection, counts: Counts) -> None:
        """Adds to the counters."""
        changes = [
            {"queue": queue, "state": state, "change": change}
            for (queue, state), change in counts.items()
            if change
        ]
        if changes:
            connection.execute(sa.insert(self._tables.counter_changes), changes)

    # ── each statement is built once ─────────────────────────────────────────────────────────

    @cached_property
    def _next_positions(self) -> sa.UpdateBase:
        return statements.next_positions(self._tables)

    @cached_property
    def _add(self) -> Batch:
        return Batch(statements.add_jobs(self._tables))

    @cached_property
    def _places(self) -> sa.Select[Any]:
        return statements.places(self._tables)

    @cached_property
    def _eligible(self) -> sa.Select[Any]:
        return statements.eligible_jobs(self._tables, by_name=False)

    @cached_property
    def _eligible_by_name(self) -> sa.Select[Any]:
        return statements.eligible_jobs(self._tables, by_name=True)

    @cached_property
    def _take(self) -> sa.UpdateBase:
        return statements.take_jobs(self._tables)

    @cached_property
    def _states(self) -> sa.Select[Any]:
        return statements.job_states(self._tables)

    @cached_property
    def _move(self) -> Batch:
        return Batch(statements.move_job(self._tables))

    @cached_property
    def _followers(self) -> sa.Select[Any]:
        return statements.followers(self._tables)

    @cached_property
    def _extend(self) -> sa.UpdateBase:
        return statements.extend_locks(self._tables)

    @cached_property
    def _progress(self) -> sa.UpdateBase:
        return statements.store_progress(self._tables)


def id_list(job_ids: Iterable[JobId]) -> str:
    """The value of the parameter `ids`."""
    return json.dumps(list(job_ids))
