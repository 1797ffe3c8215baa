"""The hot statements on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cached_property
from operator import itemgetter
from typing import Any, ClassVar

import sqlalchemy as sa

from enfila.core.application.garbage import no_collection
from enfila.core.application.ports.job_repository import Claim, Report
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.instants import Instants
from enfila.infrastructure.persistence.sqlalchemy.job_writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.logs import JobLogs
from enfila.infrastructure.persistence.sqlalchemy.mapping import claimed_job_of
from enfila.infrastructure.persistence.sqlalchemy.postgresql import (
    additions,
    moves,
    statements,
)
from enfila.infrastructure.persistence.sqlalchemy.postgresql.hot_statement import HotStatement
from enfila.infrastructure.persistence.sqlalchemy.postgresql.record_set import rows_parameter
from enfila.infrastructure.persistence.sqlalchemy.tables import Tables

_Addition = tuple[HotStatement, dict[str, Any]]
_Places = dict[JobId, tuple[int, datetime]]
"""Position and creation of stored jobs."""


class PostgresJobWrites(JobWrites):
    """One statement for a whole set; each statement is built once.

    Sets are sent in the order of their ids, so that two statements that touch the same rows lock
    them in the same order and cannot deadlock.
    """

    is_one_statement: ClassVar[bool] = True
    most_added_in_one_statement: ClassVar[int] = 2_000

    def __init__(self, tables: Tables, instants: Instants) -> None:
        self._tables = tables
        self._instants = instants
        self._logs = JobLogs(tables)

    def add(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Job]:
        """See `JobWrites.add`."""
        if len(jobs) <= self.most_added_in_one_statement:
            return _added(jobs, self._insert(connection, jobs, self._addition(jobs)))
        return self._add_in_chunks(connection, jobs)

    def _add_in_chunks(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Job]:
        """Adds a large set: what is to be sent is written while the server is busy with a chunk."""
        size = self.most_added_in_one_statement
        chunks = [jobs[start : start + size] for start in range(0, len(jobs), size)]
        with ThreadPoolExecutor(1, thread_name_prefix="enfila-bulk") as beside:
            prepared = beside.map(self._addition, chunks)
            try:
                stored = [
                    beside.submit(_added, chunk, self._insert(connection, chunk, addition))
                    for chunk, addition in zip(chunks, prepared, strict=True)
                ]
            except BaseException:
                beside.shutdown(cancel_futures=True)
                raise
            return [job for chunk in stored for job in chunk.result()]

    def _addition(self, jobs: Sequence[Job]) -> _Addition:
        if additions.are_alike(jobs):
            return self._add_alike, additions.alike_additions(jobs)
        return self._add, additions.additions(jobs)

    def _insert(
        self, connection: sa.Connection, jobs: Sequence[Job], addition: _Addition
    ) -> _Places:
        """Inserts jobs; where each of them is stored."""
        statement, parameters = addition
        rows = statement.rows(connection, parameters | self._instants.parameters())
        places = {row[0]: (row[1], row[2]) for row in rows}
        if len(places) < len(jobs):
            places |= self._already_there(connection, [job.id for job in jobs])
        return places

    def _already_there(self, connection: sa.Connection, job_ids: Sequence[JobId]) -> _Places:
        jobs = self._tables.jobs
        found = connection.execute(
            sa.select(jobs.c.id, jobs.c.position, jobs.c.created_at).where(jobs.c.id.in_(job_ids))
        )
        return {row[0]: (row[1], row[2]) for row in found}

    def claim(self, connection: sa.Connection, claim: Claim) -> list[Job]:
        """See `JobWrites.claim`."""
        parameters: dict[str, Any] = {
            "from_queue": claim.queue,
            "limit": claim.limit,
            "claimant": claim.worker_id,
            "lock_seconds": claim.lock_duration.total_seconds(),
            **self._instants.parameters(),
        }
        if claim.names is None:
            rows = self._claim.rows(connection, parameters)
        else:
            parameters["names"] = sorted(claim.names)
            rows = connection.execute(self._claim_by_name, parameters).all()
        claimed = [claimed_job_of(row, claim) for row in rows]
        # RETURNING promises no order.
        claimed.sort(key=_order)
        return claimed

    def apply(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `JobWrites.apply`."""
        if moves.are_alike(transitions):
            statement, parameters = self._apply_alike, moves.alike_moves(transitions)
        else:
            statement, parameters = self._apply, moves.moves(transitions)
        written = self._moved(connection, statement, parameters)
        return [written.get((transition.job_id, transition.token)) for transition in transitions]

    def apply_with_followers(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `JobWrites.apply_with_followers`."""
        written = self._moved(connection, self._apply_with_followers, moves.moves(transitions))
        self._unblock(
            connection,
            [
                each.job_id
                for each in transitions
                if each.target.is_final and (each.job_id, each.token) in written
            ],
        )
        return [written.get((transition.job_id, transition.token)) for transition in transitions]

    def _moved(
        self, connection: sa.Connection, statement: HotStatement, parameters: dict[str, Any]
    ) -> dict[tuple[JobId, int], datetime]:
        """When each was written, by job and token: an old run may stand beside a newer one."""
        rows = statement.rows(connection, parameters | self._instants.parameters())
        return {(row[0], row[1]): row[2] for row in rows}

    def _unblock(self, connection: sa.Connection, ended: Sequence[JobId]) -> None:
        if ended:
            connection.execute(
                self._unblock_followers, {"ended": list(ended), **self._instants.parameters()}
            )

    def extend(
        self, connection: sa.Connection, locks: Sequence[Lock], duration: timedelta
    ) -> list[Extension]:
        """See `JobWrites.extend`."""
        records = [
            {"id": lock.job_id, "token": lock.token, "state": JobState.ACTIVE} for lock in locks
        ]
        records.sort(key=itemgetter("id"))
        held = self._extend.rows(
            connection,
            {
                "rows": rows_parameter(records),
                "lock_seconds": duration.total_seconds(),
                **self._instants.parameters(),
            },
        )
        answers = {(row[0], row[1]): Extension(row[0], True, row[2], row[3]) for row in held}
        return [
            answers.get((lock.job_id, lock.token)) or Extension(lock.job_id, False)
            for lock in locks
        ]

    def report(self, connection: sa.Connection, reports: Sequence[Report]) -> list[bool]:
        """See `JobWrites.report`."""
        latest = _latest_progress(reports)
        records = [
            {"id": job_id, "token": token, "state": JobState.ACTIVE, "progress": progress}
            for (job_id, token), progress in latest.items()
        ]
        records.sort(key=itemgetter("id"))
        rows = connection.execute(self._progress, {"rows": rows_parameter(records)})
        held = {(row[0], row[1]) for row in rows}
        answers = [(report.job_id, report.token) in held for report in reports]
        accepted = [report for report, held in zip(reports, answers, strict=True) if held]
        self._logs.append(connection, accepted, self._instants.read(connection))
        return answers

    def remove(self, connection: sa.Connection, jobs: sa.Select[tuple[JobId]]) -> list[JobId]:
        """See `JobWrites.remove`."""
        statement = statements.remove_jobs(self._tables, jobs)
        removed = list(connection.scalars(statement, self._instants.parameters()))
        self._unblock(connection, removed)
        return removed

    @cached_property
    def _add(self) -> HotStatement:
        return HotStatement(statements.add_jobs(self._tables, self._instants))

    @cached_property
    def _add_alike(self) -> HotStatement:
        return HotStatement(statements.add_alike(self._tables, self._instants))

    @cached_property
    def _claim(self) -> HotStatement:
        return HotStatement(statements.claim_jobs(self._tables, self._instants, by_name=False))

    @cached_property
    def _claim_by_name(self) -> sa.Select[Any]:
        return statements.claim_jobs(self._tables, self._instants, by_name=True)

    @cached_property
    def _apply(self) -> HotStatement:
        return HotStatement(
            statements.apply_transitions(self._tables, self._instants, with_followers=False)
        )

    @cached_property
    def _apply_alike(self) -> HotStatement:
        return HotStatement(statements.apply_alike(self._tables, self._instants))

    @cached_property
    def _apply_with_followers(self) -> HotStatement:
        return HotStatement(
            statements.apply_transitions(self._tables, self._instants, with_followers=True)
        )

    @cached_property
    def _unblock_followers(self) -> sa.Select[Any]:
        return statements.unblock_followers(self._tables, self._instants)

    @cached_property
    def _extend(self) -> HotStatement:
        return HotStatement(statements.extend_locks(self._tables, self._instants))

    @cached_property
    def _progress(self) -> sa.UpdateBase:
        return statements.store_progress(self._tables)


def _added(jobs: Sequence[Job], places: _Places) -> list[Job]:
    with no_collection():
        return [job.added(places[job.id][1], places[job.id][0]) for job in jobs]


def _latest_progress(reports: Sequence[Report]) -> dict[tuple[JobId, int], str | None]:
    """Per holder the newest progress; a holder may report more than once in one call."""
    latest: dict[tuple[JobId, int], str | None] = {}
    for report in reports:
        holder = (report.job_id, report.token)
        newest = None if report.progress is None else report.progress.text
        latest[holder] = newest or latest.get(holder)
    return latest


def _order(job: Job) -> tuple[int, int]:
    return job.priority, job.position
