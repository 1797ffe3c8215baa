"""The job: one unit of work, and the rules of its state transitions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from enfila.core.domain.duration import ZERO
from enfila.core.domain.errors import MoveNotAllowed
from enfila.core.domain.job.effect_rules import effects_of
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId, LockToken, WorkerId, checked_tenant
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.key_grant import RetakenKey
from enfila.core.domain.job.running.attempt import Attempt, AttemptOutcome
from enfila.core.domain.job.running.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Snoozed,
)
from enfila.core.domain.job.snapshot import JobSnapshot
from enfila.core.domain.job.state import JobState, Reason, may_move, sources
from enfila.core.domain.job.transition import Amendment, Transition
from enfila.core.domain.json_document import NULL, Json, JsonDocument
from enfila.core.domain.showing import storable


@dataclass(slots=True)
class Job(JobSnapshot):
    """Entity: one unit of work. It decides its state transitions, and does not change itself.

    Every method that returns a `Transition` leaves the job unchanged. A repository applies the
    transition, or answers that it is stale.
    """

    def __copy__(self) -> Job:
        # Without this `copy.copy` uses the pickle protocol, which is five times as slow.
        return Job(*_values(self))

    # ── creation ─────────────────────────────────────────────────────────────────────────────

    @classmethod
    def new(  # noqa: PLR0917 - what makes a job, in the order one says it
        cls,
        job_id: JobId,
        queue: str,
        name: str,
        document: JsonDocument,
        options: JobOptions,
        now: datetime,
    ) -> Job:
        """Makes a job that is to be added. A delay of zero and an instant in the past mean now."""
        run_at = options.run_at or now + options.delay
        return cls(
            job_id,
            queue,
            name,
            document,
            options,
            JobState.DELAYED if run_at > now else JobState.WAITING,
            options.priority,
            options.attempts,
            created_at=now,
            run_at=run_at,
            expires_at=None if options.expires_in is None else now + options.expires_in,
        )

    def added(self, now: datetime, position: int) -> Job:
        """This new job as a repository stores it, with the repository's time and position."""
        stored = self.__copy__()
        stored.created_at = now
        stored.position = position
        if self.options.run_at is None:
            stored.run_at = now + self.options.delay
        if self.options.expires_in is not None:
            stored.expires_at = now + self.options.expires_in
        return stored

    def annotated(
        self,
        *,
        metadata: Mapping[str, Json] | None = None,
        tags: Iterable[str] | None = None,
        tenant: str | None = None,
    ) -> Job:
        """This new job with more metadata and tags (see `JobOptions.annotated`), and a tenant."""
        annotated = self.__copy__()
        annotated.options = self.options.annotated(metadata=metadata, tags=tags)
        if tenant is not None:
            annotated.tenant = checked_tenant(tenant)
        return annotated

    def behind(self, *parents: JobId) -> Job:
        """This new job, blocked until the given ones have ended."""
        dependent = self.__copy__()
        dependent.state = JobState.BLOCKED
        dependent.depends_on = tuple(dict.fromkeys((*self.depends_on, *parents)))
        return dependent

    def without_dependencies(self, ended: Collection[JobId], now: datetime) -> Job:
        """This new job without some of its dependencies; if that were all, no longer blocked."""
        if not ended:
            return self
        left = tuple(parent for parent in self.depends_on if parent not in ended)
        job = self.__copy__() if left else self.after(self.unblock(now), now)
        job.depends_on = left
        return job

    # ── runs ─────────────────────────────────────────────────────────────────────────────────

    def claimed(self, worker_id: WorkerId, now: datetime, until: datetime) -> Job:
        """This job after a worker has claimed it: token and attempt are incremented.

        The SQL adapters do the same in their claim statement; the contract suite compares them.
        """
        self._check(Reason.CLAIMED, JobState.ACTIVE, "be claimed")
        held = self.__copy__()
        held.state = JobState.ACTIVE
        held.token = LockToken(self.token + 1)
        held.attempt = self.attempt + 1
        held.worker_id = worker_id
        held.locked_until = until
        held.started_at = now
        held.expires_at = None
        return held

    def settle(self, outcome: Outcome, random: float = 0.0) -> Transition:
        """The transition of this active job for the outcome of its run.

        Args:
            outcome: how the run ended.
            random: a random number in [0, 1) for the jitter of the backoff.
        """
        match outcome:
            case Completed(result):
                return self._move(JobState.COMPLETED, Reason.COMPLETED, result=result, error=None)
            case Failed():
                return self._fail(outcome, random)
            case Snoozed() | Released() if self.cancel_requested:
                return self._cancel(self.cancel_reason or "cancelled")
            case Snoozed(delay):
                return self._give_back(Reason.SNOOZED, run_after=delay)
            case Released(has_run=has_run):
                record = self.record_of_run(AttemptOutcome.RELEASED) if has_run else None
                return self._give_back(Reason.RELEASED, run_after=None, record=record)
            case Cancelled(reason):
                return self._cancel(reason)

    def _fail(self, failed: Failed, random: float) -> Transition:
        record = self.record_of_run(AttemptOutcome.FAILED, failed.error)
        if self.cancel_requested:
            return self._cancel(self.cancel_reason or "cancelled", failed.error)
        if failed.is_recoverable and self.has_attempts_left:
            wait = failed.custom_delay
            if wait is None:
                wait = self.options.backoff.delay_after(self.attempt, random)
            return self._move(
                JobState.DELAYED if wait > ZERO else JobState.WAITING,
                Reason.RETRYING,
                run_after=wait,
                error=failed.error,
                record=record,
            )
        reason = Reason.OUT_OF_ATTEMPTS if failed.is_recoverable else Reason.UNRECOVERABLE
        return self._move(JobState.FAILED, reason, error=failed.error, record=record)

    def stall(self, max_stalled_count: int) -> Transition:
        """The transition of this active job whose lock has expired.

        The run is not counted, so that a crash costs no attempt. Stalls have their own limit.
        """
        stalls = self.stalled_count + 1
        if self.cancel_requested:
            return self._cancel(self.cancel_reason or "cancelled", outcome=AttemptOutcome.STALLED)
        if stalls > max_stalled_count:
            error = JobError(
                "Stalled",
                f"the job stalled {stalls} times (its worker vanished while it ran), "
                f"allowed are {max_stalled_count}",
            )
            return self._move(
                JobState.FAILED,
                Reason.STALLED_TOO_OFTEN,
                stalled_count=stalls,
                error=error,
                record=self.record_of_run(AttemptOutcome.STALLED, error),
            )
        error = JobError("Stalled", "the worker vanished while the job ran; it runs again")
        return self._give_back(
            Reason.RECOVERED,
            run_after=None,
            stalled_count=stalls,
            record=self.record_of_run(AttemptOutcome.STALLED, error),
        )

    # ── requests of users and of other jobs ──────────────────────────────────────────────────

    def mature(self) -> Transition:
        """The transition of a delayed job that is due: it becomes waiting."""
        return self._move(JobState.WAITING, Reason.DUE, wanted="be put in line")

    def promote(self) -> Transition:
        """The transition of a delayed job to waiting before its `run_at`."""
        return self._move(JobState.WAITING, Reason.PROMOTED, run_after=ZERO, wanted="be promoted")

    def unblock(self, now: datetime) -> Transition:
        """The transition of a blocked job when the job in front of it has ended."""
        target = JobState.DELAYED if self.run_at > now else JobState.WAITING
        return self._move(target, Reason.UNBLOCKED, wanted="be unblocked")

    def cancel(self, reason: str) -> Transition:
        """The cancellation of a job that is not active; see also `request_cancellation`."""
        if self.state is JobState.ACTIVE:
            raise MoveNotAllowed(self.id, self.state, "be cancelled without its worker", _PENDING)
        return self._cancel(reason)

    def expire(self) -> Transition:
        """The cancellation of a job that has not started before `expires_at`."""
        limit = self.options.expires_in
        within = "in time" if limit is None else f"within {limit.total_seconds():g} s"
        return self._move(
            JobState.CANCELLED,
            Reason.EXPIRED,
            cancel_reason=f"expired: not started {within}",
            wanted="expire",
        )

    def retry(self, *, fresh_attempts: bool) -> Transition:
        """The manual retry of a finished job; its result, error and times are cleared.

        Args:
            fresh_attempts: counts its attempts from zero; otherwise it gets the attempts it has
                left, and at least one.
        """
        return self._move(
            JobState.WAITING,
            Reason.RETRIED,
            attempt=0 if fresh_attempts else self.attempt,
            max_attempts=self.options.attempts
            if fresh_attempts
            else max(self.max_attempts, self.attempt + 1),
            stalled_count=0,
            run_after=ZERO,
            error=None,
            restarts=True,
            retakes=RetakenKey.of(self.queue, self.options.deduplication),
            record=self.unrecorded_run,
            wanted="be retried",
        )

    def amend(
        self,
        *,
        priority: int | None = None,
        document: JsonDocument | None = None,
        options: JobOptions | None = None,
        run_after: timedelta | None = None,
    ) -> Amendment:
        """A change of a job that has not started.

        Raises:
            MoveNotAllowed: the job is active or final.
        """
        if self.state not in _PENDING:
            raise MoveNotAllowed(self.id, self.state, "be changed", _PENDING)
        agreed = options or self.options
        return Amendment(
            self.id,
            self.state,
            self.token,
            priority=priority if priority is not None else self._priority_under(options),
            max_attempts=self.max_attempts
            if options is None
            else max(options.attempts, self.attempt + 1),
            document=document or self.document,
            options=agreed,
            run_after=run_after,
        )

    def _priority_under(self, options: JobOptions | None) -> int:
        return self.priority if options is None else options.priority

    def check_removable(self) -> None:
        """Raises `MoveNotAllowed` if the job is active, because a worker still holds it."""
        if self.state is JobState.ACTIVE:
            allowed = [state for state in JobState if state is not JobState.ACTIVE]
            raise MoveNotAllowed(self.id, self.state, "be removed", allowed)

    # ── applying transitions ─────────────────────────────────────────────────────────────────

    def after(self, transition: Transition, now: datetime) -> Job:
        """This job after `transition` was applied at `now`, as every repository must store it."""
        moved = self.__copy__()
        moved.state = transition.target
        moved.attempt = transition.attempt
        moved.max_attempts = transition.max_attempts
        moved.stalled_count = transition.stalled_count
        moved.result_document = transition.result
        moved.error = transition.error
        # A request that arrived after the transition was decided keeps its reason.
        moved.cancel_reason = transition.cancel_reason or self.cancel_reason
        moved.finished_at = now if transition.target.is_final else None
        moved.locked_until = None
        moved.depends_on = ()
        if transition.run_after is not None:
            moved.run_at = now + transition.run_after
        if transition.restarts:
            moved.started_at = None
            moved.expires_at = None
            moved.worker_id = None
            moved.cancel_requested = False
            moved.cancel_reason = None
            moved.progress_document = NULL
        return moved

    def amended(self, amendment: Amendment, now: datetime) -> Job:
        """This job after `amendment` was applied at `now`, as every repository must store it."""
        changed = self.__copy__()
        changed.priority = amendment.priority
        changed.max_attempts = amendment.max_attempts
        changed.document = amendment.document
        changed.options = amendment.options
        if amendment.run_after is not None:
            changed.run_at = now + amendment.run_after
        return changed

    # ── the one place where transitions are made ─────────────────────────────────────────────

    def _move(
        self,
        target: JobState,
        reason: Reason,
        *,
        wanted: str | None = None,
        record: Attempt | None = None,
        **changes: object,
    ) -> Transition:
        self._check(reason, target, wanted or f"become {target.value}")
        kept: dict[str, Any] = {
            "attempt": self.attempt,
            "max_attempts": self.max_attempts,
            "stalled_count": self.stalled_count,
            "error": self.error,
            "retention": self.retention_in(target),
            **changes,
        }
        effects = effects_of(self, target, reason)
        if record is not None:
            effects = (record, *effects)
        return Transition(self.id, self.state, self.token, target, reason, effects=effects, **kept)

    def _give_back(
        self,
        reason: Reason,
        *,
        run_after: timedelta | None,
        record: Attempt | None = None,
        stalled_count: int | None = None,
    ) -> Transition:
        """The end of a run that is not counted as an attempt."""
        target = JobState.DELAYED if run_after else JobState.WAITING
        return self._move(
            target,
            reason,
            attempt=self.attempt - 1,
            run_after=run_after,
            record=record,
            stalled_count=self.stalled_count if stalled_count is None else stalled_count,
        )

    def _cancel(
        self,
        reason: str,
        error: JobError | None = None,
        outcome: AttemptOutcome = AttemptOutcome.CANCELLED,
    ) -> Transition:
        return self._move(
            JobState.CANCELLED,
            Reason.CANCELLED,
            cancel_reason=storable(reason),
            error=error or self.error,
            record=self.record_of_run(outcome, error) if self.state is JobState.ACTIVE else None,
            wanted="be cancelled",
        )

    def _check(self, reason: Reason, target: JobState, wanted: str) -> None:
        if not may_move(reason, self.state, target):
            raise MoveNotAllowed(self.id, self.state, wanted, sources(reason))


_PENDING = (JobState.WAITING, JobState.DELAYED, JobState.BLOCKED)

# All fields in the order in which the constructor takes them.
_values = attrgetter(*(each.name for each in fields(Job)))
