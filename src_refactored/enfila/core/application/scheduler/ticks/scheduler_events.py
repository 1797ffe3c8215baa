"""Telling the listeners of a scheduler."""

from __future__ import annotations

import logging
from datetime import datetime

from enfila.core.application.emitter import Emitter
from enfila.core.application.ports.clock import Clock
from enfila.core.application.runtime.error_log import log_error
from enfila.core.application.scheduler.ticks.planning import Plan
from enfila.core.domain.schedule.events import (
    ScheduleFailed,
    ScheduleFinished,
    SchedulerClosed,
    SchedulerErrorOccurred,
    SchedulerReady,
    ScheduleRunEnded,
    ScheduleTargetMissing,
    ScheduleTicked,
    ScheduleTicksDropped,
    ScheduleTickSkipped,
)
from enfila.core.domain.schedule.runs.run import ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.showing import clipped, shown

logger = logging.getLogger("enfila.scheduler")


class SchedulerEvents:
    """Builds the events of a scheduler and tells them; what people must know is logged too."""

    def __init__(self, emitter: Emitter, clock: Clock) -> None:
        self._emitter = emitter
        self._clock = clock

    def ready(self) -> None:
        """The scheduler looks for due schedules."""
        self._emitter.publish(SchedulerReady(at=self._clock.now()))

    def closed(self) -> None:
        """The scheduler has ended."""
        self._emitter.publish(SchedulerClosed(at=self._clock.now()))

    def error(self, error: BaseException, during: str) -> None:
        """Something went wrong."""
        log_error(logger, error, during)
        # What a listener of errors raises is not told to it again, or that might never end.
        if during != f"a listener of {SchedulerErrorOccurred.name}":
            self._emitter.publish(
                SchedulerErrorOccurred(at=self._clock.now(), error=error, during=during)
            )

    def ticked(self, plan: Plan, at: datetime) -> None:
        """A step was applied."""
        slug, advance = plan.schedule.slug, plan.step.advance
        for dropped in advance.dropped:
            logger.warning(
                "schedule %s dropped %s%d tick(s) from %s to %s: %s",
                slug,
                "" if dropped.is_count_exact else "more than ",
                dropped.count,
                dropped.first.isoformat(),
                dropped.last.isoformat(),
                dropped.reason,
            )
            self._emitter.publish(ScheduleTicksDropped(at=at, slug=slug, dropped=dropped))
        for run in plan.step.runs:
            self._emitter.publish(
                ScheduleTickSkipped(at=at, slug=slug, nominal=run.nominal)
                if run.job is None
                else ScheduleTicked(at=at, slug=slug, nominal=run.nominal, job_id=run.job.id)
            )
        if advance.finished is not None:
            self._emitter.publish(ScheduleFinished(at=at, slug=slug, reason=advance.finished))

    def target_missing(self, schedule: Schedule, at: datetime) -> None:
        """Nobody has declared the job type of a tick."""
        job_type = schedule.definition.target.job_type
        logger.warning(
            "schedule %s: no process has declared the job type %s; its jobs wait for one",
            schedule.slug,
            shown(job_type),
        )
        self._emitter.publish(ScheduleTargetMissing(at=at, slug=schedule.slug, job_type=job_type))

    def failed(self, schedule: Schedule, error: str, at: datetime) -> None:
        """A job could not be added. `schedule` is what came of it."""
        logger.error(
            "schedule %s: its job could not be added: %s%s",
            schedule.slug,
            clipped(error),
            "" if schedule.enabled else "; the schedule is disabled",
        )
        self._emitter.publish(
            ScheduleFailed(
                at=at,
                slug=schedule.slug,
                error=error,
                failures=schedule.enqueue_failures,
                is_disabled=not schedule.enabled,
            )
        )

    def run_ended(self, run: ScheduleRun) -> None:
        """A schedule was told how one of its runs ended."""
        now = self._clock.now()
        if (outcome := run.outcome(now)) is not None:
            self._emitter.publish(
                ScheduleRunEnded(
                    at=now,
                    slug=run.slug,
                    nominal=run.nominal,
                    job_id=run.job_id,
                    status=outcome.status,
                    error=outcome.error,
                )
            )
