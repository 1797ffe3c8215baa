"""The states of a job, and the table of the allowed state transitions."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """The state of a job."""

    WAITING = "waiting"
    """Ready to run as soon as a worker has a free slot."""
    DELAYED = "delayed"
    """Ready to run at `run_at`."""
    BLOCKED = "blocked"
    """Ready to run when the job in front of it has ended."""
    ACTIVE = "active"
    """Claimed by a worker, which holds its lock."""
    COMPLETED = "completed"
    FAILED = "failed"
    """Ended without success: a dead letter, until it is retried manually."""
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether a job leaves this state only through a manual retry."""
        return self in FINAL


FINAL: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
UNFINISHED: Final = frozenset(JobState) - FINAL
CLAIMABLE: Final = frozenset({JobState.WAITING, JobState.DELAYED})
INITIAL: Final = frozenset({JobState.WAITING, JobState.DELAYED, JobState.BLOCKED})


class Reason(StrEnum):
    """The reason of a state transition."""

    DUE = "due"
    PROMOTED = "promoted"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    RETRYING = "retrying"
    SNOOZED = "snoozed"
    RELEASED = "released"
    RECOVERED = "recovered"
    OUT_OF_ATTEMPTS = "out of attempts"
    UNRECOVERABLE = "unrecoverable"
    STALLED_TOO_OFTEN = "stalled too often"
    UNBLOCKED = "unblocked"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    RETRIED = "retried"


def _table() -> dict[Reason, frozenset[tuple[JobState, JobState]]]:
    waiting, delayed, blocked, active = (
        JobState.WAITING,
        JobState.DELAYED,
        JobState.BLOCKED,
        JobState.ACTIVE,
    )
    completed, failed, cancelled = JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED
    moves: dict[Reason, set[tuple[JobState, JobState]]] = {
        Reason.DUE: {(delayed, waiting)},
        Reason.PROMOTED: {(delayed, waiting)},
        Reason.CLAIMED: {(waiting, active), (delayed, active)},
        Reason.COMPLETED: {(active, completed)},
        Reason.RETRYING: {(active, delayed), (active, waiting)},
        Reason.SNOOZED: {(active, delayed), (active, waiting)},
        Reason.RELEASED: {(active, waiting)},
        Reason.RECOVERED: {(active, waiting)},
        Reason.OUT_OF_ATTEMPTS: {(active, failed)},
        Reason.UNRECOVERABLE: {(active, failed)},
        Reason.STALLED_TOO_OFTEN: {(active, failed)},
        Reason.UNBLOCKED: {(blocked, waiting), (blocked, delayed)},
        Reason.CANCELLED: {(state, cancelled) for state in (waiting, delayed, blocked, active)},
        Reason.EXPIRED: {(state, cancelled) for state in (waiting, delayed, blocked)},
        Reason.RETRIED: {(state, waiting) for state in (completed, failed, cancelled)},
    }
    return {reason: frozenset(pairs) for reason, pairs in moves.items()}


MOVES: Final = _table()
"""The table of transitions: the (source, target) pairs that each reason allows. No others exist."""


def may_move(reason: Reason, source: JobState, target: JobState) -> bool:
    """Whether the table allows this transition."""
    return (source, target) in MOVES[reason]


def sources(reason: Reason) -> tuple[JobState, ...]:
    """The source states that the table allows for this reason."""
    return tuple(state for state in JobState if any(pair[0] is state for pair in MOVES[reason]))
