"""The hot statements on PostgreSQL, each with its parameters and what its rows mean."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from operator import itemgetter
from typing import Any, ClassVar

from enfila.core.application.garbage import no_collection
from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.job.claim import Claim
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.instants import Instants
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import (
    PreparedStatement,
    Row,
    StatementCall,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql import (
    additions,
    moves,
    statements,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.record_set import (
    rows_parameter,
)
from enfila.infrastructure.persistence.sqlalchemy.jobs.row import claimed_job_of
from enfila.infrastructure.persistence.sqlalchemy.jobs.uniform import are_alike
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_Places = dict[JobId, tuple[int, datetime]]
"""Position and creation of stored jobs."""


class PostgresJobCalls:
    """One statement for a whole set; each statement is built once.

    Sets are sent in the order of their ids, so that two statements that touch the same rows lock
    them in the same order and cannot deadlock.
    """

    most_added: ClassVar[int] = 2_000
    """How many jobs one statement may add."""

    def __init__(self, tables: Tables, instants: Instants) -> None:
        self._tables = tables
        self._instants = instants

    def add(self, jobs: Sequence[Job], notice: Notice | None = None) -> StatementCall[list[Job]]:
        """Adds jobs; sends the notice with its commit."""
        if are_alike(jobs):
            statement, parameters = self._add_alike, additions.alike_additions(jobs)
        else:
            statement, parameters = self._add, additions.additions(jobs)

        def read(rows: Sequence[Row]) -> list[Job] | StatementCall[list[Job]]:
            if notice is not None and rows:
                notice.is_sent = True
            places = _places(rows)
            if len(places) < len(jobs):
                return self._places_of(jobs)
            return _added(jobs, places)

        parameters["channel"] = None if notice is None else notice.channel
        parameters["text"] = None if notice is None else notice.text
        return StatementCall(statement, parameters | self._instants.parameters(), read)

    def _places_of(self, jobs: Sequence[Job]) -> StatementCall[list[Job]]:
        """The same jobs, of which some were stored before: in an earlier try, unheard of."""
        return StatementCall(
            self._find_places,
            {"ids": [job.id for job in jobs]},
            lambda rows: _added(jobs, _places(rows)),
        )

    def claim(self, claim: Claim) -> StatementCall[list[Job]]:
        """See `IJobRepository.claim`."""
        parameters: dict[str, Any] = {
            "from_queue": claim.queue,
            "limit": claim.limit,
            "claimant": claim.worker_id,
            "lock_seconds": claim.lock_duration.total_seconds(),
            **self._instants.parameters(),
        }
        if claim.names is not None:
            parameters["names"] = sorted(claim.names)

        def read(rows: Sequence[Row]) -> list[Job]:
            with no_collection():
                claimed = [claimed_job_of(row, claim) for row in rows]
            # RETURNING promises no order.
            claimed.sort(key=_order)
            return claimed

        statement = self._claim if claim.names is None else self._claim_by_name
        return StatementCall(statement, parameters, read)

    def apply(self, transitions: Sequence[Transition]) -> StatementCall[list[datetime | None]]:
        """See `IJobRepository.apply`; leaves a job that others wait for as it is."""
        if moves.are_alike(transitions):
            return self._move(self._apply_alike, moves.alike_moves(transitions), transitions)
        return self._move(self._apply, moves.moves(transitions), transitions)

    def apply_with_followers(
        self, transitions: Sequence[Transition]
    ) -> StatementCall[list[datetime | None]]:
        """As `apply`, for jobs that others wait for too, which are then to be unblocked."""
        return self._move(self._apply_with_followers, moves.moves(transitions), transitions)

    def _move(
        self,
        statement: PreparedStatement,
        parameters: dict[str, Any],
        transitions: Sequence[Transition],
    ) -> StatementCall[list[datetime | None]]:
        def read(rows: Sequence[Row]) -> list[datetime | None]:
            # By job and token: an old run may stand beside a newer one.
            written = {(row[0], row[1]): row[2] for row in rows}
            return [written.get((each.job_id, each.token)) for each in transitions]

        return StatementCall(statement, parameters | self._instants.parameters(), read)

    def extend(self, locks: Sequence[Lock], duration: timedelta) -> StatementCall[list[Extension]]:
        """See `IJobRepository.extend`."""
        records = [
            {"id": lock.job_id, "token": lock.token, "state": JobState.ACTIVE} for lock in locks
        ]
        records.sort(key=itemgetter("id"))
        parameters = {
            "rows": rows_parameter(records),
            "lock_seconds": duration.total_seconds(),
            **self._instants.parameters(),
        }

        def read(rows: Sequence[Row]) -> list[Extension]:
            held = {(row[0], row[1]): Extension(row[0], True, row[2], row[3]) for row in rows}
            return [
                held.get((lock.job_id, lock.token)) or Extension(lock.job_id, False)
                for lock in locks
            ]

        return StatementCall(self._extend, parameters, read)

    # ── the statements ───────────────────────────────────────────────────────────────────────

    @cached_property
    def _add(self) -> PreparedStatement:
        return PreparedStatement(statements.add_jobs(self._tables, self._instants))

    @cached_property
    def _add_alike(self) -> PreparedStatement:
        return PreparedStatement(statements.add_alike(self._tables, self._instants))

    @cached_property
    def _find_places(self) -> PreparedStatement:
        return PreparedStatement(statements.find_places(self._tables))

    @cached_property
    def _claim(self) -> PreparedStatement:
        return PreparedStatement(statements.claim_jobs(self._tables, self._instants, by_name=False))

    @cached_property
    def _claim_by_name(self) -> PreparedStatement:
        return PreparedStatement(statements.claim_jobs(self._tables, self._instants, by_name=True))

    @cached_property
    def _apply(self) -> PreparedStatement:
        return PreparedStatement(
            statements.apply_transitions(self._tables, self._instants, with_followers=False)
        )

    @cached_property
    def _apply_alike(self) -> PreparedStatement:
        return PreparedStatement(statements.apply_alike(self._tables, self._instants))

    @cached_property
    def _apply_with_followers(self) -> PreparedStatement:
        return PreparedStatement(
            statements.apply_transitions(self._tables, self._instants, with_followers=True)
        )

    @cached_property
    def _extend(self) -> PreparedStatement:
        return PreparedStatement(statements.extend_locks(self._tables, self._instants))


def _places(rows: Sequence[Row]) -> _Places:
    return {row[0]: (row[1], row[2]) for row in rows}


def _added(jobs: Sequence[Job], places: _Places) -> list[Job]:
    with no_collection():
        return [job.added(places[job.id][1], places[job.id][0]) for job in jobs]


def _order(job: Job) -> tuple[int, int]:
    return job.priority, job.position
