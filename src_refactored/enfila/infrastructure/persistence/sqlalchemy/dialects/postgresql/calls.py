"""The hot statements, each with its parameters and what its rows mean."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from operator import attrgetter, itemgetter
from typing import Any, ClassVar

from enfila.core.application.ports.wake_up import Notice
from enfila.core.application.runtime.garbage_collection import without_garbage_collection
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import (
    PreparedStatement,
    Row,
    StatementCall,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql import moves, new_jobs
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.record_set import (
    rows_parameter,
    uniform_parameters,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.statements import Statements
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import (
    EffectKinds,
    Effects,
    kinds_of,
)
from enfila.infrastructure.persistence.sqlalchemy.tables import moves as move_row
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import are_uniform, claimed_jobs

_Places = dict[JobId, tuple[int, datetime]]
"""Position and creation of stored jobs."""


class PostgresJobCalls:
    """The most frequent statements about jobs on PostgreSQL, with their parameters.

    Sets are sent in the order of their ids, so that two statements that touch the same rows lock
    them in the same order and cannot deadlock.
    """

    most_added: ClassVar[int] = 2_000
    """How many jobs one statement may add."""

    def __init__(self, statements: Statements, clock: DatabaseClock, effects: Effects) -> None:
        self._statements = statements
        self._clock = clock
        self._effects = effects
        self._apply: dict[tuple[EffectKinds, bool], PreparedStatement] = {}

    def add(self, jobs: Sequence[Job], notice: Notice | None = None) -> StatementCall[list[Job]]:
        """Adds jobs; sends the notice with its commit."""
        if are_uniform(jobs):
            statement, parameters = self._add_uniform, new_jobs.uniform_records(jobs)
        else:
            statement, parameters = self._add, new_jobs.records(jobs)

        def read(rows: Sequence[Row]) -> list[Job] | StatementCall[list[Job]]:
            if notice is not None and rows:
                notice.is_sent = True
            places = _places(rows)
            if len(places) < len(jobs):
                return self._places_of(jobs)
            return _added(jobs, places)

        parameters["channel"] = None if notice is None else notice.channel
        parameters["text"] = None if notice is None else notice.text
        return StatementCall(statement, parameters | self._clock.parameters(), read)

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
            **self._clock.parameters(),
        }
        if claim.names is not None:
            parameters["names"] = sorted(claim.names)

        def read(rows: Sequence[Row]) -> list[Job]:
            with without_garbage_collection():
                claimed = claimed_jobs(rows, claim)
            # RETURNING promises no order.
            claimed.sort(key=_order)
            return claimed

        statement = self._claim if claim.names is None else self._claim_by_name
        return StatementCall(statement, parameters, read)

    def apply(
        self, transitions: Sequence[Transition], *, with_dependents: bool = False
    ) -> StatementCall[list[datetime | None]]:
        """See `IJobRepository.apply`.

        Leaves a job that others depend on as it is when it would end, unless `with_dependents`.
        """
        kinds = kinds_of(transitions)
        if kinds or with_dependents or not move_row.are_uniform(transitions):
            statement = self._statement_for(kinds, with_dependents=with_dependents)
            parameters = moves.records(transitions, self._effects)
        else:
            statement, parameters = self._apply_uniform, moves.uniform_records(transitions)

        return StatementCall(
            statement, parameters | self._clock.parameters(), partial(_written, transitions)
        )

    def remove_ended(
        self, transitions: Sequence[Transition]
    ) -> StatementCall[list[datetime | None]]:
        """Deletes jobs that their end removes; as stale are answered those that others wait for."""
        in_order = sorted(transitions, key=attrgetter("job_id"))
        values = {
            "id": [move.job_id for move in in_order],
            "token": [move.token for move in in_order],
            "state": JobState.ACTIVE.value,
        }
        parameters = uniform_parameters(values) | self._clock.parameters()
        return StatementCall(self._remove_ended, parameters, partial(_written, transitions))

    def extend(self, locks: Sequence[Lock], duration: timedelta) -> StatementCall[list[Extension]]:
        """See `IJobRepository.extend`."""
        records = [
            {"id": lock.job_id, "token": lock.token, "state": JobState.ACTIVE} for lock in locks
        ]
        records.sort(key=itemgetter("id"))
        parameters = {
            "rows": rows_parameter(records),
            "lock_seconds": duration.total_seconds(),
            **self._clock.parameters(),
        }

        def read(rows: Sequence[Row]) -> list[Extension]:
            held = {(row[0], row[1]): Extension(row[0], True, row[2], row[3]) for row in rows}
            return [
                held.get((lock.job_id, lock.token)) or Extension(lock.job_id, False)
                for lock in locks
            ]

        return StatementCall(self._extend, parameters, read)

    # ── the statements ───────────────────────────────────────────────────────────────────────

    def _statement_for(self, kinds: EffectKinds, *, with_dependents: bool) -> PreparedStatement:
        """The statement for moves that carry effects of these kinds."""
        statement = self._apply.get((kinds, with_dependents))
        if statement is None:
            built = self._statements.apply(kinds, with_dependents=with_dependents)
            statement = self._apply[kinds, with_dependents] = PreparedStatement(built)
        return statement

    @cached_property
    def _add(self) -> PreparedStatement:
        return PreparedStatement(self._statements.add())

    @cached_property
    def _add_uniform(self) -> PreparedStatement:
        return PreparedStatement(self._statements.add_uniform())

    @cached_property
    def _find_places(self) -> PreparedStatement:
        return PreparedStatement(self._statements.find_places())

    @cached_property
    def _claim(self) -> PreparedStatement:
        return PreparedStatement(self._statements.claim(by_name=False))

    @cached_property
    def _claim_by_name(self) -> PreparedStatement:
        return PreparedStatement(self._statements.claim(by_name=True))

    @cached_property
    def _apply_uniform(self) -> PreparedStatement:
        return PreparedStatement(self._statements.apply_uniform())

    @cached_property
    def _remove_ended(self) -> PreparedStatement:
        return PreparedStatement(self._statements.remove_ended())

    @cached_property
    def _extend(self) -> PreparedStatement:
        return PreparedStatement(self._statements.extend_locks())


def _written(transitions: Sequence[Transition], rows: Sequence[Row]) -> list[datetime | None]:
    """When each was applied; None where it was stale."""
    # By job and token: an old run may stand beside a newer one.
    written = {(row[0], row[1]): row[2] for row in rows}
    return [written.get((each.job_id, each.token)) for each in transitions]


def _places(rows: Sequence[Row]) -> _Places:
    return {row[0]: (row[1], row[2]) for row in rows}


def _added(jobs: Sequence[Job], places: _Places) -> list[Job]:
    with without_garbage_collection():
        return [job.added(places[job.id][1], places[job.id][0]) for job in jobs]


def _order(job: Job) -> tuple[int, int]:
    return job.priority, job.position
