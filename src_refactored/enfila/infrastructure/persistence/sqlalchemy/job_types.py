"""`IJobTypeRepository` on SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from enfila.core.application.ports.job_type_repository import IJobTypeRepository
from enfila.core.domain.job_type import JobType, JobTypeInfo, RunStatistics
from enfila.infrastructure.persistence.sqlalchemy.access import Access
from enfila.infrastructure.persistence.sqlalchemy.job_type_statements import JobTypeStatements


class SqlAlchemyJobTypes(Access, IJobTypeRepository):
    """Knows the job types."""

    _job_types: JobTypeStatements

    async def declare_job_types(self, types: Sequence[JobType]) -> None:
        """See `IJobTypeRepository.declare_job_types`."""
        if types:
            await self._write(
                lambda connection: self._job_types.declare(
                    connection, types, self._instants.read(connection)
                )
            )

    async def job_types(self) -> list[JobTypeInfo]:
        """See `IJobTypeRepository.job_types`."""
        return await self._read(self._job_types.all)

    async def job_type(self, name: str) -> JobTypeInfo | None:
        """See `IJobTypeRepository.job_type`."""
        return await self._read(lambda connection: self._job_types.one(connection, name))

    async def set_job_type_enabled(self, name: str, *, enabled: bool) -> bool:
        """See `IJobTypeRepository.set_job_type_enabled`."""
        return await self._write(
            lambda connection: self._job_types.set_enabled(connection, name, enabled=enabled)
        )

    async def count_runs(self, statistics: Mapping[str, RunStatistics]) -> None:
        """See `IJobTypeRepository.count_runs`."""
        if statistics:
            await self._write(lambda connection: self._job_types.count_runs(connection, statistics))

    async def remove_job_type(self, name: str) -> bool:
        """See `IJobTypeRepository.remove_job_type`."""
        return await self._write(lambda connection: self._job_types.remove(connection, name))
