"""The port that remembers job types, for every process to look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from enfila.core.domain.job_type import JobType, JobTypeInfo, RunStatistics


class IJobTypeRepository(ABC):
    """Keeps the definitions of job types with their statistics, by name.

    Each method is one atomic step, and any number of processes may call them at the same time.
    """

    @abstractmethod
    async def declare(self, types: Sequence[JobType]) -> None:
        """Stores definitions, no two of one name.

        New ones are added. Known ones get queue, options, limit and texts of the newest definition;
        whether they are enabled, and their statistics, stays. `declared_at` is now.
        """

    @abstractmethod
    async def all(self) -> list[JobTypeInfo]:
        """All job types, by name."""

    @abstractmethod
    async def get(self, name: str) -> JobTypeInfo | None:
        """The job type with this name; None if there is none."""

    @abstractmethod
    async def set_enabled(self, name: str, *, enabled: bool) -> bool:
        """Enables or disables a job type; whether there is one of this name.

        After it returned, no claim by name that begins later takes a job of a disabled type
        (see `IJobRepository.claim`). Survives a restart and a new declaration. Adding works on,
        running jobs go on.
        """

    @abstractmethod
    async def count_runs(self, statistics: Mapping[str, RunStatistics]) -> None:
        """Adds what became of runs to the statistics of their types.

        As `RunStatistics.plus` does. Names that are not stored are left out.
        """

    @abstractmethod
    async def remove(self, name: str) -> bool:
        """Forgets a job type, its statistics, and that it was disabled; whether there was one.

        Its jobs stay.
        """
