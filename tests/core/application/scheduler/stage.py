"""One installation in memory under a frozen clock, with the parts of a scheduler to be driven."""

import zoneinfo
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from enfila.core.application.emitter import Emitter
from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.interceptors import Interceptors
from enfila.core.application.job_types.registry import JobTypeRegistry
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.scheduler.managing.schedules import Schedules
from enfila.core.application.scheduler.managing.target_check import TargetCheck
from enfila.core.application.scheduler.ticks.recording import Recording
from enfila.core.application.scheduler.ticks.scheduler_events import SchedulerEvents
from enfila.core.application.scheduler.ticks.ticking import Ticking
from enfila.core.domain.events import Event
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.outcome import Outcome
from enfila.core.domain.schedule.events import SCHEDULER_EVENTS
from enfila.core.domain.schedule.runs.run import RunState, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.scheduled_for import ScheduledFor
from enfila.core.domain.schedule.triggers.interval import Interval
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.testing import FrozenClock
from tests.contract.building import completed

QUEUE = "work"
POLL = timedelta(seconds=30)


class Stage:
    """A service of schedules, and one process's ticking and recording."""

    def __init__(
        self, repository: IJobRepository | None = None, clock: FrozenClock | None = None
    ) -> None:
        self.clock = clock or FrozenClock()
        self.memory = InMemoryJobRepository(self.clock)
        self.repository = repository or self.memory
        self.wake_up = InProcessWakeUp()
        self.interceptors = Interceptors()
        self.types = JobTypeRegistry()
        self.schedules = Schedules(
            self.repository,
            TargetCheck(self.types, self.repository.storage.job_types),
            self.wake_up,
            interceptors=self.interceptors,
        )
        self.told: list[Event] = []
        self.reported: list[tuple[Exception, str]] = []
        emitter = Emitter(SCHEDULER_EVENTS)
        for name in SCHEDULER_EVENTS:
            emitter.on(name, self.told.append)
        events = SchedulerEvents(emitter, self.clock)
        self.ticking = Ticking(
            self.repository,
            self.wake_up,
            events,
            batch=10,
            most_failures=3,
            poll=POLL,
            interceptors=self.interceptors,
        )
        self.recording = Recording(
            self.repository.storage.schedule_runs,
            events,
            interval=timedelta(seconds=1),
            told=lambda: None,
            report=lambda error, during: self.reported.append((error, during)),
        )

    async def create(self, slug: str = "one", **changes: Any) -> Schedule:
        """A schedule that ticks every minute, unless it is told otherwise."""
        given = {"job": "noop", "trigger": Interval(60), "queue": QUEUE, **changes}
        return await self.schedules.create(self.schedules.define(slug, **given))

    async def tick(self, seconds: float = 60) -> None:
        """Time passes, and what is due by then ticks."""
        self.clock.advance(seconds)
        while await self.ticking.tick_due():
            pass

    async def record(self) -> None:
        """What has ended by now is told to the schedules."""
        while await self.recording.record_ended():
            pass

    async def runs(self, slug: str = "one") -> list[ScheduleRun]:
        """The runs of a schedule, the oldest first."""
        return (await self.schedules.history(slug))[::-1]

    async def states(self, slug: str = "one") -> list[RunState]:
        """Where they are."""
        return [run.state for run in await self.runs(slug)]

    async def claim(self, queue: str = QUEUE) -> Job:
        """The next job, in the hands of a worker."""
        claim = Claim(queue, new_worker_id(), 1, timedelta(days=1))
        [job] = await self.repository.claim(claim)
        return job

    async def settle(self, job: Job, outcome: Outcome | None = None) -> None:
        """Its run ends."""
        [at] = await self.repository.apply([job.settle(outcome or completed())])
        assert at is not None

    def heard(self, kind: type[Event]) -> list[Any]:
        """The events of this kind so far."""
        return [event for event in self.told if type(event) is kind]


def told_times(runs: Sequence[ScheduleRun]) -> list[ScheduledFor | None]:
    """What the jobs of these runs are told of their ticks."""
    return [ScheduledFor.of(run.job.options.metadata) for run in runs if run.job is not None]


def forget_zone(monkeypatch: Any, gone: str) -> None:
    """Has this machine's database lose a zone, as an update of it may."""
    known = zoneinfo.ZoneInfo

    def look_up(name: str) -> zoneinfo.ZoneInfo:
        if name == gone:
            raise zoneinfo.ZoneInfoNotFoundError(name)
        return known(name)

    monkeypatch.setattr("enfila.core.domain.schedule.zones.time_zone.ZoneInfo", look_up)


def at(clock: FrozenClock, **ahead: float) -> datetime:
    """An instant ahead of the clock."""
    return clock.now() + timedelta(**ahead)
