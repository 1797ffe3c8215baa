"""The port through which jobs are written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from enfila.core.application.ports.job_reader import IJobReader
from enfila.core.application.ports.storage import Storage
from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.retention import RetentionPolicy
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Amendment, Transition
from enfila.core.domain.showing import class_name, plain


class IJobRepository(IJobReader, ABC):
    """Keeps jobs. Each method is one atomic step: all of it is committed, or nothing.

    A method returns after its commit. Instants are written with one clock: the database's on
    servers, the injected one elsewhere. All methods may be called from any task at the same time,
    by any number of processes. Cancelling a caller never cuts a write in the middle; it may then
    have happened or not.

    Raises:
        RepositoryUnavailable: from every method, when the database cannot be reached; unless the
            error says that it is uncertain, nothing was written.
    """

    @property
    @abstractmethod
    def storage(self) -> Storage:
        """The database that the jobs are in, and the repositories of everything else there."""

    def __repr__(self) -> str:
        return f"<{class_name(type(self))} on {plain(self.storage.address)}>"

    async def open(self) -> None:
        """Opens the storage; see `Storage.open`."""
        await self.storage.open()

    async def close(self) -> None:
        """Closes the storage; see `Storage.close`."""
        await self.storage.close()

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

        One that `removes` deletes its job with all that belongs to it, unless others depend on the
        job or its end is expected (`expect_end`).
        """

    @abstractmethod
    async def expect_end(self, job_id: JobId) -> bool:
        """Notes that somebody waits for the end of a job, so that the end does not remove it.

        Whether the job is there and has not ended.
        """

    @abstractmethod
    async def extend(self, locks: Sequence[Lock], duration: timedelta) -> list[Extension]:
        """Makes locks hold for `duration` from now on; the answers stand in the order of `locks`.

        A lock whose job is active under its token is extended even if it had run out already.
        """

    @abstractmethod
    async def update_progress(self, updates: Sequence[ProgressUpdate]) -> list[bool]:
        """Stores progress and log lines of active jobs; per update whether its token was right.

        Of an update with an old token nothing is stored.
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
