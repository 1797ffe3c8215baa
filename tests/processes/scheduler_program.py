"""One scheduler in a process of its own: `python -m tests.processes.scheduler_program PLAN`."""

import asyncio
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from enfila import SchedulerOptions
from enfila.core.domain.schedule.events import SchedulerReady
from enfila.testing import AcceleratedClock
from tests.processes.history import Ended, Imported, Journal, Ready
from tests.processes.plans import Plan, die_with_the_parent, read_plan, wait_for_go


@dataclass(frozen=True, kw_only=True)
class SchedulerPlan(Plan):
    """What a scheduler process is to do.

    Attributes:
        start: what its clock showed when it began, in ISO format.
        began: when that was, in seconds of the machine's clock.
        factor: how fast its clock runs.
        poll: seconds between two looks.
    """

    start: str
    began: float
    factor: float
    poll: float = 0.03

    @property
    def clock(self) -> AcceleratedClock:
        return AcceleratedClock(datetime.fromisoformat(self.start), self.factor, began=self.began)


async def schedule(plan: SchedulerPlan, journal: Journal) -> None:
    options = SchedulerOptions(poll_interval=plan.poll, record_interval=0.2)
    async with plan.place.app(clock=plan.clock) as app:
        scheduler = app.scheduler(options)

        def ready(_event: SchedulerReady) -> None:
            journal.write(Ready, worker=plan.name)

        def troubled(event: Any) -> None:
            print(event, flush=True)

        scheduler.on("scheduler.ready", ready)
        scheduler.on("scheduler.error", troubled)
        await scheduler.run()


def main(text: str) -> None:
    plan = read_plan(SchedulerPlan, text)
    die_with_the_parent()
    journal = Journal(plan.folder, plan.name)
    journal.write(Imported)
    wait_for_go(plan)
    asyncio.run(schedule(plan, journal))
    journal.write(Ended)


if __name__ == "__main__":
    main(sys.argv[1])
