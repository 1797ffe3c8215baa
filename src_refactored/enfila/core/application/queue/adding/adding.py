"""How new jobs get into a queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from enfila.core.application.job_ids import new_job_id
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.transactional_jobs import CallersTransaction
from enfila.core.application.queue.adding.job_catalog import JobCatalog, Terms
from enfila.core.application.queue.adding.new_job import NewJob
from enfila.core.application.queue.adding.payload_codec import PayloadCodec
from enfila.core.application.queue.publishing.publisher import Publisher
from enfila.core.application.runtime.group_commit import GroupCommit
from enfila.core.application.runtime.sync_portal import SyncPortal
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import DEFAULT_OPTIONS, JobOptions
from enfila.core.domain.queue import name as checked_name

MOST_IN_A_GROUP: Final = 1_000


class Adding:
    """Makes and stores jobs: single ones together with those of other callers, or a whole set.

    Args:
        repository: where jobs are stored.
        codec: turns payloads into documents.
        defaults: for what a job's own options leave out.
        catalog: knows types of jobs, with a codec and defaults of their own; None without types.
        publisher: tells of what was added.
        clock: for ids, and for whether a job is delayed.
        tasks: the owner of writes that are not to be cut off with their caller.
        portal: the way to the loop on which the queue lives, from any thread.
    """

    def __init__(
        self,
        repository: IJobRepository,
        publisher: Publisher,
        *,
        codec: PayloadCodec,
        defaults: JobOptions | None,
        catalog: JobCatalog | None,
        clock: Clock,
        tasks: OwnedTasks,
        portal: SyncPortal,
    ) -> None:
        self._queue = publisher.queue
        self._repository = repository
        self._terms = Terms(codec, _options("default_job_options", defaults) or DEFAULT_OPTIONS)
        self._catalog = catalog
        self._publisher = publisher
        self._clock = clock
        self._tasks = tasks
        self._portal = portal
        self._group = GroupCommit(
            self._add_together, limit=MOST_IN_A_GROUP, name=f"enfila adds to {self._queue}"
        )

    def make(self, new: NewJob) -> Job:
        """The job that is meant, not stored yet.

        Raises:
            InvalidRequest: its name, payload or options are wrong.
        """
        given = _options("options", new.options)
        name = checked_name("name", new.name)
        terms = self._terms_of(name)
        now = self._clock.now()
        return Job.new(
            new_job_id(now),
            self._queue,
            name,
            terms.codec.write_payload(new.payload),
            terms.options if given is None else given.over(terms.options),
            now,
        )

    def _terms_of(self, name: str) -> Terms:
        typed = None if self._catalog is None else self._catalog.terms(self._queue, name)
        if typed is None:
            return self._terms
        return Terms(typed.codec, typed.options.over(self._terms.options))

    async def add(self, job: Job) -> Added:
        """Stores one job, in one statement with those that other callers add meanwhile."""
        return await self._group.submit(job)

    async def add_all(self, jobs: Sequence[Job]) -> Sequence[Added]:
        """Stores jobs, all or none, to the end even if the caller is cancelled."""
        if not jobs:
            return []
        return await self._tasks.run(
            self._add_together(jobs), name=f"enfila writes to {self._queue}"
        )

    def add_sync(self, job: Job) -> Added:
        """Stores one job, for code without an event loop."""
        [added] = self._portal.call(
            lambda: self._add_together([job]),
            instead="write `await queue.add(…)`, or `await ….enqueue(…)` of a job type",
        )
        return added

    async def add_within(self, jobs: Sequence[Job], transaction: CallersTransaction) -> list[Added]:
        """Stores jobs inside the caller's transaction; tells of them after its commit."""
        if not jobs:
            return []
        added = await self._repository.storage.transactional_jobs.add(jobs, transaction)
        self._tell_after_commit(added, transaction)
        return added

    def add_within_sync(self, jobs: Sequence[Job], transaction: CallersTransaction) -> list[Added]:
        """As `add_within`, for code without an event loop."""
        added = self._repository.storage.transactional_jobs.add_sync(jobs, transaction)
        self._tell_after_commit(added, transaction)
        return added

    async def close(self) -> None:
        """Waits until everything that was handed in is stored."""
        await self._group.close()

    async def _add_together(self, jobs: Sequence[Job]) -> list[Added]:
        with self._publisher.writing(job.id for job in jobs) as write:
            added = await self._repository.add(jobs, write.carried_notice())
            write.added(added)
        return added

    def _tell_after_commit(self, added: Sequence[Added], transaction: CallersTransaction) -> None:
        def committed() -> None:
            new_ones = (each.job.id for each in added if not each.is_duplicate)
            with self._publisher.writing(new_ones) as write:
                write.added(added)

        self._repository.storage.transactional_jobs.after_commit(
            transaction, lambda: self._portal.post(committed)
        )


def _options(field: str, options: JobOptions | None) -> JobOptions | None:
    if options is not None and not isinstance(options, JobOptions):
        raise InvalidRequest(field, options, "give JobOptions(…) or None")
    return options
