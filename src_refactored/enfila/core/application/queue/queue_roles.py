"""What a queue can be asked, by who asks: producers, people, and those who hold claimed jobs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import Generic, Unpack

from enfila.core.application.ports.transactional_jobs import CallersTransaction
from enfila.core.application.queue.adding.new_job import NewJobLike
from enfila.core.application.queue.adding.option_arguments import OptionArguments
from enfila.core.application.queue.claims.job_source import P, R
from enfila.core.application.queue.operations.job_handle import JobHandle
from enfila.core.domain.duration import Duration
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import Json
from enfila.core.domain.queue import QueueCounts


class JobProducer(ABC, Generic[P, R]):
    """Adds jobs to a queue."""

    @abstractmethod
    async def add(
        self,
        name: str,
        payload: P | None = None,
        options: JobOptions | None = None,
        *,
        session: CallersTransaction | None = None,
        **given: Unpack[OptionArguments],
    ) -> JobHandle[R]:
        """Adds one job; returns after the commit.

        Args:
            name: what kind of work it is, 1 to 255 characters.
            payload: JSON, or what the queue's `payload_type` turns into JSON; at most 1 MiB.
            options: what differs from the queue's default options.
            session: a SQLAlchemy `Session`, `AsyncSession`, `Connection` or `AsyncConnection`: the
                job is added inside its transaction and comes and goes with it.
            given: options by name, as `JobOptions` takes them (`delay=5`); they come before those
                of `options`.

        Returns:
            The job; with `is_duplicate` set if a job with its deduplication key was there first.

        Raises:
            InvalidRequest: refused before any write; the message names field, value, allowed.
        """

    @abstractmethod
    async def add_bulk(
        self, jobs: Iterable[NewJobLike], *, session: CallersTransaction | None = None
    ) -> list[JobHandle[R]]:
        """Adds all of the jobs or none; the answers, and the jobs in line, keep their order."""

    @abstractmethod
    def add_sync(
        self,
        name: str,
        payload: P | None = None,
        options: JobOptions | None = None,
        *,
        session: CallersTransaction | None = None,
        **given: Unpack[OptionArguments],
    ) -> JobHandle[R]:
        """As `add`, for code without an event loop; not to be called from one."""


class QueueOperations(ABC, Generic[R]):
    """Looks at a whole queue, stops it, and empties it."""

    @abstractmethod
    async def get_job(self, job_id: JobId | str) -> JobHandle[R] | None:
        """The job with this id, as it is now; None if there is none here, or if it is no id."""

    @abstractmethod
    async def get_jobs(
        self,
        states: Collection[JobState | str] | JobState | str = (),
        *,
        limit: int = 100,
        offset: int = 0,
        newest_first: bool = False,
    ) -> list[JobHandle[R]]:
        """Jobs in a state or several (all when none is given), in the order they were added."""

    @abstractmethod
    async def counts(self) -> QueueCounts:
        """How many jobs are in each state."""

    @abstractmethod
    async def is_paused(self) -> bool:
        """Whether claims are stopped."""

    @abstractmethod
    async def pause(self) -> None:
        """Stops claims in every process, until `resume`. Running jobs go on."""

    @abstractmethod
    async def resume(self) -> None:
        """Allows claims again and wakes idle workers."""

    @abstractmethod
    async def drain(self, *, delayed: bool = False) -> int:
        """Removes waiting jobs, and delayed ones when asked, never active; how many."""

    @abstractmethod
    async def clean(
        self,
        older_than: Duration = 0,
        *,
        limit: int = 1000,
        state: JobState | str = JobState.COMPLETED,
    ) -> int:
        """Removes up to `limit` jobs that ended in `state` at least so long ago; how many.

        Raises:
            InvalidRequest: the state is not a final one.
        """

    @abstractmethod
    async def obliterate(self, *, force: bool = False) -> int:
        """Removes the queue with all its jobs and its pause; how many jobs.

        Raises:
            QueueNotEmpty: jobs are active and `force` was not given.
        """


class SingleJobOperations(ABC, Generic[R]):
    """Changes single jobs, by their ids."""

    @abstractmethod
    async def retry(self, job_id: JobId | str, *, fresh_attempts: bool = False) -> JobHandle[R]:
        """Puts a finished job back in line. `MoveNotAllowed` from other states, `JobNotFound`."""

    @abstractmethod
    async def promote(self, job_id: JobId | str) -> JobHandle[R]:
        """Puts a delayed job in line now. `MoveNotAllowed` from other states, `JobNotFound`."""

    @abstractmethod
    async def cancel(
        self, job_id: JobId | str, reason: str = "cancelled by request"
    ) -> JobHandle[R]:
        """Cancels a job that is not finished.

        One that is not active is cancelled when this returns. An active one is asked: its worker
        stops it within a heartbeat, and it then ends as cancelled. `MoveNotAllowed` when it is
        final already, `JobNotFound`.
        """

    @abstractmethod
    async def set_priority(self, job_id: JobId | str, priority: int) -> JobHandle[R]:
        """Moves a job that has not started. `MoveNotAllowed` from other states, `JobNotFound`."""

    @abstractmethod
    async def remove(self, job_id: JobId | str) -> None:
        """Removes a job that is not active. `MoveNotAllowed` when it is, `JobNotFound`."""


class ClaimedJobWriter(ABC, Generic[R]):
    """Writes what becomes of claimed jobs, one by one, for workers of a user's own."""

    @abstractmethod
    async def extend_job_locks(
        self, locks: Sequence[Lock], lock_duration: Duration
    ) -> list[Extension]:
        """Makes locks hold for `lock_duration` from now on, in one statement; in their order."""

    @abstractmethod
    async def mark_job_as_completed(self, job: Job, result: R | None = None) -> Job:
        """Completes a job under its token; the job afterwards.

        Raises:
            LockLost: the token is old; nothing was written.
            ResultRefused: the result cannot be stored; nothing was written.
        """

    @abstractmethod
    async def mark_job_as_failed(
        self, job: Job, error: BaseException | JobError | str, *, recoverable: bool = True
    ) -> Job:
        """Ends an attempt as failed; the job afterwards: delayed, waiting or failed.

        Raises:
            LockLost: the token is old; nothing was written.
        """

    @abstractmethod
    async def update_job_progress(self, job: Job, progress: Json) -> None:
        """Stores the progress of a running job: a number, a text or an object.

        Raises:
            LockLost: the token is old; nothing was written.
            InvalidRequest: it is not JSON.
        """

    @abstractmethod
    async def add_job_log(self, job: Job, line: str) -> None:
        """Stores a log line of a running job. Raises `LockLost` like `update_job_progress`."""
