"""Looking up next times anew."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from typing import Final

from enfila.core.application.ports.schedule_repository import IScheduleRepository
from enfila.core.application.ports.schedule_run_repository import IScheduleRunRepository
from enfila.core.domain.errors import UnknownTimeZone
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import ScheduleState

_SCHEDULES_AT_ONCE: Final = 500


class Recomputing:
    """Computes the next times of all schedules anew now and then: rules of time zones change.

    The rules of a zone may have changed: a process that starts knows the newest. And a schedule
    may wait for the end of a run that is over: when a tick is skipped for the sake of another run,
    and that one ends in the same moment, nothing is left to wait for.

    Args:
        report: told of schedules whose zone this machine does not know.
    """

    def __init__(
        self,
        schedules: IScheduleRepository,
        runs: IScheduleRunRepository,
        *,
        report: Callable[[Exception, str], None],
    ) -> None:
        self._schedules = schedules
        self._runs = runs
        self._report = report
        self._last: str | None = None

    async def recompute(self) -> bool:
        """Looks at one part of the schedules; whether there are more."""
        part = await self._schedules.find(after=self._last, limit=_SCHEDULES_AT_ONCE)
        waiting = {each.slug for each in part if each.state is ScheduleState.WAITING}
        unfinished = await self._runs.unfinished_jobs(waiting) if waiting else {}
        now = await self._schedules.current_instant()
        for schedule in part:
            await self._recompute(schedule, waiting - set(unfinished), now)
        self._last = part[-1].slug if len(part) == _SCHEDULES_AT_ONCE else None
        return self._last is not None

    async def _recompute(
        self, schedule: Schedule, forgotten: Collection[str], now: datetime
    ) -> None:
        try:
            if schedule.slug in forgotten:
                await self._schedules.change(
                    schedule.slug, partial(_aimed_if_it_waits_still, schedule)
                )
            elif schedule.recomputed(now) != schedule:
                await self._schedules.change(schedule.slug, Schedule.recomputed)
        except UnknownTimeZone as error:
            self._report(error, f"looking at schedule {schedule.slug}")


def _aimed_if_it_waits_still(seen: Schedule, schedule: Schedule, now: datetime) -> Schedule:
    """It may have ticked meanwhile, and wait for another run."""
    is_same = schedule.last_nominal == seen.last_nominal
    return schedule.aimed_if_waiting(now) if is_same else schedule
