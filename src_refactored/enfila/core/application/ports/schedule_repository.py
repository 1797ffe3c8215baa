"""The port that keeps schedules and what became of their ticks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.run import NewRun, RunId, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import Owner, ScheduleState
from enfila.core.domain.schedule.tick import Advance

Decision = Callable[[Schedule, datetime], Schedule]
"""What a schedule is to become, given what it is and the current instant.

Pure and quick: it runs inside a transaction, perhaps more than once. What it raises is raised to
the caller, and nothing is written.
"""


@dataclass(frozen=True, slots=True)
class DueSchedules:
    """Value object: what a scheduler has to do.

    Attributes:
        now: the instant of the answer, by the repository's clock.
        schedules: those whose `wake_at` is not later than `now`, the longest due first.
        wake_at: when the next of the others is due; None when there is none, or when not all due
            ones were given.
    """

    now: datetime
    schedules: Sequence[Schedule]
    wake_at: datetime | None


@dataclass(frozen=True, slots=True)
class ScheduleStep:
    """Value object: an advance, with the runs that it makes, in the order of its ticks."""

    advance: Advance
    runs: tuple[NewRun, ...]


@dataclass(frozen=True, slots=True)
class EndedRuns:
    """Value object: part of the open runs, those whose end was not recorded yet.

    Attributes:
        runs: those of the part whose job is final or gone, in their order.
        last: the last open run that was looked at; None when there was none to look at.
    """

    runs: Sequence[ScheduleRun]
    last: RunId | None


@dataclass(frozen=True, slots=True)
class ScheduleFilter:
    """Value object: which schedules are meant; None means all of them."""

    owner: Owner | None = None
    category: str | None = None
    job_type: str | None = None
    state: ScheduleState | None = None


ALL_OF_THEM = ScheduleFilter()


class IScheduleRepository(ABC):
    """Keeps schedules by slug, and their runs.

    Each method is one atomic step, and any number of processes may call them at the same time. A
    schedule that was deleted is as if it had never been; its jobs stay.
    """

    @abstractmethod
    async def current_instant(self) -> datetime:
        """Now, by the clock that rows are written with: the same for all processes on a server."""

    # ── schedules ────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def insert_schedule(self, schedule: Schedule) -> None:
        """Stores a new schedule.

        Raises:
            ScheduleExists: there is one with its slug.
        """

    @abstractmethod
    async def schedule(self, slug: str) -> Schedule | None:
        """The schedule with this slug; None if there is none."""

    @abstractmethod
    async def schedules(
        self,
        wanted: ScheduleFilter = ALL_OF_THEM,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Schedule]:
        """The schedules that fit, by slug; those with a larger slug than `after`."""

    @abstractmethod
    async def change_schedule(self, slug: str, decide: Decision) -> Schedule | None:
        """Replaces a schedule with what `decide` makes of it; that, or None if there is none.

        No advance and no other change comes between: what `decide` was given is what stands. After
        it returned, no advance that rests on an older version is applied.
        """

    @abstractmethod
    async def delete_schedule(self, slug: str) -> bool:
        """Removes a schedule with its runs; whether there was one."""

    # ── ticks ────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def due_schedules(self, limit: int) -> DueSchedules:
        """At most `limit` schedules that are due. The others cost nothing."""

    @abstractmethod
    async def tick(self, steps: Sequence[ScheduleStep]) -> list[bool]:
        """Applies advances of different schedules; per step whether it still held.

        An advance holds when its schedule accepts it (`Schedule.accepts`). Then the schedule
        becomes what `Schedule.after` says, and the runs are stored as `add_runs` does. Otherwise
        nothing of the step is written; the other steps are. What is raised undoes all steps.
        """

    @abstractmethod
    async def add_runs(self, slug: str, runs: Sequence[NewRun]) -> list[bool] | None:
        """Stores runs of a schedule and adds their jobs; None if there is no such schedule.

        Per run whether it was stored: one of rule or backfill is left out when another one of
        these two origins has its nominal time. Jobs are added as `IJobRepository.add` does. One
        that is blocked by a job which has ended, or is not there, is added unblocked.
        """

    # ── runs ─────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def unfinished_jobs(self, slugs: Collection[str]) -> Mapping[str, Sequence[Job]]:
        """The jobs of open runs that are not final, per schedule in the order of the runs.

        Schedules without any are left out.
        """

    @abstractmethod
    async def ended_runs(self, after: RunId | None, limit: int) -> EndedRuns:
        """Looks at the first `limit` open runs behind `after`, for those that have ended."""

    @abstractmethod
    async def record_runs(self, runs: Sequence[ScheduleRun]) -> Collection[RunId]:
        """Tells schedules how these runs ended (`Schedule.run_ended`) and closes them; which ones.

        Runs that were closed before, or have not ended (`ScheduleRun.outcome`), are left alone. A
        run is the last one when no other open run of its schedule has an unfinished job.

        Raises:
            UnknownTimeZone: a schedule counts from the end of its runs, and this machine does not
                know its zone. Nothing is written.
        """

    @abstractmethod
    async def runs(
        self, slug: str, *, limit: int = 100, before: RunId | None = None
    ) -> list[ScheduleRun]:
        """The runs of a schedule that were made before `before`, the newest first."""

    @abstractmethod
    async def forget_runs(self, older_than: timedelta, limit: int) -> int:
        """Removes up to `limit` runs that were closed so long ago; how many. Jobs stay."""
