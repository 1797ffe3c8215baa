"""Adding jobs that carry deduplication keys, and retrying them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import assert_never

import sqlalchemy as sa

from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.deduplication import Decision, Deduplication
from enfila.core.domain.job.policies.key_grant import KeyGrant, RetakenKey
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.jobs.amending import Amending
from enfila.infrastructure.persistence.sqlalchemy.jobs.keys import Keys
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

AddPlainly = Callable[[sa.Connection, Sequence[Job]], list[Job]]
ApplyPlainly = Callable[[sa.Connection, Sequence[Transition]], list[datetime | None]]


class Deduplicating:
    """Looks up who holds a deduplication key, and does what the domain decides.

    Additions under one key wait for each other on the key's row, so two processes that add at once
    make one job.
    """

    def __init__(
        self,
        tables: Tables,
        clock: DatabaseClock,
        keys: Keys,
        amending: Amending,
        *,
        add_plainly: AddPlainly,
        apply_plainly: ApplyPlainly,
    ) -> None:
        self._jobs = tables.jobs
        self._clock = clock
        self._keys = keys
        self._amending = amending
        self._add_plainly = add_plainly
        self._apply_plainly = apply_plainly

    # ── adding ───────────────────────────────────────────────────────────────────────────────

    def add(self, connection: sa.Connection, jobs: Sequence[Job], now: datetime) -> list[Added]:
        """Adds the jobs one after the other, in their order."""
        rules = [(job.queue, job.options.deduplication) for job in jobs]
        self._keys.lock(connection, [(queue, rule.key) for queue, rule in rules if rule])
        return [self._add_one(connection, job.added(now, 0), now) for job in jobs]

    def _add_one(self, connection: sa.Connection, job: Job, now: datetime) -> Added:
        rule = job.options.deduplication
        if rule is None or self._is_stored(connection, job.id):
            return Added(self._add_plainly(connection, [job])[0])
        standing = self._keys.read(connection, job.queue, rule.key)
        holder = None if standing is None else standing.grant.holder(standing.states, now)
        decision = rule.decide(holder, now)
        if standing is None or holder is None or decision is Decision.ADD:
            return self._add_with_key(connection, job, rule, now)
        held = standing.jobs.get(holder.job_id)
        if held is None:
            return Added.removed(job, holder)
        return self._meet(connection, job, rule, held, decision, now)

    def _meet(  # noqa: PLR0917 - what two jobs under one key are to each other
        self,
        connection: sa.Connection,
        job: Job,
        rule: Deduplication,
        holder: Job,
        decision: Decision,
        now: datetime,
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
                return self._add_with_key(
                    connection, job.behind(holder.id), rule, now, follows=holder.id
                )
            case _:
                assert_never(decision)

    def _add_with_key(
        self,
        connection: sa.Connection,
        job: Job,
        rule: Deduplication,
        now: datetime,
        *,
        follows: JobId | None = None,
    ) -> Added:
        [stored] = self._add_plainly(connection, [job])
        grant = KeyGrant(job.id, rule.held_until(now), follows)
        self._keys.give(connection, job.queue, rule.key, grant)
        return Added(stored)

    def _is_stored(self, connection: sa.Connection, job_id: JobId) -> bool:
        jobs = self._jobs
        return connection.scalar(sa.select(jobs.c.id).where(jobs.c.id == job_id)) is not None

    # ── retrying by hand ─────────────────────────────────────────────────────────────────────

    def apply(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """As `IJobRepository.apply`, for transitions some of which retake keys."""
        retaken = [move.retakes for move in transitions if move.retakes is not None]
        self._keys.lock(connection, [(each.queue, each.key) for each in retaken])
        return [self._apply_one(connection, move) for move in transitions]

    def _apply_one(self, connection: sa.Connection, move: Transition) -> datetime | None:
        key = move.retakes
        grant = None if key is None else self._returned(connection, move.job_id, key)
        if key is not None and grant is None:
            return None
        [written] = self._apply_plainly(connection, [move])
        if written is not None and key is not None and grant is not None:
            self._keys.give(connection, key.queue, key.key, grant)
        return written

    def _returned(
        self, connection: sa.Connection, job_id: JobId, key: RetakenKey
    ) -> KeyGrant | None:
        """Who has the key when the job is back in line; None if another one keeps it out."""
        now = self._clock.read(connection)
        standing = self._keys.read(connection, key.queue, key.key)
        if standing is None:
            return KeyGrant(job_id)
        grant, states = standing.grant, standing.states
        if not grant.lets_return(job_id, states, now):
            return None
        return grant.after_return(job_id, key, states, now)
