"""A job as it stands: all that is stored of it, and what can be told from that."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import NO_TOKEN, JobId, LockToken, WorkerId
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.retention import Retention
from enfila.core.domain.job.running.attempt import Attempt, AttemptOutcome
from enfila.core.domain.job.running.lock import Lock
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import NULL, Json, JsonDocument


@dataclass(slots=True)
class JobSnapshot:
    """The data of one unit of work; `Job` adds the rules of its life. Instants are aware UTC.

    Attributes:
        attempt: the number of the current or last attempt; 0 before the first.
        max_attempts: never exceeded by `attempt`.
        token: rises by one with every claim; the fence of the current holder.
        position: order among jobs of equal priority, lower first; given by the repository.
        worker_id: the worker of the current or last run.
        stalled_count: how often a holder vanished.
        expires_at: not started by then, the job is cancelled; None once it has started.
        depends_on: the jobs it waits for, while it is blocked; empty otherwise.
    """

    id: JobId
    queue: str
    name: str
    document: JsonDocument = field(repr=False)  # it may hold secrets
    options: JobOptions
    state: JobState
    priority: int
    max_attempts: int
    created_at: datetime
    run_at: datetime
    attempt: int = 0
    token: LockToken = NO_TOKEN
    position: int = 0
    stalled_count: int = 0
    worker_id: WorkerId | None = None
    locked_until: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    result_document: JsonDocument | None = field(default=None, repr=False)
    error: JobError | None = None
    progress_document: JsonDocument = field(default=NULL)
    cancel_requested: bool = False
    cancel_reason: str | None = None
    schedule_id: str | None = None
    batch_id: str | None = None
    tenant: str | None = None
    depends_on: tuple[JobId, ...] = ()

    @property
    def payload(self) -> Json:
        """The payload as JSON."""
        return self.document.value

    @property
    def result(self) -> Json:
        """The result as JSON; None while there is none."""
        return None if self.result_document is None else self.result_document.value

    @property
    def progress(self) -> Json:
        """The last progress reported; None while there is none."""
        return self.progress_document.value

    def as_dict(self) -> dict[str, Json]:
        """What people want to know of the job, as JSON: states as text, instants in ISO 8601.

        Of an error it has type and message; the trace is for developers, in `error.trace`.
        """
        error = self.error
        return {
            "id": self.id,
            "queue": self.queue,
            "name": self.name,
            "state": self.state.value,
            "payload": self.payload,
            "result": self.result,
            "progress": self.progress,
            "error": None if error is None else {"type": error.type, "message": error.message},
            "attempt": self.attempt,
            "max_attempts": self.max_attempts,
            "stalled_count": self.stalled_count,
            "priority": self.priority,
            "tags": list(self.options.tags),
            "metadata": dict(self.options.metadata),
            "created_at": self.created_at.isoformat(),
            "run_at": self.run_at.isoformat(),
            "started_at": _instant(self.started_at),
            "finished_at": _instant(self.finished_at),
            "worker_id": self.worker_id,
            "cancel_reason": self.cancel_reason,
            "schedule_id": self.schedule_id,
            "batch_id": self.batch_id,
            "tenant": self.tenant,
        }

    @property
    def lock(self) -> Lock | None:
        """The lock it is held under; None unless active."""
        if self.worker_id is None or self.locked_until is None:
            return None
        return Lock(self.id, self.token, self.worker_id, self.locked_until)

    @property
    def unrecorded_run(self) -> Attempt | None:
        """The run that no record tells of: one that goes on, or that completed."""
        match self.state:
            case JobState.ACTIVE:
                return self.record_of_run(AttemptOutcome.RUNNING)
            case JobState.COMPLETED:
                return self.record_of_run(AttemptOutcome.COMPLETED)
            case _:
                return None

    @property
    def may_have_dependents(self) -> bool:
        """Whether others may wait for its end: jobs of its deduplication key or its schedule."""
        return self.options.deduplication is not None or self.schedule_id is not None

    @property
    def has_attempts_left(self) -> bool:
        """Whether another attempt may follow the current one."""
        return self.attempt < self.max_attempts

    def retention_in(self, state: JobState) -> Retention | None:
        """The job's own retention rule for this final state; None if the queue's rule applies."""
        match state:
            case JobState.COMPLETED:
                return self.options.remove_on_complete
            case JobState.FAILED | JobState.CANCELLED:
                return self.options.remove_on_fail
            case _:
                return None

    @property
    def may_leave_nothing(self) -> bool:
        """Whether the end of a run may remove the job, so that nobody can read its result later."""
        return any(map(self.leaves_nothing_in, (JobState.COMPLETED, JobState.FAILED)))

    def leaves_nothing_in(self, state: JobState) -> bool:
        """Whether a run that ends the job in this state removes it: its own rule keeps nothing.

        Not if others look for it later: its schedule, its batch, or additions under a deduplication
        key that is held for a time. Those jobs are left to maintenance.
        """
        rule = self.retention_in(state)
        if rule is None or not rule.keeps_nothing:
            return False
        key = self.options.deduplication
        is_key_held = key is not None and key.ttl is not None
        return not is_key_held and self.schedule_id is None and self.batch_id is None

    def record_of_run(self, outcome: AttemptOutcome, error: JobError | None = None) -> Attempt:
        """The current or last run as a record that ended like this."""
        return Attempt(
            self.attempt,
            self.token,
            self.worker_id,
            self.started_at,
            self.finished_at,
            outcome,
            error,
        )


def _instant(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
