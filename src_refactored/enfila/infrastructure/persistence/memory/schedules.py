"""Schedules by slug, and their runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from enfila.core.application.ports.job_repository import Added
from enfila.core.application.ports.schedule_repository import (
    ALL_OF_THEM,
    Decision,
    DueSchedules,
    EndedRuns,
    IScheduleRepository,
    ScheduleFilter,
    ScheduleStep,
)
from enfila.core.domain.errors import ScheduleExists
from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.run import NewRun, Origin, RunId, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.infrastructure.persistence.memory.job_table import copied
from enfila.infrastructure.persistence.memory.store import KeptRun, Store


class InMemorySchedules(IScheduleRepository):
    """A dict of schedules and one of runs."""

    _store: Store

    @abstractmethod
    def _add_job(self, job: Job, now: datetime) -> Added:
        """Adds one job, numbered."""

    async def current_instant(self) -> datetime:
        return self._store.clock.now()

    async def insert_schedule(self, schedule: Schedule) -> None:
        if schedule.slug in self._store.schedules:
            raise ScheduleExists(schedule.slug)
        self._store.schedules[schedule.slug] = replace(schedule)

    async def schedule(self, slug: str) -> Schedule | None:
        found = self._store.schedules.get(slug)
        return None if found is None else replace(found)

    async def schedules(
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

    async def change_schedule(self, slug: str, decide: Decision) -> Schedule | None:
        found = self._store.schedules.get(slug)
        if found is None:
            return None
        changed = decide(replace(found), self._store.clock.now())
        self._store.schedules[slug] = changed
        return replace(changed)

    async def delete_schedule(self, slug: str) -> bool:
        runs = self._store.schedule_runs
        for number in [number for number, kept in runs.items() if kept.run.slug == slug]:
            del runs[number]
        return self._store.schedules.pop(slug, None) is not None

    # ── ticks ────────────────────────────────────────────────────────────────────────────────

    async def due_schedules(self, limit: int) -> DueSchedules:
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
            self._add_run(schedule.slug, run)
        return True

    async def add_runs(self, slug: str, runs: Sequence[NewRun]) -> list[bool] | None:
        if slug not in self._store.schedules:
            return None
        return [self._add_run(slug, run) for run in runs]

    def _add_run(self, slug: str, new: NewRun) -> bool:
        if new.origin is not Origin.MANUAL and self._is_taken(slug, new.nominal):
            return False
        now = self._store.clock.now()
        job = None if new.job is None else self._add_job(self._unblocked(new.job, now), now).job
        number = RunId(next(self._store.numbers))
        job_id = None if job is None else job.id
        run = ScheduleRun(number, slug, new.nominal, new.origin, new.by, now, job_id, None)
        self._store.schedule_runs[number] = KeptRun(run, now if job_id is None else None)
        return True

    def _is_taken(self, slug: str, nominal: datetime) -> bool:
        # A time that is asked for is most often a late one.
        return any(
            kept.run.nominal == nominal
            for kept in reversed(self._store.schedule_runs.values())
            if kept.run.slug == slug and kept.run.origin is not Origin.MANUAL
        )

    def _unblocked(self, job: Job, now: datetime) -> Job:
        """The job, no longer blocked if the one before it has ended or is gone."""
        if job.blocked_by is None:
            return job
        holder = self._store.jobs.get(job.blocked_by)
        if holder is not None and not holder.state.is_final:
            return job
        return job.after(job.unblock(now), now)

    # ── runs ─────────────────────────────────────────────────────────────────────────────────

    async def unfinished_jobs(self, slugs: Collection[str]) -> Mapping[str, Sequence[Job]]:
        found: dict[str, list[Job]] = {}
        for kept in self._store.schedule_runs.values():
            run = self._with_job(kept.run)
            is_open = kept.closed_at is None and run.slug in slugs
            if is_open and run.job is not None and not run.job.state.is_final:
                found.setdefault(run.slug, []).append(run.job)
        return found

    async def ended_runs(self, after: RunId | None, limit: int) -> EndedRuns:
        part = [
            self._with_job(kept.run)
            for number, kept in self._store.schedule_runs.items()
            if kept.closed_at is None and (after is None or number > after)
        ][:limit]
        ended = [run for run in part if run.job is None or run.job.state.is_final]
        return EndedRuns(ended, part[-1].id if part else None)

    async def record_runs(self, runs: Sequence[ScheduleRun]) -> Collection[RunId]:
        now = self._store.clock.now()
        going_on = await self.unfinished_jobs({run.slug for run in runs})
        told = dict(self._store.schedules)
        closed = []
        for run in runs:
            kept, outcome = self._store.schedule_runs.get(run.id), run.outcome(now)
            if kept is None or kept.closed_at is not None or outcome is None:
                continue
            told[run.slug] = told[run.slug].run_ended(outcome, is_last=run.slug not in going_on)
            closed.append(kept)
        self._store.schedules = told
        for kept in closed:
            kept.closed_at = now
        return {kept.run.id for kept in closed}

    async def runs(
        self, slug: str, *, limit: int = 100, before: RunId | None = None
    ) -> list[ScheduleRun]:
        found = [
            self._with_job(kept.run)
            for number, kept in reversed(self._store.schedule_runs.items())
            if kept.run.slug == slug and (before is None or number < before)
        ]
        return found[:limit]

    async def forget_runs(self, older_than: timedelta, limit: int) -> int:
        oldest = self._store.clock.now() - older_than
        old = [
            number
            for number, kept in self._store.schedule_runs.items()
            if kept.closed_at is not None and kept.closed_at <= oldest
        ][:limit]
        for number in old:
            del self._store.schedule_runs[number]
        return len(old)

    def _with_job(self, run: ScheduleRun) -> ScheduleRun:
        job = None if run.job_id is None else self._store.jobs.get(run.job_id)
        return run if job is None else replace(run, job=copied(job))


def _fits(schedule: Schedule, wanted: ScheduleFilter) -> bool:
    definition = schedule.definition
    return (
        wanted.owner in (None, definition.owner)
        and wanted.category in (None, definition.category)
        and wanted.job_type in (None, definition.target.job_type)
        and wanted.state in (None, schedule.state)
    )
