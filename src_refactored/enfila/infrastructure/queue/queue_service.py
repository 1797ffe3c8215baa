"""The queue over any job repository."""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, Unpack

from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.interceptors import Interceptors, InterceptorsLike
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.transactional_jobs import CallersTransaction
from enfila.core.application.ports.wake_up import Hint, WakeUp
from enfila.core.application.queue.abstract_queue import AbstractQueue
from enfila.core.application.queue.adding.job_catalog import JobCatalog
from enfila.core.application.queue.adding.new_job import NewJob, NewJobLike, new_job
from enfila.core.application.queue.adding.option_arguments import OptionArguments, with_named
from enfila.core.application.queue.adding.payload_codec import Annotation, PayloadCodec
from enfila.core.application.queue.claims.job_source import P, R
from enfila.core.application.queue.claims.progress import log_line, progress_document
from enfila.core.application.queue.maintenance.maintenance_options import MaintenanceOptions
from enfila.core.application.queue.operations.checking import (
    checked_count,
    checked_final_state,
    checked_states,
    job_error,
    sought_id,
)
from enfila.core.application.queue.operations.job_handle import JobHandle
from enfila.core.application.queue.queue_components import QueueComponents
from enfila.core.application.runtime.garbage_collection import without_garbage_collection
from enfila.core.application.system_clock import clock_or_system
from enfila.core.domain.checking import flag, function, instance, several, whole
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import (
    AlreadyClosed,
    JobNotFound,
    LockLost,
    Unrecoverable,
)
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId, WorkerId, checked_worker_id, job_id as checked_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.retention import RetentionPolicy
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.running.outcome import Completed, Failed, Outcome
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import LARGEST_DOCUMENT, Json, JsonDocument
from enfila.core.domain.queue import QueueCounts, name as checked_name
from enfila.core.domain.showing import shown

T = TypeVar("T")


class QueueService(AbstractQueue[P, R]):
    """A queue: `AbstractQueue` over any `IJobRepository`.

    Makes nothing happen before it is used: no task, no connection. What it writes runs in tasks of
    its own, so that a cancelled caller cuts nothing in the middle.

    Args:
        name: 1 to 255 characters.
        repository: where the jobs are; shared, and not closed with the queue.
        default_job_options: for what a job's own options leave out.
        retention: how long finished jobs are kept; None leaves it to the maintenance's options.
        payload_type: what pydantic's `TypeAdapter` takes; None for plain JSON.
        result_type: the same for results.
        job_types: a registry; if it has types of this queue, only jobs of its types are added, with
            payload, result and defaults as they say.
        wake_up: shared with the workers of this database; within this object when None.
        interceptors: go around every add, the first one outermost.
        clock: for ids and events; the rows have the repository's.
        random: a number in [0, 1) for jitter.
        payload_limit: the most bytes of one payload or result as JSON text.

    Raises:
        InvalidRequest: one of them is wrong.
    """

    def __init__(
        self,
        name: str,
        repository: IJobRepository,
        *,
        default_job_options: JobOptions | None = None,
        retention: RetentionPolicy | None = None,
        payload_type: Annotation = None,
        result_type: Annotation = None,
        job_types: JobCatalog | None = None,
        wake_up: WakeUp | None = None,
        interceptors: InterceptorsLike = (),
        clock: Clock | None = None,
        random: Callable[[], float] = randomness.random,
        payload_limit: int = LARGEST_DOCUMENT,
    ) -> None:
        super().__init__(checked_name("queue", name))
        if wake_up is not None:
            instance("wake_up", wake_up, WakeUp, "a WakeUp or None")
        if retention is not None:
            instance("retention", retention, RetentionPolicy, "a RetentionPolicy or None")
        if job_types is not None:
            instance("job_types", job_types, JobCatalog, "a JobTypeRegistry or None")
        limit = whole("payload_limit", payload_limit, 1)
        self._repository = instance(
            "repository", repository, IJobRepository, "a job repository, or use Enfila(url)"
        )
        self._wake_up = wake_up or InProcessWakeUp()
        self._codec = PayloadCodec(payload_type, result_type, limit=limit)
        self._job_types = job_types
        self._components = QueueComponents(
            self.name,
            repository,
            wake_up=self._wake_up,
            emitter=self,
            codec=self._codec,
            codec_of=self._codec_of,
            defaults=default_job_options,
            catalog=job_types,
            retention=retention,
            interceptors=Interceptors.of(interceptors),
            clock=clock_or_system(clock),
            random=function("random", random, "a function without arguments"),
            check_open=self._check_open,
        )
        self.outcomes = self._components.outcomes
        self._operations = self._components.operations
        self._is_closed = False

    def attach_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes `loop` the one that `add_sync` runs on; else it is the first it was used on."""
        instance("loop", loop, asyncio.AbstractEventLoop, "an event loop")
        self._components.portal.attach(loop)

    def _codec_of(self, job: Job) -> PayloadCodec:
        typed = (
            None if self._job_types is None else self._job_types.result_codec(self.name, job.name)
        )
        return typed or self._codec

    def _enter(self) -> QueueComponents:
        """What a method works with, unless the queue is closed."""
        self._check_open()
        return self._components

    def _check_open(self) -> None:
        if self._is_closed:
            raise self._closed()
        self._components.portal.settle_here()

    def _closed(self) -> AlreadyClosed:
        return AlreadyClosed(f"queue {shown(self.name)}")

    async def _write(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Writes and then tells, to the end even if the caller is cancelled."""
        return await self._components.tasks.run(coroutine, name=f"enfila writes to {self.name}")

    def _handle(self, job: Job, *, is_duplicate: bool = False) -> JobHandle[R]:
        return JobHandle(job, self._operations, is_duplicate=is_duplicate)

    def _handles(self, added: Iterable[Added]) -> list[JobHandle[R]]:
        operations = self._operations
        return [JobHandle(each.job, operations, is_duplicate=each.is_duplicate) for each in added]

    # ── adding ───────────────────────────────────────────────────────────────────────────────

    async def add(
        self,
        name: str,
        payload: P | None = None,
        options: JobOptions | None = None,
        *,
        session: CallersTransaction | None = None,
        **given: Unpack[OptionArguments],
    ) -> JobHandle[R]:
        adding = self._enter().adding
        job = adding.make(NewJob(name, payload, with_named(options, given)))
        if session is None:
            added = await adding.add(job)
        else:
            [added] = await adding.add_within([job], session)
        return self._handle(added.job, is_duplicate=added.is_duplicate)

    async def add_bulk(
        self, jobs: Iterable[NewJobLike], *, session: CallersTransaction | None = None
    ) -> list[JobHandle[R]]:
        adding = self._enter().adding
        with without_garbage_collection():
            made = [adding.make(new_job(job)) for job in several("jobs", jobs, "a list of jobs")]
        if session is None:
            added = await adding.add_all(made)
        else:
            added = await adding.add_within(made, session)
        with without_garbage_collection():
            return self._handles(added)

    def add_sync(
        self,
        name: str,
        payload: P | None = None,
        options: JobOptions | None = None,
        *,
        session: CallersTransaction | None = None,
        **given: Unpack[OptionArguments],
    ) -> JobHandle[R]:
        if self._is_closed:
            raise self._closed()
        adding = self._components.adding
        job = adding.make(NewJob(name, payload, with_named(options, given)))
        if session is None:
            added = adding.add_sync(job)
        else:
            [added] = adding.add_within_sync([job], session)
        return self._handle(added.job, is_duplicate=added.is_duplicate)

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    async def get_job(self, job_id: JobId | str) -> JobHandle[R] | None:
        self._enter()
        try:
            return self._handle(await self._operations.load(sought_id(job_id)))
        except JobNotFound:
            return None

    async def get_jobs(
        self,
        states: Collection[JobState | str] | JobState | str = (),
        *,
        limit: int = 100,
        offset: int = 0,
        newest_first: bool = False,
    ) -> list[JobHandle[R]]:
        self._enter()
        wanted = checked_states(states)
        jobs = await self._repository.find(
            self.name,
            wanted,
            limit=checked_count("limit", limit),
            offset=checked_count("offset", offset),
            newest_first=flag("newest_first", newest_first),
        )
        return [self._handle(job) for job in jobs]

    async def counts(self) -> QueueCounts:
        self._enter()
        return await self._repository.storage.queues.counts(self.name)

    async def is_paused(self) -> bool:
        self._enter()
        return await self._repository.storage.queues.is_paused(self.name)

    # ── control ──────────────────────────────────────────────────────────────────────────────

    async def pause(self) -> None:
        await self._write(self._enter().control.pause())

    async def resume(self) -> None:
        await self._write(self._enter().control.resume())

    async def drain(self, *, delayed: bool = False) -> int:
        return await self._write(self._enter().control.drain(delayed=flag("delayed", delayed)))

    async def clean(
        self,
        older_than: Duration = 0,
        *,
        limit: int = 1000,
        state: JobState | str = JobState.COMPLETED,
    ) -> int:
        age, ended = duration("older_than", older_than), checked_final_state(state)
        most = checked_count("limit", limit)
        return await self._write(self._enter().control.clean(ended, age, most))

    async def obliterate(self, *, force: bool = False) -> int:
        return await self._write(self._enter().control.obliterate(force=flag("force", force)))

    async def retry(self, job_id: JobId | str, *, fresh_attempts: bool = False) -> JobHandle[R]:
        wanted = checked_id(job_id)
        return self._handle(await self._operations.retry(wanted, fresh_attempts=fresh_attempts))

    async def promote(self, job_id: JobId | str) -> JobHandle[R]:
        return self._handle(await self._operations.promote(checked_id(job_id)))

    async def cancel(  # type: ignore[override]  # as in the port
        self, job_id: JobId | str, reason: str = "cancelled by request"
    ) -> JobHandle[R]:
        return self._handle(await self._operations.cancel(checked_id(job_id), reason))

    async def set_priority(self, job_id: JobId | str, priority: int) -> JobHandle[R]:
        return self._handle(await self._operations.set_priority(checked_id(job_id), priority))

    async def remove(self, job_id: JobId | str) -> None:
        await self._operations.remove(checked_id(job_id))

    # ── for workers ──────────────────────────────────────────────────────────────────────────

    async def fetch_jobs_and_lock(
        self,
        worker_id: WorkerId,
        limit: int,
        lock_duration: Duration,
        *,
        names: frozenset[str] | None = None,
    ) -> list[Job]:
        length = duration("lock_duration", lock_duration, allow_zero=False)
        most = checked_count("limit", limit, lowest=1)
        claimer = checked_worker_id(worker_id)
        if names is not None:
            given = several("names", names, "names of jobs, or None for all")
            names = frozenset([checked_name("names", each) for each in given])
        return await self._enter().claiming.claim(Claim(self.name, claimer, most, length, names))

    def read_payload(self, job: Job) -> P:
        payload: P = self._codec.read_payload(_claimed(job).document)
        return payload

    def write_result(self, result: R | None) -> JsonDocument:
        return self._codec.write_result(result)

    async def extend_job_locks(
        self, locks: Sequence[Lock], lock_duration: Duration
    ) -> list[Extension]:
        length = duration("lock_duration", lock_duration, allow_zero=False)
        for each in several("locks", locks, "locks of jobs"):
            instance("locks", each, Lock, "locks of jobs")
        return await self.outcomes.extend_locks(locks, length)

    async def mark_job_as_active(self, job: Job) -> None:
        self._enter().publisher.started(_claimed(job))

    async def mark_job_as_completed(self, job: Job, result: R | None = None) -> Job:
        return await self._settle_one(job, Completed(self.write_result(result)))

    async def mark_job_as_failed(
        self, job: Job, error: BaseException | JobError | str, *, recoverable: bool = True
    ) -> Job:
        is_recoverable = flag("recoverable", recoverable) and not isinstance(error, Unrecoverable)
        return await self._settle_one(job, Failed(job_error(error), is_recoverable))

    async def _settle_one(self, job: Job, outcome: Outcome) -> Job:
        [after] = await self.outcomes.settle([(_claimed(job), outcome)])
        if after is None:
            raise LockLost(job.id, job.token)
        return after

    async def update_job_progress(self, job: Job, progress: Json) -> None:
        await self._say_one(job, progress=progress_document(progress))

    async def add_job_log(self, job: Job, line: str) -> None:
        await self._say_one(job, lines=(log_line(line),))

    async def _say_one(
        self, job: Job, *, progress: JsonDocument | None = None, lines: tuple[str, ...] = ()
    ) -> None:
        keep = _claimed(job).options.keep_logs
        update = ProgressUpdate(job.id, job.token, job.attempt, progress, lines, keep)
        [is_held] = await self.outcomes.update_progress([(job, update)])
        if not is_held:
            raise LockLost(job.id, job.token)

    async def until_next_due(self) -> timedelta | None:
        self._enter()
        return await self._repository.storage.queues.until_next_due(self.name)

    @property
    def hears_others(self) -> bool:
        return self._wake_up.hears_others

    def listen(self, hint: Hint) -> asyncio.Event:
        instance("hint", hint, Hint, "a Hint")
        return self._wake_up.listen(self.name, hint)

    def ignore(self, hint: Hint, event: asyncio.Event) -> None:
        self._wake_up.ignore(self.name, hint, event)

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    def start_maintenance(self, options: MaintenanceOptions | None = None) -> None:
        if options is not None:
            instance("options", options, MaintenanceOptions, "MaintenanceOptions(…) or None")
        self._enter().maintenance.start(options or MaintenanceOptions())

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    async def close(self) -> None:
        self._is_closed = True
        await self._components.close(self._closed())
        await self.wait_for_listeners()


def _claimed(job: Job) -> Job:
    return instance("job", job, Job, "a job that was fetched")
