"""Schedules by slug."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from enfila.core.application.ports.schedule_repository import (
    ALL_OF_THEM,
    Decision,
    DueSchedules,
    Edit,
    IScheduleRepository,
    ScheduleFilter,
    ScheduleStep,
)
from enfila.core.domain.errors import ScheduleExists
from enfila.core.domain.schedule.schedule import Schedule
from enfila.infrastructure.persistence.memory.schedule_runs import InMemoryScheduleRuns
from enfila.infrastructure.persistence.memory.tables.data import Store
from enfila.infrastructure.persistence.memory.tables.exclusive import exclusive


@exclusive
class InMemorySchedules(IScheduleRepository):
    """`IScheduleRepository` on a dict."""

    def __init__(self, store: Store, runs: InMemoryScheduleRuns) -> None:
        self._store = store
        self._runs = runs

    async def current_instant(self) -> datetime:
        return self._store.clock.now()

    async def insert(self, schedule: Schedule) -> None:
        if schedule.slug in self._store.schedules:
            raise ScheduleExists(schedule.slug)
        self._store.schedules[schedule.slug] = replace(schedule)

    async def get(self, slug: str) -> Schedule | None:
        found = self._store.schedules.get(slug)
        return None if found is None else replace(found)

    async def find(
        self,
        wanted: ScheduleFilter = ALL_OF_THEM,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Schedule]:
        found = [
            replace(schedule)
            for slug, schedule in sorted(self._store.schedules.items())
            if (after is None or slug > after) and _fits(schedule, wanted)
        ]
        return found[:limit]

    async def edit(self, slug: str, decide: Edit) -> Schedule | None:
        is_running = slug in await self._runs.unfinished_jobs([slug])
        return await self.change(slug, lambda standing, now: decide(standing, now, is_running))

    async def change(self, slug: str, decide: Decision) -> Schedule | None:
        found = self._store.schedules.get(slug)
        if found is None:
            return None
        changed = decide(replace(found), self._store.clock.now())
        self._store.schedules[slug] = changed
        return replace(changed)

    async def delete(self, slug: str) -> bool:
        runs = self._store.schedule_runs
        for number in [number for number, kept in runs.items() if kept.run.slug == slug]:
            del runs[number]
        return self._store.schedules.pop(slug, None) is not None

    # ── ticks ────────────────────────────────────────────────────────────────────────────────

    async def due(self, limit: int) -> DueSchedules:
        now = self._store.clock.now()
        line = sorted(
            (schedule.wake_at, slug, schedule)
            for slug, schedule in self._store.schedules.items()
            if schedule.wake_at is not None
        )
        due = [replace(schedule) for wake_at, _, schedule in line if wake_at <= now]
        ahead = [wake_at for wake_at, _, _ in line if wake_at > now]
        return DueSchedules(now, due[:limit], ahead[0] if ahead and len(due) <= limit else None)

    async def tick(self, steps: Sequence[ScheduleStep]) -> list[bool]:
        return [self._step(step) for step in steps]

    def _step(self, step: ScheduleStep) -> bool:
        schedule = self._store.schedules.get(step.advance.slug)
        if schedule is None or not schedule.accepts(step.advance):
            return False
        self._store.schedules[schedule.slug] = schedule.after(step.advance)
        for run in step.runs:
            self._runs.add_one(schedule.slug, run)
        return True


def _fits(schedule: Schedule, wanted: ScheduleFilter) -> bool:
    definition = schedule.definition
    return (
        wanted.owner in (None, definition.owner)
        and wanted.category in (None, definition.category)
        and wanted.job_type in (None, definition.target.job_type)
        and wanted.state in (None, schedule.state)
    )
