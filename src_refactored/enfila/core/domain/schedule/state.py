"""Where a schedule is in its life."""

from __future__ import annotations

from enum import StrEnum


class Owner(StrEnum):
    """Who made a schedule, and so who may remove it."""

    CODE = "code"
    """A deploy brings it, changes it and takes it away."""
    RUNTIME = "runtime"
    """A person or a program made it while the system ran."""


class FinishReason(StrEnum):
    """Why a schedule will never tick again by itself. It stays, and can be edited."""

    END_REACHED = "its end is reached"
    OUT_OF_RUNS = "it has made all its runs"
    NO_MORE_TIMES = "its trigger has no more times"


class ScheduleState(StrEnum):
    """What a schedule does now."""

    ACTIVE = "active"
    """It ticks at its next time."""
    WAITING = "waiting"
    """Its next time is set when its run has ended."""
    DISABLED = "disabled"
    """It does not tick until somebody enables it."""
    FINISHED = "finished"
    """It will not tick again."""
