"""The overlap policy: what a tick does while an earlier run of its schedule is unfinished."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never


class OverlapDecision(StrEnum):
    """What a tick does."""

    ENQUEUE = "enqueue"
    """Its job is added."""
    SKIP = "skip"
    """It makes no job, and is recorded as skipped."""
    ENQUEUE_BEHIND = "enqueue behind"
    """Its job is added as blocked, and starts when the unfinished run has ended."""
    CANCEL_AND_ENQUEUE = "cancel and enqueue"
    """The jobs that are not finished are cancelled, then its job is added."""


class Overlap(StrEnum):
    """The overlap policy of a schedule."""

    ALLOW = "allow"
    """Both runs may go on at the same time."""
    SKIP = "skip"
    """The new tick is skipped."""
    QUEUE_ONE = "queue_one"
    """The new tick waits for the end of the run; if one waits already, it is skipped."""
    CANCEL_OLD = "cancel_old"
    """The old run is cancelled, the new one starts."""

    def decide(self, *, running: int, waiting: int = 0) -> OverlapDecision:
        """Decides what the next tick does.

        Args:
            running: jobs of the schedule that may run by now: waiting, delayed or active.
            waiting: jobs of the schedule that wait behind another run of it.
        """
        if running + waiting == 0:
            return OverlapDecision.ENQUEUE
        match self:
            case Overlap.ALLOW:
                return OverlapDecision.ENQUEUE
            case Overlap.SKIP:
                return OverlapDecision.SKIP
            case Overlap.QUEUE_ONE:
                return OverlapDecision.SKIP if waiting else OverlapDecision.ENQUEUE_BEHIND
            case Overlap.CANCEL_OLD:
                return OverlapDecision.CANCEL_AND_ENQUEUE
        assert_never(self)
