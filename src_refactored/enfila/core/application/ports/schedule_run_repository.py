"""The port that keeps the runs of schedules: what became of their ticks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.runs.run import NewRun, RunId, ScheduleRun


@dataclass(frozen=True, slots=True)
class EndedRuns:
    """Value object: runs of schedules whose jobs have ended, found while reading the open ones.

    Attributes:
        runs: those of the part whose job is final or gone, in their order.
        last: the last open run that was looked at; None when there was none to look at.
    """

    runs: Sequence[ScheduleRun]
    last: RunId | None


class IScheduleRunRepository(ABC):
    """Keeps the runs of schedules, by the slugs of these.

    Each method is one atomic step, and any number of processes may call them at the same time.
    """

    @abstractmethod
    async def add(self, slug: str, runs: Sequence[NewRun]) -> list[bool] | None:
        """Stores runs of a schedule and adds their jobs; None if there is no such schedule.

        Per run whether it was stored: one of rule or backfill is left out when another one of
        these two origins has its nominal time. Jobs are added as `IJobRepository.add` does. One
        that is blocked by a job which has ended, or is not there, is added unblocked.
        """

    @abstractmethod
    async def unfinished_jobs(self, slugs: Collection[str]) -> Mapping[str, Sequence[Job]]:
        """The jobs of open runs that are not final, per schedule in the order of the runs.

        Schedules without any are left out.
        """

    @abstractmethod
    async def ended(self, after: RunId | None, limit: int) -> EndedRuns:
        """Looks at the first `limit` open runs behind `after`, for those that have ended."""

    @abstractmethod
    async def record(self, runs: Sequence[ScheduleRun]) -> Collection[RunId]:
        """Tells schedules how these runs ended (`Schedule.run_ended`) and closes them; which ones.

        Runs that were closed before, or have not ended (`ScheduleRun.outcome`), are left alone. A
        run is the last one when no other open run of its schedule has an unfinished job.

        Raises:
            UnknownTimeZone: a schedule counts from the end of its runs, and this machine does not
                know its zone. Nothing is written.
        """

    @abstractmethod
    async def find(
        self, slug: str, *, limit: int = 100, before: RunId | None = None
    ) -> list[ScheduleRun]:
        """The runs of a schedule that were made before `before`, the newest first."""

    @abstractmethod
    async def forget(self, older_than: timedelta, limit: int) -> int:
        """Removes up to `limit` runs that were closed so long ago; how many. Jobs stay."""
