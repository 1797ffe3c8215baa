"""The hot statements on SQLite, where a whole transaction runs without a round trip."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import sqlalchemy as sa

from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.job.adding.dependency import released
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite import statements, values
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.batch import Batch
from enfila.infrastructure.persistence.sqlalchemy.effects.effect import ChangedRow
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.jobs.logs import JobLogs
from enfila.infrastructure.persistence.sqlalchemy.jobs.writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import are_uniform, job_of
from enfila.infrastructure.persistence.sqlalchemy.tables.moves import (
    are_uniform as are_uniform_moves,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

Holder = tuple[JobId, int]
"""A job, and the token under which somebody holds it."""


class _Standing(NamedTuple):
    """A job as it stands under this transaction's lock."""

    job_id: JobId
    queue: str
    state: str
    token: int
    cancel_requested: bool
    cancel_reason: str | None
    has_dependents: bool


class SqliteJobWrites(JobWrites):
    """`JobWrites` for SQLite: under the write lock, compares rows and writes them one by one.

    It must run in a transaction that no other writer interrupts (`BEGIN IMMEDIATE`). What to write
    is computed with the domain's own methods, since the rows are at hand.
    """

    def __init__(self, tables: Tables, clock: DatabaseClock, effects: Effects) -> None:
        self._tables = tables
        self._clock = clock
        self._effects = effects
        self._logs = JobLogs(tables)

    # ── adding ───────────────────────────────────────────────────────────────────────────────

    async def add(self, access: Access, jobs: Sequence[Job], notice: Notice | None) -> list[Job]:
        """See `JobWrites.add`; the commit itself is what others see, so no notice is sent."""
        del notice
        return await access.write(lambda connection: self.add_on(connection, jobs))

    def add_on(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Job]:
        """See `JobWrites.add_on`."""
        now = self._clock.read(connection)
        last = connection.scalar(self._next_positions, {"count": len(jobs)})
        first = (last or 0) - len(jobs) + 1
        stored = [
            job.added(now, -place if job.options.lifo else place)
            for place, job in enumerate(jobs, first)
        ]
        new = stored
        if self._insert(connection, stored) < len(stored):
            stored, new = self._told_apart(connection, stored)
        changed = [ChangedRow(job.id, job.queue, None, job.state.value) for job in new]
        self._effects.of_rows(connection, changed, now)
        return stored

    def _insert(self, connection: sa.Connection, jobs: Sequence[Job]) -> int:
        if are_uniform(jobs):
            return self._add.execute_uniform(connection, *values.uniform_rows(jobs))
        return self._add.execute(connection, [values.row_of(job) for job in jobs])

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

    # ── claiming ─────────────────────────────────────────────────────────────────────────────

    async def claim(self, access: Access, claim: Claim) -> list[Job]:
        """See `JobWrites.claim`."""
        return await access.write(lambda connection: self._claim_on(connection, claim))

    def _claim_on(self, connection: sa.Connection, claim: Claim) -> list[Job]:
        now = self._clock.read(connection)
        parameters: dict[str, Any] = {"from_queue": claim.queue, "limit": claim.limit, "now": now}
        statement = self._eligible
        if claim.names is not None:
            statement = self._eligible_by_name
            parameters["names"] = sorted(claim.names)
        found = [job_of(row) for row in connection.execute(statement, parameters).all()]
        if not found:
            return []
        until = now + claim.lock_duration
        ids = id_list(job.id for job in found)
        taken = {"ids": ids, "worker": claim.worker_id, "until": until, "now": now}
        connection.execute(self._take, taken)
        active = JobState.ACTIVE.value
        changed = [ChangedRow(job.id, job.queue, job.state.value, active) for job in found]
        self._effects.of_rows(connection, changed, now)
        return [job.claimed(claim.worker_id, now, until) for job in found]

    # ── moving ───────────────────────────────────────────────────────────────────────────────

    async def apply(
        self, access: Access, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `JobWrites.apply`."""
        return await access.write(lambda connection: self.apply_on(connection, transitions))

    def apply_on(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `JobWrites.apply_on`."""
        standing = self._standing(connection, [transition.job_id for transition in transitions])
        now = self._clock.read(connection)
        fresh = [
            transition
            for transition in transitions
            if (job := standing.get(transition.job_id)) is not None
            and (job.state, job.token) == (transition.source, transition.token)
        ]
        if fresh:
            leaving = [
                move.job_id
                for move in fresh
                if move.removes and not standing[move.job_id].has_dependents
            ]
            self._remove_all(connection, leaving)
            gone = set(leaving)
            self._move_all(connection, [move for move in fresh if move.job_id not in gone], now)
            changed = [
                ChangedRow(
                    move.job_id,
                    standing[move.job_id].queue,
                    move.source.value,
                    None if move.job_id in gone else move.target.value,
                )
                for move in fresh
            ]
            self._effects.of_rows(connection, changed, now)
            ended = [
                move.job_id
                for move in fresh
                if move.target.is_final and standing[move.job_id].has_dependents
            ]
            self._release(connection, ended)
        # By token too: a worker may settle an old run of a job together with a newer one.
        written = {(transition.job_id, transition.token) for transition in fresh}
        return [
            now if (transition.job_id, transition.token) in written else None
            for transition in transitions
        ]

    def _move_all(
        self, connection: sa.Connection, moves: Sequence[Transition], now: datetime
    ) -> None:
        if not moves:
            return
        if are_uniform_moves(moves):
            self._move.execute_uniform(connection, *values.uniform_values(moves, now))
        else:
            self._move.execute(connection, [values.values(move, now) for move in moves])
        self._effects.store(connection, moves, now)

    def _release(self, connection: sa.Connection, ended: Sequence[JobId]) -> None:
        """Moves the jobs that waited for nothing but these, and meets the others' dependencies."""
        if not ended:
            return
        dependencies = self._effects.dependencies
        dependents = dependencies.dependents(connection, ended)
        if moves := released(dependents, ended, self._clock.read(connection)):
            self.apply_on(connection, moves)
        dependencies.meet(connection, ended)

    # ── what holders of locks write ──────────────────────────────────────────────────────────

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
            until = self._clock.read(connection) + duration
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
        self._logs.append(connection, accepted, self._clock.read(connection))
        return [(update.job_id, update.token) in held for update in updates]

    # ── removing ─────────────────────────────────────────────────────────────────────────────

    def remove_on(self, connection: sa.Connection, jobs: sa.Select[tuple[JobId]]) -> list[JobId]:
        """See `JobWrites.remove_on`."""
        parameters = self._clock.parameters()
        found = [JobId(str(row[0])) for row in connection.execute(jobs, parameters)]
        if not found:
            return []
        gone = self._remove_all(connection, found)
        changed = [ChangedRow(row[0], row[1], row[2], None) for row in gone]
        self._effects.of_rows(connection, changed, self._clock.read(connection))
        self._release(connection, [row[0] for row in gone if row[3]])
        return found

    def _remove_all(self, connection: sa.Connection, job_ids: Sequence[JobId]) -> Sequence[Any]:
        """Deletes jobs; of each its id, queue and state, and whether others depend on it."""
        if not job_ids:
            return []
        return connection.execute(self._remove, {"ids": id_list(job_ids)}).all()

    # ── looking, under the lock ──────────────────────────────────────────────────────────────

    def _standing(
        self, connection: sa.Connection, job_ids: Collection[JobId]
    ) -> dict[JobId, _Standing]:
        rows = connection.execute(self._states, {"ids": id_list(job_ids)})
        return {row[0]: _Standing(*row) for row in rows.all()}

    def _held(
        self, connection: sa.Connection, holders: Collection[Holder]
    ) -> dict[Holder, Extension]:
        """Of these holders those whose job is active under their token, and what is asked of it."""
        standing = self._standing(connection, {job_id for job_id, _ in holders})
        return {
            (job.job_id, job.token): Extension(
                job.job_id, True, job.cancel_requested, job.cancel_reason
            )
            for job in standing.values()
            if job.state == JobState.ACTIVE and (job.job_id, job.token) in holders
        }

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
    def _extend(self) -> sa.UpdateBase:
        return statements.extend_locks(self._tables)

    @cached_property
    def _progress(self) -> sa.UpdateBase:
        return statements.store_progress(self._tables)

    @cached_property
    def _remove(self) -> sa.UpdateBase:
        return statements.remove_jobs(self._tables)


def id_list(job_ids: Iterable[JobId]) -> str:
    """A list of ids as the JSON text that `given_ids` takes."""
    return json.dumps(list(job_ids))
