"""Looking up next times anew, for the rules of a zone may have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from enfila.core.application.ports.schedule_repository import IScheduleRepository, ScheduleFilter
from enfila.core.domain.errors import UnknownTimeZone
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import ScheduleState

_SCHEDULES_AT_ONCE: Final = 500
_ACTIVE: Final = ScheduleFilter(state=ScheduleState.ACTIVE)


class Recomputing:
    """Goes through all active schedules once; a process that starts has the newest rules.

    Args:
        report: told of schedules whose zone this machine does not know.
    """

    def __init__(
        self, repository: IScheduleRepository, *, report: Callable[[Exception, str], None]
    ) -> None:
        self._repository = repository
        self._report = report
        self._last: str | None = None

    async def recompute(self) -> bool:
        """Looks at one part of the schedules; whether there are more."""
        part = await self._repository.schedules(_ACTIVE, after=self._last, limit=_SCHEDULES_AT_ONCE)
        now = await self._repository.current_instant()
        for schedule in part:
            try:
                if schedule.recomputed(now) != schedule:
                    await self._repository.change_schedule(schedule.slug, Schedule.recomputed)
            except UnknownTimeZone as error:
                self._report(error, f"looking at schedule {schedule.slug}")
        self._last = part[-1].slug if len(part) == _SCHEDULES_AT_ONCE else None
        return self._last is not None
