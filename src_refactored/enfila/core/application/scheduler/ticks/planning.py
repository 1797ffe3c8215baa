"""What a due schedule does: which jobs it makes, and which it has cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from enfila.core.application.ports.schedule_repository import ScheduleStep
from enfila.core.application.scheduler.ticks.job_factory import JobFactory
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import JobState
from enfila.core.domain.schedule.rules.overlap import OverlapDecision
from enfila.core.domain.schedule.rules.tick import Advance, Tick
from enfila.core.domain.schedule.runs.run import NewRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.scheduled_for import ScheduledFor


@dataclass(frozen=True, slots=True)
class Plan:
    """Value object: the runs that a due schedule makes, and the jobs it cancels before."""

    schedule: Schedule
    step: ScheduleStep
    cancelled: tuple[Job, ...] = ()


def plan(
    schedule: Schedule,
    advance: Advance,
    unfinished: Sequence[Job],
    making: JobFactory,
    now: datetime,
) -> Plan:
    """Decides by its overlap rule what a due schedule does.

    `unfinished` are its jobs that are not final, the oldest first; nothing where it does not care.
    """
    drawing = _Drawing(
        schedule,
        running=[job for job in unfinished if job.state is not JobState.BLOCKED],
        waiting=[job for job in unfinished if job.state is JobState.BLOCKED],
    )
    for tick in advance.ticks:
        told = ScheduledFor(schedule.slug, tick.nominal, tick.previous, tick.next)
        target = schedule.definition.target
        drawing.add(tick, making.make(target, told, run_at=tick.run_at, now=now))
    return Plan(
        schedule, ScheduleStep(advance, tuple(drawing.runs)), tuple(reversed(drawing.cancelled))
    )


@dataclass(slots=True)
class _Drawing:
    """A plan in the making: what the ticks so far have come to counts for the next one."""

    schedule: Schedule
    running: list[Job]
    waiting: list[Job]
    runs: list[NewRun] = field(default_factory=list)
    cancelled: list[Job] = field(default_factory=list)

    def add(self, tick: Tick, job: Job) -> None:
        decision = self.schedule.decide_overlap(
            running=len(self.running), waiting=len(self.waiting)
        )
        match decision:
            case OverlapDecision.ENQUEUE:
                self._enqueue(tick, job)
            case OverlapDecision.SKIP:
                self.runs.append(NewRun(tick.nominal, None))
            case OverlapDecision.ENQUEUE_BEHIND:
                follower = job.behind(self.running[-1].id)
                self.runs.append(NewRun(tick.nominal, follower))
                self.waiting.append(follower)
            case OverlapDecision.CANCEL_AND_ENQUEUE:
                self._drop_older(tick)
                self._enqueue(tick, job)
            case _:
                assert_never(decision)

    def _enqueue(self, tick: Tick, job: Job) -> None:
        self.runs.append(NewRun(tick.nominal, job))
        self.running.append(job)

    def _drop_older(self, tick: Tick) -> None:
        """Stored jobs are cancelled; what this plan itself was to add is not added.

        A stored job of this very tick is another process's, which was quicker: then this plan is
        stale, and must not end what has just begun.
        """
        own = {run.job.id for run in self.runs if run.job is not None}
        self.cancelled.extend(
            job
            for job in (*self.running, *self.waiting)
            if job.id not in own and _is_older(job, tick)
        )
        self.runs = [replace(run, job=None) for run in self.runs]
        self.running, self.waiting = [], []


def _is_older(job: Job, tick: Tick) -> bool:
    told = ScheduledFor.of(job.options.metadata)
    return told is None or told.nominal < tick.nominal
