"""A decided move of one job, to be applied only if nothing came between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from enfila.core.domain.duration import ZERO
from enfila.core.domain.job.attempt import Attempt
from enfila.core.domain.job.effect import Effect
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.retention import Retention
from enfila.core.domain.job.state import JobState, Reason
from enfila.core.domain.json_document import JsonDocument


class Standing(Protocol):
    """What is compared of a job with the move that may have brought it there."""

    state: JobState
    token: LockToken
    attempt: int
    stalled_count: int
    run_at: datetime
    finished_at: datetime | None


# A named tuple: one is made for every job that ends, and a frozen dataclass takes thrice as long.
class Transition(NamedTuple):
    """Value object: what a job becomes, decided by `Job`, applied by a repository.

    It rests on the job's state and lock token as they were read (`source`, `token`). A repository
    applies it in one atomic step if both still stand, or answers *stale*. Lengths of time are
    relative to the repository's clock, so that rows are written with one clock.

    Attributes:
        job_id: the job that moves.
        source: the state it is in.
        token: the lock token it has.
        target: the state after the move.
        reason: why; the table of moves allows (source, target) for it.
        attempt, max_attempts, stalled_count: their values after the move.
        run_after: `run_at` becomes the repository's now plus this; None leaves it.
        result, error, cancel_reason: their values after the move.
        retention: the job's own rule of how long it is kept once final; None for the queue's.
        restarts: the move begins a new life: `started_at`, `finished_at` and `expires_at`,
            progress and a request for cancellation are cleared.
        effects: what the move sets in motion besides, at most one of each kind. The record of the
            run that it ends is one, unless the job's own row tells it (a completed run).
    """

    job_id: JobId
    source: JobState
    token: LockToken
    target: JobState
    reason: Reason
    attempt: int
    max_attempts: int
    stalled_count: int
    run_after: timedelta | None = None
    result: JsonDocument | None = None
    error: JobError | None = None
    cancel_reason: str | None = None
    retention: Retention | None = None
    restarts: bool = False
    effects: tuple[Effect, ...] = ()

    @property
    def record(self) -> Attempt | None:
        """The run that this move ends, for the list of attempts; None if it has none to add."""
        return next((effect for effect in self.effects if isinstance(effect, Attempt)), None)

    def is_reached_by(self, job: Standing) -> bool:
        """Whether a job stands where this leads, and so was moved by it.

        Nobody else can have done so: the token is of one holder, who decides once.
        """
        there = (self.target, self.token, self.attempt, self.stalled_count)
        return (job.state, job.token, job.attempt, job.stalled_count) == there

    def reached_at(self, job: Standing | None) -> datetime | None:
        """When a job came to stand where this leads; None if it does not stand there."""
        if job is None or not self.is_reached_by(job):
            return None
        return job.finished_at or job.run_at - (self.run_after or ZERO)


@dataclass(frozen=True, slots=True)
class Amendment:
    """Value object: a change to a job that has not started, which leaves its state as it is.

    Rests on the job's state and token like a `Transition`.

    Attributes:
        priority, max_attempts, document, options: their values after the change.
        run_after: `run_at` becomes the repository's now plus this; None leaves it.
    """

    job_id: JobId
    source: JobState
    token: LockToken
    priority: int
    max_attempts: int
    document: JsonDocument
    options: JobOptions
    run_after: timedelta | None = None
