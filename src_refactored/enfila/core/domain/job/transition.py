"""A decided state transition of one job, which a repository writes with a compare-and-set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from enfila.core.domain.duration import ZERO
from enfila.core.domain.job.effect import Effect
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.key_grant import RetakenKey
from enfila.core.domain.job.policies.retention import Retention
from enfila.core.domain.job.running.attempt import Attempt
from enfila.core.domain.job.state import JobState, Reason
from enfila.core.domain.json_document import JsonDocument


class Standing(Protocol):
    """The fields that tell whether a transition has been applied to a job."""

    state: JobState
    token: LockToken
    attempt: int
    stalled_count: int
    run_at: datetime
    finished_at: datetime | None


# A named tuple: one is made for every job that ends, and a frozen dataclass takes thrice as long.
class Transition(NamedTuple):
    """Value object: a state transition, decided by `Job` and applied by a repository.

    It is based on the job's state and lock token as they were read (`source`, `token`). A
    repository writes it with a compare-and-set: only if both are unchanged; otherwise it answers
    *stale*. Durations are relative to the repository's clock, so that rows are written with one
    clock.

    Attributes:
        job_id: the job that changes.
        source: the state before the transition.
        token: the lock token before the transition.
        target: the state after the transition.
        reason: why; the table of transitions allows (source, target) for it.
        attempt, max_attempts, stalled_count: their values after the transition.
        run_after: `run_at` becomes the repository's now plus this; None leaves it.
        result, error, cancel_reason: their values after the transition.
        retention: the job's own rule once it is final; None if the queue's rule applies.
        restarts: whether `started_at`, `finished_at`, `expires_at`, progress and a request for
            cancellation are cleared (a manual retry).
        retakes: the deduplication key under which the job goes back in line. The transition is
            stale if another job holds that (`KeyGrant.lets_return`).
        removes: the job is deleted instead of moved, unless others depend on it or somebody waits
            for its end; then its removal is left to retention.
        effects: what the transition causes besides, at most one of each kind. The record of the
            run that it ends is one, unless the job's row has it (a completed run).
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
    retakes: RetakenKey | None = None
    removes: bool = False
    effects: tuple[Effect, ...] = ()

    @property
    def record(self) -> Attempt | None:
        """The run that this move ends, for the list of attempts; None if it has none to add."""
        return next((effect for effect in self.effects if isinstance(effect, Attempt)), None)

    def is_based_on(self, job: Standing) -> bool:
        """Whether the job still stands as it was when this was decided."""
        return (job.state, job.token) == (self.source, self.token)

    def is_reached_by(self, job: Standing) -> bool:
        """Whether this transition has been applied to the job.

        No other one can have the same effect: one worker has the token, and decides once.
        """
        there = (self.target, self.token, self.attempt, self.stalled_count)
        return (job.state, job.token, job.attempt, job.stalled_count) == there

    def reached_at(self, job: Standing | None) -> datetime | None:
        """When this transition was applied to the job; None if it was not."""
        if job is None or not self.is_reached_by(job):
            return None
        return job.finished_at or job.run_at - (self.run_after or ZERO)


@dataclass(frozen=True, slots=True)
class Amendment:
    """Value object: a change of a job that has not started, which leaves its state as it is.

    It is based on the job's state and token like a `Transition`.

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
