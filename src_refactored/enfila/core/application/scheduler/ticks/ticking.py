"""Having due schedules tick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from enfila.core.application.interceptors import Interceptors
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.schedule_repository import DueSchedules
from enfila.core.application.ports.wake_up import Hint, WakeUp
from enfila.core.application.scheduler.ticks.cancelling import Cancelling
from enfila.core.application.scheduler.ticks.job_factory import JobFactory
from enfila.core.application.scheduler.ticks.planning import Plan, plan
from enfila.core.application.scheduler.ticks.scheduler_events import SchedulerEvents
from enfila.core.application.scheduler.ticks.storing_runs import StoringRuns
from enfila.core.domain.errors import AlreadyClosed, RepositoryUnavailable
from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.rules.overlap import Overlap
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.showing import described

MOST_RUNS_TOGETHER: Final = 1_000
"""Runs of one transaction, unless a single schedule catches up more."""
_SHORTEST_WAIT: Final = timedelta(milliseconds=1)


class Ticking:
    """Looks for due schedules, and stores the runs that they make.

    Any number of processes may do so: whatever another one did first is stale, and left alone.

    Args:
        batch: how many schedules are looked at together.
        most_failures: in a row; then a schedule is disabled.
        poll: the longest wait for the next due time.
        interceptors: go around the adding of their jobs.
    """

    def __init__(
        self,
        repository: IJobRepository,
        wake_up: WakeUp,
        events: SchedulerEvents,
        *,
        batch: int,
        most_failures: int,
        poll: timedelta,
        interceptors: Interceptors,
    ) -> None:
        storage = repository.storage
        self._schedules = storage.schedules
        self._runs = storage.schedule_runs
        self._storing = StoringRuns(storage, interceptors)
        self._job_types = storage.job_types
        self._wake_up = wake_up
        self._own_events = events
        self._cancelling = Cancelling(repository, wake_up)
        self._batch = batch
        self._most_failures = most_failures
        self._poll = poll
        self._wait = poll

    @property
    def wait(self) -> timedelta:
        """How long there is nothing to do, as far as the last look could tell."""
        return self._wait

    async def tick_due(self) -> bool:
        """Handles one batch; whether there was anything to do, and so may be more."""
        found = await self._schedules.due(self._batch)
        ahead = self._poll if found.wake_at is None else found.wake_at - found.now
        self._wait = max(_SHORTEST_WAIT, min(self._poll, ahead))
        if not found.schedules:
            return False
        for plans in _in_groups(await self._plans(found)):
            await self._apply(plans, found.now)
        return True

    # ── planning ─────────────────────────────────────────────────────────────────────────────

    async def _plans(self, found: DueSchedules) -> list[Plan]:
        overlapping = [
            each.slug for each in found.schedules if each.definition.overlap is not Overlap.ALLOW
        ]
        unfinished = await self._runs.unfinished_jobs(overlapping) if overlapping else {}
        making = JobFactory(await self._job_types.all())
        plans = []
        for schedule in found.schedules:
            jobs = unfinished.get(schedule.slug, ())
            if (made := await self._plan(schedule, jobs, making, found.now)) is not None:
                plans.append(made)
        return plans

    async def _plan(
        self, schedule: Schedule, unfinished: Sequence[Job], making: JobFactory, now: datetime
    ) -> Plan | None:
        try:
            advance = schedule.due(now)
            if advance is None:
                return None
            made = plan(schedule, advance, unfinished, making, now)
        # A zone that was removed from this machine, above all. Others must not suffer from it.
        except Exception as error:  # noqa: BLE001 - whatever a rule raises is shown on its schedule
            await self._failed(schedule, error)
            return None
        if advance.ticks and not making.is_known(schedule.definition.target):
            self._own_events.target_missing(schedule, now)
        return made

    # ── applying ─────────────────────────────────────────────────────────────────────────────

    async def _apply(self, plans: Sequence[Plan], now: datetime) -> None:
        for each in plans:
            await self._cancelling.cancel(
                each.cancelled, f"replaced by a newer run of schedule {each.schedule.slug}"
            )
        try:
            applied = await self._storing.tick([each.step for each in plans])
        except (AlreadyClosed, RepositoryUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise many kinds for a row they refuse, and interceptors any
            await self._single_out(plans, error, now)
            return
        for each, is_applied in zip(plans, applied, strict=True):
            if is_applied:
                self._own_events.ticked(each, now)
        self._wake_workers(plans)

    async def _single_out(self, plans: Sequence[Plan], error: Exception, now: datetime) -> None:
        """One of them cannot be added; the others shall be."""
        if len(plans) == 1:
            await self._failed(plans[0].schedule, error)
            return
        for each in plans:
            await self._apply([each], now)

    async def _failed(self, schedule: Schedule, error: Exception) -> None:
        """Shows the error on the schedule, which is tried again later or disabled."""
        text = described(error)
        told: list[datetime] = []

        def fail(standing: Schedule, now: datetime) -> Schedule:
            told.clear()
            if standing != schedule:
                return standing  # another process has told it, or it was edited
            told.append(now)
            return standing.enqueue_failed(text, now, limit=self._most_failures)

        changed = await self._schedules.change(schedule.slug, fail)
        if changed is not None and told:
            self._own_events.failed(changed, text, told[0])

    def _wake_workers(self, plans: Sequence[Plan]) -> None:
        runs = (run for each in plans for run in each.step.runs)
        for queue in {run.job.queue for run in runs if run.job is not None}:
            self._wake_up.hint(queue, Hint.JOBS)


def _in_groups(plans: Sequence[Plan]) -> Iterator[list[Plan]]:
    """Plans that are applied in one transaction each."""
    group: list[Plan] = []
    runs = 0
    for each in plans:
        if group and runs + len(each.step.runs) > MOST_RUNS_TOGETHER:
            yield group
            group, runs = [], 0
        group.append(each)
        runs += len(each.step.runs)
    if group:
        yield group
