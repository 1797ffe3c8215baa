"""The port that keeps schedules, and has them tick."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from enfila.core.domain.schedule.rules.tick import Advance
from enfila.core.domain.schedule.runs.run import NewRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import Owner, ScheduleState

Decision = Callable[[Schedule, datetime], Schedule]
"""What a schedule is to become, given what it is and the current instant.

Pure and quick: it runs inside a transaction, perhaps more than once. What it raises is raised to
the caller, and nothing is written.
"""

Edit = Callable[[Schedule, datetime, bool], Schedule]
"""As `Decision`, for what depends on whether one of the schedule's jobs is unfinished."""


@dataclass(frozen=True, slots=True)
class DueSchedules:
    """Value object: the schedules that are due, and when the next one will be.

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
    """Value object: a schedule after its due ticks, and the runs that these make."""

    advance: Advance
    runs: tuple[NewRun, ...]


@dataclass(frozen=True, slots=True)
class ScheduleFilter:
    """Value object: which schedules are meant; None means all of them."""

    owner: Owner | None = None
    category: str | None = None
    job_type: str | None = None
    state: ScheduleState | None = None


ALL_OF_THEM = ScheduleFilter()


class IScheduleRepository(ABC):
    """Keeps schedules by slug.

    Each method is one atomic step, and any number of processes may call them at the same time. A
    schedule that was deleted is as if it had never been; its jobs stay.
    """

    @abstractmethod
    async def current_instant(self) -> datetime:
        """Now, by the clock that rows are written with: the same for all processes on a server."""

    # ── schedules ────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def insert(self, schedule: Schedule) -> None:
        """Stores a new schedule.

        Raises:
            ScheduleExists: there is one with its slug.
        """

    @abstractmethod
    async def get(self, slug: str) -> Schedule | None:
        """The schedule with this slug; None if there is none."""

    @abstractmethod
    async def find(
        self,
        wanted: ScheduleFilter = ALL_OF_THEM,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Schedule]:
        """The schedules that fit, by slug; those with a larger slug than `after`."""

    @abstractmethod
    async def change(self, slug: str, decide: Decision) -> Schedule | None:
        """Replaces a schedule with what `decide` makes of it; that, or None if there is none.

        No advance and no other change comes between: what `decide` was given is what stands. After
        it returned, no advance that rests on an older version is applied.
        """

    @abstractmethod
    async def edit(self, slug: str, decide: Edit) -> Schedule | None:
        """As `change`, with a decision that is told whether an open run has an unfinished job.

        No run is added and none is recorded in between either.
        """

    @abstractmethod
    async def delete(self, slug: str) -> bool:
        """Removes a schedule with its runs; whether there was one."""

    # ── ticks ────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def due(self, limit: int) -> DueSchedules:
        """At most `limit` schedules that are due. The others cost nothing."""

    @abstractmethod
    async def tick(self, steps: Sequence[ScheduleStep]) -> list[bool]:
        """Applies advances of different schedules; per step whether it still held.

        An advance holds when its schedule accepts it (`Schedule.accepts`). Then the schedule
        becomes what `Schedule.after` says, and the runs are stored as `IScheduleRunRepository.add`
        does. Otherwise nothing of the step is written; the other steps are. What is raised undoes
        all steps.
        """
