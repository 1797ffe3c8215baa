"""Making up for times of the past."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from enfila.core.application.scheduler.ticks.job_factory import JobFactory
from enfila.core.domain.schedule.runs.run import NewRun, Origin
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.scheduled_for import ScheduledFor

RUNS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Backfill:
    """Value object: what a backfill of a schedule did, or would do.

    Attributes:
        times: the nominal times of the range, in order.
        made: those for which a job was added; the others had one. Empty in a dry run.
    """

    times: tuple[datetime, ...]
    made: tuple[datetime, ...]


def backfill_runs(
    schedule: Schedule, times: Sequence[datetime], making: JobFactory, by: str, now: datetime
) -> Iterator[list[NewRun]]:
    """The runs for these times, in parts that are stored together. They start at once."""
    following = schedule.definition.next_after(times[-1]) if times else None
    neighbours = list(pairwise([None, *times, following]))
    runs = [
        NewRun(
            nominal,
            making.make(
                schedule.definition.target,
                ScheduledFor(schedule.slug, nominal, previous, neighbours[place + 1][1]),
                now=now,
            ),
            Origin.BACKFILL,
            by,
        )
        for place, (previous, nominal) in enumerate(neighbours[:-1])
        if nominal is not None
    ]
    for start in range(0, len(runs), RUNS_AT_ONCE):
        yield runs[start : start + RUNS_AT_ONCE]
