"""Decides which of the due ticks make jobs, and which are dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.rules.misfire import CatchUp
from enfila.core.domain.schedule.rules.tick import Dropped, DropReason
from enfila.core.domain.schedule.triggers.interval import AfterCompletion
from enfila.core.domain.schedule.zones.instants import MICROSECOND

MOST_COUNTED: Final = 1_000
"""Dropped ticks are counted up to here, so that a year of seconds costs no year of counting."""


@dataclass(frozen=True, slots=True)
class DueTimes:
    """Value object: the due nominal times, divided into those that run and those that are dropped.

    Attributes:
        kept: those that make jobs, in order; at most the cap of the misfire rule.
        previous: the time before the first kept one; None if it was made before.
        dropped: the others, as ranges.
    """

    kept: tuple[datetime, ...]
    previous: datetime | None
    dropped: tuple[Dropped, ...]

    @property
    def newest(self) -> datetime | None:
        """The newest time; None if there is none."""
        return max([*self.kept, *(row.last for row in self.dropped)], default=None)


def due_times(
    definition: ScheduleDefinition, first: datetime, now: datetime, runs_left: int | None
) -> DueTimes:
    """Divides the nominal times from `first` to `now` (inclusive) by the misfire rule.

    Args:
        definition: the rule.
        first: the nominal time that the schedule waited for.
        now: aware UTC.
        runs_left: how many jobs it may still make; None for no limit.
    """
    misfire = definition.misfire
    due = _Times(definition, first)
    in_time = first if misfire.grace is None else max(first, now - misfire.grace)
    most = min(misfire.most_at_once, runs_left or misfire.most_at_once)
    newest = due.newest(in_time, now, most + 1)
    kept = newest[-most:]
    late = due.row(first, in_time, DropReason.TOO_LATE)
    passed_over = due.row(
        in_time,
        kept[0] if kept else in_time,
        _reason(misfire.catch_up, is_short_of_runs=most < misfire.cap),
    )
    dropped = tuple(row for row in (late, passed_over) if row is not None)
    return DueTimes(kept, dropped[-1].last if dropped else None, dropped)


def _reason(catch_up: CatchUp, *, is_short_of_runs: bool) -> DropReason:
    if catch_up is CatchUp.LATEST:
        return DropReason.SUPERSEDED
    return DropReason.OUT_OF_RUNS if is_short_of_runs else DropReason.OVER_CAP


def times_between(
    definition: ScheduleDefinition, start: datetime, end: datetime
) -> Iterator[datetime]:
    """The nominal times of a definition from `start` to `end` (inclusive), in order."""
    time = definition.next_after(start - MICROSECOND)
    while time is not None and time <= end:
        yield time
        time = definition.next_after(time)


@dataclass(frozen=True, slots=True)
class _Times:
    """The nominal times from `first` on, which is included even if the definition has changed."""

    definition: ScheduleDefinition
    first: datetime

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        if start <= self.first <= end:
            yield self.first
        # The tick after a run is not known before the run has ended.
        if not isinstance(self.definition.trigger, AfterCompletion):
            yield from times_between(self.definition, max(start, self.first + MICROSECOND), end)

    def newest(self, start: datetime, end: datetime, most: int) -> tuple[datetime, ...]:
        """The newest `most` times in order, without computing all earlier ones.

        It searches the last second, the last four seconds, and so on, until it has found enough.
        """
        window = timedelta(seconds=1)
        while True:
            since = max(start, end - window)
            found = deque(self.between(since, end), maxlen=most)
            if len(found) == most or since == start:
                return tuple(found)
            window *= 4

    def row(self, start: datetime, before: datetime, reason: DropReason) -> Dropped | None:
        """The times from `start` to before `before` as a range; None if there is none."""
        end = before - MICROSECOND
        counted = list(islice(self.between(start, end), MOST_COUNTED + 1))
        if not counted:
            return None
        if len(counted) <= MOST_COUNTED:
            return Dropped(reason, counted[0], counted[-1], len(counted))
        last = self.newest(start, end, 1)[0]
        return Dropped(reason, counted[0], last, MOST_COUNTED, is_count_exact=False)
