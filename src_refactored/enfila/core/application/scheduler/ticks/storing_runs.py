"""Storing the runs of schedules, with the interceptors around their jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from enfila.core.application.interceptors import Interceptors
from enfila.core.application.ports.schedule_repository import ScheduleStep
from enfila.core.application.ports.storage import Storage
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.runs.run import NewRun


class StoringRuns:
    """Stores runs of schedules; interceptors may annotate their jobs before."""

    def __init__(self, storage: Storage, interceptors: Interceptors) -> None:
        self._schedules = storage.schedules
        self._runs = storage.schedule_runs
        self._interceptors = interceptors

    async def tick(self, steps: Sequence[ScheduleStep]) -> list[bool]:
        """As `IScheduleRepository.tick`."""
        jobs = self._jobs_to_annotate(run for step in steps for run in step.runs)
        if not jobs:
            return await self._schedules.tick(steps)
        with self._interceptors.adding(jobs) as annotated:
            by_id = {job.id: job for job in annotated}
            return await self._schedules.tick(
                [replace(step, runs=tuple(_with_jobs(step.runs, by_id))) for step in steps]
            )

    async def add(self, slug: str, runs: Sequence[NewRun]) -> Sequence[bool] | None:
        """As `IScheduleRunRepository.add`."""
        jobs = self._jobs_to_annotate(runs)
        if not jobs:
            return await self._runs.add(slug, runs)
        with self._interceptors.adding(jobs) as annotated:
            by_id = {job.id: job for job in annotated}
            return await self._runs.add(slug, _with_jobs(runs, by_id))

    def _jobs_to_annotate(self, runs: Iterable[NewRun]) -> list[Job]:
        """The jobs of runs; none when there are no interceptors."""
        if not self._interceptors.around_adds:
            return []
        return [run.job for run in runs if run.job is not None]


def _with_jobs(runs: Sequence[NewRun], by_id: Mapping[JobId, Job]) -> list[NewRun]:
    return [run if run.job is None else replace(run, job=by_id[run.job.id]) for run in runs]
