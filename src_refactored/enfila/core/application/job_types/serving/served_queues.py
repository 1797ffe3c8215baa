"""Several queues, as the one place where a worker takes the jobs of a registry."""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from enfila.core.application.emitter import ErrorReporter
from enfila.core.application.job_types.registry import JobTypeRegistry
from enfila.core.application.job_types.serving.claimed_by_type import ClaimedByType, ClaimRequest
from enfila.core.application.job_types.serving.counted_outcomes import CountedOutcomes
from enfila.core.application.job_types.serving.merged_hints import MergedHints
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.abstract_queue import AbstractQueue
from enfila.core.application.queue.adding.payload_codec import PayloadCodec
from enfila.core.application.queue.claims.job_source import JobSource
from enfila.core.application.queue.maintenance.maintenance_options import MaintenanceOptions
from enfila.core.domain.checking import function, instance, several, whole
from enfila.core.domain.duration import Duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.json_document import Json, JsonDocument
from enfila.core.domain.showing import shown

Queue = AbstractQueue[Any, Any]


class ServedQueues(JobSource[Any, Any]):
    """Several queues as one `JobSource`, whose jobs share the slots of one worker.

    They take turns: each fetch begins with the next one. So the order of jobs holds within a queue,
    and none starves another. A type with a `max_concurrency` is fetched by a statement of its own.

    What became of the jobs is written for all queues in one step, and counted by type. The types
    are declared in the repository before the first fetch.

    Args:
        queues: at least one, all on one database.
        types: what the worker knows.
        repository: that database: where outcomes are written and the types are declared.
        random: gives a number in [0, 1), for the jitter of backoffs.

    Raises:
        InvalidRequest: there is no queue.
    """

    def __init__(
        self,
        queues: Sequence[Queue],
        types: JobTypeRegistry,
        repository: IJobRepository,
        *,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        given = several("queues", queues, "queues")
        queues = [instance("queues", each, AbstractQueue, "queues") for each in given]
        instance("types", types, JobTypeRegistry, "a JobTypeRegistry")
        instance("repository", repository, IJobRepository, "a job repository")
        function("random", random, "a function without arguments")
        self._queues = {queue.name: queue for queue in queues}
        if not self._queues:
            allowed = (
                "give at least one, or declare a job type first, or say what runs the jobs: "
                "app.worker(queue, processor)"
            )
            raise InvalidRequest("queues", [], allowed, problem="there are none to serve")
        self.name = ", ".join(self._queues)
        self._types = types
        self._job_types = repository.storage.job_types
        self._is_declared = False
        self._claimed = ClaimedByType(
            {
                (each.queue, each.name): each.max_concurrency
                for each in types
                if each.max_concurrency is not None
            }
        )
        self._hints = MergedHints(list(self._queues.values()))
        self._turn = 0
        self._codec = PayloadCodec()
        self.outcomes = CountedOutcomes(
            repository,
            [each for queue in queues for each in queue.outcomes.publishers.values()],
            held=self._claimed,
            on_room=lambda: self._hints.wake(Hint.JOBS),
            random=random,
        )

    # ── fetching ─────────────────────────────────────────────────────────────────────────────

    def __repr__(self) -> str:
        return f"<queues {shown(list(self._queues))} of job types>"

    async def fetch_jobs_and_lock(
        self,
        worker_id: WorkerId,
        limit: int,
        lock_duration: Duration,
        *,
        names: frozenset[str] | None = None,
    ) -> list[Job]:
        limit = whole("limit", limit, 1)
        await self._declare()
        taken: list[Job] = []
        for request in self._in_turn(self._claimed.claim_requests(self._queues, names)):
            left = limit - len(taken)
            most = left if request.most is None else min(left, request.most)
            try:
                claimed = await self._queues[request.queue].fetch_jobs_and_lock(
                    worker_id, most, lock_duration, names=request.names
                )
            except asyncio.CancelledError:
                self.outcomes.give_back(taken)
                raise
            except Exception:
                if not taken:
                    raise
                break  # what was taken is run; the next fetch meets the same error
            self._claimed.take(claimed)
            taken += claimed
            if len(taken) == limit:
                break
        return taken

    def _in_turn(self, claim_requests: list[ClaimRequest]) -> Iterator[ClaimRequest]:
        start = self._turn % max(len(claim_requests), 1)
        self._turn += 1
        yield from claim_requests[start:]
        yield from claim_requests[:start]

    async def _declare(self) -> None:
        if not self._is_declared:
            await self._job_types.declare(list(self._types))
            self._is_declared = True

    async def until_next_due(self) -> timedelta | None:
        lengths = [await queue.until_next_due() for queue in self._queues.values()]
        return min((length for length in lengths if length is not None), default=None)

    def start_maintenance(self, options: MaintenanceOptions | None = None) -> None:
        for queue in self._queues.values():
            queue.start_maintenance(options)

    # ── one job ──────────────────────────────────────────────────────────────────────────────

    async def mark_job_as_active(self, job: Job) -> None:
        await self._queues[job.queue].mark_job_as_active(job)

    def read_payload(self, job: Job) -> Json:
        return job.payload

    def write_result(self, result: object) -> JsonDocument:
        return self._codec.write_result(result)

    # ── hints and listeners ──────────────────────────────────────────────────────────────────

    @property
    def hears_others(self) -> bool:
        return all(queue.hears_others for queue in self._queues.values())

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
