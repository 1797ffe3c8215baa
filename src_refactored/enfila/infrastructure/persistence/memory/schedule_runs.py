"""The runs of schedules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from enfila.core.application.ports.schedule_run_repository import EndedRuns, IScheduleRunRepository
from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.runs.run import NewRun, Origin, RunId, ScheduleRun
from enfila.infrastructure.persistence.memory.adding import add_job
from enfila.infrastructure.persistence.memory.effects.dependencies import without_ended
from enfila.infrastructure.persistence.memory.tables.data import KeptRun, Store
from enfila.infrastructure.persistence.memory.tables.exclusive import exclusive
from enfila.infrastructure.persistence.memory.tables.job_table import copied


@exclusive
class InMemoryScheduleRuns(IScheduleRunRepository):
    """`IScheduleRunRepository` on a dict, in the order in which runs were made."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, slug: str, runs: Sequence[NewRun]) -> list[bool] | None:
        if slug not in self._store.schedules:
            return None
        return [self.add_one(slug, run) for run in runs]

    def add_one(self, slug: str, new: NewRun) -> bool:
        """Stores one run with its job; whether its time was free."""
        if new.origin is not Origin.MANUAL and self._is_taken(slug, new.nominal):
            return False
        now = self._store.clock.now()
        job = None if new.job is None else self._add_job(new.job, now)
        number = RunId(next(self._store.numbers))
        job_id = None if job is None else job.id
        run = ScheduleRun(number, slug, new.nominal, new.origin, new.by, now, job_id, None)
        self._store.schedule_runs[number] = KeptRun(run, now if job_id is None else None)
        return True

    def _add_job(self, job: Job, now: datetime) -> Job:
        [ready] = without_ended(self._store, [job], now)
        return add_job(self._store, ready, now).job

    def _is_taken(self, slug: str, nominal: datetime) -> bool:
        # A time that is asked for is most often a late one.
        return any(
            kept.run.nominal == nominal
            for kept in reversed(self._store.schedule_runs.values())
            if kept.run.slug == slug and kept.run.origin is not Origin.MANUAL
        )

    async def unfinished_jobs(self, slugs: Collection[str]) -> Mapping[str, Sequence[Job]]:
        found: dict[str, list[Job]] = {}
        for kept in self._store.schedule_runs.values():
            run = self._with_job(kept.run)
            is_open = kept.closed_at is None and run.slug in slugs
            if is_open and run.job is not None and not run.job.state.is_final:
                found.setdefault(run.slug, []).append(run.job)
        return found

    async def ended(self, after: RunId | None, limit: int) -> EndedRuns:
        part = [
            self._with_job(kept.run)
            for number, kept in self._store.schedule_runs.items()
            if kept.closed_at is None and (after is None or number > after)
        ][:limit]
        ended = [run for run in part if run.job is None or run.job.state.is_final]
        return EndedRuns(ended, part[-1].id if part else None)

    async def record(self, runs: Sequence[ScheduleRun]) -> Collection[RunId]:
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

    async def find(
        self, slug: str, *, limit: int = 100, before: RunId | None = None
    ) -> list[ScheduleRun]:
        found = [
            self._with_job(kept.run)
            for number, kept in reversed(self._store.schedule_runs.items())
            if kept.run.slug == slug and (before is None or number < before)
        ]
        return found[:limit]

    async def forget(self, older_than: timedelta, limit: int) -> int:
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
