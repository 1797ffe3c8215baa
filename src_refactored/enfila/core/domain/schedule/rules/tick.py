"""Ticks of a schedule, and the decision which of them make jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from enfila.core.domain.schedule.state import FinishReason


@dataclass(frozen=True, slots=True)
class Tick:
    """Value object: one nominal time of a schedule, for which one job is made.

    Attributes:
        nominal: the nominal time; unique for the schedule.
        previous: the nominal time before; None for the first one.
        next: the nominal time after; None if there is none, or if it is not known before the run
            has ended.
        run_at: when its job may start: `nominal` plus the jitter.
    """

    nominal: datetime
    previous: datetime | None
    next: datetime | None
    run_at: datetime


class DropReason(StrEnum):
    """Why due ticks are dropped."""

    TOO_LATE = "later than the grace"
    SUPERSEDED = "a newer tick stands for them"
    OVER_CAP = "more than may be caught up at once"
    OUT_OF_RUNS = "the schedule had no runs left"


@dataclass(frozen=True, slots=True)
class Dropped:
    """Value object: a range of ticks that are dropped.

    Attributes:
        first, last: the first and last nominal time.
        count: the number of ticks; counting stops at 1,000.
        is_count_exact: false when there are more than `count`.
    """

    reason: DropReason
    first: datetime
    last: datetime
    count: int
    is_count_exact: bool = True


@dataclass(frozen=True, slots=True)
class Advance:
    """Value object: the due ticks of a schedule and its next time, to be applied atomically.

    A repository applies it in one transaction, only if the schedule still has `version` and
    `rests_on` as its next time, and adds one job for each tick under UNIQUE (schedule, nominal).

    Attributes:
        slug, version, rests_on: the schedule, its version and its next time when this was decided.
        ticks: those that make jobs, in order.
        dropped: the due ticks that make no jobs.
        next_run_at: its next nominal time; None while it waits for a run's end, or is finished.
        last_nominal: the newest tick that was made or dropped.
        finished: why there will be no more ticks; None while there may be.
    """

    slug: str
    version: int
    rests_on: datetime
    ticks: tuple[Tick, ...]
    dropped: tuple[Dropped, ...]
    next_run_at: datetime | None
    last_nominal: datetime
    finished: FinishReason | None = None
