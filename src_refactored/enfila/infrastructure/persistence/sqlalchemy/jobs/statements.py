"""All that is said to a database about jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.jobs.amending import Amending
from enfila.infrastructure.persistence.sqlalchemy.jobs.deduplicating import Deduplicating
from enfila.infrastructure.persistence.sqlalchemy.jobs.keys import Keys
from enfila.infrastructure.persistence.sqlalchemy.jobs.logs import JobLogs
from enfila.infrastructure.persistence.sqlalchemy.jobs.reading import Reading
from enfila.infrastructure.persistence.sqlalchemy.jobs.removing import Removing
from enfila.infrastructure.persistence.sqlalchemy.jobs.writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class JobStatements:
    """The SQL statements about jobs, by what they are for.

    Attributes:
        writes: the hot ones, each database's own.
        reading, amending, removing, keys, logs: those that all databases share.
    """

    def __init__(
        self,
        tables: Tables,
        clock: DatabaseClock,
        effects: Effects,
        writes: JobWrites,
        insert: UpsertingInsert,
    ) -> None:
        self._clock = clock
        self._dependencies = effects.dependencies
        self._queues = tables.queues
        self._insert = insert
        self._known_queues: set[str] = set()
        self.writes = writes
        self.reading = Reading(tables, clock, effects)
        self.amending = Amending(tables)
        self.keys = Keys(tables, self._dependencies, insert)
        self.removing = Removing(tables, clock, writes, self.keys)
        self.logs = JobLogs(tables)
        self._deduplicating = Deduplicating(
            tables,
            clock,
            self.keys,
            self.amending,
            add_plainly=self._add_plainly,
            apply_plainly=writes.apply_on,
        )

    def add(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Added]:
        """Adds jobs in a transaction that is under way, as `IJobRepository.add` says."""
        if not jobs:
            return []
        if are_plain(jobs):
            return [Added(job) for job in self.writes.add_on(connection, jobs)]
        now = self._clock.read(connection)
        ready = self._dependencies.checked(connection, jobs, now)
        if any(job.options.deduplication is not None for job in ready):
            return self._deduplicating.add(connection, ready, now)
        return [Added(job) for job in self._add_plainly(connection, ready)]

    async def apply(
        self, access: Access, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `IJobRepository.apply`."""
        if all(transition.retakes is None for transition in transitions):
            return await self.writes.apply(access, transitions)
        return await access.write(
            lambda connection: self._deduplicating.apply(connection, transitions)
        )

    def _add_plainly(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Job]:
        """Adds jobs that no key decides about, and what they wait for."""
        added = self.writes.add_on(connection, jobs)
        self._dependencies.add(connection, added)
        return added

    async def register_queues(self, access: Access, queues: set[str]) -> None:
        """Notes queues that this process has not added to before, so that they can be listed."""
        if new := queues - self._known_queues:
            rows = [{"name": name} for name in sorted(new)]
            insert = self._insert(self._queues).on_conflict_do_nothing()
            await access.write(lambda connection: connection.execute(insert, rows).rowcount)
            self._known_queues |= new

    def forget_queue(self, queue: str) -> None:
        """Forgets that a queue is registered, because it is about to be removed."""
        self._known_queues.discard(queue)


def are_plain(jobs: Sequence[Job]) -> bool:
    """Whether new jobs have no deduplication key and no dependencies: their rows alone decide."""
    return all(job.options.deduplication is None and not job.depends_on for job in jobs)
