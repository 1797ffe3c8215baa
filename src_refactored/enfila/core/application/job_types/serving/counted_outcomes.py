"""Writing the outcomes of job types: runs are counted, and what ended makes room."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from enfila.core.application.job_types.serving.claimed_by_type import ClaimedByType, ClaimKey
from enfila.core.application.job_types.serving.run_counter import RunCounter
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.queue.claims.outcome_writer import OutcomeWriter
from enfila.core.application.queue.publishing.publisher import Publisher
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.running.outcome import Outcome
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.worker import WorkerInfo


class CountedOutcomes(OutcomeWriter):
    """Writes how runs ended, counts them by job type, and frees their slots of the type's limit.

    What became of runs is counted and written with the worker's heartbeats and when it deregisters.
    Of a worker that is killed the last heartbeat's worth of numbers is missing; a write whose
    answer was lost may count twice.

    Args:
        repository: the database of all these queues, and of the types.
        publishers: one for each queue.
        held: what the worker holds of each type.
        on_room: told when a type with a limit may be claimed again.
        random: gives a number in [0, 1), for the jitter of backoffs.
    """

    def __init__(
        self,
        repository: IJobRepository,
        publishers: Iterable[Publisher],
        *,
        held: ClaimedByType,
        on_room: Callable[[], None],
        random: Callable[[], float],
    ) -> None:
        super().__init__(repository, publishers, tasks=OwnedTasks(), random=random)
        self._job_types = repository.storage.job_types
        self._claimed = held
        self._on_room = on_room
        self._counter = RunCounter()

    async def _settle(self, outcomes: Sequence[tuple[Job, Outcome]]) -> list[Job | None]:
        answers = await super()._settle(outcomes)
        for (job, outcome), after in zip(outcomes, answers, strict=True):
            if after is not None:
                self._counter.note(job, outcome)
        self._let_go([(job.id, job.token) for job, _ in outcomes])
        return answers

    async def _extend(self, locks: Sequence[Lock], length: timedelta) -> list[Extension]:
        answers = await super()._extend(locks, length)
        self._let_go(
            (lock.job_id, lock.token)
            for lock, answer in zip(locks, answers, strict=True)
            if not answer.is_held
        )
        return answers

    async def _update_progress(self, updates: Sequence[tuple[Job, ProgressUpdate]]) -> list[bool]:
        answers = await super()._update_progress(updates)
        self._let_go(
            (job.id, job.token)
            for (job, _), is_held in zip(updates, answers, strict=True)
            if not is_held
        )
        return answers

    async def heartbeat(self, worker: WorkerInfo) -> None:
        await super().heartbeat(worker)
        await self._write_counts()

    async def deregister(self, worker_id: WorkerId) -> None:
        await self._tasks.wait()  # what was given back may still be under way
        try:
            await self._write_counts()
        finally:
            await super().deregister(worker_id)

    async def _write_counts(self) -> None:
        if not (counted := self._counter.take()):
            return
        try:
            await self._job_types.count_runs(counted)
        except BaseException:
            self._counter.give_back(counted)
            raise

    def _let_go(self, keys: Iterable[ClaimKey]) -> None:
        if self._claimed.let_go(keys):
            self._on_room()
