"""Ticks of a schedule, and the decision to make jobs of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from enfila.core.domain.schedule.state import FinishReason


@dataclass(frozen=True, slots=True)
class Tick:
    """Value object: one time of a schedule, of which one job is made.

    Attributes:
        nominal: the time that the rule names; unique for the schedule, whatever happens.
        previous: the rule's tick before; None when this is the first.
        next: the rule's tick after; None when there is none, or when it is not known before the
            run has ended.
        run_at: when its job may start: `nominal` and the jitter.
    """

    nominal: datetime
    previous: datetime | None
    next: datetime | None
    run_at: datetime


class DropReason(StrEnum):
    """Why due ticks make no jobs."""

    TOO_LATE = "later than the grace"
    SUPERSEDED = "a newer tick stands for them"
    OVER_CAP = "more than may be caught up at once"
    OUT_OF_RUNS = "the schedule had no runs left"


@dataclass(frozen=True, slots=True)
class Dropped:
    """Value object: a row of ticks that make no jobs.

    Attributes:
        first, last: the nominal times of its ends.
        count: how many they are; beyond 1,000 they are not counted on.
        is_count_exact: false when there are more than `count`.
    """

    reason: DropReason
    first: datetime
    last: datetime
    count: int
    is_count_exact: bool = True


@dataclass(frozen=True, slots=True)
class Advance:
    """Value object: what a schedule does at a time, to be applied whole or not at all.

    A repository applies it in one transaction, only if the schedule still has `version` and
    `rests_on` as its next time, and adds one job for each tick under UNIQUE (schedule, nominal).

    Attributes:
        slug, version, rests_on: the schedule, and what it was when this was decided.
        ticks: of which jobs are made, in order.
        dropped: the due ticks that make none.
        next_run_at: its next nominal time; None while it waits for a run's end, or is finished.
        last_nominal: the newest tick that was dealt with, dropped or not.
        finished: why there will be no other tick; None while there may be.
    """

    slug: str
    version: int
    rests_on: datetime
    ticks: tuple[Tick, ...]
    dropped: tuple[Dropped, ...]
    next_run_at: datetime | None
    last_nominal: datetime
    finished: FinishReason | None = None
