"""The states of a schedule."""

from __future__ import annotations

from enum import StrEnum


class Owner(StrEnum):
    """Whether a schedule comes from code or was created at run time."""

    CODE = "code"
    """`sync` creates, changes and deletes it."""
    RUNTIME = "runtime"
    """A user or a program created it at run time."""


class FinishReason(StrEnum):
    """Why a schedule has finished. It is kept, and can be edited."""

    END_REACHED = "its end is reached"
    OUT_OF_RUNS = "it has made all its runs"
    NO_MORE_TIMES = "its trigger has no more times"


class ScheduleState(StrEnum):
    """The state of a schedule."""

    ACTIVE = "active"
    """It will tick at its next time."""
    WAITING = "waiting"
    """Its next time is set when its last run has ended."""
    DISABLED = "disabled"
    """It does not tick until it is enabled."""
    FINISHED = "finished"
    """It will not tick again."""
