"""`IJobTypeRepository` on SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from enfila.core.application.ports.job_type_repository import IJobTypeRepository
from enfila.core.domain.job_type import JobType, JobTypeInfo, RunStatistics
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.job_types.statements import JobTypeStatements
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class SqlAlchemyJobTypes(IJobTypeRepository):
    """`IJobTypeRepository` on SQL."""

    def __init__(self, access: Access, tables: Tables, insert: UpsertingInsert) -> None:
        self._access = access
        self._statements = JobTypeStatements(tables, insert)

    async def declare(self, types: Sequence[JobType]) -> None:
        """See `IJobTypeRepository.declare`."""
        if types:
            await self._access.write(
                lambda connection: self._statements.declare(
                    connection, types, self._access.clock.read(connection)
                )
            )

    async def all(self) -> list[JobTypeInfo]:
        """See `IJobTypeRepository.all`."""
        return await self._access.read(self._statements.all)

    async def get(self, name: str) -> JobTypeInfo | None:
        """See `IJobTypeRepository.get`."""
        return await self._access.read(lambda connection: self._statements.one(connection, name))

    async def set_enabled(self, name: str, *, enabled: bool) -> bool:
        """See `IJobTypeRepository.set_enabled`."""
        return await self._access.write(
            lambda connection: self._statements.set_enabled(connection, name, enabled=enabled)
        )

    async def count_runs(self, statistics: Mapping[str, RunStatistics]) -> None:
        """See `IJobTypeRepository.count_runs`."""
        if statistics:
            await self._access.write(
                lambda connection: self._statements.count_runs(connection, statistics)
            )

    async def remove(self, name: str) -> bool:
        """See `IJobTypeRepository.remove`."""
        return await self._access.write(
            lambda connection: self._statements.remove(connection, name)
        )
