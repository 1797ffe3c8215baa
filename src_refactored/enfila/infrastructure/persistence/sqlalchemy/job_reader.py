"""`IJobReader` on SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from enfila.core.application.ports.job_reader import IJobReader, LogLine, Overdue
from enfila.core.domain.job.attempt import Attempt
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import JobState
from enfila.core.domain.queue import QueueCounts
from enfila.infrastructure.persistence.sqlalchemy.access import Access
from enfila.infrastructure.persistence.sqlalchemy.logs import JobLogs
from enfila.infrastructure.persistence.sqlalchemy.reading import Reading


class SqlAlchemyJobReader(Access, IJobReader):
    """Looks at jobs; nothing here writes."""

    _reading: Reading
    _logs: JobLogs

    async def get(self, job_ids: Collection[JobId]) -> dict[JobId, Job]:
        """See `IJobReader.get`."""
        wanted = list(job_ids)
        return await self._read(lambda connection: self._reading.get(connection, wanted))

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
        return await self._read(
            lambda connection: self._reading.find(
                connection, queue, states, limit=limit, offset=offset, newest_first=newest_first
            )
        )

    async def overdue(self, queue: str, kind: Overdue, limit: int) -> list[Job]:
        """See `IJobReader.overdue`."""
        return await self._read(
            lambda connection: self._reading.overdue(connection, queue, kind, limit)
        )

    async def counts(self, queue: str) -> QueueCounts:
        """See `IJobReader.counts`."""
        return await self._read(lambda connection: self._reading.counts(connection, queue))

    async def until_next_due(self, queue: str) -> timedelta | None:
        """See `IJobReader.until_next_due`."""
        return await self._read(lambda connection: self._reading.until_next_due(connection, queue))

    async def attempts(self, job_id: JobId) -> list[Attempt]:
        """See `IJobReader.attempts`."""
        return await self._read(lambda connection: self._reading.attempts(connection, job_id))

    async def logs(self, job_id: JobId, *, limit: int = 1000, offset: int = 0) -> list[LogLine]:
        """See `IJobReader.logs`."""
        return await self._read(
            lambda connection: self._logs.read(connection, job_id, limit, offset)
        )

    async def queues(self) -> Sequence[str]:
        """See `IJobReader.queues`."""
        return await self._read(self._reading.queues)
