"""The port through which jobs are written, and the whole that an adapter implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from enfila.core.application.ports.job_reader import IJobReader
from enfila.core.application.ports.job_type_repository import IJobTypeRepository
from enfila.core.application.ports.queue_control import IQueueControl, IWorkerRegistry
from enfila.core.application.ports.schedule_repository import IScheduleRepository
from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.job.identity import JobId, LockToken, WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.retention import RetentionPolicy
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Amendment, Transition
from enfila.core.domain.json_document import JsonDocument


@dataclass(frozen=True, slots=True)
class Added:
    """Value object: the answer to one addition.

    Attributes:
        job: the job as stored, or the job that holds the deduplication key.
        is_duplicate: the new job was not added because `job` holds its key. `job` may have taken
            its payload, options and time (replace, debounce, keep last).
    """

    job: Job
    is_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """Value object: a worker's wish for jobs.

    Attributes:
        limit: at most so many, at least 1.
        lock_duration: how long the locks hold.
        names: only jobs with these names; None for all.
    """

    queue: str
    worker_id: WorkerId
    limit: int
    lock_duration: timedelta
    names: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Value object: what a running job said since its last report.

    Attributes:
        progress: the newest progress; None when there was none since.
        lines: new log lines in order.
        keep_logs: only the newest N lines of the job are kept; None keeps all.
    """

    job_id: JobId
    token: LockToken
    attempt: int
    progress: JsonDocument | None = None
    lines: tuple[str, ...] = ()
    keep_logs: int | None = None


# A transaction that belongs to the caller: a SQLAlchemy Session, AsyncSession, Connection or
# AsyncConnection. The core cannot name these types; the adapter refuses anything else.
CallersTransaction = Any


class IJobRepository(
    IJobReader, IQueueControl, IWorkerRegistry, IJobTypeRepository, IScheduleRepository, ABC
):
    """Keeps jobs. Each method is one atomic step: all of it is committed, or nothing.

    A method returns after its commit. Instants are written with one clock: the database's on
    servers, the injected one elsewhere. All methods may be called from any task at the same time,
    by any number of processes. Cancelling a caller never cuts a write in the middle; it may then
    have happened or not.

    Raises:
        RepositoryUnavailable: from every method, when the database cannot be reached; unless the
            error says that it is uncertain, nothing was written.
    """

    @abstractmethod
    async def open(self) -> None:
        """Makes ready: connects, and creates or checks the tables. May be called twice."""

    @abstractmethod
    async def close(self) -> None:
        """Releases connections and threads, after the writes under way. May be called twice."""

    # ── adding ───────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def add(self, jobs: Sequence[Job], notice: Notice | None = None) -> list[Added]:
        """Stores new jobs, all or none; the answers stand in the order of `jobs`.

        A job gets its position (its place among equals) in that order: behind all that were added
        before, or, if `lifo`, in front of them. `run_at`, `created_at` and `expires_at` are
        computed with the repository's clock. A job whose deduplication key is held is treated as
        its `Deduplication` decides; two processes adding one key at once make one job.

        A job whose id is stored already is not added again, and is no duplicate: so a write whose
        answer never arrived can be repeated.

        An adapter whose database carries notices may send `notice` with the commit.
        """

    @abstractmethod
    async def add_within(self, jobs: Sequence[Job], transaction: CallersTransaction) -> list[Added]:
        """As `add`, inside the caller's transaction: they come and go with it.

        Raises:
            InvalidRequest: `transaction` is nothing that this repository can write into.
        """

    @abstractmethod
    def add_within_sync(self, jobs: Sequence[Job], transaction: CallersTransaction) -> list[Added]:
        """As `add_within`, for a `Session` or `Connection` of code without an event loop."""

    @abstractmethod
    def after_commit(self, transaction: CallersTransaction, callback: Callable[[], None]) -> None:
        """Calls back, from whatever thread, once the caller's transaction has committed.

        Once and never after a rollback. To be called inside the transaction, after `add_within`.

        Raises:
            InvalidRequest: `transaction` is nothing that this repository can write into.
        """

    # ── running ──────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def claim(self, claim: Claim) -> list[Job]:
        """Locks up to `claim.limit` jobs for a worker and returns them in the order to run them.

        Eligible is a job that fulfils all of this:
        - it is of the claim's queue, and that queue is not paused;
        - it is waiting, or delayed and due; its `run_at` is not in the future;
        - it was started before, or its `expires_at` is not over;
        - its name is one of `claim.names`, when those are given, and not that of a job type that
          is disabled (without names, types are nobody's concern);
        - no other claim is taking it at this moment.

        Taken are the first by (priority, position). Each becomes active: token and attempt rise
        by one, worker, `locked_until` and `started_at` are set, `expires_at` is cleared. A job is
        never handed to two callers under the same token. [] when nothing is eligible.
        """

    @abstractmethod
    async def apply(self, transitions: Sequence[Transition]) -> list[datetime | None]:
        """Applies transitions; per transition the instant it was written, None where it was stale.

        What the job is afterwards tells `Job.after(transition, instant)`.

        A transition is stale when the job is no longer in its `source` state under its `token`;
        then nothing of it is written. Stale ones do not hinder the others. The same job may stand
        in one call twice, under different tokens: a worker that was stopped for a while may hold an
        old run of a job beside a newer one. Records of runs are written with their transition. A
        job that became final unblocks the jobs that were blocked by it, in the same step.
        """

    @abstractmethod
    async def extend(self, locks: Sequence[Lock], duration: timedelta) -> list[Extension]:
        """Makes locks hold for `duration` from now on; the answers stand in the order of `locks`.

        A lock whose job is active under its token is extended even if it had run out already.
        """

    @abstractmethod
    async def report(self, reports: Sequence[Report]) -> list[bool]:
        """Stores progress and log lines of active jobs; per report whether its token was right.

        Of a report with an old token nothing is stored.
        """

    # ── changing and removing ────────────────────────────────────────────────────────────────

    @abstractmethod
    async def amend(self, amendment: Amendment) -> datetime | None:
        """Applies an amendment; the instant it was written, or None where it was stale."""

    @abstractmethod
    async def request_cancellation(self, job_id: JobId, reason: str) -> bool:
        """Asks the worker of an active job to cancel it; whether the job was active."""

    @abstractmethod
    async def remove(self, jobs: Sequence[Job]) -> list[bool]:
        """Removes jobs with all that belongs to them; per job whether it still stood as read.

        A job that moved (state or token) since it was read is left alone. Jobs that were blocked by
        a removed one are unblocked, in the same step.
        """

    @abstractmethod
    async def remove_all(
        self,
        queue: str,
        states: Collection[JobState],
        *,
        finished_before: timedelta | None = None,
        limit: int,
    ) -> int:
        """Removes up to `limit` jobs of the queue in these states; how many it removed.

        Jobs that were blocked by a removed one are unblocked, in the same step.

        `finished_before` leaves those that finished less than so long ago.
        """

    @abstractmethod
    async def apply_retention(self, queue: str, policy: RetentionPolicy, limit: int) -> int:
        """Removes up to `limit` finished jobs that nothing asks to keep; how many it removed.

        A job's own rule comes before the queue's `policy`.
        """

    @abstractmethod
    async def obliterate(self, queue: str, *, force: bool) -> int | None:
        """Removes a queue with all its jobs; how many jobs, or None if active ones forbade it."""

    async def tidy(self) -> None:
        """Housekeeping of the adapter's own, called by maintenance; nothing visible changes."""
