"""`IJobRepository` on SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from enfila.core.application.ports.job_reader import LogLine, Overdue
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.storage import Storage
from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.retention import RetentionPolicy
from enfila.core.domain.job.running.attempt import Attempt
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Amendment, Transition
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.jobs.statements import JobStatements, are_plain

_Key = tuple[JobId, LockToken, JobState]


class SqlAlchemyJobs(IJobRepository):
    """`IJobRepository` on SQL: each method is one step.

    Args:
        access: runs statements.
        statements: what is said to the database.
        storage: what this is a part of.
    """

    def __init__(self, access: Access, statements: JobStatements, storage: Storage) -> None:
        self._access = access
        self._statements = statements
        self._writes = statements.writes
        self._storage = storage
        self._uncertain: set[_Key] = set()

    @property
    def storage(self) -> Storage:
        """See `IJobRepository.storage`."""
        return self._storage

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    async def get(self, job_ids: Collection[JobId]) -> dict[JobId, Job]:
        """See `IJobReader.get`."""
        wanted = list(job_ids)
        return await self._access.read(
            lambda connection: self._statements.reading.get(connection, wanted)
        )

    async def find(
        self,
        queue: str,
        states: Collection[JobState],
        *,
        limit: int = 100,
        offset: int = 0,
        newest_first: bool = False,
    ) -> list[Job]:
        """See `IJobReader.find`."""
        return await self._access.read(
            lambda connection: self._statements.reading.find(
                connection, queue, states, limit=limit, offset=offset, newest_first=newest_first
            )
        )

    async def overdue(self, queue: str, kind: Overdue, limit: int) -> list[Job]:
        """See `IJobReader.overdue`."""
        return await self._access.read(
            lambda connection: self._statements.reading.overdue(connection, queue, kind, limit)
        )

    async def attempts(self, job_id: JobId) -> list[Attempt]:
        """See `IJobReader.attempts`."""
        return await self._access.read(
            lambda connection: self._statements.reading.attempts(connection, job_id)
        )

    async def logs(self, job_id: JobId, *, limit: int = 1000, offset: int = 0) -> list[LogLine]:
        """See `IJobReader.logs`."""
        return await self._access.read(
            lambda connection: self._statements.logs.read(connection, job_id, limit, offset)
        )

    # ── adding ───────────────────────────────────────────────────────────────────────────────

    async def add(self, jobs: Sequence[Job], notice: Notice | None = None) -> list[Added]:
        """See `IJobRepository.add`."""
        if not jobs:
            return []
        await self._statements.register_queues(self._access, {job.queue for job in jobs})
        if are_plain(jobs):
            return [Added(job) for job in await self._writes.add(self._access, jobs, notice)]
        return await self._access.write(lambda connection: self._statements.add(connection, jobs))

    # ── running ──────────────────────────────────────────────────────────────────────────────

    async def claim(self, claim: Claim) -> list[Job]:
        """See `IJobRepository.claim`."""
        return await self._writes.claim(self._access, claim)

    async def apply(self, transitions: Sequence[Transition]) -> list[datetime | None]:
        """See `IJobRepository.apply`."""
        if not transitions:
            return []
        try:
            written = await self._statements.apply(self._access, transitions)
            if None in written and self._uncertain:
                written = await self._with_earlier_writes(transitions, written)
        except RepositoryUnavailable as error:
            if error.uncertain:
                self._uncertain.update(map(_key, transitions))
            raise
        if self._uncertain:
            self._uncertain.difference_update(map(_key, transitions))
        return written

    async def _with_earlier_writes(
        self, transitions: Sequence[Transition], written: list[datetime | None]
    ) -> list[datetime | None]:
        """Answers for transitions that an earlier call wrote, whose answer never arrived.

        Such a transition is stale now because of itself: its job stands where it leads.
        """
        doubtful = [
            transition.job_id
            for transition, instant in zip(transitions, written, strict=True)
            if instant is None and _key(transition) in self._uncertain
        ]
        if not doubtful:
            return written
        try:
            standing, now = await self._access.read(
                lambda connection: (
                    self._statements.reading.get(connection, doubtful),
                    self._access.clock.read(connection),
                )
            )
        except RepositoryUnavailable as error:
            # Some of them may be written, and would be stale when all are tried again.
            raise RepositoryUnavailable(error.target, error.reason, uncertain=True) from error
        return [
            instant or _reached_at(transition, standing.get(transition.job_id), now)
            for transition, instant in zip(transitions, written, strict=True)
        ]

    async def expect_end(self, job_id: JobId) -> bool:
        """See `IJobRepository.expect_end`."""
        return await self._access.write(
            lambda connection: self._statements.amending.expect_end(connection, job_id)
        )

    async def extend(self, locks: Sequence[Lock], duration: timedelta) -> list[Extension]:
        """See `IJobRepository.extend`."""
        return await self._writes.extend(self._access, locks, duration) if locks else []

    async def update_progress(self, updates: Sequence[ProgressUpdate]) -> list[bool]:
        """See `IJobRepository.update_progress`."""
        return await self._writes.update_progress(self._access, updates) if updates else []

    # ── changing and removing ────────────────────────────────────────────────────────────────

    async def amend(self, amendment: Amendment) -> datetime | None:
        """See `IJobRepository.amend`."""

        def amend(connection: sa.Connection) -> datetime | None:
            now = self._access.clock.read(connection)
            return now if self._statements.amending.amend(connection, amendment, now) else None

        return await self._access.write(amend)

    async def request_cancellation(self, job_id: JobId, reason: str) -> bool:
        """See `IJobRepository.request_cancellation`."""
        return await self._access.write(
            lambda connection: self._statements.amending.request_cancellation(
                connection, job_id, reason
            )
        )

    async def remove(self, jobs: Sequence[Job]) -> list[bool]:
        """See `IJobRepository.remove`."""
        return await self._access.write(
            lambda connection: self._statements.removing.remove(connection, jobs)
        )

    async def remove_all(
        self,
        queue: str,
        states: Collection[JobState],
        *,
        finished_before: timedelta | None = None,
        limit: int,
    ) -> int:
        """See `IJobRepository.remove_all`."""
        return await self._access.write(
            lambda connection: self._statements.removing.remove_all(
                connection, queue, states, finished_before, limit
            )
        )

    async def apply_retention(self, queue: str, policy: RetentionPolicy, limit: int) -> int:
        """See `IJobRepository.apply_retention`."""
        return await self._access.write(
            lambda connection: self._statements.removing.apply_retention(
                connection, queue, policy, limit
            )
        )

    async def obliterate(self, queue: str, *, force: bool) -> int | None:
        """See `IJobRepository.obliterate`."""
        self._statements.forget_queue(queue)
        return await self._access.write(
            lambda connection: self._statements.removing.obliterate(connection, queue, force=force)
        )


def _key(transition: Transition) -> _Key:
    return transition.job_id, transition.token, transition.target


def _reached_at(transition: Transition, job: Job | None, now: datetime) -> datetime | None:
    """When an uncertain transition was applied; one that removed its job leaves no instant."""
    return now if job is None and transition.removes else transition.reached_at(job)
