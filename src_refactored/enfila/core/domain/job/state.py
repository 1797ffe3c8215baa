"""Where a job can be, and the one table of moves between those places."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """Where a job is in its life."""

    WAITING = "waiting"
    """Runs as soon as a worker is free."""
    DELAYED = "delayed"
    """Runs at `run_at`."""
    BLOCKED = "blocked"
    """Runs when the jobs it depends on are settled."""
    ACTIVE = "active"
    """Held by a worker under a lock."""
    COMPLETED = "completed"
    FAILED = "failed"
    """Ended without success: a dead letter, until somebody retries it."""
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether only a person moves a job out of this state."""
        return self in FINAL


FINAL: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
UNFINISHED: Final = frozenset(JobState) - FINAL
CLAIMABLE: Final = frozenset({JobState.WAITING, JobState.DELAYED})
INITIAL: Final = frozenset({JobState.WAITING, JobState.DELAYED, JobState.BLOCKED})


class Reason(StrEnum):
    """Why a job moves. Every move of the table has at least one."""

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
"""The table of moves: for each reason the (from, to) pairs that it allows. Nothing else moves."""


def may_move(reason: Reason, source: JobState, target: JobState) -> bool:
    """Whether the table has this move."""
    return (source, target) in MOVES[reason]


def sources(reason: Reason) -> tuple[JobState, ...]:
    """The states from which a job can move for this reason, in the order of a job's life."""
    return tuple(state for state in JobState if any(pair[0] is state for pair in MOVES[reason]))
