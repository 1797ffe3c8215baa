"""Several queues, as the one place where a worker takes the jobs of a registry."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, TypeVar

from enfila.core.application.emitter import ErrorReporter
from enfila.core.application.job_types.held_jobs import HeldJobs, HeldKey, Wish
from enfila.core.application.job_types.merged_hints import MergedHints
from enfila.core.application.job_types.registry import JobTypeRegistry
from enfila.core.application.job_types.run_tally import RunTally
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.abstract_queue import AbstractQueue
from enfila.core.application.queue.job_handle import JobHandle
from enfila.core.application.queue.job_source import JobSource
from enfila.core.application.queue.maintenance_options import MaintenanceOptions
from enfila.core.application.queue.payload_codec import PayloadCodec
from enfila.core.application.tasks import OwnedTasks
from enfila.core.domain.duration import Duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.identity import JobId, WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.outcome import Outcome, Released
from enfila.core.domain.job.progress import ProgressUpdate
from enfila.core.domain.json_document import Json, JsonDocument
from enfila.core.domain.worker import WorkerInfo

T = TypeVar("T")
A = TypeVar("A")
Queue = AbstractQueue[Any, Any]


class ServedQueues(JobSource[Any, Any]):
    """Queues for one worker, which share its slots.

    They take turns: each fetch begins with the next one. So the order of jobs holds within a queue,
    and none starves another. A type with a `max_concurrency` is fetched by a statement of its own.

    The types are declared in the repository before the first fetch. What became of runs is counted
    here and written with the worker's heartbeats and when it signs off. Of a worker that is killed
    the last heartbeat's worth of numbers is missing; a write whose answer was lost may count twice.

    Args:
        queues: at least one, all on one database.
        types: what the worker knows.
        repository: where the types are declared and their runs counted.

    Raises:
        InvalidRequest: there is no queue.
    """

    def __init__(
        self, queues: Sequence[Queue], types: JobTypeRegistry, repository: IJobRepository
    ) -> None:
        self._queues = {queue.name: queue for queue in queues}
        if not self._queues:
            raise InvalidRequest("queues", [], "give at least one, or declare a job type first")
        self.name = ", ".join(self._queues)
        self._first = next(iter(self._queues))
        self._types = types
        self._job_types = repository.storage.job_types
        self._is_declared = False
        self._held = HeldJobs(
            {
                (each.queue, each.name): each.max_concurrency
                for each in types
                if each.max_concurrency is not None
            }
        )
        self._hints = MergedHints(list(self._queues.values()))
        self._tally = RunTally()
        self._tasks = OwnedTasks()
        self._turn = 0
        self._settled: dict[HeldKey, Job | None] = {}
        self._reported: dict[HeldKey, bool] = {}
        self._codec = PayloadCodec()

    # ── fetching ─────────────────────────────────────────────────────────────────────────────

    async def fetch_jobs_and_lock(
        self,
        worker_id: WorkerId,
        limit: int,
        lock_duration: Duration,
        *,
        names: frozenset[str] | None = None,
    ) -> list[Job]:
        await self._declare()
        taken: list[Job] = []
        for wish in self._in_turn(self._held.wishes(self._queues, names)):
            left = limit - len(taken)
            most = left if wish.most is None else min(left, wish.most)
            try:
                claimed = await self._queues[wish.queue].fetch_jobs_and_lock(
                    worker_id, most, lock_duration, names=wish.names
                )
            except asyncio.CancelledError:
                self._give_back(taken)
                raise
            except Exception:
                if not taken:
                    raise
                break  # what was taken is run; the next fetch meets the same error
            self._held.take(claimed)
            taken += claimed
            if len(taken) == limit:
                break
        return taken

    def _in_turn(self, wishes: list[Wish]) -> Iterator[Wish]:
        start = self._turn % max(len(wishes), 1)
        self._turn += 1
        yield from wishes[start:]
        yield from wishes[:start]

    def _give_back(self, jobs: list[Job]) -> None:
        if jobs:
            released = [(job, Released(has_run=False)) for job in jobs]
            _ = self._tasks.spawn(self.settle(released), name="enfila gives jobs back")

    async def _declare(self) -> None:
        if not self._is_declared:
            await self._job_types.declare(list(self._types))
            self._is_declared = True

    async def until_next_due(self) -> timedelta | None:
        lengths = [await queue.until_next_due() for queue in self._queues.values()]
        return min((length for length in lengths if length is not None), default=None)

    # ── what became of jobs ──────────────────────────────────────────────────────────────────

    async def settle(self, outcomes: Sequence[tuple[Job, Outcome]]) -> list[Job | None]:
        keys = [(job.id, job.token) for job, _ in outcomes]
        answers = await self._each_queue(
            list(zip(keys, outcomes, strict=True)),
            self._settled,
            lambda queue, part: queue.settle(part),
        )
        for (job, outcome), after in zip(outcomes, answers, strict=True):
            if after is not None:
                self._tally.note(job, outcome)
        self._let_go(keys)
        return answers

    async def update_progress(self, updates: Sequence[ProgressUpdate]) -> list[bool]:
        keys = [(each.job_id, each.token) for each in updates]
        answers = await self._each_queue(
            list(zip(keys, updates, strict=True)),
            self._reported,
            lambda queue, part: queue.update_progress(part),
        )
        self._let_go(key for key, is_held in zip(keys, answers, strict=True) if not is_held)
        return answers

    async def extend_job_locks(
        self, locks: Sequence[Lock], lock_duration: Duration
    ) -> list[Extension]:
        keys = [(each.job_id, each.token) for each in locks]
        answers = await self._each_queue(
            list(zip(keys, locks, strict=True)),
            {},
            lambda queue, part: queue.extend_job_locks(part, lock_duration),
        )
        self._let_go(key for key, each in zip(keys, answers, strict=True) if not each.is_held)
        return answers

    async def _each_queue(
        self,
        items: Sequence[tuple[HeldKey, T]],
        answered: dict[HeldKey, A],
        write: Callable[[Queue, list[T]], Awaitable[list[A]]],
    ) -> list[A]:
        """Has each queue write what is its own; the answers in the order of `items`.

        `answered` is what an earlier try has written, before another queue failed: the worker tries
        all of it again, and by then those would be stale.
        """
        parts: defaultdict[str, list[tuple[HeldKey, T]]] = defaultdict(list)
        for key, item in items:
            if key not in answered:
                parts[self._held.queue_of(key) or self._first].append((key, item))
        for name, part in parts.items():
            written = await write(self._queues[name], [item for _, item in part])
            answered.update(zip([key for key, _ in part], written, strict=True))
        return [answered.pop(key) for key, _ in items]

    def _let_go(self, keys: Iterable[HeldKey]) -> None:
        if self._held.let_go(keys):
            self._hints.wake(Hint.JOBS)

    # ── the worker ───────────────────────────────────────────────────────────────────────────

    async def heartbeat(self, worker: WorkerInfo) -> None:
        await self._queues[self._first].heartbeat(worker)
        await self._write_counts()

    async def deregister(self, worker_id: WorkerId) -> None:
        await self._tasks.wait()
        try:
            await self._write_counts()
        finally:
            await self._queues[self._first].deregister(worker_id)

    async def _write_counts(self) -> None:
        if not (counted := self._tally.take()):
            return
        try:
            await self._job_types.count_runs(counted)
        except BaseException:
            self._tally.give_back(counted)
            raise

    def start_maintenance(self, options: MaintenanceOptions | None = None) -> None:
        for queue in self._queues.values():
            queue.start_maintenance(options)

    # ── one job ──────────────────────────────────────────────────────────────────────────────

    async def get_job(self, job_id: JobId | str) -> JobHandle[Any] | None:
        for queue in self._queues.values():
            if (handle := await queue.get_job(job_id)) is not None:
                return handle
        return None

    async def mark_job_as_active(self, job: Job) -> None:
        await self._queues[job.queue].mark_job_as_active(job)

    def read_payload(self, job: Job) -> Json:
        return job.payload

    def write_result(self, result: object) -> JsonDocument:
        return self._codec.write_result(result)

    # ── hints and listeners ──────────────────────────────────────────────────────────────────

    def listen(self, hint: Hint) -> asyncio.Event:
        return self._hints.listen(hint)

    def ignore(self, hint: Hint, event: asyncio.Event) -> None:
        self._hints.ignore(hint, event)

    def has_listeners(self, name: str) -> bool:
        return any(queue.has_listeners(name) for queue in self._queues.values())

    def report_errors_to(self, reporter: ErrorReporter) -> Callable[[], None]:
        with ExitStack() as ends:
            for queue in self._queues.values():
                ends.callback(queue.report_errors_to(reporter))
            return ends.pop_all().close
