"""Schedules for the contract suite, and a repository that is asked in the words of the tests."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.schedule_repository import ScheduleStep
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.rules.tick import Advance
from enfila.core.domain.schedule.runs.run import NewRun, Origin, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.target import Target
from enfila.core.domain.schedule.triggers.interval import Interval
from enfila.testing import FrozenClock
from tests.contract.building import Line, completed, make_job

MINUTE = timedelta(minutes=1)


@dataclass
class Board:
    """The schedules of one test, under a frozen clock. `prefix` tells them from other tests'."""

    repository: IJobRepository
    clock: FrozenClock
    prefix: str

    def define(self, ending: str = "one", **changes: Any) -> ScheduleDefinition:
        """A definition that ticks every minute."""
        target = Target.of("noop", queue=self.prefix)
        definition = ScheduleDefinition(f"{self.prefix}-{ending}", target, Interval(60))
        return replace(definition, **changes)

    async def insert(self, ending: str = "one", **changes: Any) -> Schedule:
        """A stored schedule, whose next tick is a minute away."""
        schedule = Schedule.new(self.define(ending, **changes), self.clock.now())
        await self.repository.storage.schedules.insert(schedule)
        return schedule

    async def read(self, slug: str) -> Schedule:
        """The schedule as it stands."""
        found = await self.repository.storage.schedules.get(slug)
        assert found is not None
        return found

    async def due(self) -> list[Schedule]:
        """The schedules of this test that are due, the longest due first."""
        found = await self.repository.storage.schedules.due(1000)
        return [each for each in found.schedules if each.slug.startswith(self.prefix)]

    def advance(self, schedule: Schedule) -> Advance:
        """What the schedule does now; it has to be due."""
        advance = schedule.due(self.clock.now())
        assert advance is not None
        return advance

    def job(self, slug: str, **options: Any) -> Job:
        """A job as a tick makes it."""
        job = make_job(self.prefix, "noop", None, JobOptions(**options), clock=self.clock)
        job.schedule_id = slug
        return job

    def step(self, schedule: Schedule) -> ScheduleStep:
        """The step of a due schedule, one job for each tick."""
        advance = self.advance(schedule)
        runs = (NewRun(tick.nominal, self.job(schedule.slug)) for tick in advance.ticks)
        return ScheduleStep(advance, tuple(runs))

    async def tick(self, schedule: Schedule) -> ScheduleRun:
        """The one run that a due schedule makes."""
        assert await self.repository.storage.schedules.tick([self.step(schedule)]) == [True]
        return (await self.runs(schedule.slug))[0]

    async def run(self, slug: str, nominal: datetime | None = None, **options: Any) -> ScheduleRun:
        """A run that somebody wanted."""
        job = self.job(slug, **options)
        wanted = NewRun(nominal or self.clock.now(), job, Origin.MANUAL, "ada")
        assert await self.repository.storage.schedule_runs.add(slug, [wanted]) == [True]
        return (await self.runs(slug))[0]

    async def runs(self, slug: str) -> list[ScheduleRun]:
        """The runs of a schedule, the newest first."""
        return await self.repository.storage.schedule_runs.find(slug)

    async def complete(self, run: ScheduleRun) -> Job:
        """Its job, once a worker has done it; no other job of the queue may be in line."""
        line = Line(self.repository, self.clock, self.prefix)
        job = await line.claim_one()
        assert job.id == run.job_id
        return await line.settle(job, completed())

    async def ended(self) -> list[ScheduleRun]:
        """The open runs of this test that have ended."""
        found = (await self.repository.storage.schedule_runs.ended(None, 10_000)).runs
        return [each for each in found if each.slug.startswith(self.prefix)]
