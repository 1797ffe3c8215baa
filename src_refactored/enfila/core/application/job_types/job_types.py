"""Looking at the job types of an installation, and switching them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from enfila.core.application.ports.job_type_repository import IJobTypeRepository
from enfila.core.domain.checking import instance, several
from enfila.core.domain.errors import JobTypeNotFound
from enfila.core.domain.job_type import JobType, JobTypeInfo
from enfila.core.domain.queue import name as checked_name


class JobTypes:
    """Service: the stored job types, those of other processes too.

    Args:
        wake: tells the workers of a queue that there may be jobs.
    """

    def __init__(self, repository: IJobTypeRepository, wake: Callable[[str], None]) -> None:
        self._repository = repository
        self._wake = wake

    async def declare(self, types: Iterable[JobType]) -> None:
        """Stores definitions; whether a known one is enabled, and its statistics, stays.

        An app does so when it opens, a worker before it takes its first job.
        """
        given = several("types", types, "job types")
        await self._repository.declare(
            [instance("types", each, JobType, "job types") for each in given]
        )

    async def all(self) -> list[JobTypeInfo]:
        """All job types, by name."""
        return await self._repository.all()

    async def get(self, name: str) -> JobTypeInfo:
        """One job type. `JobTypeNotFound`."""
        name = checked_name("name", name)
        found = await self._repository.get(name)
        if found is None:
            raise await self._not_found(name)
        return found

    async def disable(self, name: str) -> JobTypeInfo:
        """Keeps the jobs of this type in line, in every process, until `enable`.

        After it returned, no worker of job types takes a job of it. Running jobs go on, adding too.

        Raises:
            JobTypeNotFound: no type of this name was ever declared.
        """
        return await self._set(name, enabled=False)

    async def enable(self, name: str) -> JobTypeInfo:
        """Has the jobs of this type run again, and wakes idle workers. `JobTypeNotFound`."""
        info = await self._set(name, enabled=True)
        self._wake(info.definition.queue)
        return info

    async def remove(self, name: str) -> None:
        """Forgets a type that no code declares any more, and its statistics; its jobs stay.

        Code that still declares it brings it back, enabled. `JobTypeNotFound`.
        """
        name = checked_name("name", name)
        if not await self._repository.remove(name):
            raise await self._not_found(name)

    async def _set(self, name: str, *, enabled: bool) -> JobTypeInfo:
        name = checked_name("name", name)
        if not await self._repository.set_enabled(name, enabled=enabled):
            raise await self._not_found(name)
        return await self.get(name)

    async def _not_found(self, name: str) -> JobTypeNotFound:
        return JobTypeNotFound(name, [each.name for each in await self._repository.all()])
