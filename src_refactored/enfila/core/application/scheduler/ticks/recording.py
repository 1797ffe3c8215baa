"""Telling schedules how their runs ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from enfila.core.application.ports.schedule_run_repository import IScheduleRunRepository
from enfila.core.application.scheduler.ticks.scheduler_events import SchedulerEvents
from enfila.core.domain.errors import EnfilaError, RepositoryUnavailable
from enfila.core.domain.schedule.runs.run import RunId, ScheduleRun

_RUNS_AT_ONCE: Final = 1_000
_SHARE_OF_TIME: Final = 20
_PARTS_OF_A_SHORT_ROUND: Final = 2
"""One with all there is, and one that finds nothing behind it."""


class Recording:
    """Tells schedules how their runs ended, once the job of a run is final or gone.

    It looks at the jobs and relies on no event: whoever ends a job, and however, its schedule
    learns of it.

    Args:
        interval: between two rounds; longer after a round through very many runs, so that most of
            the time is rest.
        told: called when schedules were told, for one of them may have a next time now.
        report: told of what cannot be recorded.
    """

    def __init__(
        self,
        runs: IScheduleRunRepository,
        events: SchedulerEvents,
        *,
        interval: timedelta,
        told: Callable[[], None],
        report: Callable[[Exception, str], None],
    ) -> None:
        self._runs = runs
        self._own_events = events
        self._interval = interval
        self._told = told
        self._report = report
        self._last: RunId | None = None
        self._round_began: float | None = None
        self._parts = 0
        self._wait = interval

    @property
    def wait(self) -> timedelta:
        """How long to rest before the next round."""
        return self._wait

    async def record_ended(self) -> bool:
        """Looks at one part of the open runs; whether the round goes on."""
        clock = asyncio.get_running_loop().time
        if self._round_began is None:
            self._round_began, self._parts = clock(), 0
        found = await self._runs.ended(self._last, _RUNS_AT_ONCE)
        if found.runs:
            await self._record(found.runs)
        self._last = found.last
        self._parts += 1
        if found.last is not None:
            return True
        took = timedelta(seconds=clock() - self._round_began)
        is_long = self._parts > _PARTS_OF_A_SHORT_ROUND
        self._wait = max(self._interval, took * _SHARE_OF_TIME) if is_long else self._interval
        self._round_began = None
        return False

    async def _record(self, runs: Sequence[ScheduleRun]) -> None:
        try:
            closed = await self._runs.record(runs)
        except RepositoryUnavailable:
            raise
        except EnfilaError as error:
            await self._single_out(runs, error)
            return
        for run in runs:
            if run.id in closed:
                self._own_events.run_ended(run)
        if closed:
            self._told()

    async def _single_out(self, runs: Sequence[ScheduleRun], error: EnfilaError) -> None:
        """One schedule cannot be told; the others shall be. It is tried again in the next round."""
        if len(runs) == 1:
            self._report(error, f"recording a run of schedule {runs[0].slug}")
            return
        for run in runs:
            await self._record([run])
